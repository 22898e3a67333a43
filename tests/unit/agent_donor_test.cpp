#include <doctest/doctest.h>

#include "agent/donor.h"
#include "agent/progress.h"
#include "agent/status.h"
#include "agent_samples.h"

using namespace ringagent;

namespace {

std::string chosen(const Snapshot& s, const std::string& self, const std::string& wanted = "") {
  const auto donor = choose_donor(json_read::Json::parse(status_json(s, 0)), self, wanted);
  return donor ? donor->name + " " + donor->address.str() : donor.error().text;
}

}  // namespace

TEST_CASE("donor: the nearest member before, that is well") {
  Snapshot s = samples::healthy(4);
  CHECK(chosen(s, "db3") == "db2 10.0.0.2:3306");
  CHECK(chosen(s, "db1") == "db4 10.0.0.4:3306");
  CHECK(chosen(s, "db3", "db1") == "db1 10.0.0.1:3306");
  CHECK(chosen(s, "db3", "db3") == "a node cannot be its own donor: name another one");
  CHECK(chosen(s, "db3", "db9") == "there is no member db9 to copy from");
  s.nodes[1].in = false;
  CHECK(chosen(s, "db3") == "db1 10.0.0.1:3306");
  CHECK(chosen(s, "db3", "db2") == "there is nobody to copy from: db2 is not in the ring");
  s.nodes[0].mysql = "down";
  CHECK(chosen(s, "db3") == "db4 10.0.0.4:3306");
  s.nodes[3].upstreams[0].sql = "stopped";
  CHECK(chosen(s, "db3") ==
        "there is nobody to copy from: db2 is not in the ring; the server of db1 is down; db4 does not apply what it "
        "receives");
  s.nodes[3].upstreams[0].sql = "running";
  s.problems.push_back({"critical", "stuck", "db4", "..."});
  CHECK(chosen(s, "db3").find("db4 does not apply") != std::string::npos);
}

TEST_CASE("donor: what the others have, and nothing of this node") {
  Snapshot s = samples::healthy(3);
  s.nodes[1].position = "own";
  const auto positions = positions_of_others(json_read::Json::parse(status_json(s, 0)), "db2");
  CHECK(positions == std::vector<std::string>{"1-1-100,2-2-50", "1-1-100,2-2-50"});
}

TEST_CASE("progress: bytes in few digits") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1234) == "1.2 kB");
  CHECK(human_bytes(34'567'890) == "35 MB");
  CHECK(human_bytes(999'600) == "1.0 MB");
  CHECK(human_bytes(1'200'000'000) == "1.2 GB");
}

TEST_CASE("progress: a line now and then where there is no terminal") {
  Progress progress("copying from db1", false, 80, 0s);
  CHECK(progress.update(0, 1000, 0s) == "copying from db1: 0 B of about 1.0 kB (0 %)\n");
  CHECK(progress.update(100, 1000, 1s).empty());
  CHECK(progress.update(250, 1000, 3s) == "copying from db1: 250 B of about 1.0 kB (25 %), 83 B/s, about 9.0 s left\n");
  CHECK(progress.update(1200, 1000, 6s) == "copying from db1: 1.2 kB of about 1.2 kB (99 %), 200 B/s\n");
  CHECK(progress.end(6s) == "copying from db1: 1.2 kB in 6.0 s\n");
  Progress unknown("cloning db1", false, 80, 0s);
  CHECK(unknown.update(2000, 0, 2s) == "cloning db1: 2.0 kB, 1.0 kB/s\n");
}

TEST_CASE("progress: a bar in place on a terminal, never wider than it") {
  Progress progress("copying from db1", true, 60, 0s);
  const std::string bar = progress.update(500, 1000, 0s);
  CHECK(bar.starts_with("\rcopying from db1 [##########..........] 500 B of about"));
  CHECK(bar.ends_with("\x1b[K"));
  CHECK(bar.size() <= 60 + 4);
  CHECK(progress.update(501, 1000, 100ms).empty());
  CHECK(!progress.update(502, 1000, 200ms).empty());
  CHECK(progress.leave() == "\r\x1b[K");
  CHECK(progress.leave().empty());
}
