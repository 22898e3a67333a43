#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "gossip/message.h"

// The two hands of the codec: a Writer and a Reader with the same methods, so that one list of fields
// (`gossip/codec_fields.h`) drives both.
//
// The Writer is msgpack's packer. The Reader is our own: the library's unpacker builds a tree of objects many
// times larger than its input before the first field could be judged; this one knows what it expects next,
// checks the limit of exactly that field, and only then allocates. It never throws: the first error sticks,
// all later reads do nothing.
namespace ringagent {

template <class T>
concept Struct = std::is_class_v<T>;  // has fields(archive, T&) in codec_fields.h

// How many fields a struct has, by walking its list.
class Counter {
 public:
  std::size_t count() const { return count_; }

  template <class T>
  void operator()(const T&) {
    ++count_;
  }
  void text(const std::string&, std::size_t) { ++count_; }
  void position(const std::string&) { ++count_; }
  void blob(const std::string&, std::size_t) { ++count_; }
  template <class T>
  void list(const std::vector<T>&, std::size_t) {
    ++count_;
  }
  void texts(const std::vector<std::string>&, std::size_t, std::size_t) { ++count_; }
  void blobs(const std::vector<std::string>&, std::size_t, std::size_t) { ++count_; }
  template <class E>
  void choice(E, E) {
    ++count_;
  }
  template <class E>
  void choice(E, E, E) {
    ++count_;
  }
  template <class T>
  void maybe(const std::optional<T>&) {
    ++count_;
  }
  template <class V>
  void one_of(const V&) {
    count_ += 2;
  }
  template <class F>
  void appended(F field, bool present = true) {
    if (present) field();
  }
  void later(const LaterFields& fields) { count_ += fields.count; }

 private:
  std::size_t count_ = 0;
};

class Writer {
 public:
  // `clip`: shorten what is too long (see codec.h); otherwise too long is a broken invariant.
  explicit Writer(bool clip) : clip_(clip) {}

  std::string take() { return std::move(out_); }
  std::size_t size() const { return out_.size(); }

  void operator()(bool value);
  void operator()(std::int64_t value);
  template <std::unsigned_integral T>
  void operator()(T value) {
    number(value);
  }
  void operator()(const Uuid& id);
  void operator()(const Hash& hash);
  template <Struct T>
  void operator()(const T& value) {
    Counter counter;
    fields(counter, value);
    array(counter.count());
    fields(*this, value);
  }

  void text(const std::string& value, std::size_t bytes_max);
  void position(const std::string& value);
  void blob(const std::string& value, std::size_t bytes_max);
  template <class T>
  void list(const std::vector<T>& values, std::size_t count_max) {
    const std::size_t count = clipped(values.size(), count_max);
    array(count);
    for (std::size_t i = 0; i < count; ++i) (*this)(values[i]);
  }
  void texts(const std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max);
  void blobs(const std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max);
  template <class E>
  void choice(E value, E /*last*/) {
    number(static_cast<std::uint64_t>(value));
  }
  template <class E>
  void choice(E value, E /*last*/, E /*fallback*/) {
    number(static_cast<std::uint64_t>(value));
  }
  template <class T>
  void maybe(const std::optional<T>& value) {
    value ? (*this)(*value) : nil();
  }
  template <class V>
  void one_of(const V& value) {
    number(value.index());
    std::visit([this](const auto& body) { (*this)(body); }, value);
  }
  template <class F>
  void appended(F field, bool present = true) {
    if (present) field();
  }
  void later(const LaterFields& fields) { out_ += fields.bytes; }

 private:
  std::size_t clipped(std::size_t size, std::size_t max) const;
  void number(std::uint64_t value);
  void nil();
  void array(std::size_t count);
  void bin(const void* data, std::size_t size);

  std::string out_;
  bool clip_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return error_.empty(); }
  // What is wrong and at which byte; also if bytes are left over.
  std::optional<Error> finish();

  void operator()(bool& value);
  void operator()(std::int64_t& value);
  template <std::unsigned_integral T>
  void operator()(T& value) {
    value = static_cast<T>(number(std::numeric_limits<T>::max()));
  }
  void operator()(Uuid& id) { id_bytes(id.bytes.data(), id.bytes.size()); }
  void operator()(Hash& hash) { id_bytes(hash.data(), hash.size()); }
  template <Struct T>
  void operator()(T& value) {
    const std::size_t outer = enter(kFieldsMax);
    fields(*this, value);
    leave(outer);
  }

  void text(std::string& value, std::size_t bytes_max) { string(value, bytes_max, false); }
  void position(std::string& value) { string(value, kPositionBytesMax, false); }
  void blob(std::string& value, std::size_t bytes_max) { string(value, bytes_max, true); }
  template <class T>
  void list(std::vector<T>& values, std::size_t count_max) {
    each(values, count_max, [this](T& value) { (*this)(value); });
  }
  void texts(std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max) {
    each(values, count_max, [=, this](std::string& value) { text(value, bytes_max); });
  }
  void blobs(std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max) {
    each(values, count_max, [=, this](std::string& value) { blob(value, bytes_max); });
  }
  template <class E>
  void choice(E& value, E last) {
    value = static_cast<E>(number(static_cast<std::uint64_t>(last)));
  }
  template <class E>
  void choice(E& value, E last, E fallback) {
    const std::uint64_t n = number(std::numeric_limits<std::uint64_t>::max());
    value = n <= static_cast<std::uint64_t>(last) ? static_cast<E>(n) : fallback;
  }
  template <class T>
  void maybe(std::optional<T>& value) {
    if (!take_nil()) (*this)(value.emplace());
  }
  template <class V>
  void one_of(V& value) {
    const std::uint64_t kind = number(std::variant_size_v<V> - 1);
    if (ok()) alternative(value, kind, std::make_index_sequence<std::variant_size_v<V>>());
  }
  template <class F>
  void appended(F field, bool /*present*/ = true) {
    if (left_ > 0) field();
  }
  void later(LaterFields& fields);

 private:
  static constexpr std::size_t kFieldsMax = 256;  // of one struct, those of later versions included

  template <class T, class F>
  void each(std::vector<T>& values, std::size_t count_max, F read) {
    const std::size_t outer = enter(count_max);
    while (ok() && left_ > 0) read(values.emplace_back());
    leave(outer);
  }
  template <class V, std::size_t... I>
  void alternative(V& value, std::uint64_t kind, std::index_sequence<I...>) {
    ((kind == I ? (*this)(value.template emplace<I>()) : void()), ...);
  }

  void fail_with(const char* what);
  bool take_field();                         // one of the fields that the present array still has
  std::size_t enter(std::size_t count_max);  // an array; the fields left of the outer one
  void leave(std::size_t outer);             // skips the fields that were not asked for
  bool take_nil();
  std::uint64_t number(std::uint64_t max);
  void string(std::string& value, std::size_t bytes_max, bool binary);
  void id_bytes(std::uint8_t* data, std::size_t size);
  void skip(std::size_t depth);

  // Raw access; each fails instead of reading beyond the end.
  std::uint8_t byte();
  std::uint64_t big_endian(std::size_t size);
  std::string_view raw(std::uint64_t size);
  std::uint64_t array_size(std::uint8_t tag);
  std::uint64_t string_size(std::uint8_t tag, bool binary);

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t left_ = 1;  // outside everything stands one value
  std::string error_;
};

}  // namespace ringagent
