#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringagent {

// Numbers in the fixed headers of packets, slots and frames: `size` bytes, the most significant first.
inline void append_number(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i > 0; --i) out += static_cast<char>(value >> (8 * (i - 1)) & 0xFFU);
}

// The caller knows that `bytes` is long enough.
inline std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8U | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

}  // namespace ringagent
