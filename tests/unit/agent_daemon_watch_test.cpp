#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "agent/daemon_watch.h"

using namespace ringagent;

namespace {

// A mysqld that does nothing: a process, and a connection to it.
struct Server {
  Server() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    remote = ends[1];
    int closed[2];
    REQUIRE(::pipe(closed) == 0);
    pid = ::fork();
    if (pid == 0) {
      ::close_range(3, ~0U, 0);  // or this copy would keep the connections open
      for (;;) ::pause();
    }
    ::close(closed[1]);
    char none = 0;
    CHECK(::read(closed[0], &none, 1) == 0);  // the child has let go of them
    ::close(closed[0]);
    auto made = std::make_shared<Watch>();
    made->fd = ends[0];
    made->pid = static_cast<std::uint64_t>(pid);
    made->pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    REQUIRE(made->pidfd >= 0);
    watch = made;
  }
  ~Server() {
    kill();
    if (remote >= 0) ::close(remote);
  }
  void kill() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = 0;
  }
  void close_connection() {
    ::close(remote);
    remote = -1;
  }
  int remote = -1;
  pid_t pid = 0;
  std::shared_ptr<const Watch> watch;
};

struct Scene {
  Scene() { uv_loop_init(&loop); }
  ~Scene() {
    watch.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
  }
  void turn() { uv_run(&loop, UV_RUN_NOWAIT); }

  uv_loop_t loop{};
  std::vector<bool> gone;  // process?
  std::unique_ptr<ServerWatch> watch =
      std::make_unique<ServerWatch>(&loop, [this](bool process, const std::string&) { gone.push_back(process); });
};

}  // namespace

TEST_CASE("watch: a living server says nothing, even if it sends something") {
  Scene scene;
  Server server;
  scene.watch->follow(server.watch);
  REQUIRE(::write(server.remote, "x", 1) == 1);
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone.empty());
  char byte = 0;
  CHECK(::read(server.watch->fd, &byte, 1) == 1);  // nobody has read it away
}

TEST_CASE("watch: the end of the process is told once") {
  Scene scene;
  Server server;
  scene.watch->follow(server.watch);
  server.kill();
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone == std::vector<bool>{true});
}

TEST_CASE("watch: a connection that the server closes is told once, and is no death") {
  Scene scene;
  Server server;
  scene.watch->follow(server.watch);
  server.close_connection();
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone == std::vector<bool>{false});
}

TEST_CASE("watch: after a failed poll the connection is given up, the process stays in sight") {
  Scene scene;
  Server server;
  scene.watch->follow(server.watch);
  scene.watch->follow(nullptr);
  server.close_connection();
  scene.turn();
  CHECK(scene.gone.empty());
  server.kill();
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone == std::vector<bool>{true});
}

TEST_CASE("watch: a new connection replaces the old one; what becomes of the old one is nobody's business") {
  Scene scene;
  Server old_server, new_server;
  scene.watch->follow(old_server.watch);
  scene.turn();
  scene.watch->follow(new_server.watch);
  scene.watch->follow(new_server.watch);
  old_server.close_connection();
  old_server.kill();
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone.empty());
  new_server.kill();
  for (int i = 0; i < 5; ++i) scene.turn();
  CHECK(scene.gone == std::vector<bool>{true});
}
