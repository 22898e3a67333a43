#include <doctest/doctest.h>

#include "mysql/dialect.h"
#include "mysql/gtid.h"

namespace ringagent {
namespace {

Dialect dialect(const std::string& version) {
  auto made = Dialect::for_server(parse_version(version));
  REQUIRE_MESSAGE(made.has_value(), version);
  return *made;
}
Dialect mariadb() {
  return dialect("10.11.19-MariaDB-0+deb12u1-log");
}
Dialect mysql() {
  return dialect("9.7.4-2");
}

using Cells = std::vector<std::pair<std::string, std::optional<std::string>>>;

Rows rows(const std::vector<Cells>& all) {
  Rows out;
  for (const Cells& cells : all) {
    out.columns.clear();
    out.rows.emplace_back();
    for (const auto& [name, value] : cells) {
      out.columns.push_back(name);
      out.rows.back().push_back(value);
    }
  }
  return out;
}

// A row with some of its cells changed.
Cells with(Cells cells, const Cells& changes) {
  for (const auto& [name, value] : changes)
    for (auto& cell : cells)
      if (cell.first == name) cell.second = value;
  return cells;
}

// SHOW ALL SLAVES STATUS of a real 10.11.19, idle.
const Cells kMariadbLink = {{"Connection_name", ""},
                            {"Slave_IO_State", "Waiting for master to send event"},
                            {"Master_Host", "127.0.0.1"},
                            {"Master_User", "repl"},
                            {"Master_Port", "21001"},
                            {"Connect_Retry", "1"},
                            {"Master_Log_File", "bin.000001"},
                            {"Read_Master_Log_Pos", "987"},
                            {"Relay_Log_File", "m2-relay-bin.000002"},
                            {"Relay_Log_Pos", "1280"},
                            {"Relay_Master_Log_File", "bin.000001"},
                            {"Slave_IO_Running", "Yes"},
                            {"Slave_SQL_Running", "Yes"},
                            {"Replicate_Do_DB", ""},
                            {"Replicate_Ignore_Table", ""},
                            {"Exec_Master_Log_Pos", "987"},
                            {"Master_SSL_Allowed", "No"},
                            {"Master_SSL_CA_File", ""},
                            {"Seconds_Behind_Master", "0"},
                            {"Master_SSL_Verify_Server_Cert", "No"},
                            {"Last_IO_Errno", "0"},
                            {"Last_IO_Error", ""},
                            {"Last_SQL_Errno", "0"},
                            {"Last_SQL_Error", ""},
                            {"Replicate_Ignore_Server_Ids", ""},
                            {"Using_Gtid", "Slave_Pos"},
                            {"Gtid_IO_Pos", "1-1-4"},
                            {"SQL_Delay", "0"},
                            {"Slave_SQL_Running_State", "Slave has read all relay log; waiting for more updates"},
                            {"Executed_log_entries", "15"},
                            {"Slave_received_heartbeats", "1"},
                            {"Slave_heartbeat_period", "0.500"}};

// SHOW REPLICA STATUS of a real 9.7.4, idle.
const Cells kMysqlLink = {{"Replica_IO_State", "Waiting for source to send event"},
                          {"Source_Host", "127.0.0.1"},
                          {"Source_User", "ringagent_repl"},
                          {"Source_Port", "21004"},
                          {"Connect_Retry", "1"},
                          {"Source_Log_File", "bin.000001"},
                          {"Read_Source_Log_Pos", "3390"},
                          {"Relay_Log_File", "vm-relay-bin.000004"},
                          {"Relay_Log_Pos", "713"},
                          {"Relay_Source_Log_File", "bin.000001"},
                          {"Replica_IO_Running", "Yes"},
                          {"Replica_SQL_Running", "Yes"},
                          {"Exec_Source_Log_Pos", "3390"},
                          {"Source_SSL_Allowed", "Yes"},
                          {"Source_SSL_CA_File", "/etc/ca.pem"},
                          {"Seconds_Behind_Source", std::nullopt},
                          {"Last_IO_Errno", "0"},
                          {"Last_IO_Error", ""},
                          {"Last_SQL_Errno", "0"},
                          {"Last_SQL_Error", ""},
                          {"Replicate_Ignore_Server_Ids", ""},
                          {"SQL_Delay", "0"},
                          {"Replica_SQL_Running_State", "Replica has read all relay log; waiting for more updates"},
                          {"Retrieved_Gtid_Set", "28a8f491-e7ba-11f1-bd21-02fc00000001:12-14"},
                          {"Auto_Position", "1"},
                          {"Channel_Name", ""},
                          {"Get_Source_public_key", "1"}};

Link read_link(const Dialect& of, const Cells& cells) {
  ServerState state;
  REQUIRE(of.absorb({Query::What::links, ""}, rows({cells}), state));
  REQUIRE(state.link());
  return *state.link();
}

std::vector<std::string> shown(const std::vector<Statement>& plan) {
  std::vector<std::string> out;
  for (const Statement& statement : plan) out.push_back(statement.shown);
  return out;
}

LinkSettings settings() {
  LinkSettings made;
  made.user = "repl";
  made.password = "s'e\\cret";
  return made;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("mysql/dialect: versions are read as the servers write them") {
  const auto check = [](const char* text, Flavor flavor, std::uint32_t number, const char* as) {
    const Version version = parse_version(text);
    CHECK_MESSAGE(version.flavor == flavor, text);
    CHECK_MESSAGE(version.number == number, text);
    CHECK_MESSAGE(version.text == as, text);
  };
  check("10.11.19-MariaDB-0+deb12u1-log", Flavor::mariadb, 101119, "10.11.19-MariaDB");
  check("5.5.5-10.6.9-MariaDB-log", Flavor::mariadb, 100609, "10.6.9-MariaDB");
  check("11.4.2-MariaDB", Flavor::mariadb, 110402, "11.4.2-MariaDB");
  check("9.7.4-2", Flavor::mysql, 90704, "9.7.4-MySQL");
  check("8.0.36-28", Flavor::mysql, 80036, "8.0.36-MySQL");
  check("5.7.44-log", Flavor::mysql, 50744, "5.7.44-MySQL");
  CHECK(parse_version("").flavor == Flavor::unknown);
  CHECK(parse_version("8.0").flavor == Flavor::unknown);
  CHECK(parse_version("PostgreSQL 15").flavor == Flavor::unknown);
}

TEST_CASE("mysql/dialect: servers that it does not know are refused in one line") {
  for (const char* text : {"10.4.34-MariaDB", "5.6.51", "10.0.0", "PostgreSQL 15", ""}) {
    const auto made = Dialect::for_server(parse_version(text));
    REQUIRE_MESSAGE(!made, text);
    CHECK(made.error().text.find("MariaDB from 10.5 or MySQL 5.7 to 9.x") != std::string::npos);
    CHECK(made.error().text.find('\n') == std::string::npos);
  }
}

TEST_CASE("mysql/dialect: each version is asked in its own words") {
  const auto asks = [](const char* version, std::size_t i) { return dialect(version).poll()[i].sql; };
  CHECK(asks("10.5.0-MariaDB", 0) == "SHOW ALL SLAVES STATUS");
  CHECK(asks("5.7.44", 0) == "SHOW SLAVE STATUS");
  CHECK(asks("8.0.21", 0) == "SHOW SLAVE STATUS");
  CHECK(asks("8.0.22", 0) == "SHOW REPLICA STATUS");
  CHECK(dialect("10.11.19-MariaDB").binlog().sql == "SHOW MASTER STATUS");
  CHECK(dialect("8.1.0").binlog().sql == "SHOW MASTER STATUS");
  CHECK(dialect("8.4.0").binlog().sql == "SHOW BINARY LOG STATUS");
  for (const char* version : {"10.5.0-MariaDB", "5.7.44", "9.7.4"}) CHECK(dialect(version).poll().size() == 2);
}

TEST_CASE("mysql/dialect: a link of MariaDB") {
  const Link link = read_link(mariadb(), kMariadbLink);
  CHECK(link.source == Address{"127.0.0.1", 21001});
  CHECK(link.user == "repl");
  CHECK(link.io == IoState::running);
  CHECK(link.sql_running);
  CHECK(link.uses_gtid);
  CHECK(link.heartbeat_period_ms == 500);
  CHECK(link.connect_retry_s == 1);
  CHECK(link.seconds_behind == 0);
  CHECK(link.ignore_server_ids.empty());
  CHECK(link.filters.empty());
  CHECK(link.tls == "Master_SSL_Allowed=No Master_SSL_Verify_Server_Cert=No");
  CHECK(link.drained_exact);
  CHECK(link.drained_idle);
}

TEST_CASE("mysql/dialect: a link of MySQL, with what only performance_schema tells") {
  ServerState state;
  REQUIRE(mysql().absorb({Query::What::links, ""}, rows({kMysqlLink}), state));
  const Cells sets = {{"executed", "28a8f491-e7ba-11f1-bd21-02fc00000001:1-14"},
                      {"read_only", "0"},
                      {"super_read_only", "0"},
                      {"channel", ""},
                      {"received", "28a8f491-e7ba-11f1-bd21-02fc00000001:12-15"},
                      {"heartbeats", "8"},
                      {"heartbeat_at", "2026-11-24 03:58:01.000000"},
                      {"heartbeat_period", "0.500"}};
  REQUIRE(mysql().absorb({Query::What::sets, ""}, rows({sets}), state));
  const Link link = *state.link();
  CHECK(state.executed == "28a8f491-e7ba-11f1-bd21-02fc00000001:1-14");
  CHECK(!state.read_only);
  CHECK(link.source == Address{"127.0.0.1", 21004});
  CHECK(link.uses_gtid);
  CHECK(link.seconds_behind == -1);
  CHECK(link.received == "28a8f491-e7ba-11f1-bd21-02fc00000001:12-15");
  CHECK(link.heartbeat_period_ms == 500);
  CHECK(link.tls == "Source_SSL_Allowed=Yes Source_SSL_CA_File=/etc/ca.pem Get_Source_public_key=1");

  ServerState later;
  REQUIRE(mysql().absorb({Query::What::links, ""}, rows({kMysqlLink}), later));
  REQUIRE(mysql().absorb({Query::What::sets, ""}, rows({with(sets, {{"heartbeats", "9"}})}), later));
  CHECK(later.link()->progress != link.progress);
  CHECK(later.link()->applied == link.applied);
}

TEST_CASE("mysql/dialect: progress is what arrived, applied is what was done") {
  const Link before = read_link(mariadb(), kMariadbLink);
  for (const auto& change : Cells{{"Slave_received_heartbeats", "2"},
                                  {"Read_Master_Log_Pos", "988"},
                                  {"Master_Log_File", "bin.000002"},
                                  {"Gtid_IO_Pos", "1-1-5"}}) {
    const Link after = read_link(mariadb(), with(kMariadbLink, {change}));
    CHECK_MESSAGE(after.progress != before.progress, change.first);
    CHECK_MESSAGE(after.applied == before.applied, change.first);
  }
  for (const auto& change : Cells{{"Relay_Log_Pos", "1300"}, {"Exec_Master_Log_Pos", "990"}}) {
    const Link after = read_link(mariadb(), with(kMariadbLink, {change}));
    CHECK_MESSAGE(after.progress == before.progress, change.first);
    CHECK_MESSAGE(after.applied != before.applied, change.first);
  }
  // Attempts to reach a dead source are no signs of life.
  const Link lost = read_link(mariadb(), with(kMariadbLink, {{"Slave_IO_Running", "Connecting"},
                                                             {"Last_IO_Errno", "2003"},
                                                             {"Seconds_Behind_Master", std::nullopt}}));
  CHECK(lost.progress == before.progress);
  CHECK(lost.io == IoState::connecting);
  CHECK(lost.io_errno == 2003);
}

TEST_CASE("mysql/dialect: an applier that has not caught up is not drained") {
  Link link = read_link(mariadb(), with(kMariadbLink, {{"Read_Master_Log_Pos", "2000"}}));
  CHECK(!link.drained_exact);
  CHECK(link.drained_idle);  // half a transaction was received: Exec will never be Read
  link = read_link(mariadb(), with(kMariadbLink, {{"Master_Log_File", "bin.000002"},
                                                  {"Slave_SQL_Running_State", "Reading event from the relay log"}}));
  CHECK(!link.drained_exact);
  CHECK(!link.drained_idle);
  // Nothing was ever received: there is nothing that could be called drained.
  link = read_link(mariadb(), with(kMariadbLink, {{"Master_Log_File", ""}, {"Relay_Master_Log_File", ""}}));
  CHECK(!link.drained_exact);
}

TEST_CASE("mysql/dialect: what makes a link unfit is carried over") {
  const Link link = read_link(mariadb(), with(kMariadbLink, {{"Using_Gtid", "Current_Pos"},
                                                             {"Replicate_Ignore_Server_Ids", "3, 14"},
                                                             {"Replicate_Do_DB", "shop,bill"},
                                                             {"Replicate_Ignore_Table", "a.b"},
                                                             {"Slave_IO_Running", "Preparing"},
                                                             {"SQL_Delay", "60"}}));
  CHECK(!link.uses_gtid);
  CHECK(link.gtid_mode_text == "Current_Pos");
  CHECK(link.ignore_server_ids == std::vector<std::uint32_t>{3, 14});
  CHECK(link.filters == "Replicate_Do_DB=shop,bill Replicate_Ignore_Table=a.b");
  CHECK(link.io == IoState::connecting);
  CHECK(link.delay_s == 60);
  CHECK(!mariadb().repoint(link, {"db2", 3306}));
}

TEST_CASE("mysql/dialect: the transaction that an applier stands on") {
  ServerState state;
  const Cells stuck = with(
      kMariadbLink, {{"Slave_SQL_Running", "No"}, {"Last_SQL_Errno", "1062"}, {"Last_SQL_Error", "Duplicate entry"}});
  REQUIRE(mariadb().absorb({Query::What::links, ""}, rows({stuck}), state));
  const auto more = mariadb().follow_up(state, false);
  REQUIRE(more.size() == 1);
  CHECK(more[0].sql == "SHOW RELAYLOG EVENTS IN 'm2-relay-bin.000002' FROM 1280 LIMIT 1");
  CHECK(more[0].may_fail);
  REQUIRE(mariadb().absorb(more[0], rows({{{"Event_type", "Gtid"}, {"Info", "BEGIN GTID 3-3-106 cid=12"}}}), state));
  CHECK(state.link()->sql_transaction == "3-3-106");

  const Link named =
      read_link(mariadb(), with(stuck, {{"Last_SQL_Error", "Could not ... end_log_pos 17, Gtid 2-2-9"}}));
  CHECK(named.sql_transaction == "2-2-9");

  REQUIRE(mysql().absorb({Query::What::links, ""}, rows({with(kMysqlLink, {{"Last_SQL_Errno", "1062"}})}), state));
  const auto asked = mysql().follow_up(state, false);
  REQUIRE(asked.size() == 1);
  REQUIRE(mysql().absorb(
      asked[0],
      rows({{{"channel", ""}, {"transaction", "28a8f491-e7ba-11f1-bd21-02fc00000001:4"}, {"error", "why"}},
            {{"channel", ""}, {"transaction", "28a8f491-e7ba-11f1-bd21-02fc00000001:5"}, {"error", "too"}}}),
      state));
  CHECK(state.link()->sql_transaction == "28a8f491-e7ba-11f1-bd21-02fc00000001:4");
  CHECK(state.link()->sql_error == "why");
}

TEST_CASE("mysql/dialect: a poll in which the link is gone forgets it") {
  ServerState state;
  REQUIRE(mariadb().absorb({Query::What::links, ""}, rows({kMariadbLink}), state));
  REQUIRE(mariadb().absorb({Query::What::links, ""}, Rows{}, state));
  CHECK(state.links.empty());
  // Some versions show a row for a link that was never defined.
  REQUIRE(mysql().absorb({Query::What::links, ""}, rows({with(kMysqlLink, {{"Source_Host", ""}})}), state));
  CHECK(state.links.empty());
  CHECK(!mysql().absorb({Query::What::links, ""}, rows({{{"Something", "else"}}}), state));
}

TEST_CASE("mysql/dialect: who the server is, and since when") {
  ServerState state;
  const Cells identity = {{"version", "10.11.19-MariaDB-log"},
                          {"server_id", "2"},
                          {"port", "3306"},
                          {"now", "1800000100"},
                          {"uptime", "100"},
                          {"domain_id", "7"}};
  REQUIRE(mariadb().absorb({Query::What::identity, ""}, rows({identity}), state));
  CHECK(state.version.text == "10.11.19-MariaDB");
  CHECK(state.server_id == 2);
  CHECK(state.domain_id == 7);
  CHECK(state.port == 3306);
  CHECK(state.uptime_s == 100);
  CHECK(state.started_unix_s == 1'800'000'000);
  CHECK(!mysql().absorb({Query::What::identity, ""}, Rows{}, state));  // performance_schema is off
  // The clock was set back by 60 s, 10 s after the start.
  const Cells set_back = {{"now", "1800000050"}, {"uptime", "18446744073709551566"}};
  REQUIRE(mariadb().absorb({Query::What::identity, ""}, rows({with(identity, set_back)}), state));
  CHECK(state.started_unix_s == 1'800'000'100);
}

TEST_CASE("mysql/dialect: a clock that cannot be is refused, and what was known stays") {
  using Clock = std::pair<const char*, const char*>;  // now, uptime
  for (const auto& [now, uptime] : {Clock{"-9223372036854775808", "1"}, Clock{"-1", "0"}, Clock{"99", "100"}}) {
    ServerState state;
    state.started_unix_s = 7;
    const Cells identity = {{"server_id", "2"}, {"now", now}, {"uptime", uptime}};
    CHECK(!mysql().absorb({Query::What::identity, ""}, rows({identity}), state));
    CHECK(state.started_unix_s == 7);
  }
}

TEST_CASE("mysql/dialect: read_only in all the words that servers have for it") {
  const auto read_only = [](const char* value) {
    ServerState state;
    REQUIRE(mariadb().absorb({Query::What::sets, ""},
                             rows({{{"executed", ""}, {"slave_pos", ""}, {"read_only", value}}}), state));
    return state.read_only;
  };
  for (const char* value : {"1", "ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"}) CHECK_MESSAGE(read_only(value), value);
  for (const char* value : {"0", "OFF"}) CHECK_MESSAGE(!read_only(value), value);
}

TEST_CASE("mysql/dialect: the heads of the binlog files tell what is gone and what the server started with") {
  ServerState state;
  state.binlog_file = "bin.000007";
  const auto asked = mariadb().follow_up(state, true);
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].sql == "SHOW BINLOG EVENTS LIMIT 3");
  CHECK(asked[1].sql == "SHOW BINLOG EVENTS IN 'bin.000007' LIMIT 3");
  CHECK(mariadb().follow_up(state, false).empty());
  const auto head = [](const char* type, const char* info) {
    return rows({{{"Event_type", "Format_desc"}, {"Info", "Server ver"}},
                 {{"Event_type", "Start_encryption"}, {"Info", ""}},
                 {{"Event_type", type}, {"Info", info}}});
  };
  REQUIRE(mariadb().absorb(asked[0], head("Gtid_list", "[]"), state));
  REQUIRE(mariadb().absorb(asked[1], head("Gtid_list", "[1-1-4,2-2-3]"), state));
  CHECK(state.purged == "");
  CHECK(state.at_start == "1-1-4,2-2-3");
  CHECK(!mariadb().absorb(asked[0], head("Query", "BEGIN"), state));
  state.binlog_file.clear();  // the binary log is off: nothing to look at
  CHECK(mariadb().follow_up(state, true).empty());
}

TEST_CASE("mysql/dialect: a cloned MySQL started with what stands in no file, too") {
  ServerState state;
  const std::string uuid = "28a8f491-e7ba-11f1-bd21-02fc00000001";
  REQUIRE(mysql().absorb({Query::What::purged, ""}, rows({{{"purged", uuid + ":1-50"}}}), state));
  REQUIRE(mysql().absorb({Query::What::at_start, ""},
                         rows({{{"Event_type", "Previous_gtids"}, {"Info", uuid + ":51-60"}}}), state));
  CHECK(state.purged == uuid + ":1-50");
  CHECK(state.at_start == uuid + ":1-60");
}

TEST_CASE("mysql/dialect: MariaDB is repointed with both threads stopped, and nothing but the address changed") {
  const auto plan = mariadb().repoint(read_link(mariadb(), kMariadbLink), {"10.0.0.2", 3306});
  REQUIRE(plan);
  CHECK(shown(*plan) ==
        Lines{"STOP SLAVE", "CHANGE MASTER TO MASTER_HOST='10.0.0.2', MASTER_PORT=3306, MASTER_HEARTBEAT_PERIOD=0.500",
              "START SLAVE"});
  CHECK(shown(mariadb().stop_receiving()) == Lines{"STOP SLAVE"});
}

TEST_CASE("mysql/dialect: MySQL is repointed with its applier at work") {
  const Link link = read_link(mysql(), kMysqlLink);
  auto plan = mysql().repoint(link, {"db2", 3306});
  REQUIRE(plan);
  CHECK(shown(*plan) == Lines{"STOP REPLICA IO_THREAD",
                              "CHANGE REPLICATION SOURCE TO SOURCE_HOST='db2', SOURCE_PORT=3306",
                              "START REPLICA IO_THREAD"});

  // After a start of the server both threads are stopped: a CHANGE then would throw the relay log away.
  const Link stopped = read_link(mysql(), with(kMysqlLink, {{"Replica_SQL_Running", "No"}}));
  plan = mysql().repoint(stopped, {"db2", 3306});
  REQUIRE(plan);
  CHECK(shown(*plan).front() == "START REPLICA SQL_THREAD");
  CHECK(plan->size() == 4);

  const Link stuck = read_link(mysql(), with(kMysqlLink, {{"Replica_SQL_Running", "No"}, {"Last_SQL_Errno", "1062"}}));
  plan = mysql().repoint(stuck, {"db2", 3306});
  REQUIRE(!plan);
  CHECK(plan.error().text.find("1062") != std::string::npos);
  CHECK(shown(mysql().stop_receiving()) == Lines{"STOP REPLICA IO_THREAD"});
  CHECK(shown(mysql().stop_link()) == Lines{"STOP REPLICA IO_THREAD", "STOP REPLICA"});
}

TEST_CASE("mysql/dialect: old MySQL is repointed in old words") {
  Cells old;
  for (auto cell : kMysqlLink) {
    for (const auto& [now, before] : {std::pair{"Replica", "Slave"}, std::pair{"Source", "Master"}})
      for (auto at = cell.first.find(now); at != std::string::npos; at = cell.first.find(now))
        cell.first.replace(at, std::string(now).size(), before);
    old.push_back(cell);
  }
  for (const auto& [version, first, change] :
       {std::tuple{"5.7.44", "STOP SLAVE IO_THREAD", "CHANGE MASTER TO MASTER_HOST='db2'"},
        std::tuple{"8.0.22", "STOP REPLICA IO_THREAD", "CHANGE MASTER TO MASTER_HOST='db2'"},
        std::tuple{"8.0.23", "STOP REPLICA IO_THREAD", "CHANGE REPLICATION SOURCE TO SOURCE_HOST='db2'"}}) {
    const auto plan = dialect(version).repoint(read_link(dialect(version), old), {"db2", 3306});
    REQUIRE(plan);
    CHECK((*plan)[0].sql == first);
    CHECK_MESSAGE((*plan)[1].sql.starts_with(change), (*plan)[1].sql);
  }
}

TEST_CASE("mysql/dialect: a new link gets what the config says; its password is never shown") {
  auto plan = mariadb().create_link({"db1", 3306}, settings());
  REQUIRE(plan);
  CHECK(shown(*plan) ==
        Lines{"CHANGE MASTER TO MASTER_HOST='db1', MASTER_PORT=3306, MASTER_USER='repl', MASTER_PASSWORD='***', "
              "MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=0.500, MASTER_SSL=0, MASTER_SSL_CA='', "
              "MASTER_SSL_VERIFY_SERVER_CERT=0, MASTER_USE_GTID=slave_pos",
              "START SLAVE"});
  CHECK(plan->front().sql.find("MASTER_PASSWORD='s\\'e\\\\cret'") != std::string::npos);

  LinkSettings protected_link = settings();
  protected_link.tls = TlsMode::verify_ca;
  CHECK(!mysql().create_link({"db1", 3306}, protected_link));  // which CA?
  protected_link.ca_file = "/etc/ca.pem";
  plan = mysql().create_link({"db1", 3306}, protected_link);
  REQUIRE(plan);
  CHECK(shown(*plan) ==
        Lines{"CHANGE REPLICATION SOURCE TO SOURCE_HOST='db1', SOURCE_PORT=3306, SOURCE_USER='repl', "
              "SOURCE_PASSWORD='***', SOURCE_CONNECT_RETRY=1, SOURCE_HEARTBEAT_PERIOD=0.500, SOURCE_SSL=1, "
              "SOURCE_SSL_CA='/etc/ca.pem', SOURCE_SSL_VERIFY_SERVER_CERT=0, SOURCE_RETRY_COUNT=0, "
              "GET_SOURCE_PUBLIC_KEY=0, SOURCE_AUTO_POSITION=1",
              "START REPLICA"});
  plan = dialect("5.7.44").create_link({"db1", 3306}, settings());
  REQUIRE(plan);
  CHECK(shown(*plan).front().find("PUBLIC_KEY") == std::string::npos);
}

TEST_CASE("mysql/dialect: what a server could not take is refused before it is sent") {
  LinkSettings wrong = settings();
  wrong.password = std::string(33, 'x');
  CHECK(!mysql().create_link({"db1", 3306}, wrong));
  CHECK(mariadb().create_link({"db1", 3306}, wrong));
  wrong.password = "two\nlines";
  CHECK(!mariadb().create_link({"db1", 3306}, wrong));
  CHECK(!mariadb().create_link({"", 3306}, settings()));
  CHECK(!mariadb().create_link({"db1", 0}, settings()));
  CHECK(!mariadb().create_link({std::string(61, 'h'), 3306}, settings()));
  CHECK(!mariadb().create_link({"db1\n", 3306}, settings()));
}

TEST_CASE("mysql/dialect: a changed account is carried over without touching the address") {
  const auto plan = mysql().adjust_link(read_link(mysql(), kMysqlLink), settings());
  REQUIRE(plan);
  for (const Statement& statement : *plan) {
    CHECK(statement.sql.find("HOST") == std::string::npos);
    CHECK(statement.sql.find("AUTO_POSITION") == std::string::npos);
    CHECK(statement.shown.find("cret") == std::string::npos);
  }
  CHECK(!mysql().adjust_link(read_link(mysql(), with(kMysqlLink, {{"Replica_SQL_Running", "No"}})), settings()));
}

TEST_CASE("mysql/dialect: literals survive quotes and backslashes") {
  CHECK(quote("plain") == "'plain'");
  CHECK(quote("a'b\\c\"d") == "'a\\'b\\\\c\"d'");
  CHECK(quote(std::string_view("\0", 1)) == "'\\0'");
  CHECK(quote("ü") == "'ü'");
}

TEST_CASE("mysql/dialect: only priming writes to the binary log, and only MariaDB needs it") {
  CHECK(mysql().prime().empty());
  REQUIRE(mariadb().prime().size() == 1);
  CHECK(mariadb().prime()[0].sql == "DROP VIEW IF EXISTS `ringagent`.`prime`");
}

}  // namespace ringagent
