#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/history.h"
#include "temp_dir.h"

using namespace ringagent;
using nlohmann::json;

namespace {

HistoryEntry epoch(std::uint64_t number) {
  HistoryEntry entry;
  entry.kind = "epoch";
  entry.epoch = number;
  entry.what = "db3 out";
  entry.why = "mysqld is down (connection refused)";
  entry.who = "db4";
  entry.took_us = 12'345;
  return entry;
}

const std::chrono::system_clock::time_point kThen{std::chrono::milliseconds(1'714'559'999'042)};

std::vector<std::uint64_t> seqs(const History& history, std::size_t count, std::uint64_t after = 0) {
  std::vector<std::uint64_t> out;
  for (const auto& line : history.last(count, after)) out.push_back(json::parse(line)["seq"]);
  return out;
}

}  // namespace

TEST_CASE("history: an entry comes back as a JSON object with the wall clock in UTC") {
  const TempDir dir;
  const auto history = History::open(dir / "history.jsonl");
  REQUIRE(history);
  HistoryEntry entry = epoch(7);
  entry.steps = {{"stop", 6000}, {"start", 2500}};
  REQUIRE((*history)->add(entry, kThen));
  const auto lines = (*history)->last(10);
  REQUIRE(lines.size() == 1);
  CHECK(json::parse(lines[0]) == json::parse(R"json({"seq": 1, "time": "2024-05-01T10:39:59.042Z", "kind": "epoch",
    "generation": 0, "epoch": 7, "what": "db3 out", "why": "mysqld is down (connection refused)", "who": "db4",
    "ok": true, "took_ms": 12.345, "steps": [{"name": "stop", "took_ms": 6.0}, {"name": "start", "took_ms": 2.5}]
})json"));
}

TEST_CASE("history: the newest n, oldest first; a follower asks for what came after the last one it saw") {
  const TempDir dir;
  const auto history = History::open(dir / "history.jsonl");
  CHECK((*history)->last(10).empty());
  for (std::uint64_t i = 1; i <= 5; ++i) REQUIRE((*history)->add(epoch(i), kThen));
  CHECK(seqs(**history, 2) == std::vector<std::uint64_t>{4, 5});
  CHECK(seqs(**history, 100, 3) == std::vector<std::uint64_t>{4, 5});
  CHECK(seqs(**history, 100, 5).empty());
  CHECK(seqs(**history, 0).empty());
}

TEST_CASE("history: survives a restart, and the count goes on") {
  const TempDir dir;
  REQUIRE((*History::open(dir / "history.jsonl"))->add(epoch(1), kThen));
  const auto again = History::open(dir / "history.jsonl");
  REQUIRE((*again)->add(epoch(2), kThen));
  CHECK(seqs(**again, 10) == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("history: is bounded, and what is still kept is given back over the rotation") {
  const TempDir dir;
  const auto history = History::open(dir / "history.jsonl", 2000);
  for (std::uint64_t i = 1; i <= 100; ++i) REQUIRE((*history)->add(epoch(i), kThen));
  CHECK(std::filesystem::file_size(dir / "history.jsonl") <= 2000);
  CHECK(std::filesystem::file_size(dir / "history.jsonl.1") <= 2000);
  const auto kept = seqs(**history, 1000);
  REQUIRE(kept.size() > 9);
  CHECK(kept.back() == 100);
  for (std::size_t i = 1; i < kept.size(); ++i) CHECK(kept[i] == kept[i - 1] + 1);
  // After a rotation the new file may be empty when the agent dies: the count still goes on.
  std::filesystem::resize_file(dir / "history.jsonl", 0);
  const auto again = History::open(dir / "history.jsonl", 2000);
  const auto before = seqs(**again, 1).at(0);
  REQUIRE((*again)->add(epoch(101), kThen));
  CHECK(seqs(**again, 1).at(0) == before + 1);
}

TEST_CASE("history: a line that a crash tore is skipped, the next one is whole") {
  const TempDir dir;
  REQUIRE((*History::open(dir / "history.jsonl"))->add(epoch(1), kThen));
  std::ofstream(dir / "history.jsonl", std::ios::app) << R"({"seq":2,"time":"2024-)";
  const auto again = History::open(dir / "history.jsonl");
  REQUIRE((*again)->add(epoch(2), kThen));
  const auto lines = (*again)->last(10);
  REQUIRE(lines.size() == 2);
  CHECK(json::parse(lines[1])["epoch"] == 2);
}

TEST_CASE("history: a full disk costs the entry, not the file") {
  const TempDir dir;
  const auto history = History::open(dir / "history.jsonl");
  REQUIRE((*history)->add(epoch(1), kThen));
  rlimit former{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &former) == 0);
  const auto former_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = former;
  limit.rlim_cur = std::filesystem::file_size(dir / "history.jsonl") + 10;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto refused = (*history)->add(epoch(2), kThen);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &former) == 0);
  std::signal(SIGXFSZ, former_handler);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("history.jsonl: File too large") != std::string::npos);
  REQUIRE((*history)->add(epoch(3), kThen));
  const auto lines = (*history)->last(10);
  REQUIRE(lines.size() == 2);
  CHECK(json::parse(lines[1])["epoch"] == 3);
}

