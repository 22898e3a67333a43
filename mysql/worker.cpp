#include "mysql/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace ringagent {
namespace {

using Clock = std::chrono::steady_clock;

int pidfd_open(std::uint64_t pid) {
  if (pid == 0) return -1;
  return static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
}

tl::unexpected<SqlError> server_error(std::string text) {
  return tl::unexpected<SqlError>(SqlError{SqlErrorKind::server, 0, std::move(text)});
}

// The time that one job may still use.
class Budget {
 public:
  explicit Budget(Duration span) : begin_(Clock::now()), end_(begin_ + span) {}
  Duration left() const { return std::max(Duration{0}, std::chrono::ceil<Duration>(end_ - Clock::now())); }
  Duration used() const { return std::chrono::floor<Duration>(Clock::now() - begin_); }

 private:
  Clock::time_point begin_;
  Clock::time_point end_;
};

}  // namespace

Watch::~Watch() {
  if (fd >= 0) ::close(fd);
  if (pidfd >= 0) ::close(pidfd);
}

// What the worker's thread keeps from job to job: one connection, and what is known of the server behind it.
class Worker::Session {
 public:
  explicit Session(int wake_fd) : wake_fd_(wake_fd) {}

  void use(WorkerSettings settings) {
    settings_ = std::move(settings);
    drop();
  }
  Answer work(const PollJob& job);
  Answer work(const RunJob& job);
  Answer work(const LookJob& job);

 private:
  void drop() {
    client_.reset();
    watch_.reset();
  }
  void drop_after(const SqlError& error);
  SqlResult<void> connected(Duration deadline);
  SqlResult<ServerState> poll(const PollJob& job, const Budget& budget);
  SqlResult<void> ask(Client& client, const Dialect& dialect, const std::vector<Query>& queries, const Budget& budget,
                      ServerState& state);
  SqlResult<void> look(const LookJob& job, const Budget& budget, LookAnswer& answer);

  const int wake_fd_;
  WorkerSettings settings_;
  std::optional<Client> client_;
  std::shared_ptr<Watch> watch_;
  std::optional<Dialect> dialect_;
  std::optional<ServerState> state_;   // of this connection; none before its first survey
  std::optional<ServerState> before_;  // of the connection before it
  Clock::time_point surveyed_{};
  Clock::time_point binlog_asked_{};
};

// A connection that is there, or a new one. The pidfd is opened before the first query: its answer then
// proves that the process behind the pidfd is the server (a number could have been given to another process
// meanwhile).
SqlResult<void> Worker::Session::connected(Duration deadline) {
  if (client_ && client_->usable() && !client_->stale()) return {};
  drop();
  auto client = Client::connect(settings_.local, std::min(deadline, kConnectDeadline), wake_fd_);
  if (!client) return tl::unexpected<SqlError>(std::move(client.error()));
  auto dialect = Dialect::for_server(parse_version(client->server_version()));
  if (!dialect) return server_error(dialect.error().text);
  client_ = std::move(*client);
  dialect_ = std::move(*dialect);
  if (state_) before_ = std::move(state_);
  state_.reset();
  watch_ = std::make_shared<Watch>();
  watch_->fd = ::fcntl(client_->fd(), F_DUPFD_CLOEXEC, 0);
  watch_->pid = client_->peer_pid();
  watch_->pidfd = pidfd_open(watch_->pid);
  return {};
}

// Privileges are those of the moment of the login: what was granted since counts for a new session only.
void Worker::Session::drop_after(const SqlError& error) {
  if (error.kind == SqlErrorKind::denied || !client_ || !client_->usable()) drop();
}

SqlResult<void> Worker::Session::ask(Client& client, const Dialect& dialect, const std::vector<Query>& queries,
                                     const Budget& budget, ServerState& state) {
  for (const Query& query : queries) {
    const auto rows = client.query(query.sql, budget.left());
    if (!rows && query.may_fail && client.usable()) continue;
    if (!rows) return tl::unexpected<SqlError>(rows.error());
    if (const auto read = dialect.absorb(query, *rows, state); !read) return server_error(read.error().text);
  }
  return {};
}

