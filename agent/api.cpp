#include "agent/api.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "agent/http_front.h"
#include "agent/http_host.h"
#include "agent/json_read.h"
#include "agent/routes.h"

namespace ringagent {
namespace {

using json_read::Json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kSocketThreads = 4;
constexpr std::size_t kConnectionsMax = 16;
constexpr std::size_t kCommandsMax = 2;
constexpr std::size_t kBodyBytesMax = 64 * 1024;
constexpr time_t kIoSeconds = 2;
constexpr auto kCommandWait = std::chrono::seconds(30);
constexpr Duration kCommandTimeout = 35s;

// httplib's pool with a bound: while it is full the accepting thread waits, and the kernel's backlog says no.
class BoundedPool : public httplib::TaskQueue {
 public:
  explicit BoundedPool(std::size_t threads) : pool_(threads) {}

  void enqueue(std::function<void()> job) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return taken_ < kConnectionsMax; });
    ++taken_;
    lock.unlock();
    pool_.enqueue([this, run = std::move(job)] {
      run();
      const std::lock_guard done(mutex_);
      --taken_;
      room_.notify_one();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  httplib::ThreadPool pool_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t taken_ = 0;
};

std::string reason() {
  return std::strerror(errno);
}

// "": it has none.
std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// Makes room for a socket at `path`: nothing there, or what a dead agent left.
std::optional<Error> clear_the_way(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    return Error{"socket path is longer than " + std::to_string(sizeof address.sun_path - 1) + " bytes: " + path};
  }
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return Error{"cannot look at " + path + ": " + reason()};
  }
  if (!S_ISSOCK(st.st_mode)) return Error{path + " is in the way and no socket: move it, or choose another `socket`"};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Error{"cannot make a socket: " + reason()};
  const bool answered = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int why = errno;
  ::close(fd);
  if (answered || why == EAGAIN) {
    return Error{"an agent is running behind " + path + ": stop it first, or choose another `socket`"};
  }
  if (why != ECONNREFUSED) return Error{"cannot tell who is behind " + path + ": " + std::strerror(why)};
  if (::unlink(path.c_str()) != 0) return Error{"cannot remove the old socket " + path + ": " + reason()};
  return std::nullopt;
}

Json reply_json(const Reply& reply) {
  return {{"ok", reply.ok}, {"text", reply.text}};
}

}  // namespace

// ---------------------------------------------------------------- the server

class Api::Impl {
 public:
  Impl(ApiSettings settings, const History& history, Post post)
      : settings_(std::move(settings)), history_(history), post_(std::move(post)), names_(settings_.names) {
    names_.push_back(settings_.http.host);
    names_.push_back(host_name());
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    replied_.notify_all();
    front_.reset();
    if (thread_.joinable()) {
      server_.stop();
      thread_.join();
    }
    struct stat st {};
    if (inode_ != 0 && ::lstat(settings_.socket.c_str(), &st) == 0 && st.st_ino == inode_) {
      ::unlink(settings_.socket.c_str());
    }
  }

  std::optional<Error> open() {
    if (auto error = clear_the_way(settings_.socket)) return error;
    prepare();
    const mode_t former = ::umask(0117);  // 0660 from the first moment on
    const bool bound = server_.bind_to_port(settings_.socket, 1);
    const std::string why = reason();
    ::umask(former);
    if (!bound) return Error{"cannot listen on " + settings_.socket + ": " + why};
    struct stat st {};
    if (::lstat(settings_.socket.c_str(), &st) == 0) inode_ = st.st_ino;
    if (!settings_.http.empty()) {
      auto front = HttpFront::start(settings_.http, {[this](const HttpRequest& request) { return answer(request); },
                                                     [this] { return news_event(context(false)); },
                                                     [this] { return beat_event(context(false)); }});
      if (!front) return front.error();
      front_ = std::move(*front);
    }
    serve();
    return std::nullopt;
  }

