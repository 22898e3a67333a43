#include <doctest/doctest.h>

#include "config/duration.h"

using namespace ringagent;

TEST_CASE("duration: a whole number and a unit") {
  CHECK(*parse_duration("2500ms") == 2500ms);
  CHECK(*parse_duration("0ms") == 0ms);
  CHECK(*parse_duration("250us") == 250us);
  CHECK(*parse_duration("3s") == 3s);
  CHECK(*parse_duration("30m") == 30min);
  CHECK(*parse_duration("30min") == 30min);
  CHECK(*parse_duration("12h") == 720min);
  CHECK(*parse_duration("7d") == 10'080min);
}

TEST_CASE("duration: anything else is refused in one line that says how") {
  for (const char* text :
       {"", "30", "s", "-1s", "-0s", "1.5s", "1 s", " 1s", "1s ", "1y", "1S", "0x1s", "99999999999999999999s"}) {
    const auto refused = parse_duration(text);
    REQUIRE_MESSAGE(!refused, text);
    CHECK(refused.error().text.find("30m") != std::string::npos);
  }
  CHECK(parse_duration("3650d"));
  CHECK(parse_duration("3651d").error().text == "\"3651d\" is longer than 10 years");
  CHECK_FALSE(parse_duration("9223372036854775807d"));
}

TEST_CASE("duration: written as it is read") {
  for (const char* text : {"0ms", "1us", "1001us", "1ms", "2500ms", "3s", "30m", "12h", "7d"})
    CHECK(duration_text(*parse_duration(text)) == text);
  CHECK(duration_text(90s) == "90s");
}
