#include "agent/text.h"

#include <algorithm>
#include <array>

namespace ringagent {
namespace {

bool starts_column(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// The first `width` columns of `text`, in bytes.
std::size_t bytes_of_columns(std::string_view text, std::size_t width) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (starts_column(text[i]) && ++seen > width) return i;
  }
  return text.size();
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;  // U+0080 .. U+009F as UTF-8
    out += c < 0x20 || c == 0x7f || c1 ? ' ' : text[i];
    if (c1) ++i;
  }
  return out;
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_column));
}

std::string cut(const std::string& text, std::size_t width) {
  if (columns(text) <= width) return text;
  return text.substr(0, bytes_of_columns(text, width - 1)) + "~";
}

std::string human_duration(std::int64_t ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return std::to_string(ms) + " ms";
  if (ms < 10'000) return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
  if (ms < 120'000) return std::to_string(ms / 1000) + " s";
  if (ms < 7'200'000) return std::to_string(ms / 60'000) + " min";
  if (ms < 172'800'000) return std::to_string(ms / 3'600'000) + " h";
  return std::to_string(ms / 86'400'000) + " d";
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  const std::string margin = "\n" + std::string(indent, ' ');
  std::string out;
  std::size_t used = 0;
  bool fresh = true;  // nothing but the margin stands on this line
  const auto next_line = [&] {
    out += margin;
    used = indent;
    fresh = true;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    std::string_view word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (!fresh && used + 1 + columns(word) > width) next_line();
    if (!fresh) {
      out += " ";
      ++used;
    }
    while (columns(word) > width - used) {
      const std::size_t fits = bytes_of_columns(word, width - used);
      out += word.substr(0, fits);
      word.remove_prefix(fits);
      next_line();
    }
    out += word;
    used += columns(word);
    fresh = false;
  }
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : " ") + part;
  return out;
}

std::string painted(Paint paint, const std::string& text, bool colour) {
  static constexpr std::array<const char*, 6> codes = {"", "32", "33", "31", "2", "1"};
  if (!colour || paint == Paint::none) return text;
  return "\x1b[" + std::string(codes[static_cast<std::size_t>(paint)]) + "m" + text + "\x1b[0m";
}

}  // namespace ringagent