  void publish(std::shared_ptr<const Snapshot> snapshot) {
    {
      const std::lock_guard lock(mutex_);
      snapshot_ = std::move(snapshot);
      published_ = Clock::now();
    }
    if (front_) front_->news();
  }

  void reply(Reply reply) {
    const std::lock_guard lock(mutex_);
    const auto it = waiting_.find(reply.id);
    if (it == waiting_.end()) return;
    it->second = std::move(reply);
    replied_.notify_all();
  }

 private:
  static bool reads(const std::string& method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

  // HAProxy's bare `option httpchk` asks OPTIONS /.
  static std::string path_of(const std::string& method, const std::string& path) {
    return method == "OPTIONS" && path == "/" ? "/health" : path;
  }

  HttpFront::Answer answer(const HttpRequest& request) const {
    if (!host_accepted(request.host, names_)) {
      return {
          421, HttpAnswer{}.type,
          "this agent does not go by the name in the Host header: ask for its address, its host name, or the name in "
          "[http] listen\n"};
    }
    if (!reads(request.method)) {
      return {405, HttpAnswer{}.type, "this address only reads; commands go through the unix socket\n"};
    }
    HttpAnswer out = answer_get(path_of(request.method, request.path), request.parameters, context(false));
    return {out.status, std::move(out.type), std::move(out.body), out.stream};
  }

  void prepare() {
    server_.set_address_family(AF_UNIX);
    server_.new_task_queue = [] { return new BoundedPool(kSocketThreads); };
    server_.set_keep_alive_max_count(1);
    server_.set_keep_alive_timeout(kIoSeconds);
    server_.set_read_timeout(kIoSeconds);
    server_.set_write_timeout(kIoSeconds);
    server_.set_payload_max_length(kBodyBytesMax);
    server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      if (request.method == "POST") return httplib::Server::HandlerResponse::Unhandled;
      if (reads(request.method)) {
        const HttpAnswer out = answer_get(path_of(request.method, request.path), request.params, context(true));
        response.status = out.status;
        response.set_content(out.body, out.type);
      } else {
        response.status = 405;
        response.set_content("questions are GET, commands are POST /command\n", "text/plain");
      }
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.Post("/command", [this](const httplib::Request& request, httplib::Response& response) {
      const auto [status, reply] = run(request.body);
      response.status = status;
      response.set_content(reply_json(reply).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                           "application/json");
    });
  }

  void serve() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() is lost on a server that does not run yet.
    while (!server_.is_running()) std::this_thread::yield();
  }

  RouteContext context(bool local) const {
    const std::lock_guard lock(mutex_);
    const auto age = std::chrono::duration_cast<Duration>(Clock::now() - published_);
    return {snapshot_, age, &history_, local};
  }

  // {"name": "order", "args": {"node": ["db1", "db2"]}} -> the loop's Reply.
  std::pair<int, Reply> run(const std::string& body) {
    const Json json = Json::parse(body, nullptr, false);
    Command command;
    if (json.is_object()) command.name = json_read::str(json, "name");
    if (command.name.empty()) return {400, {0, false, R"(expected {"name": "...", "args": {...}})"}};
    // Not `leaving`: that one belongs to the daemon's own end.
    if (command.name == "leaving") return {400, {0, false, "this agent does not know the command leaving"}};
    if (const auto args = json.find("args"); args != json.end() && args->is_object()) {
      for (const auto& [key, value] : args->items()) {
        for (const auto& one : value.is_array() ? value : Json::array({value})) {
          if (!one.is_string()) return {400, {0, false, "the argument `" + key + "` is not a string"}};
          command.arguments.emplace_back(key, one.get<std::string>());
        }
      }
    }
    std::unique_lock lock(mutex_);
    if (waiting_.size() >= kCommandsMax) return {503, {0, false, "other commands are still waiting: try again"}};
    const std::uint64_t id = command.id = ++last_id_;
    waiting_.emplace(id, std::nullopt);
    lock.unlock();
    post_(std::move(command));
    lock.lock();
    replied_.wait_for(lock, kCommandWait, [&] { return closing_ || waiting_.at(id).has_value(); });
    const std::optional<Reply> reply = std::move(waiting_.at(id));
    waiting_.erase(id);
    if (reply) return {200, *reply};
    return {504, {id, false, "no answer within 30 s: outcome unknown, look at `ringagent status`"}};
  }

