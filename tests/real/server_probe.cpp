// mysql/ against real servers: client, worker, dialect and setup as they will be used.
//
// Environment:
//   RINGAGENT_REAL_SOCKET    unix socket of a server to which RINGAGENT_REAL_USER (default root) may log in
//   as an
//                            administrator (RINGAGENT_REAL_PASSWORD, default none)
//   RINGAGENT_REAL_SOCKET_2  of a second one of the same flavour; A becomes a replica of it and then of
//   nothing. RINGAGENT_REAL_STOP=1    the first server's process may be stopped and continued.
// The servers are changed (accounts, links): use throw-away ones.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
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
namespace {

using Clock = std::chrono::steady_clock;

std::string environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

ConnectSettings admin(const char* variable = "RINGAGENT_REAL_SOCKET") {
  ConnectSettings settings;
  settings.socket = environment(variable);
  settings.user = environment("RINGAGENT_REAL_USER", "root");
  settings.password = environment("RINGAGENT_REAL_PASSWORD");
  REQUIRE_MESSAGE(!settings.socket.empty(), variable);
  return settings;
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

Dialect dialect_of(const ServerState& state) {
  auto dialect = Dialect::for_server(state.version);
  REQUIRE(dialect);
  return *dialect;
}

Statement just(std::string sql, Duration deadline = 5s) {
  return {sql, sql, "test", deadline};
}

bool readable(int fd, int wait_ms) {
  pollfd one{fd, POLLIN | POLLRDHUP, 0};
  return ::poll(&one, 1, wait_ms) > 0;
}

Duration process_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) { return t.tv_sec * 1'000'000 + t.tv_usec; };
  return Duration(us(usage.ru_utime) + us(usage.ru_stime));
}

AccountSettings accounts() {
  AccountSettings settings;
  settings.password = "it's \\ \"a\" secret";
  settings.replication_password = "r'epl\\word";
  settings.replication_host = "127.0.0.1";
  return settings;
}

void create_accounts(const char* socket) {
  Asker asker(admin(socket));
  asker.run(just("SET GLOBAL read_only = 0"));
  const auto statements = account_statements(asker.state().version, accounts());
  REQUIRE(statements);
  asker.run_all(*statements);
}

ConnectSettings agent_account(const char* socket) {
  ConnectSettings settings = admin(socket);
  settings.user = accounts().user;
  settings.password = accounts().password;
  return settings;
}

ConnectSettings replication_account() {
  ConnectSettings settings;
  settings.user = accounts().replication_user;
  settings.password = accounts().replication_password;
  return settings;
}

LinkSettings link_settings(TlsMode tls) {
  LinkSettings settings;
  settings.user = accounts().replication_user;
  settings.password = accounts().replication_password;
  settings.tls = tls;
  return settings;
}

constexpr const char* kA = "RINGAGENT_REAL_SOCKET";
constexpr const char* kB = "RINGAGENT_REAL_SOCKET_2";

}  // namespace

