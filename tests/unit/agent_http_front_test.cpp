#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "agent/http_front.h"

using namespace ringagent;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint16_t kFirstPort = 21947;

// A hostile or an honest client.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  // False when the other side has ended the connection.
  bool send(const std::string& text) const {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }

  // What arrives until `enough` or the end of the connection.
  std::string read(const std::function<bool(const std::string&)>& enough, Duration limit = 8s) {
    const auto until = Clock::now() + limit;
    std::string out;
    while (!enough(out) && Clock::now() < until) {
      pollfd waiting{fd_, POLLIN, 0};
      ::poll(&waiting, 1, 50);
      char buffer[65536];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) {
        ended_ = true;
        break;
      }
      if (n > 0) out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
  }
  std::string read_all(Duration limit = 8s) {
    return read([](const std::string&) { return false; }, limit);
  }
  std::string read_until(const std::string& mark) {
    return read([&](const std::string& text) { return text.find(mark) != std::string::npos; });
  }
  bool ended() const { return ended_; }

 private:
  int fd_;
  bool ended_ = false;
};

struct Door {
  Door() {
    HttpFront::Handlers handlers;
    handlers.answer = [this](const HttpRequest& request) {
      if (request.path == "/events") return HttpFront::Answer{200, "text/event-stream", "", true};
      return HttpFront::Answer{200, "text/plain", request.path == "/large" ? large : "hello " + request.path};
    };
    handlers.news = [this] {
      const std::lock_guard lock(mutex);
      return "data: " + text + "\n\n";
    };
    handlers.beat = [] { return std::string(": beat\n\n"); };
    for (port = kFirstPort; !front; ++port) {
      REQUIRE(port < kFirstPort + 200);
      auto started = HttpFront::start({"127.0.0.1", port}, handlers);
      if (started) front = std::move(*started);
    }
    --port;
  }

  void say(const std::string& what) {
    {
      const std::lock_guard lock(mutex);
      text = what;
    }
    front->news();
  }

  // An honest question, and how long it took.
  Duration ask() const {
    const auto began = Clock::now();
    Client client(port);
    REQUIRE(client.send("GET /x HTTP/1.0\r\n\r\n"));
    const std::string answer = client.read_all();
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(answer.ends_with("\r\n\r\nhello /x"));
    return std::chrono::duration_cast<Duration>(Clock::now() - began);
  }

  std::mutex mutex;
  std::string text = "one";
  std::string large = std::string(1'000'000, 'x');
  std::uint16_t port = 0;
  std::unique_ptr<HttpFront> front;
};

const std::string kListen = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE("http front: an answer with its length, its headers, and an end") {
  Door door;
  Client client(door.port);
  REQUIRE(client.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string answer = client.read_all();
  CHECK(client.ended());
  for (const char* header :
       {"Content-Length: 13\r\n", "Connection: close\r\n", "X-Content-Type-Options: nosniff\r\n",
        "X-Frame-Options: DENY\r\n", "frame-ancestors 'none'\r\n", "Cache-Control: no-store\r\n"}) {
    CHECK_MESSAGE(answer.find(header) != std::string::npos, header);
  }
  CHECK(answer.find("Access-Control") == std::string::npos);
  Client head(door.port);
  REQUIRE(head.send("HEAD /status HTTP/1.0\r\n\r\n"));
  CHECK(head.read_all().ends_with("\r\n\r\n"));
}

TEST_CASE("http front: a request may come in pieces, but not for ever") {
  Door door;
  Client patient(door.port);
  for (const char* piece : {"GET /x ", "HTTP/1", ".0\r\n", "\r\n"}) REQUIRE(patient.send(piece));
  CHECK(patient.read_all().find("hello /x") != std::string::npos);
  const auto began = Clock::now();
  Client slow(door.port);
  REQUIRE(slow.send("GET /x HTTP/1.0\r\n"));
  std::string answer;
  while (answer.empty() && Clock::now() - began < 10s) {
    static_cast<void>(slow.send("a: b\r\n"));  // a header now and then, as a slow loris has them
    answer = slow.read_all(200ms);
  }
  CHECK(answer.starts_with("HTTP/1.1 408 "));
  CHECK(Clock::now() - began < HttpFront::kHeadWithin + 2s);
}

TEST_CASE("http front: a head without end is cut off") {
  Door door;
  Client client(door.port);
  static_cast<void>(client.send("GET /x HTTP/1.0\r\na: " + std::string(kHeadBytesMax + 100, 'x')));
  CHECK(client.read_all().starts_with("HTTP/1.1 431 "));
}

TEST_CASE("http front: hundreds of silent connections keep nobody waiting") {
  Door door;
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 300; ++i) {
    crowd.push_back(std::make_unique<Client>(door.port));
    if (i % 3 == 0) static_cast<void>(crowd.back()->send("GET /large HTTP/1.0\r\n\r\n"));  // asks, and does not read
    if (i % 3 == 1) static_cast<void>(crowd.back()->send("GET /"));
  }
  for (int i = 0; i < 20; ++i) CHECK(door.ask() < 1s);
  // The first of them had to make room.
  crowd[1]->read_all(2s);
  CHECK(crowd[1]->ended());
}

