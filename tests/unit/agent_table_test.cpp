#include <doctest/doctest.h>

#include <sstream>

#include "agent/status.h"
#include "agent/table.h"
#include "agent/text.h"
#include "agent_samples.h"

using namespace ringagent;

namespace {

std::string table(const Snapshot& s, TableStyle style = {}) {
  const auto text = status_table(status_json(s, 0), style);
  REQUIRE(text);
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    if (!style.colour) CHECK_MESSAGE(columns(line) <= style.width, line);
  }
  return "\n" + *text;
}

}  // namespace

TEST_CASE("table: two nodes") {
  CHECK(table(samples::healthy(2)) == R"(
shop: ok                                                    epoch 7, seen by db1

  ,-> db1 --> db2 -.
  '----------------'

NODE  PLACE  AGENT  MYSQL  FOLLOWS  LINK     LAG    RW
db1   in     alive  up     db2      running  12 ms  rw
db2   in     alive  up     db1      running  12 ms  rw

voters: db1; 1 of 1 reachable, 1 needed
)");
}

TEST_CASE("table: four nodes, a generation that was forced, and a pause") {
  Snapshot s = samples::healthy(4);
  s.generation = 1;
  s.paused = true;
  s.health = "degraded";
  s.problems = {{"warning", "paused", "", "paused by db2: disks are exchanged; `ringagent resume` ends it"}};
  CHECK(table(s) == R"(
shop: degraded                                epoch 7, generation 1, seen by db1

  ,-> db1 --> db2 --> db3 --> db4 -.
  '--------------------------------'

NODE  PLACE  AGENT  MYSQL  FOLLOWS  LINK     LAG    RW
db1   in     alive  up     db4      running  12 ms  rw
db2   in     alive  up     db1      running  12 ms  rw
db3   in     alive  up     db2      running  12 ms  rw
db4   in     alive  up     db3      running  12 ms  rw

voters: db1 db2 db3; 3 of 3 reachable, 2 needed

warning: paused by db2: disks are exchanged; `ringagent resume` ends it
    means: nothing is repaired, whatever dies
    do: `ringagent resume` when the work is done
)");
}

TEST_CASE("table: a broken ring shows where, and every problem in words") {
  CHECK(table(samples::broken()) == R"(
shop: critical                                              epoch 8, seen by db1

  ,-> db1 --> db2 -x> db4 -.
  '------------------------'
  -x> a broken link

NODE  PLACE  AGENT  MYSQL  FOLLOWS  LINK        LAG    RW
db1   in     alive  up     db4      running     12 ms  rw
db2   in     alive  up     db1      running     12 ms  rw
db3   out    alive  down   -        -           -      ?
db4   in     alive  up     db2      error 2003  ?      rw

voters: db1 db2 db4; 3 of 3 reachable, 2 needed

warning: db3 is out: mysqld is down (connection refused) for 12 s
    means: the others replicate past it; what it had not sent to anybody comes
      back when it does
    do: bring back what the text names; then it is checked, catches up and is
      taken in by itself
critical: db4 does not receive from db2: error 2003, error connecting to master
    'ringagent_repl@10.0.0.2:3306' - retry-time: 1 maximum-retries: 100000
    means: this node receives nothing, so changes of the others do not reach it
      or anybody behind it
    do: nothing if it is connecting and mends itself in a moment; else see
      whether the source's port can be reached from here and the replication
      account may log in
)");
}

