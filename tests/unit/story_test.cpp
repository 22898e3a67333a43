#include "tests/sim/story.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
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

}  // namespace

TEST_CASE("protocol stories") {
  const char* only = std::getenv("RINGAGENT_STORY");
  REQUIRE_FALSE(stories().empty());
  for (const fs::path& path : stories()) {
    if (only != nullptr && path.filename().string().find(only) == std::string::npos) continue;
    SUBCASE(path.stem().c_str()) {
      const auto result = ringagent::sim::run_story(path.filename(), read(path));
      if (only != nullptr) std::cout << result.trace << result.steps << " steps\n";
      INFO(result.failure);
      CHECK(result.ok);
    }
  }
}
