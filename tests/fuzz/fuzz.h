#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/types.h"

// What the fuzz targets share. A target turns bytes into one call of the code and then demands something of the
// outcome; that nothing crashes is what the sanitizers see.
namespace ringagent::fuzz {

// A property that must hold for every input.
inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// What was refused says why.
inline void demand_reason(const Error& error) {
  demand(!error.text.empty(), "an error says what is wrong");
}

// The input, taken off piece by piece. A target that has several things to try takes a digit first: the codes of '0' to
// '7' end in the bits 0 to 7, so most of a corpus can be written by hand.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8U | byte();
    return value;
  }
  std::string_view take(std::size_t size) {
    const std::string_view part = rest_.substr(0, size);
    rest_.remove_prefix(part.size());
    return part;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// A valid form with the damage that the rest of the input describes: without it the fuzzer would have to guess every
// length on the way in.
inline std::string damaged(std::string bytes, Input& input) {
  while (!input.empty() && !bytes.empty()) {
    const std::size_t at = input.number(2) % bytes.size();
    const std::uint8_t how = input.byte();
    if (how == 0) {
      bytes.resize(at);
    } else if (how == 1) {
      bytes.insert(at, input.take(input.byte()));
    } else {
      bytes[at] = static_cast<char>(input.byte());
    }
  }
  return bytes;
}

}  // namespace ringagent::fuzz