TEST_CASE("table: a node on its way back, a foreign link beside the desired one, a silent agent, no quorum") {
  Snapshot s = samples::healthy(4);
  s.health = "critical";
  s.ring = {"db1", "db2", "db4"};
  s.nodes[2].in = false;
  s.nodes[2].rejoin_in_ms = 4200;
  UpstreamView foreign = samples::follows("10.0.9.9:3306");
  foreign.desired = false;
  foreign.sql = "stopped";
  s.nodes[1].upstreams.insert(s.nodes[1].upstreams.begin(), foreign);
  s.nodes[3].agent = "dead";
  s.nodes[3].mysql = "unknown";
  s.quorum_reachable = 1;
  s.quorum_held = false;
  CHECK(table(s) == R"(
shop: critical                                              epoch 7, seen by db1

  ,-> db1 --> db2 -?> db4 -.
  '------------------------'
  -?> a link that nobody can tell of

NODE  PLACE  AGENT  MYSQL    FOLLOWS          LINK         LAG    RW
db1   in     alive  up       db4              running      12 ms  rw
db2   in     alive  up       db1              running      12 ms  rw
                             10.0.9.9:3306 !  sql stopped  12 ms
db3   out    alive  up       db2              running      12 ms  rw
db4   in     dead   unknown  db3              ?            ?      rw

voters: db1 db2 db3; 1 of 3 reachable, 2 needed: NO QUORUM, nothing can be
        changed
db3 comes back in 4.2 s if it stays healthy
)");
}

TEST_CASE("table: what an agent has not heard yet is unknown, not broken") {
  Snapshot s = samples::healthy(2);
  s.nodes[1].upstreams.clear();
  s.nodes[1].mysql = "unknown";
  CHECK(table(s).find("db1 -?> db2") != std::string::npos);
  s.nodes[1].mysql = "up";  // a server without a link is another matter
  CHECK(table(s).find("db1 -x> db2") != std::string::npos);
}

TEST_CASE("table: before there is a ring") {
  Snapshot s;
  s.cluster = "shop";
  s.node = "db1";
  s.problems = {{"critical", "formation", "", "the ring is not formed: db3 and db4 have not been heard"}};
  CHECK(table(s) == R"(
shop: critical                                              epoch 0, seen by db1

  There is no ring yet.

voters: none yet

critical: the ring is not formed: db3 and db4 have not been heard
    means: one thing that is missing before the first ring can be formed
    do: put right what the text names, on that node
)");
}

TEST_CASE("table: names of any length leave the columns whole") {
  Snapshot s = samples::healthy(4);
  for (auto& node : s.nodes) node.name = "a-very-long-host-name.of-a-data-centre.example.net-" + node.name;
  s.ring.clear();
  for (auto& node : s.nodes) s.ring.push_back(node.name);
  s.nodes[0].upstreams[0].node = s.nodes[3].name;
  s.cluster = std::string(100, 'c');
  s.node = s.nodes[0].name;
  for (const std::size_t width : {60U, 80U, 200U}) CHECK(table(s, {width, false}).find("alive") != std::string::npos);
}

TEST_CASE("table: colours only where wanted, and no text from elsewhere can bring its own") {
  Snapshot s = samples::broken();
  s.problems[0].text = "bad \x1b[31m text\n\x07";
  CHECK(table(s).find('\x1b') == std::string::npos);
  CHECK(table(s).find('\x07') == std::string::npos);
  CHECK(table(s, {80, true}).find("\x1b[31mcritical\x1b[0m") != std::string::npos);
}

TEST_CASE("table: what is no status is said in one line") {
  CHECK(status_table("<html>", {}).error().text == "the agent's answer is not a JSON object");
  CHECK(status_table("{}", {}).error().text == "the agent's answer has no \"format\"");
  CHECK(status_table(R"({"format":2})", {}).error().text ==
        "the agent answers in format 2; this program reads format 1: use the agent's own version");
  // A document of another version that lacks things is a poorer table, not a crash.
  CHECK(status_table(R"({"format":1,"nodes":[{"name":5},7],"ring":["x","y"],"quorum":[],"problems":[{}]})", {}));
}

TEST_CASE("table: a plan as SQL") {
  Snapshot s = samples::healthy(2);
  s.plan_why = "the link is as it should be";
  CHECK(*plan_text(plan_json(s)) == "-- nothing to do: the link is as it should be\n");
  s.plan = {"STOP SLAVE", "START SLAVE"};
  s.plan_why = "db2 left the ring";
  CHECK(*plan_text(plan_json(s)) == "-- db2 left the ring\nSTOP SLAVE;\nSTART SLAVE;\n");
}
