#pragma once

#include <cstdint>
#include <string>

#include "config/types.h"

// How far a long piece of work is, in words. Pure: the clock is a parameter, and what is to be printed is returned.
//
// On a terminal a bar is redrawn in place, five times a second at most; elsewhere a line comes every few seconds. The
// rate is that since the beginning: a copy's speed changes from table to table, and a jumping forecast helps nobody.
namespace ringagent {

// "0 B", "999 B", "1.2 kB", "34 MB": powers of 1000, two or three digits.
std::string human_bytes(std::uint64_t bytes);

class Progress {
 public:
  // `what`: "copying from db1". `width`: columns of the terminal.
  Progress(std::string what, bool terminal, std::size_t width, Time now);

  // `total` is an estimate, 0 if there is none. What is to be printed now, or "".
  std::string update(std::uint64_t done, std::uint64_t total, Time now);
  // Before something else is printed, and at the end: ends a line that was being redrawn.
  std::string leave();
  // The whole of it: "copied 1.2 GB in 34 s".
  std::string end(Time now);

 private:
  std::string text(Time now) const;

  std::string what_;
  bool terminal_;
  std::size_t width_;
  Time began_;
  Time next_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  bool on_line_ = false;
};

}  // namespace ringagent
