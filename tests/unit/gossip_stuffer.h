#pragma once

#include <msgpack.hpp>
#include <string>
#include <vector>

#include "gossip/codec_fields.h"

namespace ringagent::test {

// Writes without limits, and makes the chosen one of all limited places `extra` longer than its limit.
class Stuffer {
 public:
  explicit Stuffer(std::size_t victim, std::size_t extra) : victim_(victim), extra_(extra), pack_(buffer_) {}

  std::string bytes() const { return {buffer_.data(), buffer_.size()}; }
  std::size_t places() const { return place_; }

  void operator()(bool x) { pack_.pack(x); }
  void operator()(std::int64_t x) { pack_.pack(x); }
  template <std::unsigned_integral T>
  void operator()(T x) {
    pack_.pack_fix_uint64(x);  // never the shortest form: a reader must not care
  }
  void operator()(const Uuid& x) { bin(std::string(x.bytes.begin(), x.bytes.end())); }
  void operator()(const Hash& x) { bin(std::string(x.begin(), x.end())); }
  template <Struct T>
  void operator()(const T& x) {
    Counter counter;
    fields(counter, x);
    array(counter.count());
    fields(*this, x);
  }
  void text(const std::string& x, std::size_t max) { str(chosen() ? std::string(max + extra_, 'x') : x); }
  void position(const std::string& x) { text(x, kPositionBytesMax); }
  void blob(const std::string& x, std::size_t max) { bin(chosen() ? std::string(max + extra_, 'x') : x); }
  template <class T>
  void list(std::vector<T> x, std::size_t max) {
    if (chosen()) x.resize(max + extra_);
    array(x.size());
    for (const auto& e : x) (*this)(e);
  }
  void texts(std::vector<std::string> x, std::size_t max, std::size_t bytes_max) {
    if (chosen()) x.resize(max + extra_);
    array(x.size());
    for (const auto& e : x) text(e, bytes_max);
  }
  void blobs(std::vector<std::string> x, std::size_t max, std::size_t bytes_max) {
    if (chosen()) x.resize(max + extra_);
    array(x.size());
    for (const auto& e : x) blob(e, bytes_max);
  }
  template <class E>
  void choice(E x, E) {
    pack_.pack(static_cast<std::uint64_t>(x));
  }
  template <class E>
  void choice(E x, E, E) {
    pack_.pack(static_cast<std::uint64_t>(x));
  }
  template <class T>
  void maybe(const std::optional<T>& x) {
    x ? (*this)(*x) : static_cast<void>(pack_.pack_nil());
  }
  template <class V>
  void one_of(const V& x) {
    pack_.pack(x.index());
    std::visit([this](const auto& body) { (*this)(body); }, x);
  }
  template <class F>
  void appended(F field, bool present = true) {
    if (present) field();
  }
  void later(const LaterFields& /*of nobody*/) {}

 private:
  bool chosen() { return place_++ == victim_; }
  void array(std::size_t n) { pack_.pack_array(static_cast<std::uint32_t>(n)); }
  void str(const std::string& x) { pack_.pack(x); }
  void bin(const std::string& x) {
    pack_.pack_bin(static_cast<std::uint32_t>(x.size()));
    pack_.pack_bin_body(x.data(), static_cast<std::uint32_t>(x.size()));
  }

  std::size_t victim_;
  std::size_t extra_;
  std::size_t place_ = 0;
  msgpack::sbuffer buffer_;
  msgpack::packer<msgpack::sbuffer> pack_;
};

}  // namespace ringagent::test