  const ApiSettings settings_;
  const History& history_;
  const Post post_;
  std::vector<std::string> names_;
  httplib::Server server_;  // behind the unix socket
  std::thread thread_;
  std::unique_ptr<HttpFront> front_;  // TCP
  ino_t inode_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable replied_;
  std::shared_ptr<const Snapshot> snapshot_;
  Clock::time_point published_ = Clock::now();
  std::map<std::uint64_t, std::optional<Reply>> waiting_;
  std::uint64_t last_id_ = 0;
  bool closing_ = false;
};

Api::Api(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Api::~Api() = default;

Result<std::unique_ptr<Api>> Api::start(ApiSettings settings, const History& history, Post post) {
  auto impl = std::make_unique<Impl>(std::move(settings), history, std::move(post));
  if (auto error = impl->open()) return tl::unexpected(*error);
  return std::unique_ptr<Api>(new Api(std::move(impl)));
}

void Api::publish(std::shared_ptr<const Snapshot> snapshot) {
  impl_->publish(std::move(snapshot));
}
void Api::reply(Reply reply) {
  impl_->reply(std::move(reply));
}

// ---------------------------------------------------------------- the client

namespace {

httplib::Client client(const std::string& socket, Duration timeout) {
  httplib::Client out(socket, 1);
  out.set_address_family(AF_UNIX);
  out.set_connection_timeout(2);
  out.set_read_timeout(timeout);
  out.set_write_timeout(kIoSeconds);
  return out;
}

Error unreachable(const std::string& socket, httplib::Error error) {
  if (::access(socket.c_str(), F_OK) != 0) {
    return Error{"no agent answers: " + socket + ": " + reason() +
                 " (is ringagent running? --socket or --config choose it)"};
  }
  if (::access(socket.c_str(), W_OK) != 0) {
    return Error{"may not talk to the agent: " + socket + ": " + reason() +
                 " (run it as root or in the group ringagent)"};
  }
  if (error == httplib::Error::Connection) {
    return Error{"no agent answers at " + socket +
                 ": nothing listens there (is ringagent running? --socket or --config choose it)"};
  }
  return Error{"no agent answers at " + socket + ": " + httplib::to_string(error) +
               " (is that ringagent's socket? --socket or --config choose it)"};
}

}  // namespace

Result<ApiClient::Answer> ApiClient::get(const std::string& path, Duration timeout) const {
  auto http = client(socket_, timeout);
  const auto result = http.Get(path);
  if (!result) return tl::unexpected(unreachable(socket_, result.error()));
  return Answer{result->status, result->body};
}

Result<ApiClient::Outcome> ApiClient::command(const std::string& name,
                                              const std::vector<std::pair<std::string, std::string>>& arguments) const {
  Json args = Json::object();
  for (const auto& [key, value] : arguments) args[key].push_back(value);
  const Json request = {{"name", name}, {"args", args}};
  auto http = client(socket_, kCommandTimeout);
  const auto result = http.Post("/command", request.dump(), "application/json");
  if (!result) return tl::unexpected(unreachable(socket_, result.error()));
  const Json answer = Json::parse(result->body, nullptr, false);
  if (!answer.is_object()) return fail("the agent's answer to `" + name + "` is not a JSON object");
  return Outcome{json_read::flag(answer, "ok"), json_read::str(answer, "text")};
}

}  // namespace ringagent
