#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/daemon_hooks.h"
#include "agent_samples.h"
#include "temp_dir.h"

using namespace ringagent;

namespace {

struct Scene {
  Scene() { uv_loop_init(&loop); }
  ~Scene() {
    hooks->close();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
  }
  // A program that appends the epoch and the ring to `seen`.
  std::string program(const std::string& extra = "") {
    const std::string path = dir / "hook";
    std::ofstream(path) << "#!/bin/sh\necho \"$RINGAGENT_EPOCH $RINGAGENT_HEALTH $RINGAGENT_RING\" >> "
                        << (dir / "seen") << "\n"
                        << extra << "\n";
    ::chmod(path.c_str(), 0755);
    return path;
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(dir / name).rdbuf();
    return text.str();
  }
  // Until nothing runs any more.
  void finish() { uv_run(&loop, UV_RUN_DEFAULT); }

  TempDir dir;
  uv_loop_t loop{};
  std::vector<std::string> log;
  std::unique_ptr<Hooks> hooks =
      std::make_unique<Hooks>(&loop, [this](LogLevel, const std::string& line) { log.push_back(line); });
};

}  // namespace

TEST_CASE("hooks: the state file is the ring, replaced as a whole") {
  Scene scene;
  scene.hooks->configure("", scene.dir / "ring.json");
  scene.hooks->ring_changed(samples::healthy(4));
  const auto before = nlohmann::json::parse(scene.read("ring.json"));
  CHECK(before["epoch"] == 7);
  scene.hooks->ring_changed(samples::broken());
  const auto after = nlohmann::json::parse(scene.read("ring.json"));
  CHECK(after["ring"] == nlohmann::json({"db1", "db2", "db4"}));
  CHECK(after["nodes"][2] ==
        nlohmann::json({{"name", "db3"}, {"role", "ring"}, {"in", false}, {"address", "10.0.0.3:3306"}}));
  CHECK_FALSE(std::filesystem::exists(scene.dir / "ring.json.new"));
}

TEST_CASE("hooks: before there is a ring there is no state file") {
  Scene scene;
  scene.hooks->configure("", scene.dir / "ring.json");
  scene.hooks->show(Snapshot{});
  CHECK_FALSE(std::filesystem::exists(scene.dir / "ring.json"));
}

TEST_CASE("hooks: a state file that cannot be written is said once, and when it can be again") {
  Scene scene;
  scene.hooks->configure("", scene.dir / "run/ring.json");
  scene.hooks->ring_changed(samples::healthy(4));
  scene.hooks->ring_changed(samples::healthy(4));
  REQUIRE(scene.log.size() == 1);
  CHECK(scene.log[0].find("run/ring.json: No such file or directory") != std::string::npos);
  std::filesystem::create_directory(scene.dir / "run");
  scene.hooks->ring_changed(samples::healthy(4));
  scene.hooks->ring_changed(samples::healthy(4));
  CHECK(scene.log.size() == 2);
}

TEST_CASE("hooks: the program hears what the ring is") {
  Scene scene;
  scene.hooks->configure(scene.program(), "");
  scene.hooks->ring_changed(samples::broken());
  scene.finish();
  CHECK(scene.read("seen") == "8 critical db1 db2 db4\n");
  CHECK(scene.log.empty());
}

TEST_CASE("hooks: changes that come while it runs are one run more, with the newest ring") {
  Scene scene;
  scene.hooks->configure(scene.program(), "");
  for (std::uint64_t epoch = 1; epoch <= 4; ++epoch) {
    Snapshot s = samples::healthy(2);
    s.epoch = epoch;
    scene.hooks->ring_changed(s);
  }
  scene.finish();
  CHECK(scene.read("seen") == "1 ok db1 db2\n4 ok db1 db2\n");
}

TEST_CASE("hooks: a program that fails or is missing is a line in the log") {
  Scene scene;
  scene.hooks->configure(scene.program("exit 3"), "");
  scene.hooks->ring_changed(samples::healthy(2));
  scene.finish();
  REQUIRE(scene.log.size() == 1);
  CHECK(scene.log[0] == "[hooks] ring_changed: " + (scene.dir / "hook") + " ended with 3");
  scene.hooks->configure(scene.dir / "missing", "");
  scene.hooks->ring_changed(samples::healthy(2));
  scene.finish();
  REQUIRE(scene.log.size() == 2);
  CHECK(scene.log[1].find("no such file") != std::string::npos);
}
