#include <doctest/doctest.h>

#include <sstream>

#include "agent/picture.h"
#include "agent/text.h"

using namespace ringagent;

TEST_CASE("picture: a ring that runs") {
  CHECK(ring_picture({{"db1", LinkLook::runs}, {"db2", LinkLook::runs}, {"db3", LinkLook::runs}}, 80, false) ==
        "  ,-> db1 --> db2 --> db3 -.\n"
        "  '------------------------'\n");
}

TEST_CASE("picture: the broken link stands before the node that suffers, the closing one before the first") {
  CHECK(ring_picture({{"db1", LinkLook::unknown}, {"db2", LinkLook::broken}}, 80, false) ==
        "  ,?> db1 -x> db2 -.\n"
        "  '----------------'\n"
        "  -x> a broken link\n"
        "  -?> a link that nobody can tell of\n");
}

TEST_CASE("picture: none and one are said in words") {
  CHECK(ring_picture({}, 80, false) == "  There is no ring yet.\n");
  CHECK(ring_picture({{"db1", LinkLook::broken}}, 80, false) == "  db1 is alone in the ring.\n");
}

TEST_CASE("picture: a large ring goes on in rows that fit and holds every name") {
  std::vector<Stop> stops;
  for (int i = 1; i <= 40; ++i) stops.push_back({"database-" + std::to_string(i), LinkLook::runs});
  for (const std::size_t width : {60U, 80U, 133U}) {
    const std::string picture = ring_picture(stops, width, false);
    std::istringstream lines(picture);
    std::size_t rows = 0;
    for (std::string line; std::getline(lines, line); ++rows) CHECK(columns(line) <= width);
    CHECK(rows > 3);
    for (const auto& stop : stops) {
      const bool inside = picture.find(" " + stop.name + " ") != std::string::npos;
      const bool at_the_end = picture.find(" " + stop.name + "\n") != std::string::npos;
      CHECK_MESSAGE((inside || at_the_end), stop.name);
    }
  }
}

TEST_CASE("picture: a name that is wider than the page is cut") {
  const std::string picture =
      ring_picture({{std::string(200, 'n'), LinkLook::runs}, {"db2", LinkLook::runs}}, 60, false);
  std::istringstream lines(picture);
  for (std::string line; std::getline(lines, line);) CHECK(columns(line) <= 60);
}
