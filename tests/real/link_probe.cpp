// Replication links of real servers: what the plans of mysql/dialect do to them. See server_probe.cpp.
#include "tests/real/mysql_probe.h"

namespace ringagent {

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
  const Address source = second_server(there);
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

TEST_CASE("real: a STOP that waits for a row lock is cut, hinders no poll, and takes effect later") {
  create_accounts(kA);
  create_accounts(kB);
  Asker watch(agent_account(kA));
  Asker act(agent_account(kA));
  Asker root_b(admin(kB));
  const Dialect dialect = dialect_of(watch.state());
  const auto plan = dialect.create_link(second_server(root_b.state()), link_settings(TlsMode::off));
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
  auto root = Client::connect(admin(), 2s);
  REQUIRE(root);
  // That it was received is not enough: a STOP before it is applied comes back at once.
  const auto waits = [&](const ServerState&) {
    const auto rows =
        root->query("SELECT COUNT(*) AS n FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'", 2s);
    return rows && rows->text(0, {"n"}) == "1";
  };
  watch.until(waits, "the applier waits for the row");

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
  const Address source = second_server(b.state());
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

}  // namespace ringagent
