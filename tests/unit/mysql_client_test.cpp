#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "mysql/client.h"
#include "mysql/worker.h"

// Servers that are not there, or do not speak: what can be shown without a real one.
namespace ringagent {
namespace {

using Clock = std::chrono::steady_clock;

Duration since(Clock::time_point begin) {
  return std::chrono::duration_cast<Duration>(Clock::now() - begin);
}

// A TCP port of the loopback that accepts connections (the kernel does) and never says a word: a stopped mysqld.
class MuteServer {
 public:
  explicit MuteServer(bool listening = true) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    if (listening) REQUIRE(::listen(fd_, 8) == 0);
    socklen_t size = sizeof where;
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&where), &size) == 0);
    port_ = ntohs(where.sin_port);
  }
  MuteServer(const MuteServer&) = delete;
  MuteServer& operator=(const MuteServer&) = delete;
  ~MuteServer() { ::close(fd_); }
  Address address() const { return {"127.0.0.1", port_}; }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

ConnectSettings over_tcp(const Address& address) {
  ConnectSettings settings;
  settings.address = address;
  settings.user = "ringagent";
  settings.password = "secret";
  return settings;
}

std::string temporary_path(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string(name) + std::to_string(::getpid()))).string();
}

// A socket file that nobody listens behind.
struct LeftBehind {
  LeftBehind() {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::strncpy(where.sun_path, path.c_str(), sizeof where.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
  }
  ~LeftBehind() {
    ::close(fd);
    ::unlink(path.c_str());
  }
  const std::string path = temporary_path("ringagent-left-behind-");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
};

}  // namespace

TEST_CASE("mysql/client: a closed port is refused, at once") {
  const MuteServer closed(false);
  const auto client = Client::connect(over_tcp(closed.address()), 1s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::refused);
}

TEST_CASE("mysql/client: a socket file that is not there proves nothing, one without a listener is refused") {
  ConnectSettings settings;
  settings.user = "ringagent";
  settings.socket = temporary_path("ringagent-none-");
  auto client = Client::connect(settings, 1s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::missing);

  const LeftBehind left_behind;
  settings.socket = left_behind.path;
  client = Client::connect(settings, 1s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::refused);
}

TEST_CASE("mysql/client: a socket that refuses costs nobody else a descriptor") {
  const LeftBehind left_behind;
  std::atomic<bool> over{false};
  std::size_t lost = 0;
  std::thread other([&] {  // takes the lowest free number all the time
    while (!over) {
      const int fd = ::eventfd(0, EFD_CLOEXEC);
      std::this_thread::yield();
      if (::close(fd) != 0) ++lost;
    }
  });
  ConnectSettings settings;
  settings.socket = left_behind.path;
  for (int i = 0; i < 2000; ++i) CHECK_FALSE(Client::connect(settings, 1s));
  over = true;
  other.join();
  CHECK(lost == 0);
}

TEST_CASE("mysql/client: a server that accepts and says nothing costs the deadline and no more") {
  const MuteServer mute;
  const auto begin = Clock::now();
  const auto client = Client::connect(over_tcp(mute.address()), 150ms);
  const Duration took = since(begin);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::unreachable);
  CHECK(client.error().text == "no answer within the deadline");
  CHECK(took >= 150ms);
  CHECK(took < 1s);
}

// Greets as MySQL 8 with TLS on offer, and falls silent in the middle of the TLS handshake.
TEST_CASE("mysql/client: a server that falls silent within the TLS handshake costs the deadline, too") {
  const MuteServer server;
  std::thread greeter([fd = server.fd()] {
    const int client = ::accept(fd, nullptr, nullptr);
    std::string greeting(
        "\x0a"
        "8.0.36\0",
        8);
    greeting += std::string("\x01\0\0\0", 4) + "12345678" + std::string(1, '\0');
    greeting += std::string("\xff\xff\xff\x02\0\xff\xdf\x15", 8) + std::string(10, '\0');  // CLIENT_SSL among them
    greeting += "123456789012" + std::string(1, '\0') + "mysql_native_password" + std::string(1, '\0');
    std::string packet{static_cast<char>(greeting.size()), 0, 0, 0};
    packet += greeting;
    char bytes[4096];
    if (::send(client, packet.data(), packet.size(), MSG_NOSIGNAL) > 0)
      while (::recv(client, bytes, sizeof bytes, 0) > 0) continue;  // until the client gives up
    ::close(client);
  });
  ConnectSettings settings = over_tcp(server.address());
  settings.tls = TlsMode::required;
  const auto begin = Clock::now();
  const auto client = Client::connect(settings, 300ms);
  const Duration took = since(begin);
  greeter.join();
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::unreachable);
  CHECK(took >= 300ms);
  CHECK(took < 5s);  // see client.h: up to a second more, on an idle machine
}

