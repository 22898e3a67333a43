#pragma once

// What the tests of mysql/ against real servers share: logins, and a worker whose answers are waited for.

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "mysql/gtid.h"
#include "mysql/preconditions.h"
#include "mysql/setup.h"
#include "mysql/worker.h"

namespace ringagent {

using Clock = std::chrono::steady_clock;

inline std::string environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

inline ConnectSettings admin(const char* variable = "RINGAGENT_REAL_SOCKET") {
  ConnectSettings settings;
  settings.socket = environment(variable);
  settings.user = environment("RINGAGENT_REAL_USER", "root");
  settings.password = environment("RINGAGENT_REAL_PASSWORD");
  REQUIRE_MESSAGE(!settings.socket.empty(), variable);
  return settings;
}

// Where they listen.
inline Address first_server(const ServerState& state) {
  return {environment("RINGAGENT_REAL_HOST", "127.0.0.1"), static_cast<std::uint16_t>(state.port)};
}
inline Address second_server(const ServerState& state) {
  return {environment("RINGAGENT_REAL_HOST_2", "127.0.0.1"), static_cast<std::uint16_t>(state.port)};
}

// A worker whose answers are waited for one by one.
class Asker {
 public:
  explicit Asker(const ConnectSettings& local, const ConnectSettings& remote = {})
      : worker_(WorkerSettings{"probe", local, remote, 64}, [this](Answer answer) {
          const std::lock_guard lock(mutex_);
          answers_.push_back(std::move(answer));
          changed_.notify_all();
        }) {}
  template <class Kind>
  Kind ask(Job job) {
    std::unique_lock lock(mutex_);
    REQUIRE(worker_.submit(std::move(job)));
    REQUIRE(changed_.wait_for(lock, 90s, [&] { return !answers_.empty(); }));
    Kind answer = std::get<Kind>(std::move(answers_.front()));
    answers_.pop_front();
    return answer;
  }
  PollAnswer poll(bool survey = false) { return ask<PollAnswer>(PollJob{1, survey}); }
  ServerState state() {
    auto answer = poll();
    REQUIRE_MESSAGE(answer.result.has_value(), answer.result.error().text);
    return *answer.result;
  }
  RunAnswer run(const Statement& statement) { return ask<RunAnswer>(RunJob{2, statement}); }
  void run_all(const std::vector<Statement>& plan) {
    for (const Statement& statement : plan) {
      const auto answer = run(statement);
      CHECK_MESSAGE(answer.result.has_value(), statement.shown << ": " << answer.result.error().text);
      if (answer.result) MESSAGE(statement.shown << ": " << answer.took.count() << " us");
    }
  }
  template <class Condition>
  ServerState until(Condition condition, const std::string& what) {
    const auto end = Clock::now() + 20s;
    while (true) {
      ServerState now = state();
      if (condition(now)) return now;
      REQUIRE_MESSAGE(Clock::now() < end, what << "; io: " << (now.link() ? now.link()->io_error : "no link")
                                               << "; sql: " << (now.link() ? now.link()->sql_error : ""));
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> answers_;
  Worker worker_;
};

inline Dialect dialect_of(const ServerState& state) {
  auto dialect = Dialect::for_server(state.version);
  REQUIRE(dialect);
  return *dialect;
}

inline Statement just(const std::string& sql, Duration deadline = 5s) {
  return {sql, sql, "test", deadline};
}

inline bool readable(int fd, int wait_ms) {
  pollfd one{fd, POLLIN | POLLRDHUP, 0};
  return ::poll(&one, 1, wait_ms) > 0;
}

inline Duration process_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) { return t.tv_sec * 1'000'000 + t.tv_usec; };
  return Duration(us(usage.ru_utime) + us(usage.ru_stime));
}

inline AccountSettings accounts() {
  AccountSettings settings;
  settings.password = "it's \\ \"a\" secret";
  settings.replication_password = "r'epl\\word";
  settings.replication_host = "127.0.0.1";
  return settings;
}

inline void create_accounts(const char* socket) {
  Asker asker(admin(socket));
  asker.run(just("SET GLOBAL read_only = 0"));
  const auto statements = account_statements(asker.state().version, accounts());
  REQUIRE(statements);
  asker.run_all(*statements);
}

inline ConnectSettings agent_account(const char* socket) {
  ConnectSettings settings = admin(socket);
  settings.user = accounts().user;
  settings.password = accounts().password;
  return settings;
}

inline ConnectSettings replication_account() {
  ConnectSettings settings;
  settings.user = accounts().replication_user;
  settings.password = accounts().replication_password;
  return settings;
}

inline LinkSettings link_settings(TlsMode tls) {
  LinkSettings settings;
  settings.user = accounts().replication_user;
  settings.password = accounts().replication_password;
  settings.tls = tls;
  return settings;
}

inline constexpr const char* kA = "RINGAGENT_REAL_SOCKET";
inline constexpr const char* kB = "RINGAGENT_REAL_SOCKET_2";

}  // namespace ringagent
