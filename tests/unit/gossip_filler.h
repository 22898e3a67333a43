#pragma once

#include <random>
#include <string>

#include "gossip/codec_fields.h"

// Fills every field of a wire struct with something that is not its default, by walking the same list of
// fields as the codec. What one seed gives is the same on every machine.
namespace ringagent::test {

class Filler {
 public:
  explicit Filler(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void operator()(bool& x) { x = true; }
  void operator()(std::int64_t& x) { x = static_cast<std::int64_t>(random_() >> below(64)) | 1; }
  template <std::unsigned_integral T>
  void operator()(T& x) {
    // All widths, for msgpack writes each in another way.
    x = static_cast<T>(static_cast<T>(random_()) >> below(8 * sizeof(T)));
    if (x == 0) x = 1;
  }
  void operator()(Uuid& x) {
    for (auto& b : x.bytes) b = static_cast<std::uint8_t>(random_() | 1U);
  }
  void operator()(Hash& x) {
    for (auto& b : x) b = static_cast<std::uint8_t>(random_() | 1U);
  }
  template <Struct T>
  void operator()(T& x) {
    fields(*this, x);
  }
  void text(std::string& x, std::size_t bytes_max) { x = word(std::min<std::size_t>(bytes_max, 40)); }
  void position(std::string& x) { x = "0-1-" + std::to_string(random_()) + "," + word(300); }
  void blob(std::string& x, std::size_t bytes_max) {
    x = word(std::min<std::size_t>(bytes_max, 700));
    x[0] = '\0';
  }
  template <class T>
  void list(std::vector<T>& x, std::size_t count_max) {
    x.resize(1 + below(std::min<std::size_t>(count_max, 4)));
    for (auto& e : x) (*this)(e);
  }
  void texts(std::vector<std::string>& x, std::size_t count_max, std::size_t bytes_max) {
    x.resize(1 + below(std::min<std::size_t>(count_max, 4)));
    for (auto& e : x) text(e, bytes_max);
  }
  void blobs(std::vector<std::string>& x, std::size_t count_max, std::size_t bytes_max) {
    x.resize(1 + below(std::min<std::size_t>(count_max, 4)));
    for (auto& e : x) blob(e, bytes_max);
  }
  template <class E>
  void choice(E& x, E last) {
    x = static_cast<E>(1 + below(static_cast<std::uint64_t>(last)));
  }
  template <class E>
  void choice(E& x, E last, E) {
    choice(x, last);
  }
  template <class T>
  void maybe(std::optional<T>& x) {
    (*this)(x.emplace());
  }
  template <class V>
  void one_of(V& x) {
    std::visit([this](auto& body) { (*this)(body); }, x);
  }
  template <class F>
  void appended(F field, bool /*present*/ = true) {
    field();
  }
  void later(LaterFields& /*of nobody*/) {}

 private:
  std::string word(std::size_t bytes_max) {
    std::string out(1 + below(bytes_max), ' ');
    for (char& c : out) c = static_cast<char>('a' + below(26));
    return out;
  }

  std::mt19937_64 random_;
};

template <class T>
T filled(std::uint64_t seed) {
  T value;
  Filler filler(seed);
  filler(value);
  return value;
}

template <std::size_t I = 0>
Body empty_body(std::size_t kind) {
  if constexpr (I < std::variant_size_v<Body>) {
    if (kind == I) return Body(std::in_place_index<I>);
    return empty_body<I + 1>(kind);
  } else {
    std::abort();
  }
}

// A message of the given kind with every field filled.
inline Message filled_message(std::size_t kind, std::uint64_t seed) {
  Message message;
  message.body = empty_body(kind);
  Filler filler(seed);
  filler(message);
  return message;
}

inline constexpr std::size_t kKinds = std::variant_size_v<Body>;

}  // namespace ringagent::test
