#include "config/duration.h"

#include <array>
#include <charconv>
#include <utility>

namespace ringagent {
namespace {

struct Unit {
  std::string_view name;
  Duration span;
};
// The largest first; of two names for one unit the first is written.
constexpr std::array<Unit, 7> kUnits = {{{"d", std::chrono::hours(24)},
                                         {"h", std::chrono::hours(1)},
                                         {"m", 1min},
                                         {"min", 1min},
                                         {"s", 1s},
                                         {"ms", 1ms},
                                         {"us", 1us}}};

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
  for (const auto& [name, one] : kUnits) {
    if (unit != name) continue;
    if (number > kDurationMax / one) return fail("\"" + std::string(text) + "\" is longer than 10 years");
    return number * one;
  }
  return wrong();
}

std::string duration_text(Duration span) {
  for (const auto& [name, one] : kUnits) {
    if (span != 0us && span % one == 0us) return std::to_string(span / one) + std::string(name);
  }
  return "0ms";
}

}  // namespace ringagent