SqlResult<ServerState> Worker::Session::poll(const PollJob& job, const Budget& budget) {
  if (auto ready = connected(budget.left()); !ready) return tl::unexpected<SqlError>(std::move(ready.error()));
  const bool survey = job.survey || !state_ || Clock::now() - surveyed_ >= kSurveyEvery;
  ServerState state = state_.value_or(ServerState{});
  state.pid = watch_->pid;
  // Others start from what is purged here, so it must not be as old as a survey may be.
  const bool binlog = survey || job.purged || Clock::now() - binlog_asked_ >= kBinlogEvery;
  auto queries = dialect_->poll();
  if (binlog) queries.push_back(dialect_->binlog());
  if (survey)
    for (auto& query : dialect_->survey()) queries.push_back(std::move(query));
  else if (binlog && !state.binlog_file.empty())
    queries.push_back(dialect_->glance_purged());
  auto asked = ask(*client_, *dialect_, queries, budget, state);
  if (asked) asked = ask(*client_, *dialect_, dialect_->follow_up(state, survey), budget, state);
  if (!asked) return tl::unexpected<SqlError>(std::move(asked.error()));
  // One start of the server keeps its name and the set it started with, whatever clocks and binlog files do
  // later.
  const auto& known = state_ ? state_ : before_;
  if (known && known->pid == state.pid && known->server_id == state.server_id && same_start(*known, state)) {
    state.started_unix_s = known->started_unix_s;
    state.at_start = known->at_start;
  }
  if (survey) surveyed_ = Clock::now();
  if (binlog) binlog_asked_ = Clock::now();
  state_ = state;
  return state;
}

Answer Worker::Session::work(const PollJob& job) {
  const Budget budget(job.deadline);
  PollAnswer answer{job.ticket, poll(job, budget), {}, nullptr};
  if (answer.result)
    answer.watch = watch_;
  else
    drop_after(answer.result.error());
  answer.took = budget.used();
  return answer;
}

Answer Worker::Session::work(const RunJob& job) {
  const Budget budget(job.statement.deadline + kConnectDeadline);
  RunAnswer answer{job.ticket, connected(kConnectDeadline), {}};
  if (answer.result) {
    if (const auto rows = client_->query(job.statement.sql, job.statement.deadline); !rows) {
      drop_after(rows.error());
      answer.result = tl::unexpected<SqlError>(rows.error());
    }
  }
  answer.took = budget.used();
  return answer;
}

SqlResult<void> Worker::Session::look(const LookJob& job, const Budget& budget, LookAnswer& answer) {
  ConnectSettings settings = settings_.remote;
  settings.socket.clear();
  settings.address = job.address;
  auto client = Client::connect(settings, budget.left(), wake_fd_);
  if (!client) return tl::unexpected<SqlError>(std::move(client.error()));
  const auto dialect = Dialect::for_server(parse_version(client->server_version()));
  if (!dialect) return server_error(dialect.error().text);
  ServerState state;
  if (auto seen = ask(*client, *dialect, {dialect->glance()}, budget, state); !seen) return seen;
  auto purged = ask(*client, *dialect, {dialect->glance_purged()}, budget, state);
  const bool allowed = purged || purged.error().kind != SqlErrorKind::denied;
  if (!purged && allowed) return purged;
  answer.purged_known = allowed;
  answer.result = std::move(state);
  return {};
}

Answer Worker::Session::work(const LookJob& job) {
  const Budget budget(job.deadline);
  LookAnswer answer{job.ticket, job.address, ServerState{}, false, {}};
  if (auto looked = look(job, budget, answer); !looked)
    answer.result = tl::unexpected<SqlError>(std::move(looked.error()));
  answer.took = budget.used();
  return answer;
}

Worker::Worker(WorkerSettings settings, std::function<void(Answer)> done)
    : done_(std::move(done)), wake_fd_(::eventfd(0, EFD_CLOEXEC)), settings_(std::move(settings)), changed_(true) {
  if (wake_fd_ < 0) std::abort();  // no descriptors left at the start: nothing would work
  sigset_t all;
  sigset_t former;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &former);  // the thread inherits this
  thread_ = std::thread([this] { loop(); });
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  ::eventfd_write(wake_fd_, 1);  // ends the running call
  thread_.join();
  ::close(wake_fd_);
}

bool Worker::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= settings_.jobs_max) return false;
    jobs_.push_back(std::move(job));
  }
  work_.notify_one();
  return true;
}

std::size_t Worker::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void Worker::reconfigure(WorkerSettings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
  changed_ = true;
}

bool Worker::next(Job& job, WorkerSettings& settings, bool& changed) {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
  if (stopping_) return false;
  job = std::move(jobs_.front());
  jobs_.pop_front();
  changed = std::exchange(changed_, false);
  if (changed) settings = settings_;
  return true;
}

void Worker::loop() {
  serve();
  Client::leave_thread();
}

void Worker::serve() {
  Session session(wake_fd_);
  Job job;
  WorkerSettings settings;
  bool changed = false;
  while (next(job, settings, changed)) {
    if (changed) {
      ::pthread_setname_np(::pthread_self(), settings.name.substr(0, 15).c_str());
      session.use(settings);
    }
    Answer answer = std::visit([&](const auto& one) { return session.work(one); }, job);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;  // cut short: not an answer of the server
    }
    done_(std::move(answer));
  }
}

}  // namespace ringagent
