#include "config/duration.h"

#include <array>
#include <charconv>
#include <utility>

namespace ringagent {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
// The largest first; of two names for one unit the first is written.
constexpr std::array<Unit, 6> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [&] {
    return fail("\"" + std::string(text) +
                "\" is no duration: write a whole number and a unit, as in 2500ms, 3s, 30m, 12h, 7d");
  };
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || text.starts_with('-')) return wrong();
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, ms] : kUnits) {
    if (unit != name) continue;
    if (number > kDurationMax / std::chrono::milliseconds(ms))
      return fail("\"" + std::string(text) + "\" is longer than 10 years");
    return std::chrono::milliseconds(number * ms);
  }
  return wrong();
}

std::string duration_text(Duration span) {
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  for (const auto& [name, unit_ms] : kUnits) {
    if (ms != 0 && ms % unit_ms == 0) return std::to_string(ms / unit_ms) + std::string(name);
  }
  return "0ms";
}

}  // namespace ringagent
