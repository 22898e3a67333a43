#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Text for people and terminals: widths, breaking, colours, durations.
//
// Two things here are safety, not beauty: `printable` keeps a server's error text from steering the terminal
// of whoever reads it, and widths count columns, so a table stays a table with names in any script.
namespace ringagent {

// Control characters (C0, DEL and C1) become spaces.
std::string printable(std::string_view text);

// Code points. Double-width ones count as one, which at worst makes a line too long.
std::size_t columns(std::string_view text);

// At most `width` (>= 1) columns; what was cut off shows as a `~` at the end.
std::string cut(const std::string& text, std::size_t width);

// "12 ms", "1.2 s", "45 s", "3 min", "5 h", "2 d": two or three digits, rounded down.
std::string human_duration(std::int64_t ms);

// `text` broken at spaces into lines of at most `width` columns; all but the first are indented by `indent` <
// width. A word that is wider than a line is broken where it must be.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

// The parts with one space between.
std::string joined(const std::vector<std::string>& parts);

enum class Paint { none, green, yellow, red, dim, bold };

// `text` in that colour, or unchanged if `colour` is off.
std::string painted(Paint paint, const std::string& text, bool colour);

}  // namespace ringagent
