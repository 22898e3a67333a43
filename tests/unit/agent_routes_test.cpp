#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agent/routes.h"
#include "agent_samples.h"
#include "temp_dir.h"

using namespace ringagent;
using nlohmann::json;

namespace {

// An agent's answers without any agent.
struct Desk {
  TempDir dir;
  std::unique_ptr<History> history = *History::open(dir / "history.jsonl");
  Snapshot snapshot = samples::healthy(4);
  Duration age{0};
  bool local = false;

  HttpAnswer get(const std::string& path, const std::multimap<std::string, std::string>& parameters = {}) {
    return answer_get(path, parameters, {std::make_shared<Snapshot>(snapshot), age, history.get(), local});
  }
};

std::string said(const HttpAnswer& answer) {
  return std::to_string(answer.status) + " " + answer.body;
}

}  // namespace

TEST_CASE("routes: status and metrics with their types") {
  Desk desk;
  desk.age = 7ms;
  const auto status = desk.get("/status");
  CHECK(status.status == 200);
  CHECK(status.type == "application/json");
  CHECK(json::parse(status.body)["age_ms"] == 7);
  const auto metrics = desk.get("/metrics");
  CHECK(metrics.type.starts_with("text/plain; version=0.0.4"));
  CHECK(metrics.body.find("ringagent_snapshot_age_seconds 0.007\n") != std::string::npos);
}

TEST_CASE("routes: health is yes only in the ring with MySQL up") {
  Desk desk;
  CHECK(said(desk.get("/health")) == "200 in the ring, MySQL is up\n");
  desk.snapshot.self_in = false;
  CHECK(said(desk.get("/health")) == "503 not in the ring\n");
  desk.snapshot.self_why = "db1 is out: mysqld is down";
  CHECK(said(desk.get("/health")) == "503 db1 is out: mysqld is down\n");
  desk.snapshot.self_in = true;
  desk.snapshot.self_up = false;
  CHECK(desk.get("/health").status == 503);
}

TEST_CASE("routes: writable") {
  Desk desk;
  CHECK(said(desk.get("/writable")) == "200 writable\n");
  desk.snapshot.self_writable = false;
  desk.snapshot.self_why = "read-only by an operator";
  CHECK(said(desk.get("/writable")) == "503 read-only by an operator\n");
}

TEST_CASE("routes: readable with a limit for the lag; an unknown lag is not a small one") {
  Desk desk;
  CHECK(said(desk.get("/readable")) == "200 readable\n");
  CHECK(said(desk.get("/readable", {{"max_lag", "12ms"}})) == "200 readable, 12 ms behind\n");
  CHECK(said(desk.get("/readable", {{"max_lag", "11ms"}})) == "503 12 ms behind, more than 11ms\n");
  CHECK(desk.get("/readable", {{"max_lag", "soon"}}).status == 400);
  desk.snapshot.self_lag_ms.reset();
  CHECK(said(desk.get("/readable", {{"max_lag", "2s"}})) == "503 the lag is not known\n");
  desk.snapshot.self_up = false;
  CHECK(desk.get("/readable").status == 503);
}

TEST_CASE("routes: an agent whose loop hangs vouches for nothing, but still shows what it knew") {
  Desk desk;
  desk.age = 5s;
  CHECK(desk.get("/health").status == 200);
  desk.age = 5s + 1us;
  for (const char* path : {"/health", "/writable", "/readable"}) {
    CHECK(said(desk.get(path)) == "503 the agent has not looked for 5.0 s\n");
  }
  CHECK(desk.get("/status").status == 200);
}

TEST_CASE("routes: before the first snapshot") {
  Desk desk;
  for (const char* path : {"/health", "/writable", "/readable", "/status", "/metrics"}) {
    CHECK(said(answer_get(path, {}, {nullptr, 0s, desk.history.get(), false})) == "503 the agent is starting\n");
  }
}

TEST_CASE("routes: history is a JSON array, bounded and in order") {
  Desk desk;
  CHECK(json::parse(desk.get("/history").body) == json::array());
  for (std::uint64_t i = 1; i <= 30; ++i) {
    HistoryEntry entry;
    entry.epoch = i;
    REQUIRE(desk.history->add(entry, std::chrono::system_clock::now()));
  }
  CHECK(json::parse(desk.get("/history").body).size() == kHistoryDefault);
  const json two = json::parse(desk.get("/history", {{"n", "2"}}).body);
  REQUIRE(two.size() == 2);
  CHECK(two[1]["epoch"] == 30);
  CHECK(json::parse(desk.get("/history", {{"after", "29"}}).body).size() == 1);
  CHECK(said(desk.get("/history", {{"n", "two"}})) == "400 n is not a whole number: /history?n=20&after=0\n");
  CHECK(desk.get("/history", {{"after", "-1"}}).status == 400);
}

TEST_CASE("routes: the plan is for the machine's own people") {
  Desk desk;
  CHECK(desk.get("/plan").status == 404);
  desk.local = true;
  CHECK(desk.get("/plan").status == 200);
  CHECK(desk.get("/command").status == 404);
  CHECK(desk.get("/nothing").status == 404);
}
