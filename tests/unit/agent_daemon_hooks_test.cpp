#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
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
    std::string path = dir / "hook";
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

TEST_CASE("hooks: a program that hangs is killed with all that it has started, and that is said") {
  Scene scene;
  scene.hooks->close();
  scene.finish();
  scene.hooks = std::make_unique<Hooks>(
      &scene.loop, [&](LogLevel, const std::string& line) { scene.log.push_back(line); }, 300ms);
  // The child holds a pipe open for as long as it lives.
  const std::string fifo = scene.dir / "held";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  scene.hooks->configure(
      scene.program("sleep 1000 > " + fifo + " & echo started >> " + (scene.dir / "seen") + "; exec sleep 1000"), "");
  const auto began = std::chrono::steady_clock::now();
  scene.hooks->ring_changed(samples::healthy(2));
  scene.hooks->ring_changed(samples::broken());  // waits its turn
  uv_run(&scene.loop, UV_RUN_ONCE);
  while (scene.log.empty()) uv_run(&scene.loop, UV_RUN_ONCE);
  CHECK(std::chrono::steady_clock::now() - began < 5s);
  CHECK(scene.log[0] == "[hooks] ring_changed: " + (scene.dir / "hook") + " was killed (the limit is 300 ms)");
  while (scene.log.size() < 2) uv_run(&scene.loop, UV_RUN_ONCE);  // the second one hangs as well
  CHECK(scene.read("seen") == "7 ok db1 db2\nstarted\n8 critical db1 db2 db4\nstarted\n");
  pollfd waiting{reader, POLLIN, 0};
  CHECK(::poll(&waiting, 1, 5000) == 1);  // both children are gone: nobody holds the other end
  CHECK((waiting.revents & POLLHUP) != 0);
  ::close(reader);
}