TEST_CASE("mysql/client: a name that does not resolve is unreachable") {
  const auto client = Client::connect(over_tcp({"no-such-host.invalid", 3306}), 5s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::unreachable);
}

TEST_CASE("mysql/client: errors are told apart by what they prove") {
  const auto connecting = [](unsigned number, const char* text) { return classify(number, text, true); };
  const auto asking = [](unsigned number) { return classify(number, "", false); };
  CHECK(connecting(2002, "Can't connect to local server through socket '/a (b)/s.sock' (2)") == SqlErrorKind::missing);
  CHECK(connecting(2002, "Can't connect to server on '10.0.0.1' (111)") == SqlErrorKind::refused);
  CHECK(connecting(2003, "Can't connect to MySQL server on '10.0.0.1:3306' (111)") == SqlErrorKind::refused);
  CHECK(connecting(2003, "Can't connect to MySQL server on '10.0.0.1' (110)") == SqlErrorKind::unreachable);
  CHECK(connecting(2003, "Can't connect to MySQL server on '10.0.0.1' (113)") == SqlErrorKind::unreachable);
  CHECK(connecting(2005, "Unknown server host 'db9' (-2)") == SqlErrorKind::unreachable);
  CHECK(connecting(2013, "Lost connection at 'handshake: reading initial communication packet'") == SqlErrorKind::lost);
  for (const unsigned alive : {1040U, 1045U, 1129U, 1130U, 1203U, 1698U, 2026U, 2059U, 2061U})
    CHECK_MESSAGE(connecting(alive, "") == SqlErrorKind::denied, alive);
  for (const unsigned forbidden : {1044U, 1142U, 1227U, 1370U, 3032U})
    CHECK_MESSAGE(asking(forbidden) == SqlErrorKind::denied, forbidden);
  for (const unsigned broken : {1053U, 1927U, 2006U, 2013U, 2014U, 4031U})
    CHECK_MESSAGE(asking(broken) == SqlErrorKind::lost, broken);
  for (const unsigned said : {1064U, 1205U, 1290U, 1876U, 3081U})
    CHECK_MESSAGE(asking(said) == SqlErrorKind::server, said);
}

TEST_CASE("mysql/worker: a mute server blocks neither the caller nor the destructor") {
  const MuteServer mute;
  WorkerSettings settings;
  settings.local = settings.remote = over_tcp(mute.address());
  settings.jobs_max = 2;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Answer> answers;
  const auto begin = Clock::now();
  {
    Worker worker(settings, [&](Answer answer) {
      const std::lock_guard lock(mutex);
      answers.push_back(std::move(answer));
      changed.notify_all();
    });
    REQUIRE(worker.submit(PollJob{7, false, 100ms}));
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 5s, [&] { return answers.size() == 1; }));
    const auto& answer = std::get<PollAnswer>(answers[0]);
    CHECK(answer.ticket == 7);
    REQUIRE(!answer.result);
    CHECK(answer.result.error().kind == SqlErrorKind::unreachable);
    CHECK(!answer.watch);
    lock.unlock();
    REQUIRE(worker.submit(LookJob{8, mute.address(), 30s}));
    while (worker.waiting() > 0) std::this_thread::yield();  // the thread has it in hand
  }                                                          // and is cut short
  CHECK(since(begin) < 10s);
  CHECK(answers.size() == 1);
}

TEST_CASE("mysql/worker: the queue is bounded") {
  const MuteServer mute;
  WorkerSettings settings;
  settings.local = settings.remote = over_tcp(mute.address());
  settings.jobs_max = 3;
  Worker worker(settings, [](const Answer& /*answer*/) {});
  int taken = 0;
  for (std::uint64_t i = 0; i < 10; ++i) taken += worker.submit(LookJob{i, mute.address(), 30s}) ? 1 : 0;
  CHECK(taken >= 3);
  CHECK(taken <= 4);  // one may be in the thread's hands already
}

}  // namespace ringagent