TEST_CASE("history: a path that cannot be opened is named") {
  const auto refused = History::open("/nonexistent/history.jsonl");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text == "cannot open /nonexistent/history.jsonl: No such file or directory");
}

TEST_CASE("history: times before 1970 and at whole seconds") {
  CHECK(iso_time(std::chrono::system_clock::time_point{}) == "1970-01-01T00:00:00.000Z");
  CHECK(iso_time(std::chrono::system_clock::time_point{} - std::chrono::milliseconds(1)) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("history: for people") {
  const TempDir dir;
  const auto history = History::open(dir / "history.jsonl");
  HistoryEntry entry = epoch(7);
  entry.steps = {{"stop", 6000}, {"start", 2500}};
  REQUIRE((*history)->add(entry, kThen));
  entry = HistoryEntry{};
  entry.kind = "action";
  entry.what = "repoint db4 from db3 to db2";
  entry.ok = false;
  REQUIRE((*history)->add(entry, kThen));
  const auto lines = (*history)->last(2);
  CHECK(history_text(lines[0]) ==
        "2024-05-01T10:39:59.042Z  epoch 7: db3 out: mysqld is down (connection refused) (db4), 12.3 ms\n"
        "    stop 6.0 ms, start 2.5 ms\n");
  CHECK(history_text(lines[1]) == "2024-05-01T10:39:59.042Z  repoint db4 from db3 to db2, FAILED\n");
  CHECK(history_text("torn\x1b") == "torn \n");
  CHECK(history_text(R"({"what": 5, "steps": [1, {"name": []}]})").size() > 0);
}

TEST_CASE("history: the newest entries come from memory, also after a restart, and are those of the files") {
  const TempDir dir;
  const std::string path = dir / "history.jsonl";
  const auto fill = [&](History& history, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) REQUIRE(history.add(HistoryEntry{}, std::chrono::system_clock::now()));
  };
  auto history = *History::open(path);
  CHECK(history->last_seq() == 0);
  fill(*history, History::kTailEntries + 20);
  const auto all = history->last(10'000);
  REQUIRE(all.size() == History::kTailEntries + 20);
  std::filesystem::rename(path, dir / "elsewhere");  // whoever answers now has it in memory
  CHECK(history->last(30) == std::vector<std::string>(all.end() - 30, all.end()));
  CHECK(history->last(10'000, history->last_seq() - 3) == std::vector<std::string>(all.end() - 3, all.end()));
  std::filesystem::rename(dir / "elsewhere", path);
  history.reset();
  history = *History::open(path);
  CHECK(history->last_seq() == History::kTailEntries + 20);
  CHECK(history->last(30) == std::vector<std::string>(all.end() - 30, all.end()));
}
