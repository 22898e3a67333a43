#include "tests/sim/story.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

// Plays tests/stories/*.txt. RINGAGENT_STORY=name plays only those with `name` in the file's name and prints everything that
// happened in them.
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> stories() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(RINGAGENT_STORIES)) {
    if (entry.path().extension() == ".txt") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string read(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

ringagent::sim::StoryResult play(const fs::path& path, bool keep_trace) {
  try {
    auto result = ringagent::sim::run_story(path.filename(), read(path));
    if (!keep_trace) result.trace.clear();
    return result;
  } catch (const std::exception& error) {
    ringagent::sim::StoryResult result;
    result.failure = path.filename().string() + ": " + error.what();
    return result;
  }
}

}  // namespace

TEST_CASE("protocol stories") {
  const char* only = std::getenv("RINGAGENT_STORY");
  std::vector<fs::path> paths = stories();
  if (only != nullptr)
    std::erase_if(paths,
                  [&](const fs::path& path) { return path.filename().string().find(only) == std::string::npos; });
  REQUIRE_FALSE(paths.empty());
  // Each is a world of its own: a thread a core takes one after another.
  std::vector<ringagent::sim::StoryResult> results(paths.size());
  std::atomic<std::size_t> next = 0;
  {
    std::vector<std::jthread> players;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      players.emplace_back([&] {
        for (std::size_t at = next++; at < paths.size(); at = next++) results[at] = play(paths[at], only != nullptr);
      });
    }
  }
  for (const auto& result : results) {
    if (only != nullptr) std::cout << result.trace << result.steps << " steps\n";
    INFO(result.failure);
    CHECK(result.ok);
  }
}

// What the seed was that showed it: all who knew of an epoch are stopped, and the voter that has forgotten it votes with one that
// had never heard of it. tests/stories/restored.txt is the case in which somebody knows.
TEST_CASE("C1 does not answer for a voter that was restored where nobody within reach knows better") {
  const auto result = ringagent::sim::run_story("restored_unnoticed",
                                                "ring db1 db2 db3\n"
                                                "allow epochs\n"
                                                "at 1s stop agent db2\n"
                                                "at 2s save state db1\n"
                                                "at 3s command db1 maintenance node db3 state on\n"
                                                "expect within 1s epoch 2\n"
                                                "wait 1s\n"
                                                "stop agent db3\n"
                                                "restore state db1\n"
                                                "start agent db1\n"
                                                "wait 5s\n"
                                                "start agent db2\n"
                                                "wait 1s\n"
                                                "command db1 maintenance node db2 state on\n"
                                                "wait 1s\n"
                                                "expect within 1s epoch 99\n");
  INFO(result.failure);
  CHECK(result.ok);
  CHECK(result.trace.find("nobody within reach knew better: C1: ballot") != std::string::npos);
}
