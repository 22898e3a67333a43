#include "agent/http_front.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace ringagent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 128;
constexpr int kSendBufferBytes = 128 * 1024;  // else the kernel would keep megabytes for a reader that does not read
constexpr Duration kLinger = 500ms;           // for a client to take its answer before the connection ends
constexpr Duration kNoDescriptors = 100ms;    // without accepting, when the process has no descriptor left

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

void set(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

const char* phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Service Unavailable";
  }
}

// Nothing here may be framed, sniffed, cached, or asked by another site's page; the page itself loads from here alone.
constexpr const char* kHeaders =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Cache-Control: no-store\r\n"
    "Connection: close\r\n";

std::string head_of(int status, const std::string& type, std::optional<std::size_t> length) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + phrase(status) + "\r\n" + kHeaders;
  if (status == 405) out += "Allow: GET, HEAD, OPTIONS\r\n";
  out += "Content-Type: " + type + "\r\n";
  if (length) out += "Content-Length: " + std::to_string(*length) + "\r\n";
  return out + "\r\n";
}

std::string plain(int status, const std::string& line, bool with_body = true) {
  return head_of(status, "text/plain; charset=utf-8", line.size() + 1) + (with_body ? line + "\n" : "");
}

enum class Part { head, answer, linger, stream };

struct Connection {
  Fd fd;
  Part part = Part::head;
  Clock::time_point deadline;
  std::string in;
  std::string out;
  std::size_t sent = 0;  // of `out`
  std::string next;      // goes out after `out`: an answer's body, which may be large and is not copied
  bool behind = false;   // a stream: news came while a text was on its way

  bool idle() const { return sent == out.size() && next.empty(); }
};

}  // namespace

class HttpFront::Impl {
 public:
  explicit Impl(Handlers handlers) : handlers_(std::move(handlers)) {}

