#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "agent/status.h"
#include "agent/table.h"
#include "agent/text.h"
#include "agent_samples.h"

using namespace ringagent;

// `ringagent status` as a person sees it: tests/golden/NAME.txt is what 80 columns show, byte for byte. After a change
// that is meant: RINGAGENT_GOLDEN=write build/unit_tests -tc='golden*', and read the difference.
namespace {

void is_golden(const std::string& name, const Snapshot& s) {
  const auto shown = status_table(status_json(s, 0), {80, false});
  REQUIRE(shown);
  std::istringstream lines(*shown);
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(columns(line) <= 80, line);
  const std::string path = RINGAGENT_SOURCE_DIR "/tests/golden/" + name + ".txt";
  if (const char* mode = std::getenv("RINGAGENT_GOLDEN"); mode && std::string(mode) == "write") {
    std::ofstream(path) << *shown;
  }
  std::ostringstream wanted;
  wanted << std::ifstream(path).rdbuf();
  CHECK_MESSAGE(*shown == wanted.str(), path);
  // Colours add nothing but themselves.
  const std::string painted = *status_table(status_json(s, 0), {80, true});
  CHECK(std::regex_replace(painted, std::regex("\x1b\\[[0-9]+m"), "") == *shown);
}

void take_out(Snapshot& s, std::size_t i, const std::string& follows_instead) {
  NodeView& out = s.nodes[i];
  out.in = out.vote = false;
  out.reason = "mysqld_down";
  out.mysql = "down";
  out.mysql_why = "connection refused";
  out.read_only.reset();
  out.upstreams.clear();
  s.nodes[(i + 1) % s.nodes.size()].upstreams[0].node = follows_instead;
  std::erase(s.ring, out.name);
}

}  // namespace

TEST_CASE("golden: a healthy ring") {
  is_golden("healthy", samples::healthy(4));
}

TEST_CASE("golden: one writer") {
  Snapshot s = samples::healthy(4);
  s.one_writer = true;
  s.writer = "db2";
  for (NodeView& node : s.nodes) node.read_only = node.name != "db2";
  is_golden("one_writer", s);
}

TEST_CASE("golden: a node is out") {
  Snapshot s = samples::healthy(4);
  s.epoch = 8;
  s.health = "degraded";
  take_out(s, 2, "db2");
  s.voters = {"db1", "db2", "db4"};
  s.problems = {{"warning", "node_out", "db3", "db3 is out: mysqld_down (connection refused) for 12 s"}};
  is_golden("node_out", s);
}

TEST_CASE("golden: no quorum") {
  Snapshot s = samples::healthy(4);
  s.health = "critical";
  s.quorum_reachable = 1;
  s.quorum_held = s.confirmed = false;
  for (const std::size_t i : {1U, 2U}) {
    s.nodes[i].agent = "dead";
    s.nodes[i].mysql = "unknown";
    s.nodes[i].read_only.reset();
  }
  s.problems = {
      {"critical", "no_quorum", "",
       "no quorum: 1 of 3 voters answer, 2 are needed; nothing is changed until then. Bring back the agent of any of: "
       "db2, db3"},
      {"warning", "agent_dead", "db2", "the agent of db2 does not answer; its server cannot be watched or repointed"},
      {"warning", "agent_dead", "db3", "the agent of db3 does not answer; its server cannot be watched or repointed"}};
  is_golden("no_quorum", s);
}

TEST_CASE("golden: blocked") {
  Snapshot s = samples::healthy(4);
  s.health = "critical";
  UpstreamView& link = s.nodes[3].upstreams[0];
  link.sql = "stopped";
  link.lag_ms.reset();
  link.error_number = 1062;
  link.error =
      "Could not execute Write_rows_v1 event on table shop.orders; Duplicate entry '7' for key 'PRIMARY', Error_code: "
      "1062; handler error HA_ERR_FOUND_DUPP_KEY";
  s.nodes[3].blocked = "the applier has stopped with an error; it must not be repointed before that is mended";
  s.problems = {
      {"critical", "blocked", "db4", "db4: " + s.nodes[3].blocked},
      {"critical", "applier_stopped", "db4", "db4 <- db3: io running, sql stopped, error 1062: " + link.error}};
  is_golden("blocked", s);
}

TEST_CASE("golden: many nodes") {
  Snapshot s = samples::healthy(9);
  s.health = "degraded";
  for (std::size_t i = 0; i < s.nodes.size(); ++i) {
    const auto name = [&](std::size_t k) {
      return "database-" + std::string(k < 9 ? "0" : "") + std::to_string(k + 1);
    };
    s.nodes[i].name = s.ring[i] = name(i);
    s.nodes[i].upstreams[0].node = name((i + s.nodes.size() - 1) % s.nodes.size());
    if (i < s.voters.size()) s.voters[i] = name(i);
  }
  s.node = s.ring[0];
  take_out(s, 4, "database-04");
  s.nodes[4].mysql = "up";
  s.nodes[4].mysql_why.clear();
  s.nodes[4].rejoin_in_ms = 640;
  s.problems = {{"warning", "node_out", "database-05", "database-05 is out: mysqld_down for 31 s; back in 640 ms"}};
  is_golden("many_nodes", s);
}

TEST_CASE("golden: long names") {
  Snapshot s = samples::healthy(3);
  const std::string tail = ".database.frankfurt.example.internal.network.example";
  for (std::size_t i = 0; i < 3; ++i) {
    s.nodes[i].name = s.ring[i] = s.voters[i] = std::string(1, static_cast<char>('a' + i)) + "-primary-shop" + tail;
  }
  for (std::size_t i = 0; i < 3; ++i) s.nodes[i].upstreams[0].node = s.ring[(i + 2) % 3];
  s.cluster = "the-shop-of-everything-that-anybody-might-ever-want-to-buy-anywhere";
  s.node = s.ring[0];
  s.health = "critical";
  s.nodes[1].foreign = "somebody ran CHANGE MASTER TO MASTER_HOST='" + std::string(90, 'x') + "'";
  s.problems = {{"critical", "foreign_change", s.ring[1], s.ring[1] + ": " + s.nodes[1].foreign}};
  is_golden("long_names", s);
}
