#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/api.h"
#include "agent_samples.h"
#include "temp_dir.h"

using namespace ringagent;
using nlohmann::json;

namespace {

// A port that nobody had a moment ago.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

struct Agent {
  TempDir dir;
  std::string socket = dir / "agent.sock";
  std::unique_ptr<History> history = *History::open(dir / "history.jsonl");
  std::unique_ptr<Api> api;

  Result<void> start(Api::Post post, Address http = {}) {
    auto started = Api::start({socket, std::move(http)}, *history, std::move(post));
    if (!started) return tl::unexpected(started.error());
    api = std::move(*started);
    api->publish(std::make_shared<Snapshot>(samples::healthy(4)));
    return {};
  }
};

void nobody(const Command&) {
  FAIL("no command was expected");
}

// A socket file with nobody behind it, as kill -9 leaves one.
void leave_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(fd);
}

}  // namespace

TEST_CASE("api: status over a real socket that only owner and group may use") {
  Agent agent;
  REQUIRE(agent.start(nobody));
  struct stat st {};
  REQUIRE(::stat(agent.socket.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0660);
  const auto answer = ApiClient(agent.socket).get("/status");
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(json::parse(answer->body)["epoch"] == 7);
  CHECK(ApiClient(agent.socket).get("/plan")->status == 200);
  agent.api.reset();
  CHECK(::stat(agent.socket.c_str(), &st) != 0);
}

TEST_CASE("api: what is published last is what is answered") {
  Agent agent;
  REQUIRE(agent.start(nobody));
  Snapshot later = samples::healthy(2);
  later.epoch = 8;
  agent.api->publish(std::make_shared<Snapshot>(later));
  CHECK(json::parse(ApiClient(agent.socket).get("/status")->body)["epoch"] == 8);
}

TEST_CASE("api: a command travels to the loop and its reply back") {
  Agent agent;
  std::promise<Command> seen;
  REQUIRE(agent.start([&](const Command& command) {
    seen.set_value(command);
    std::thread([&agent, id = command.id] { agent.api->reply({id, true, "paused"}); }).detach();
  }));
  const auto outcome = ApiClient(agent.socket).command("pause", {{"for_ms", "60000"}, {"reason", "a \"test\""}});
  REQUIRE(outcome);
  CHECK(outcome->ok);
  CHECK(outcome->text == "paused");
  const Command command = seen.get_future().get();
  CHECK(command.name == "pause");
  CHECK(command.arguments ==
        std::vector<std::pair<std::string, std::string>>{{"for_ms", "60000"}, {"reason", "a \"test\""}});
}

TEST_CASE("api: a refusal is an outcome, not a fault; leaving never reaches the loop") {
  Agent agent;
  REQUIRE(agent.start([&](const Command& command) {
    agent.api->reply({command.id, false, "no ring has been formed yet"});
  }));
  const auto refused = ApiClient(agent.socket).command("resume", {});
  REQUIRE(refused);
  CHECK_FALSE(refused->ok);
  CHECK(refused->text == "no ring has been formed yet");
  const auto leaving = ApiClient(agent.socket).command("leaving", {});
  REQUIRE(leaving);
  CHECK_FALSE(leaving->ok);
  CHECK(leaving->text == "this agent does not know the command leaving");
}

TEST_CASE("api: an argument that is given several times arrives so, in order") {
  Agent agent;
  std::promise<Command> seen;
  REQUIRE(agent.start([&](const Command& command) {
    seen.set_value(command);
    agent.api->reply({command.id, true, "done"});
  }));
  const std::vector<std::pair<std::string, std::string>> order = {{"node", "db1"}, {"node", "db3"}, {"node", "db2"}};
  REQUIRE(ApiClient(agent.socket).command("order", order));
  CHECK(seen.get_future().get().arguments == order);
}

TEST_CASE("api: closing ends whoever still waits for a reply") {
  Agent agent;
  std::promise<void> posted;
  REQUIRE(agent.start([&](const Command&) { posted.set_value(); }));
  auto waiting = std::async(std::launch::async, [&] { return ApiClient(agent.socket).command("pause", {}); });
  posted.get_future().wait();
  agent.api.reset();
  const auto outcome = waiting.get();
  REQUIRE(outcome);
  CHECK_FALSE(outcome->ok);
  CHECK(outcome->text.find("outcome unknown") != std::string::npos);
}

TEST_CASE("api: TCP reads and nothing else") {
  Agent agent;
  const Address http{"127.0.0.1", free_port()};
  REQUIRE(agent.start(nobody, http));
  httplib::Client client(http.host, http.port);
  CHECK(client.Get("/status")->status == 200);
  CHECK(client.Get("/readable?max_lag=2s")->status == 200);
  CHECK(client.Get("/plan")->status == 404);
  CHECK(client.Post("/command", R"({"name":"pause"})", "application/json")->status == 405);
  CHECK(client.Put("/status", "x", "text/plain")->status == 405);
  CHECK(client.Delete("/status")->status == 405);
  const auto head = client.Head("/health");
  CHECK(head->status == 200);
  CHECK(head->body.empty());
  CHECK(client.Options("/")->status == 200);  // HAProxy's option httpchk without arguments
}

TEST_CASE("api: over TCP only who asks for this machine is answered") {
  Agent agent;
  const Address http{"127.0.0.1", free_port()};
  auto started = Api::start({agent.socket, http, {"db1.example.org"}}, *agent.history, nobody);
  REQUIRE(started);
  agent.api = std::move(*started);
  agent.api->publish(std::make_shared<Snapshot>(samples::healthy(4)));
  httplib::Client client(http.host, http.port);
  char name[256] = {};
  REQUIRE(::gethostname(name, sizeof name - 1) == 0);
  for (const std::string& host : {std::string("10.1.2.3:7947"), std::string("localhost"), std::string("ringagent"),
                                  std::string("db1.example.org:7947"), std::string(name)})
    CHECK_MESSAGE(client.Get("/status", {{"Host", host}})->status == 200, host);
  const auto refused = client.Get("/status", {{"Host", "rebound.example:7947"}});
  CHECK(refused->status == 421);
  CHECK(refused->body.find("[http] listen") != std::string::npos);
  CHECK(std::count(refused->body.begin(), refused->body.end(), '\n') == 1);
}

TEST_CASE("api: slow readers of TCP do not keep a person from the socket") {
  Agent agent;
  const Address http{"127.0.0.1", free_port()};
  REQUIRE(agent.start(nobody, http));
  std::vector<int> idlers;
  for (int i = 0; i < 40; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(http.port);
    static_cast<void>(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    idlers.push_back(fd);
  }
  const auto began = std::chrono::steady_clock::now();
  CHECK(ApiClient(agent.socket).get("/status")->status == 200);
  CHECK(std::chrono::steady_clock::now() - began < 1s);
  for (const int fd : idlers) ::close(fd);
}

TEST_CASE("api: the socket of a dead agent is replaced, a living one is not") {
  Agent agent;
  leave_socket(agent.socket);
  REQUIRE(agent.start(nobody));
  const auto second = Api::start({agent.socket, {}}, *agent.history, nobody);
  REQUIRE_FALSE(second);
  CHECK(second.error().text ==
        "an agent is running behind " + agent.socket + ": stop it first, or choose another `socket`");
  CHECK(ApiClient(agent.socket).get("/status")->status == 200);
}

TEST_CASE("api: what cannot be a socket is named") {
  Agent agent;
  std::ofstream(agent.socket) << "precious";
  CHECK(agent.start(nobody).error().text ==
        agent.socket + " is in the way and no socket: move it, or choose another `socket`");
  agent.socket = agent.dir / "missing/agent.sock";
  CHECK(agent.start(nobody).error().text == "cannot listen on " + agent.socket + ": No such file or directory");
  agent.socket = agent.dir / std::string(200, 's');
  CHECK(agent.start(nobody).error().text == "socket path is longer than 107 bytes: " + agent.socket);
}

TEST_CASE("api: an address in use is an error, not shared") {
  Agent first, second;
  const Address http{"127.0.0.1", free_port()};
  REQUIRE(first.start(nobody, http));
  const auto refused = second.start(nobody, http);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text == "[http] listen: cannot listen on " + http.str() + ": Address already in use");
}

TEST_CASE("api: nobody there is said in one line") {
  const TempDir dir;
  const auto answer = ApiClient(dir / "agent.sock").get("/status");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().text.find("No such file or directory") != std::string::npos);
  leave_socket(dir / "dead.sock");
  CHECK(ApiClient(dir / "dead.sock").get("/status").error().text.find("no agent answers at") == 0);
}