  ~Impl() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake();
    thread_.join();
  }

  std::optional<Error> open(const Address& address) {
    const std::string where = "[http] listen: cannot listen on " + address.str() + ": ";
    wake_ = Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (wake_.get() < 0) return Error{where + std::strerror(errno)};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
      return Error{where + ::gai_strerror(error)};
    }
    int why = 0;
    for (const addrinfo* at = found; at != nullptr && listen_.get() < 0; at = at->ai_next) {
      Fd fd(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
      if (fd.get() >= 0) set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      const bool listens =
          fd.get() >= 0 && ::bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && ::listen(fd.get(), kBacklog) == 0;
      why = errno;
      if (listens) listen_ = std::move(fd);
    }
    ::freeaddrinfo(found);
    if (listen_.get() < 0) return Error{where + std::strerror(why)};
    thread_ = std::thread([this] { run(); });
    return std::nullopt;
  }

  void news() {
    if (hears_news_) wake();
  }

  void wake() {
    const std::uint64_t one = 1;
    // A counter that is full wakes just as well.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }

 private:
  void run() {
    auto next_beat = Clock::now() + kBeat;
    while (!stopping_) {
      wait(next_beat);
      if (stopping_) return;
      const auto now = Clock::now();
      const bool beat = now >= next_beat;
      if (beat) next_beat = now + kBeat;
      tell_streams(beat, now);
      connections_.remove_if([&](Connection& c) { return !carry_on(c, now); });
      accept_all(now);
    }
  }

  void wait(Clock::time_point until) {
    polled_.clear();
    polled_.push_back({wake_.get(), POLLIN, 0});
    polled_.push_back({Clock::now() < accept_after_ ? -1 : listen_.get(), POLLIN, 0});
    for (const Connection& c : connections_) {
      const bool writes = !c.idle();
      polled_.push_back({c.fd.get(), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0});
      if (c.part == Part::answer) polled_.back().events = POLLOUT;
      if (c.part != Part::stream || writes) until = std::min(until, c.deadline);
    }
    if (polled_[1].fd < 0) until = std::min(until, accept_after_);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    ::poll(polled_.data(), polled_.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    std::uint64_t count = 0;
    news_ = ::read(wake_.get(), &count, sizeof count) > 0;
  }

  // ---- one connection: false when it is over

  bool carry_on(Connection& c, Clock::time_point now) {
    if (c.part == Part::head && !read_head(c, now)) return false;
    if (c.part == Part::linger) return now < c.deadline && discard(c, true);
    if (c.part == Part::stream && !discard(c, false)) return false;
    if (!flush(c)) return false;
    if (c.part == Part::answer && c.idle()) {
      ::shutdown(c.fd.get(), SHUT_WR);
      c.part = Part::linger;
      c.deadline = now + kLinger;
      return true;
    }
    if (c.part == Part::stream && c.idle()) {
      if (!c.behind) return true;
      c.behind = false;
      return say(c, news_text_, now);
    }
    return now < c.deadline;
  }

  // Without blocking; false when the client has gone.
  bool read_head(Connection& c, Clock::time_point now) {
    char buffer[4096];
    while (head_size(c.in) == std::string::npos && c.in.size() <= kHeadBytesMax) {
      const ssize_t n = ::recv(c.fd.get(), buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return false;
      c.in.append(buffer, static_cast<std::size_t>(n));
    }
    const std::size_t head = head_size(c.in);
    if (head != std::string::npos) {
      take(c, std::string_view(c.in).substr(0, head), now);
    } else if (c.in.size() > kHeadBytesMax) {
      answer(c, plain(431, "the request's head is too large"), now);
    } else if (now >= c.deadline) {
      answer(c, plain(408, "the request did not arrive in time"), now);
    }
    return true;
  }

  void take(Connection& c, std::string_view head, Clock::time_point now) {
    const auto request = parse_head(head);
    if (!request) return answer(c, plain(request.error().status, request.error().text), now);
    const bool body = request->method != "HEAD";
    Answer reply = handlers_.answer(*request);
    if (!reply.stream || !body) {
      answer(c, head_of(reply.status, reply.type, reply.body.size()), now);
      if (body) c.next = std::move(reply.body);
      return;
    }
    if (streams() >= kStreamsMax) {
      return answer(c, plain(503, "all " + std::to_string(kStreamsMax) + " streams are taken: try again"), now);
    }
    hears_news_ = true;  // before it is told the present state
    answer(c, head_of(200, "text/event-stream", std::nullopt) + "retry: 1000\n\n" + handlers_.news(), now);
    c.part = Part::stream;
    c.deadline = now + kStreamWithin;
  }

  static void answer(Connection& c, std::string bytes, Clock::time_point now) {
    c.in = {};
    c.out = std::move(bytes);
    c.sent = 0;
    c.part = Part::answer;
    c.deadline = now + kAnswerWithin;
  }

  static bool flush(Connection& c) {
    while (!c.idle()) {
      if (c.sent == c.out.size()) {
        c.out = std::exchange(c.next, {});
        c.sent = 0;
      }
      const int flags = c.next.empty() ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_MORE;  // a short answer is one packet
      const ssize_t n = ::send(c.fd.get(), c.out.data() + c.sent, c.out.size() - c.sent, flags);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN;
      c.sent += static_cast<std::size_t>(n);
    }
    c.out = {};
    c.sent = 0;
    return true;
  }

  // What comes after the request. While an answer lingers it is thrown away; on a stream nobody has anything to say.
  static bool discard(Connection& c, bool patient) {
    char buffer[4096];
    const ssize_t n = ::recv(c.fd.get(), buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    return patient && n > 0;
  }

  // ---- all streams

  std::size_t streams() const {
    return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                  [](const Connection& c) { return c.part == Part::stream; }));
  }

  bool say(Connection& c, const std::string& text, Clock::time_point now) {
    c.out = text;
    c.sent = 0;
    c.deadline = now + kStreamWithin;
    return flush(c);
  }

  void tell_streams(bool beat, Clock::time_point now) {
    hears_news_ = streams() > 0;
    if (!hears_news_ || (!news_ && !beat)) return;
    std::string fresh = handlers_.news();
    const bool changed = fresh != news_text_;
    news_text_ = std::move(fresh);
    const std::string sign = beat ? handlers_.beat() : "";
    connections_.remove_if([&](Connection& c) {
      if (c.part != Part::stream) return false;
      if (!c.idle()) {
        c.behind = c.behind || changed;
        return false;
      }
      return (changed || beat) && !say(c, (changed ? news_text_ : "") + sign, now);
    });
  }

  // ---- newcomers

  void accept_all(Clock::time_point now) {
    if (now < accept_after_) return;
    // No more at a time than there are slots: those who are here are served in between.
    for (std::size_t i = 0; i < kConnectionsMax; ++i) {
      Fd fd(::accept4(listen_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN) accept_after_ = now + kNoDescriptors;
        return;
      }
      if (connections_.size() >= kConnectionsMax) make_room();
      set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
      set(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
      Connection fresh;
      fresh.fd = std::move(fd);
      fresh.deadline = now + kHeadWithin;
      connections_.push_back(std::move(fresh));
      if (!carry_on(connections_.back(), now)) connections_.pop_back();
    }
  }

  // There are fewer streams than slots, so there always is one who can go.
  void make_room() {
    const auto oldest = std::find_if(connections_.begin(), connections_.end(),
                                     [](const Connection& c) { return c.part != Part::stream; });
    if (oldest != connections_.end()) connections_.erase(oldest);
  }

  const Handlers handlers_;
  Fd wake_;
  Fd listen_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> hears_news_ = false;  // there is a stream
  std::thread thread_;

  // Of the thread alone.
  std::list<Connection> connections_;  // in the order of their arrival
  std::vector<pollfd> polled_;
  std::string news_text_;  // that the streams were told last
  bool news_ = false;
  Clock::time_point accept_after_{};
};

HttpFront::HttpFront(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpFront::~HttpFront() = default;

Result<std::unique_ptr<HttpFront>> HttpFront::start(const Address& address, Handlers handlers) {
  auto impl = std::make_unique<Impl>(std::move(handlers));
  if (auto error = impl->open(address)) return tl::unexpected(*error);
  return std::unique_ptr<HttpFront>(new HttpFront(std::move(impl)));
}

void HttpFront::news() {
  impl_->news();
}

}  // namespace ringagent
