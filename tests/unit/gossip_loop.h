#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <functional>

#include "config/types.h"
#include "gossip/transport_handle.h"

// A libuv loop for tests, which wait for conditions and never for time.
namespace ringagent::test {

class Loop {
 public:
  Loop() {
    REQUIRE(uv_loop_init(&loop_) == 0);
    guard_ = make_handle<uv_timer_t>(&loop_, uv_timer_init, this);
  }
  // Whatever used the loop is gone by now: its handles get their last turn, and none may be left.
  ~Loop() {
    guard_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
  }
  Loop(const Loop&) = delete;

  uv_loop_t* get() { return &loop_; }

  // True as soon as `condition` holds; false if it does not within `limit_ms`, which only a failing test waits for.
  // The condition may look at things beyond the loop, so it is asked again every few milliseconds at least.
  bool until(const std::function<bool()>& condition, std::uint64_t limit_ms = 10'000) {
    uv_update_time(&loop_);
    const std::uint64_t end = uv_now(&loop_) + limit_ms;
    uv_timer_start(
        guard_.get(), [](uv_timer_t*) {}, 0, 2);
    bool holds = condition();
    while (!holds && uv_now(&loop_) < end) {
      uv_run(&loop_, UV_RUN_ONCE);
      holds = condition();
    }
    uv_timer_stop(guard_.get());
    return holds;
  }

 private:
  uv_loop_t loop_{};
  UvHandle<uv_timer_t> guard_;
};

// A plain TCP socket of the kernel's, for playing somebody who misbehaves.
class Socket {
 public:
  Socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) { REQUIRE(fd_ >= 0); }
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), closed_(other.closed_) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(closed_, other.closed_);
    return *this;
  }

  int fd() const { return fd_; }
  // Binds to a free port of 127.0.0.1 and returns it.
  Address bind(bool listening) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    if (listening) REQUIRE(::listen(fd_, 16) == 0);
    socklen_t size = sizeof at;
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    return {"127.0.0.1", ntohs(at.sin_port)};
  }
  void connect(const Address& to) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(to.port);
    REQUIRE(::inet_pton(AF_INET, to.host.c_str(), &at.sin_addr) == 1);
    ::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at);  // goes on in the background
  }
  Socket accept() { return Socket(::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }
  bool valid() const { return fd_ >= 0; }
  bool say(std::string_view bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // What has arrived since; closed() is true once the other side has closed.
  std::string hear() {
    std::string out(4096, '\0');
    const ssize_t n = ::recv(fd_, out.data(), out.size(), 0);
    closed_ = closed_ || n == 0 || (n < 0 && errno != EAGAIN);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  bool closed() {
    if (!closed_) hear();
    return closed_;
  }

 private:
  int fd_;
  bool closed_ = false;
};

}  // namespace ringagent::test
