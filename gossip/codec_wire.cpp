#include "gossip/codec_wire.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <msgpack/pack.hpp>

#include "gossip/codec.h"

namespace ringagent {

// ---------------------------------------------------------------- Writer

namespace {

struct Sink {
  std::string& out;
  void write(const char* data, std::size_t size) { out.append(data, size); }
};

// The longest prefix of at most `max` bytes that does not cut a UTF-8 character in two.
std::string_view clip_text(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text;
  std::size_t end = max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

bool all_zero(const std::uint8_t* data, std::size_t size) {
  return std::all_of(data, data + size, [](std::uint8_t b) { return b == 0; });
}

}  // namespace

std::size_t Writer::clipped(std::size_t size, std::size_t max) const {
  if (size > max && !clip_) std::abort();
  return std::min(size, max);
}

void Writer::number(std::uint64_t value) {
  Sink sink{out_};
  msgpack::packer<Sink>(sink).pack_uint64(value);
}

void Writer::operator()(std::int64_t value) {
  Sink sink{out_};
  msgpack::packer<Sink>(sink).pack_int64(value);
}

void Writer::operator()(bool value) {
  Sink sink{out_};
  value ? msgpack::packer<Sink>(sink).pack_true() : msgpack::packer<Sink>(sink).pack_false();
}

void Writer::nil() {
  Sink sink{out_};
  msgpack::packer<Sink>(sink).pack_nil();
}

void Writer::array(std::size_t count) {
  Sink sink{out_};
  msgpack::packer<Sink>(sink).pack_array(static_cast<std::uint32_t>(count));
}

void Writer::bin(const void* data, std::size_t size) {
  Sink sink{out_};
  msgpack::packer<Sink> packer(sink);
  packer.pack_bin(static_cast<std::uint32_t>(size));
  packer.pack_bin_body(static_cast<const char*>(data), static_cast<std::uint32_t>(size));
}

void Writer::operator()(const Uuid& id) {
  id.nil() ? nil() : bin(id.bytes.data(), id.bytes.size());
}

void Writer::operator()(const Hash& hash) {
  all_zero(hash.data(), hash.size()) ? nil() : bin(hash.data(), hash.size());
}

void Writer::text(const std::string& value, std::size_t bytes_max) {
  clipped(value.size(), bytes_max);
  const std::string_view part = clip_text(value, bytes_max);
  Sink sink{out_};
  msgpack::packer<Sink> packer(sink);
  packer.pack_str(static_cast<std::uint32_t>(part.size()));
  packer.pack_str_body(part.data(), static_cast<std::uint32_t>(part.size()));
}

void Writer::position(const std::string& value) {
  text(value.size() <= kPositionBytesMax ? value : std::string(), kPositionBytesMax);
}

void Writer::blob(const std::string& value, std::size_t bytes_max) {
  if (value.size() > bytes_max) std::abort();
  bin(value.data(), value.size());
}

void Writer::texts(const std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max) {
  const std::size_t count = clipped(values.size(), count_max);
  array(count);
  for (std::size_t i = 0; i < count; ++i) text(values[i], bytes_max);
}

void Writer::blobs(const std::vector<std::string>& values, std::size_t count_max, std::size_t bytes_max) {
  const std::size_t count = clipped(values.size(), count_max);
  array(count);
  for (std::size_t i = 0; i < count; ++i) blob(values[i], bytes_max);
}

// ---------------------------------------------------------------- Reader

void Reader::fail_with(const char* what) {
  if (ok()) error_ = std::string(what) + " at byte " + std::to_string(at_);
}

std::optional<Error> Reader::finish() {
  if (ok() && at_ != bytes_.size()) fail_with("bytes left over");
  if (ok()) return std::nullopt;
  return Error{error_};
}

std::uint8_t Reader::byte() {
  if (ok() && at_ == bytes_.size()) fail_with("truncated");
  return ok() ? static_cast<std::uint8_t>(bytes_[at_++]) : 0;
}

std::uint64_t Reader::big_endian(std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8U | byte();
  return value;
}

std::string_view Reader::raw(std::uint64_t size) {
  if (ok() && size > bytes_.size() - at_) fail_with("truncated");
  if (!ok()) return {};
  const std::string_view part = bytes_.substr(at_, size);
  at_ += part.size();
  return part;
}

bool Reader::take_field() {
  if (ok() && left_ == 0) fail_with("too few fields");
  if (!ok()) return false;
  --left_;
  return true;
}

std::uint64_t Reader::array_size(std::uint8_t tag) {
  if ((tag & 0xF0U) == 0x90U) return tag & 0x0FU;
  if (tag == 0xDC) return big_endian(2);
  if (tag == 0xDD) return big_endian(4);
  fail_with("not an array");
  return 0;
}

std::size_t Reader::enter(std::size_t count_max) {
  if (!take_field()) return 0;
  const std::size_t outer = left_;
  const std::uint64_t count = array_size(byte());
  if (ok() && count > count_max) fail_with("array too long");
  // Every element takes at least a byte, so a large number in a small packet is a lie.
  if (ok() && count > bytes_.size() - at_) fail_with("truncated");
  left_ = ok() ? count : 0;
  return outer;
}

void Reader::leave(std::size_t outer) {
  for (; ok() && left_ > 0; --left_) skip(0);
  left_ = outer;
}

// Too many of them are not handed on.
void Reader::later(LaterFields& fields) {
  const std::size_t count = left_;
  const std::size_t from = at_;
  for (; ok() && left_ > 0; --left_) skip(0);
  if (!ok() || count == 0 || at_ - from > kLaterBytesMax) return;
  fields.count = count;
  fields.bytes = bytes_.substr(from, at_ - from);
}

bool Reader::take_nil() {
  if (!ok() || at_ == bytes_.size() || static_cast<std::uint8_t>(bytes_[at_]) != 0xC0) return false;
  if (take_field()) ++at_;
  return true;
}

void Reader::operator()(bool& value) {
  if (!take_field()) return;
  const std::uint8_t tag = byte();
  if (ok() && tag != 0xC2 && tag != 0xC3) fail_with("not a boolean");
  if (ok()) value = tag == 0xC3;
}

namespace {

// Two's complement of 8 bits.
std::int64_t of_one_byte(std::uint64_t byte) {
  return static_cast<std::int64_t>(byte) - (byte >= 0x80 ? 0x100 : 0);
}

}  // namespace

void Reader::operator()(std::int64_t& value) {
  if (!take_field()) return;
  const std::uint8_t tag = byte();
  if (tag <= 0x7F || tag >= 0xE0) {
    value = of_one_byte(tag);
  } else if (tag >= 0xCC && tag <= 0xCF) {
    const std::uint64_t n = big_endian(std::size_t{1} << (tag - 0xCCU));
    if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) fail_with("number too large");
    value = static_cast<std::int64_t>(n);
  } else if (tag == 0xD0) {
    value = of_one_byte(big_endian(1));
  } else if (tag == 0xD1) {
    value = static_cast<std::int16_t>(big_endian(2));
  } else if (tag == 0xD2) {
    value = static_cast<std::int32_t>(big_endian(4));
  } else if (tag == 0xD3) {
    value = static_cast<std::int64_t>(big_endian(8));
  } else {
    fail_with("not an integer");
  }
}

std::uint64_t Reader::number(std::uint64_t max) {
  if (!take_field()) return 0;
  const std::uint8_t tag = byte();
  std::uint64_t value = tag;
  if (tag >= 0xCC && tag <= 0xCF) {
    value = big_endian(std::size_t{1} << (tag - 0xCCU));
  } else if (tag > 0x7F) {
    fail_with("not an unsigned integer");
  }
  if (ok() && value > max) fail_with("number too large");
  return ok() ? value : 0;
}

std::uint64_t Reader::string_size(std::uint8_t tag, bool binary) {
  if (!binary && (tag & 0xE0U) == 0xA0U) return tag & 0x1FU;
  const std::uint8_t first = binary ? 0xC4 : 0xD9;
  if (tag >= first && tag <= first + 2) return big_endian(std::size_t{1} << (tag - first));
  fail_with(binary ? "not binary" : "not a text");
  return 0;
}

void Reader::string(std::string& value, std::size_t bytes_max, bool binary) {
  if (!take_field()) return;
  const std::uint64_t size = string_size(byte(), binary);
  if (ok() && size > bytes_max) fail_with(binary ? "binary too long" : "text too long");
  value = std::string(raw(ok() ? size : 0));
}

void Reader::id_bytes(std::uint8_t* data, std::size_t size) {
  if (take_nil()) {
    std::fill_n(data, size, std::uint8_t{0});
    return;
  }
  if (!take_field()) return;
  if (string_size(byte(), true) != size) fail_with("an id of the wrong length");
  const std::string_view part = raw(ok() ? size : 0);
  std::copy(part.begin(), part.end(), data);
}

// One value of any kind that msgpack knows.
void Reader::skip(std::size_t depth) {
  if (depth > kNestingMax) fail_with("nested too deeply");
  const std::uint8_t tag = byte();
  std::uint64_t inner = 0;
  if (tag <= 0x7F || tag >= 0xE0 || (tag >= 0xC0 && tag <= 0xC3 && tag != 0xC1)) return;
  if ((tag & 0xF0U) == 0x80U) {
    inner = 2 * (tag & 0x0FU);
  } else if ((tag & 0xF0U) == 0x90U || tag == 0xDC || tag == 0xDD) {
    inner = array_size(tag);
  } else if (tag == 0xDE || tag == 0xDF) {
    inner = 2 * big_endian(tag == 0xDE ? 2 : 4);
  } else if (tag >= 0xC4 && tag <= 0xC6) {
    raw(string_size(tag, true));
  } else if (tag >= 0xC7 && tag <= 0xC9) {
    raw(big_endian(std::size_t{1} << (tag - 0xC7U)) + 1);  // ext: size, type, bytes
  } else if (tag == 0xCA || tag == 0xCB) {
    raw(tag == 0xCA ? 4 : 8);
  } else if (tag >= 0xCC && tag <= 0xD3) {
    raw(std::size_t{1} << ((tag - 0xCCU) % 4));
  } else if (tag >= 0xD4 && tag <= 0xD8) {
    raw((std::size_t{1} << (tag - 0xD4U)) + 1);
  } else if (tag != 0xC1) {
    raw(string_size(tag, false));
  } else {
    fail_with("not msgpack");
  }
  for (; ok() && inner > 0; --inner) skip(depth + 1);
}

}  // namespace ringagent