TEST_CASE("real: a poll tells who the server is, and keeps its connection") {
  Asker asker(admin());
  const auto first = asker.poll();
  REQUIRE_MESSAGE(first.result.has_value(), first.result.error().text);
  const ServerState& state = *first.result;
  MESSAGE(state.version.text << " id " << state.server_id << " uuid " << state.server_uuid << " port " << state.port
                             << " pid " << state.pid << " up " << state.uptime_s << " executed " << state.executed
                             << " purged " << state.purged << " at_start " << state.at_start << " binlog "
                             << state.binlog_file << ":" << state.binlog_pos << " variables "
                             << state.variables.size());
  CHECK(state.version.flavor != Flavor::unknown);
  CHECK(state.server_id > 0);
  CHECK(state.port > 0);
  CHECK(state.pid > 1);
  CHECK(state.started_unix_s > 1'600'000'000);
  CHECK(!state.binlog_file.empty());
  CHECK(GtidSet::parse(state.version.flavor, state.executed));
  CHECK(GtidSet::parse(state.version.flavor, state.at_start));
  CHECK(state.variable("log_bin"));
  REQUIRE(first.watch);
  CHECK(first.watch->fd >= 0);
  CHECK(first.watch->pidfd >= 0);
  CHECK(!readable(first.watch->pidfd, 0));
  const auto second = asker.poll();
  REQUIRE(second.result);
  CHECK(second.watch == first.watch);
  CHECK(second.result->started_unix_s == state.started_unix_s);
}

TEST_CASE("real: what a poll costs") {
  Asker asker(admin());
  asker.state();
  std::vector<Duration> took;
  const Duration before = process_time();
  for (int i = 0; i < 500; ++i) took.push_back(asker.poll().took);
  const Duration cpu = (process_time() - before) / 500;
  std::sort(took.begin(), took.end());
  const auto survey = asker.poll(true);
  MESSAGE("poll median " << took[250].count() << " us, p99 " << took[495].count() << " us, own CPU " << cpu.count()
                         << " us; survey " << survey.took.count() << " us");
  CHECK(took[250] < 50ms);  // 0.1 to 0.3 ms on an idle machine
}

TEST_CASE("real: a killed session is seen on the watched descriptor, and the next poll connects anew") {
  Asker asker(admin());
  const auto first = asker.poll();
  REQUIRE(first.result);
  auto killer = Client::connect(admin(), 2s);
  REQUIRE(killer);
  const auto list = killer->query("SHOW PROCESSLIST", 2s);
  REQUIRE(list);
  for (std::size_t i = 0; i < list->rows.size(); ++i)
    if (const auto id = list->text(i, {"Id"}); id != std::to_string(killer->connection_id()))
      killer->query("KILL " + id, 2s);
  CHECK(readable(first.watch->fd, 2000));
  CHECK(!readable(first.watch->pidfd, 0));
  const auto second = asker.poll();
  REQUIRE(second.result);
  CHECK(second.watch != first.watch);
  CHECK(second.result->started_unix_s == first.result->started_unix_s);
}

TEST_CASE("real: a statement past its deadline is cut, exactly, and says that it may still take effect") {
  Asker asker(admin());
  const auto slow = asker.run(just("DO SLEEP(3)", 250ms));
  REQUIRE(!slow.result);
  CHECK(slow.result.error().kind == SqlErrorKind::timeout);
  CHECK(slow.took >= 250ms);
  CHECK(slow.took < 600ms);
  CHECK(asker.run(just("DO 1")).result.has_value());
  const auto wrong = asker.run(just("NONSENSE"));
  REQUIRE(!wrong.result);
  CHECK(wrong.result.error().kind == SqlErrorKind::server);
  CHECK(wrong.result.error().number == 1064);
}

TEST_CASE("real: a wrong password is denied, not down") {
  ConnectSettings settings = admin();
  settings.user = "nobody_at_all";
  settings.password = "wrong";
  const auto client = Client::connect(settings, 2s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::denied);
  CHECK(client.error().number == 1045);
}

TEST_CASE("real: the accounts of setup may do what the agent does, and nothing more") {
  create_accounts(kA);
  Asker agent(agent_account(kA));
  const ServerState state = agent.state();
  const Dialect dialect = dialect_of(state);
  CHECK(agent.poll(true).result.has_value());
  agent.run_all(dialect.set_read_only());
  CHECK(agent.state().read_only);
  const std::string before = agent.state().executed;
  agent.run_all(dialect.lift_read_only());
  CHECK(!agent.state().read_only);
  CHECK(!agent.state().super_read_only);
  CHECK(agent.state().executed == before);
  agent.run_all(dialect.prime());
  const auto now = GtidSet::parse(state.version.flavor, agent.state().executed);
  REQUIRE(now);
  if (state.version.flavor == Flavor::mariadb) {
    CHECK(now->subtract(*GtidSet::parse(state.version.flavor, before)).count() == 1);
    const auto domains = now->domains();
    CHECK(std::count(domains.begin(), domains.end(), state.domain_id) == 1);
  }
  const auto forbidden = agent.run(just("CREATE DATABASE forbidden"));
  REQUIRE(!forbidden.result);
  CHECK(forbidden.result.error().kind == SqlErrorKind::denied);
}

TEST_CASE("real: a look with the replication account") {
  create_accounts(kA);
  Asker asker(admin(), replication_account());
  const ServerState state = asker.state();
  const Address address{"127.0.0.1", static_cast<std::uint16_t>(state.port)};
  const auto seen = asker.ask<LookAnswer>(LookJob{3, address, 2s});
  REQUIRE_MESSAGE(seen.result.has_value(), seen.result.error().text);
  MESSAGE("a look takes " << seen.took.count() << " us");
  CHECK(seen.result->server_id == state.server_id);
  CHECK(seen.result->server_uuid == state.server_uuid);
  CHECK(seen.result->executed == state.executed);
  CHECK(seen.purged_known);
  CHECK(seen.result->purged == state.purged);
}

TEST_CASE("real: TLS, as far as the server can") {
  create_accounts(kA);
  ConnectSettings settings = replication_account();
  settings.address = {"127.0.0.1", static_cast<std::uint16_t>(Asker(admin()).state().port)};
  settings.tls = TlsMode::required;
  auto client = Client::connect(settings, 3s);
  if (!client) {
    MESSAGE("no TLS here: " << client.error().text << " " << std::string(to_string(client.error().kind)));
    CHECK(client.error().kind == SqlErrorKind::denied);
    return;
  }
  const auto cipher = client->query("SHOW SESSION STATUS LIKE 'Ssl_cipher'", 2s);
  REQUIRE(cipher);
  CHECK(!cipher->text(0, {"Value"}).empty());
  const auto slow = client->query("DO SLEEP(3)", 200ms);
  REQUIRE(!slow);
  CHECK(slow.error().kind == SqlErrorKind::timeout);
  settings.tls = TlsMode::verify_ca;
  if (const std::string right = environment("RINGAGENT_REAL_CA"); !right.empty()) {
    settings.ca_file = right;
    client = Client::connect(settings, 3s);
    CHECK_MESSAGE(client.has_value(), client.error().text);
  }
  settings.ca_file = environment("RINGAGENT_REAL_WRONG_CA", "/etc/hostname");
  client = Client::connect(settings, 3s);
  REQUIRE(!client);
  CHECK(client.error().kind == SqlErrorKind::denied);
  MESSAGE("a wrong CA: " << client.error().text);
}

TEST_CASE("real: a link is created, stopped, repointed and lifted again") {
  create_accounts(kA);
  create_accounts(kB);
  Asker a(agent_account(kA));
  Asker b(agent_account(kB));
  Asker root_a(admin(kA));
  const ServerState there = b.state();
  const Dialect dialect = dialect_of(there);
  const Flavor flavor = there.version.flavor;
  const bool maria = flavor == Flavor::mariadb;
  const char* stop = maria ? "STOP SLAVE" : "STOP REPLICA";
  root_a.run(just(stop));
  root_a.run(just(maria ? "RESET SLAVE ALL" : "RESET REPLICA ALL"));
  CHECK(a.state().links.empty());

  const Address nowhere{"127.0.0.1", 9};
  const Address source{"127.0.0.1", static_cast<std::uint16_t>(there.port)};
  auto plan = dialect.create_link(nowhere, link_settings(TlsMode::off));
  REQUIRE(plan);
  a.run_all(*plan);
  ServerState now = a.until([](const ServerState& s) { return s.link() && s.link()->io_errno != 0; }, "2003");
  CHECK(now.link()->io == IoState::connecting);
  CHECK(now.link()->io_errno == 2003);
  CHECK(now.link()->uses_gtid);
  CHECK(now.link()->heartbeat_period_ms == 500);
  CHECK(now.link()->connect_retry_s == 1);
  const std::string quiet = now.link()->progress;
  const auto until = Clock::now() + 2500ms;
  while (Clock::now() < until) CHECK(a.state().link()->progress == quiet);  // attempts are no signs of life
  const Link created = *now.link();

  plan = dialect.repoint(created, source);
  REQUIRE(plan);
  a.run_all(*plan);
  const auto runs = [](const ServerState& s) { return s.link()->io == IoState::running && s.link()->sql_running; };
  now = a.until(runs, "the link runs");
  CHECK(now.link()->source == source);
  CHECK(now.link()->tls == created.tls);
  CHECK(now.link()->heartbeat_period_ms == created.heartbeat_period_ms);
  CHECK(now.link()->user == created.user);
  const std::string heard = now.link()->progress;
  a.until([&](const ServerState& s) { return s.link()->progress != heard; }, "a heartbeat");

  Asker root_b(admin(kB));
  root_b.run_all({just("CREATE DATABASE IF NOT EXISTS probe"),
                  just("CREATE TABLE IF NOT EXISTS probe.t (a INT PRIMARY KEY)"),
                  just("REPLACE INTO probe.t VALUES (1)")});
  const auto wanted = GtidSet::parse(flavor, b.state().executed);
  REQUIRE(wanted);
  now = a.until([&](const ServerState& s) { return GtidSet::parse(flavor, s.executed)->contains(*wanted); }, "data");
  now = a.until([&](const ServerState& s) { return s.link()->drained_exact && s.link()->drained_idle; }, "drained");
  for (const auto& finding : preconditions(now, {{}, {}, 2}))
    MESSAGE(std::string(finding.severity == Finding::Severity::error ? "error " : "warning ")
            << finding.code << ": " << finding.text);

  plan = dialect.adjust_link(*now.link(), link_settings(TlsMode::off));
  REQUIRE(plan);
  a.run_all(*plan);
  a.until(runs, "the link runs with a changed account");
  a.run_all(dialect.stop_receiving());
  CHECK(a.state().link()->io == IoState::stopped);
  CHECK(a.state().link()->sql_running == !maria);
  plan = dialect.repoint(*a.state().link(), source);
  REQUIRE(plan);
  a.run_all(*plan);
  a.until(runs, "the link runs again");
  a.run_all(dialect.stop_link());
  CHECK(a.state().link()->io == IoState::stopped);
  CHECK(!a.state().link()->sql_running);
  plan = dialect.repoint(*a.state().link(), source);  // both threads stopped, as after a start of the server
  REQUIRE(plan);
  a.run_all(*plan);
  a.until(runs, "the link runs after a full stop");

  // A row that is there already stops the applier: the transaction is named.
  root_a.run_all({just("SET SESSION sql_log_bin = 0"), just("REPLACE INTO probe.t VALUES (2)"),
                  just("SET SESSION sql_log_bin = 1")});
  root_b.run_all({just("SET SESSION sql_log_bin = 0"), just("DELETE FROM probe.t WHERE a = 2"),
                  just("SET SESSION sql_log_bin = 1"), just("INSERT INTO probe.t VALUES (2)")});
  now = a.until([](const ServerState& s) { return s.link()->sql_errno != 0; }, "1062");
  CHECK(now.link()->sql_errno == 1062);
  const auto stands_on = GtidSet::parse(flavor, now.link()->sql_transaction);
  MESSAGE(now.link()->sql_transaction << ": " << now.link()->sql_error);
  REQUIRE(stands_on);
  CHECK(!stands_on->empty());
  if (!maria) CHECK(!dialect.repoint(*now.link(), source));
  root_a.run_all({just("SET SESSION sql_log_bin = 0"), just("DELETE FROM probe.t WHERE a = 2"),
                  just("SET SESSION sql_log_bin = 1")});
  a.run_all(dialect.start_link());
  now = a.until(runs, "the link runs after the mend");
  CHECK(a.state().link()->sql_transaction.empty());
  a.run_all(dialect.stop_link());
}

TEST_CASE("real: read_only waits behind LOCK TABLES for two seconds and no longer") {
  Asker asker(admin());
  const Dialect dialect = dialect_of(asker.state());
  auto holder = Client::connect(admin(), 2s);
  REQUIRE(holder);
  REQUIRE(holder->query("CREATE DATABASE IF NOT EXISTS probe", 2s));
  REQUIRE(holder->query("CREATE TABLE IF NOT EXISTS probe.held (a INT)", 2s));
  REQUIRE(holder->query("LOCK TABLES probe.held WRITE", 2s));
  std::vector<RunAnswer> answers;
  for (const Statement& statement : dialect.set_read_only()) answers.push_back(asker.run(statement));
  MESSAGE(answers.back().took.count() << " us; "
                                      << (answers.back().result ? "done" : answers.back().result.error().text));
  CHECK(answers.back().took < 3100ms);
  if (!answers.back().result) CHECK(answers.back().result.error().number == 1205);
  CHECK(asker.poll().result.has_value());
  REQUIRE(holder->query("UNLOCK TABLES", 2s));
  asker.run_all(dialect.lift_read_only());
  CHECK(!asker.state().read_only);
}

TEST_CASE("real: under FLUSH TABLES WITH READ LOCK the server is looked at as ever") {
  Asker asker(admin());
  auto holder = Client::connect(admin(), 2s);
  REQUIRE(holder);
  REQUIRE(holder->query("FLUSH TABLES WITH READ LOCK", 5s));
  const auto answer = asker.poll(true);
  CHECK(answer.result.has_value());
  CHECK(answer.took < 1s);
  REQUIRE(holder->query("UNLOCK TABLES", 2s));
}

TEST_CASE("real: a STOP that waits for a row lock is cut, hinders no poll, and takes effect later") {
  create_accounts(kA);
  create_accounts(kB);
  Asker watch(agent_account(kA));
  Asker act(agent_account(kA));
  Asker root_b(admin(kB));
  const Dialect dialect = dialect_of(watch.state());
  const auto plan =
      dialect.create_link({"127.0.0.1", static_cast<std::uint16_t>(root_b.state().port)}, link_settings(TlsMode::off));
  REQUIRE(plan);
  act.run_all(dialect.stop_link());
  act.run_all(*plan);
  root_b.run_all({just("CREATE DATABASE IF NOT EXISTS probe"),
                  just("CREATE TABLE IF NOT EXISTS probe.l (a INT PRIMARY KEY, b INT)"),
                  just("REPLACE INTO probe.l VALUES (1, 0)")});
  const auto caught_up = [&](const ServerState& s) {
    const Flavor flavor = s.version.flavor;
    return GtidSet::parse(flavor, s.executed)->contains(*GtidSet::parse(flavor, root_b.state().executed));
  };
  watch.until(caught_up, "caught up");
  auto holder = Client::connect(admin(), 2s);
  REQUIRE(holder);
  REQUIRE(holder->query("SET SESSION autocommit = 0", 2s));
  REQUIRE(holder->query("SELECT b FROM probe.l WHERE a = 1 FOR UPDATE", 2s));
  root_b.run_all({just("UPDATE probe.l SET b = b + 1 WHERE a = 1")});
  watch.until([](const ServerState& s) { return !s.link()->drained_exact; }, "the applier waits for the row");

  // Both threads, however long it takes: the act of a person would be no different.
  Statement stop = dialect.stop_link().back();
  stop.deadline = 700ms;
  const auto cut = act.run(stop);
  REQUIRE(!cut.result);
  CHECK(cut.result.error().kind == SqlErrorKind::timeout);
  CHECK(cut.took < 1s);
  for (int i = 0; i < 20; ++i) {
    const auto look = watch.poll(true);
    REQUIRE(look.result);
    CHECK(look.took < 500ms);
  }
  CHECK(watch.state().link()->sql_running);
  REQUIRE(holder->query("ROLLBACK", 2s));
  watch.until([](const ServerState& s) { return !s.link()->sql_running; }, "the stop takes effect");
  act.run_all(dialect.start_link());
  watch.until(caught_up, "the update arrives");
  act.run_all(dialect.stop_link());
}

TEST_CASE("real: priming is harmless on a replica, and under read_only") {
  create_accounts(kA);
  create_accounts(kB);
  Asker a(agent_account(kA));
  Asker b(agent_account(kB));
  const Dialect dialect = dialect_of(b.state());
  if (dialect.prime().empty()) return;
  b.run_all(dialect.set_read_only());
  b.run_all(dialect.prime());
  b.run_all(dialect.lift_read_only());
  const Address source{"127.0.0.1", static_cast<std::uint16_t>(b.state().port)};
  const auto plan = dialect.create_link(source, link_settings(TlsMode::off));
  REQUIRE(plan);
  a.run_all(dialect.stop_link());
  a.run_all(*plan);
  const auto wanted = GtidSet::parse(Flavor::mariadb, b.state().executed);
  REQUIRE(wanted);
  const ServerState now = a.until(
      [&](const ServerState& s) { return GtidSet::parse(Flavor::mariadb, s.executed)->contains(*wanted); }, "primed");
  CHECK(now.link()->sql_errno == 0);
  a.run_all(dialect.stop_link());
}

TEST_CASE("real: a stopped server is hung, not down; nothing waits for it longer than it said") {
  if (environment("RINGAGENT_REAL_STOP") != "1") return;
  Asker asker(admin());
  const auto first = asker.poll();
  REQUIRE(first.result);
  const pid_t pid = static_cast<pid_t>(first.result->pid);
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  const auto hung = asker.ask<PollAnswer>(PollJob{4, false, 300ms});
  const auto again = asker.ask<PollAnswer>(PollJob{5, false, 300ms});
  const auto begin = Clock::now();
  {
    Worker(WorkerSettings{"cut", admin(), {}, 4}, [](Answer) {}).submit(PollJob{6, false, 60s});
  }
  const auto destroyed = Clock::now() - begin;
  ::kill(pid, SIGCONT);
  REQUIRE(!hung.result);
  CHECK(hung.result.error().kind == SqlErrorKind::timeout);
  CHECK(hung.took < 400ms);
  REQUIRE(!again.result);
  CHECK(again.result.error().kind == SqlErrorKind::unreachable);
  CHECK(again.took < 400ms);
  CHECK(!readable(first.watch->pidfd, 0));
  CHECK(destroyed < 200ms);
  CHECK(asker.poll().result.has_value());
}

}  // namespace ringagent