TEST_CASE("http front: streams are told at once, and again only what has changed") {
  Door door;
  Client first(door.port), second(door.port);
  REQUIRE(first.send(kListen));
  CHECK(first.read_until("data: one\n\n").find("text/event-stream") != std::string::npos);
  door.say("two");
  first.read_until("data: two\n\n");
  // A second reader gets what is so now, and does not swallow what the first has yet to hear.
  REQUIRE(second.send(kListen));
  second.read_until("data: two\n\n");
  const auto began = Clock::now();
  door.say("three");
  CHECK(first.read_until("data: three\n\n").find("two") == std::string::npos);
  CHECK(Clock::now() - began < 500ms);
  second.read_until("data: three\n\n");
  door.front->news();
  const std::string quiet = first.read_until(": beat\n\n");
  CHECK(quiet == ": beat\n\n");
}

TEST_CASE("http front: streams are few, and who speaks on one is dropped") {
  Door door;
  std::vector<std::unique_ptr<Client>> readers;
  for (std::size_t i = 0; i < HttpFront::kStreamsMax; ++i) {
    readers.push_back(std::make_unique<Client>(door.port));
    REQUIRE(readers.back()->send(kListen));
    readers.back()->read_until("data: one\n\n");
  }
  Client late(door.port);
  REQUIRE(late.send(kListen));
  CHECK(late.read_all().starts_with("HTTP/1.1 503 "));
  CHECK(door.ask() < 1s);
  REQUIRE(readers[0]->send("hello?"));
  readers[0]->read_all();
  CHECK(readers[0]->ended());
  Client next(door.port);
  REQUIRE(next.send(kListen));
  CHECK(next.read_until("data: one\n\n").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("http front: a stream that does not read is dropped, the others hear on") {
  Door door;
  Client deaf(door.port, 4096), good(door.port);
  REQUIRE(deaf.send(kListen));
  REQUIRE(good.send(kListen));
  good.read_until("data: one\n\n");
  const auto began = Clock::now();
  while (Clock::now() - began < HttpFront::kStreamWithin + 1500ms) {
    const std::string mark = std::to_string((Clock::now() - began).count());
    door.say(std::string(400'000, 'x') + mark);
    CHECK(good.read_until(mark + "\n\n").find(mark) != std::string::npos);
  }
  deaf.read_all();
  CHECK(deaf.ended());
}

TEST_CASE("http front: its end ends the streams at once") {
  Door door;
  Client reader(door.port);
  REQUIRE(reader.send(kListen));
  reader.read_until("data: one\n\n");
  const auto began = Clock::now();
  door.front.reset();
  CHECK(Clock::now() - began < 500ms);
  reader.read_all();
  CHECK(reader.ended());
}
