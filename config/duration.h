#pragma once

#include <string>
#include <string_view>

#include "config/types.h"

// Spans of time as people write them: a whole number and a unit, "2500ms", "3s", "30m", "12h", "7d".
//
// A bare number is refused: whether "30" means seconds or minutes is what outages are made of. Pure.
namespace ringagent {

inline constexpr Duration kDurationMax = std::chrono::hours(24) * 3650;

// Units: us, ms, s, m or min, h, d. At most kDurationMax.
Result<Duration> parse_duration(std::string_view text);

// The shortest way to write it so that parse_duration gives the same again: "2500ms", "30m".
std::string duration_text(Duration span);

}  // namespace ringagent
