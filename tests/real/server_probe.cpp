// mysql/ against real servers: client, worker, dialect and setup as they will be used.
//
// Environment:
//   RINGAGENT_REAL_SOCKET    unix socket of a server, RINGAGENT_REAL_USER (root) may administrate it
//   RINGAGENT_REAL_PASSWORD  of that user; default none
//   RINGAGENT_REAL_SOCKET_2  of a second server of the same flavour; the first becomes its replica
//   RINGAGENT_REAL_HOST, RINGAGENT_REAL_HOST_2  where they listen; default 127.0.0.1
//   RINGAGENT_REAL_CA        a CA file that fits the first server's certificate
//   RINGAGENT_REAL_WRONG_CA  one that does not
//   RINGAGENT_REAL_STOP=1    the first server's process may be stopped and continued
// The servers are changed (accounts, links, a schema `probe`): use throw-away ones.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "tests/real/mysql_probe.h"

namespace ringagent {

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
  const Address address = first_server(state);
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
  settings.address = first_server(Asker(admin()).state());
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
    Worker(WorkerSettings{"cut", admin(), {}, 4}, [](const Answer&) {}).submit(PollJob{6, false, 60s});
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
