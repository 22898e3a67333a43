#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

// The few types that every room shares. Nothing here knows a clock, a socket or a server.
namespace ringagent {

// A point on the agent's own clock and a span on it. It only goes forward, and goes on while the machine is suspended
// (CLOCK_BOOTTIME): what was to end by then has ended when it wakes. Both are counted in microseconds; the origin of Time is
// arbitrary, so a Time means nothing on another host and is never sent to one.
using Duration = std::chrono::microseconds;
using Time = std::chrono::microseconds;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

// Something that the world can cause: bad input, a refused connection, a full disk. One clear line:
// what is wrong, where, what would be right.
struct Error {
  std::string text;
};
template <class T>
using Result = tl::expected<T, Error>;
inline tl::unexpected<Error> fail(std::string text) {
  return tl::unexpected<Error>(Error{std::move(text)});
}

// How much a line of the log matters. Rooms hand their lines to a callback or to their effects; only the daemon writes.
enum class LogLevel : std::uint8_t { debug, info, warning, error };

// 128 random bits. Names a member for life (NodeId: made together with its state directory, never derived
// from the host name) or a cluster for life (ClusterId: made at formation).
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  // As the bytes in order; the most frequent questions of all, so they are asked of two words.
  auto operator<=>(const Uuid& other) const { return halves() <=> other.halves(); }
  bool operator==(const Uuid& other) const { return halves() == other.halves(); }
  bool nil() const { return *this == Uuid{}; }
  std::string str() const;  // 8-4-4-4-12 lower-case hex
  static Result<Uuid> parse(std::string_view text);

 private:
  std::pair<std::uint64_t, std::uint64_t> halves() const {
    const auto raw = std::bit_cast<std::array<std::uint64_t, 2>>(bytes);
    if constexpr (std::endian::native == std::endian::big) return {raw[0], raw[1]};
    return {__builtin_bswap64(raw[0]), __builtin_bswap64(raw[1])};
  }
};
using NodeId = Uuid;
using ClusterId = Uuid;

// Where something listens: a host name or address literal, and a port. "[::1]:7946" and "db1:3306" both parse.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  auto operator<=>(const Address&) const = default;
  bool empty() const { return host.empty(); }
  std::string str() const;
  static Result<Address> parse(std::string_view text);
};

}  // namespace ringagent
