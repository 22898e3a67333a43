#include "tests/sim/explorer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>

using namespace ringagent::explore;

namespace {

Options to_depth(std::size_t depth, Breakage breakage = Breakage::none) {
  Options options;
  options.depth = depth;
  options.breakage = breakage;
  return options;
}

// The complaint with its path, as a person would want to read it.
std::string told(const Result& result) {
  if (!result.violation) return "";
  std::string out = result.violation->complaint;
  for (const std::string& action : result.violation->path) out += "\n  " + action;
  return out;
}

}  // namespace

TEST_CASE("explorer: whatever happens in so many actions, C1 to C4 hold") {
  const Result result = explore(to_depth(9));
  CHECK(told(result) == "");
  CHECK(result.depth == 9);
  CHECK(result.states > 100'000);
  CHECK(result.decided_states > 10'000);
  CHECK(result.decided.count("wish 1 of db1") == 1);
  CHECK(result.decided.count("wish 1 of db2") == 1);
  CHECK(result.decided.count("wish 2 of db1") == 1);  // by a proposer that had died before
  CHECK(result.epoch_max >= 4);
}

TEST_CASE("explorer: without timers that overtake letters it looks deeper") {
  Options options = to_depth(10);
  options.lose = false;
  options.crashes = 0;
  const Result result = explore(options);
  CHECK(told(result) == "");
  CHECK(result.states > 5'000);
  CHECK(result.decided.size() == 2);
}

TEST_CASE("explorer: a lone proposer is followed to the very end") {
  Options options = to_depth(100);
  options.proposers = 1;
  options.crashes = 0;
  options.ticks = 0;
  const Result result = explore(options);
  CHECK(result.closed);
  CHECK(result.depth < 100);
  CHECK(told(result) == "");
  CHECK(result.decided.size() == 1);
}

TEST_CASE("explorer: the same options give the same result") {
  const Result a = explore(to_depth(6));
  const Result b = explore(to_depth(6));
  CHECK(a.states == b.states);
  CHECK(a.transitions == b.transitions);
  CHECK(a.histories == b.histories);
}

TEST_CASE("explorer: it stops when it is told to, and says so") {
  Options options = to_depth(100);
  options.states_max = 1000;
  CHECK(explore(options).stopped == "limit of states");
  options.go_on = [] { return false; };
  CHECK(explore(options).stopped == "limit of time");
}

TEST_CASE("explorer: the checks have teeth, each broken world is caught by name") {
  const auto caught = [](const char* world, const std::string& complaint) {
    CAPTURE(world);
    const auto breakage = parse_breakage(world);
    REQUIRE(breakage.has_value());
    const Result result = explore(to_depth(9, *breakage));
    CHECK(told(result).substr(0, complaint.size()) == complaint);
    CHECK(result.violation.has_value());
  };
  caught("forgets_promises", "C1: two values follow config 1");
  caught("loses_links", "C2: on the disk of db1 config 3");
  caught("restores_copy", "C3: the promise on the disk of db1 went back");
  caught("forgets_votes", "C4: db1 holds \"wish 1 of db1\" as decided");
  caught("speaks_first", "C4: db1 holds \"wish 1 of db1\" as decided");
  caught("phantom_votes", "C4: db1 holds \"wish 1 of db1\" as decided");
}

TEST_CASE("explorer: a violation is told as the shortest path, line by line") {
  const Result result = explore(to_depth(9, Breakage::phantom_votes));
  REQUIRE(result.violation.has_value());
  const auto& path = result.violation->path;
  REQUIRE(path.size() == 3);
  CHECK(path[0].find("db1 proposes; Prepare 1.db1 -> db2, db3") == 0);
  CHECK(path[1].find("db1 gets Promise 1.db1 from db2; accepts \"wish 1 of db1\" at 1.db1") == 0);
  CHECK(path[2].find("holds config 2 \"wish 1 of db1\" as decided") != std::string::npos);
}

TEST_CASE("explorer: a breakage that nobody knows is none") {
  CHECK_FALSE(parse_breakage("none").has_value());
  CHECK(breakages().find("phantom_votes") != std::string::npos);
}
