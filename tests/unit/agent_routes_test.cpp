#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

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

TEST_CASE("routes: the page and what it loads are there, and nothing in them comes from elsewhere") {
  Desk desk;
  const auto page = desk.get("/");
  CHECK(page.status == 200);
  CHECK(page.type == "text/html; charset=utf-8");
  std::size_t loaded = 0;
  std::string all = page.body;
  const std::regex link(R"re((?:src|href)="(/[a-z]+\.[a-z]+)")re");
  for (std::sregex_iterator at(page.body.begin(), page.body.end(), link), end; at != end; ++at, ++loaded) {
    const auto part = desk.get((*at)[1]);
    CHECK_MESSAGE(part.status == 200, (*at)[1].str());
    CHECK(part.body.size() > 100);
    all += part.body;
  }
  CHECK(loaded == 3);
  for (const char* script : {"/ring.js", "/words.js"}) all += desk.get(script).body;
  CHECK(all.find("https://") == std::string::npos);
  for (std::size_t at = all.find("http://"); at != std::string::npos; at = all.find("http://", at + 1)) {
    CHECK(all.compare(at, 18, "http://www.w3.org/") == 0);  // the name of SVG, not an address
  }
  // Hosts may lie: what they say is never markup.
  for (const char* word : {"innerHTML =", "outerHTML", "insertAdjacentHTML", "document.write", "eval("}) {
    CHECK_MESSAGE(all.find(word) == std::string::npos, word);
  }
}

TEST_CASE("routes: streams are for TCP") {
  Desk desk;
  CHECK(desk.get("/events").stream);
  desk.local = true;
  CHECK_FALSE(desk.get("/events").stream);
  CHECK(desk.get("/events").status == 404);
}

TEST_CASE("routes: news are one event a topic, equal while nothing changes, and beats tell the age") {
  Desk desk;
  const auto context = [&] {
    return RouteContext{std::make_shared<Snapshot>(desk.snapshot), desk.age, desk.history.get(), false};
  };
  const std::string news = news_event(context());
  CHECK(news.starts_with("event: history\ndata: 0\n\nevent: status\ndata: {\"format\":1,"));
  CHECK(news.ends_with("}\n\n"));
  CHECK(std::count(news.begin(), news.end(), '\n') == 6);
  desk.age = 3s;
  CHECK(news_event(context()) == news);
  CHECK(beat_event(context()) == ": beat\nevent: beat\ndata: {\"age_ms\": 3000}\n\n");
  desk.snapshot.epoch = 8;
  CHECK(news_event(context()) != news);
  desk.snapshot.problems = {{"warning", "x", "", "two\nlines"}};
  const std::string two = news_event(context());
  CHECK(std::count(two.begin(), two.end(), '\n') == 6);
}

TEST_CASE("routes: over TCP the history is what is in memory") {
  Desk desk;
  for (std::uint64_t i = 1; i <= History::kTailEntries + 50; ++i) {
    REQUIRE(desk.history->add(HistoryEntry{}, std::chrono::system_clock::now()));
  }
  CHECK(json::parse(desk.get("/history", {{"n", "10000"}}).body).size() == History::kTailEntries);
  desk.local = true;
  CHECK(json::parse(desk.get("/history", {{"n", "10000"}}).body).size() == History::kTailEntries + 50);
}
