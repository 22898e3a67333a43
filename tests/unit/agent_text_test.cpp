#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "agent/text.h"

using namespace ringagent;

TEST_CASE("text: what a server says cannot steer a terminal") {
  CHECK(printable("a\x1b[2Jb\r\nc\x7f") == "a [2Jb  c ");
  CHECK(printable("a\xc2\x9b"
                  "2Jb") == "a 2Jb");
  CHECK(printable("caf\xc3\xa9") == "caf\xc3\xa9");
}

TEST_CASE("text: columns are counted, not bytes") {
  CHECK(columns("caf\xc3\xa9") == 4);
  CHECK(cut("caf\xc3\xa9", 4) == "caf\xc3\xa9");
  CHECK(cut("caf\xc3\xa9-bar", 5) == "caf\xc3\xa9~");
  CHECK(cut("database", 4) == "dat~");
}

TEST_CASE("text: durations for people") {
  CHECK(human_duration(-5) == "0 ms");
  CHECK(human_duration(999) == "999 ms");
  CHECK(human_duration(1234) == "1.2 s");
  CHECK(human_duration(12'999) == "12 s");
  CHECK(human_duration(150'000) == "2 min");
  CHECK(human_duration(7'200'000) == "2 h");
  CHECK(human_duration(172'800'000) == "2 d");
}

TEST_CASE("text: wrapping keeps words and never exceeds the width") {
  CHECK(wrapped("one two three", 9, 2) == "one two\n  three");
  CHECK(wrapped("short", 9, 2) == "short");
  CHECK(wrapped("", 9, 2).empty());
  const std::string set(200, 'f');
  std::istringstream lines(wrapped("executed " + set + " end", 40, 4));
  std::string rest;
  for (std::string line; std::getline(lines, line);) {
    CHECK(columns(line) <= 40);
    rest += line;
  }
  CHECK(std::count(rest.begin(), rest.end(), 'f') == 200);
}

TEST_CASE("text: paint only where colour is wanted") {
  CHECK(painted(Paint::red, "x", false) == "x");
  CHECK(painted(Paint::none, "x", true) == "x");
  CHECK(painted(Paint::red, "x", true) == "\x1b[31mx\x1b[0m");
}
