#include "agent/progress.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/text.h"

namespace ringagent {
namespace {

constexpr Duration kRedrawEvery = 200ms;
constexpr Duration kLineEvery = 3s;
constexpr std::size_t kBarColumns = 20;

std::int64_t ms(Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  const char* format = unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s";
  std::snprintf(text.data(), text.size(), format, value, kUnits.at(unit));
  return text.data();
}

Progress::Progress(std::string what, bool terminal, std::size_t width, Time now)
    : what_(std::move(what)), terminal_(terminal), width_(width), began_(now), next_(now) {}

std::string Progress::text(Time now) const {
  std::string out = what_ + ": " + human_bytes(done_);
  const auto elapsed = std::max<std::int64_t>(ms(now - began_), 1);
  const std::uint64_t rate = done_ * 1000 / static_cast<std::uint64_t>(elapsed);
  if (total_ > 0) {
    // The estimate may be too low; the end is when it is the end.
    const std::uint64_t percent = std::min<std::uint64_t>(done_ * 100 / total_, 99);
    if (terminal_) {
      const std::size_t full = percent * kBarColumns / 100;
      out = what_ + " [" + std::string(full, '#') + std::string(kBarColumns - full, '.') + "] " + human_bytes(done_);
    }
    out += " of about " + human_bytes(std::max(total_, done_)) + " (" + std::to_string(percent) + " %)";
  }
  if (rate > 0 && elapsed >= 1000) {
    out += ", " + human_bytes(rate) + "/s";
    if (total_ > done_)
      out += ", about " + human_duration(static_cast<std::int64_t>((total_ - done_) / rate) * 1000) + " left";
  }
  return out;
}

std::string Progress::update(std::uint64_t done, std::uint64_t total, Time now) {
  done_ = std::max(done_, done);
  total_ = total;
  if (now < next_) return {};
  next_ = now + (terminal_ ? kRedrawEvery : kLineEvery);
  if (!terminal_) return text(now) + "\n";
  on_line_ = true;
  return "\r" + cut(text(now), std::max<std::size_t>(width_, 2) - 1) + "\x1b[K";
}

std::string Progress::leave() {
  const bool was = on_line_;
  on_line_ = false;
  return was ? "\r\x1b[K" : "";
}

std::string Progress::end(Time now) {
  return leave() + what_ + ": " + human_bytes(done_) + " in " + human_duration(ms(now - began_)) + "\n";
}

}  // namespace ringagent
