#include <doctest/doctest.h>

#include <algorithm>

#include "mysql/copy.h"

namespace ringagent {
namespace {

using Names = std::vector<std::string>;

Rows rows(Names columns, std::vector<std::vector<std::optional<std::string>>> values) {
  Rows out;
  out.columns = std::move(columns);
  out.rows = std::move(values);
  return out;
}

const Version kMaria = parse_version("10.11.19-MariaDB");
const Version kOracle = parse_version("9.7.4");
const Version kOld = parse_version("5.7.44");

constexpr std::string_view kDump =
    "-- MariaDB dump\n"
    "-- CHANGE MASTER TO MASTER_USE_GTID=slave_pos;\n"
    "\n"
    "-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000002', MASTER_LOG_POS=373;\n"
    "INSERT INTO `t` VALUES (1,'-- SET GLOBAL gtid_slave_pos=\\'9-9-9\\'');\n"
    "CREATE PROCEDURE p()\n"
    "-- SET GLOBAL gtid_slave_pos='8-8-8';\n"
    "SELECT 1;\n"
    "-- SET GLOBAL gtid_slave_pos='1-1-207,2-2-5';\n"
    "-- Dump completed on 2026-01-01\n";

}  // namespace

TEST_CASE("mysql/copy: what is data is never taken for an empty server, and what is not is not in the way") {
  const Rows answer = rows({"name", "things", "bytes"}, {{"exampledb", "3", "1000"},
                                                         {"precious", "0", "0"},
                                                         {"ringagent", "1", "10"},
                                                         {"ringagent_copy", "1", "10"},
                                                         {"test", "0", "0"}});
  const Schemas found = read_schemas(answer);
  CHECK(found.data == Names{"exampledb", "precious"});
  CHECK(found.all == Names{"exampledb", "precious", "ringagent", "test"});
  CHECK(found.bytes == 1010);
  CHECK(read_schemas(rows({"name", "things", "bytes"}, {{"test", "1", "5"}})).data == Names{"test"});
  CHECK(read_schemas({}).data.empty());
}

TEST_CASE("mysql/copy: which privileges the donor's account lacks") {
  const auto granted = [](const char* text) {
    return rows({"Grants"}, {{std::string("GRANT USAGE ON `x`.* TO `r`@`%`")}, {std::string(text)}});
  };
  const auto maria = [&](const char* text) { return missing_privileges(kMaria, CopyMethod::dump, granted(text)); };
  CHECK(maria("GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR, SHOW VIEW, EVENT, TRIGGER ON *.* TO `r`@`%`").empty());
  CHECK(maria("GRANT ALL PRIVILEGES ON *.* TO `r`@`%`").empty());
  CHECK(maria("GRANT SELECT, REPLICATION SLAVE ON *.* TO `r`@`%`") == Names{"SHOW VIEW", "TRIGGER", "EVENT"});
  CHECK(maria("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `shop`.* TO `r`@`%`").size() == 4);
  CHECK(missing_privileges(kOracle, CopyMethod::clone, granted("GRANT BACKUP_ADMIN ON *.* TO `r`@`%`")).empty());
  CHECK(missing_privileges(kOracle, CopyMethod::clone, {}) == Names{"BACKUP_ADMIN"});
}

TEST_CASE("mysql/copy: by which way, with which programs") {
  CHECK(usual_method(kMaria) == CopyMethod::dump);
  CHECK(usual_method(kOracle) == CopyMethod::clone);
  CHECK(usual_method(kOld) == CopyMethod::dump);
  const auto maria = dump_options(kMaria, {"a b", "exampledb"});
  REQUIRE(maria);
  CHECK(std::find(maria->begin(), maria->end(), "--gtid") != maria->end());
  CHECK(Names(maria->end() - 3, maria->end()) == Names{"--databases", "a b", "exampledb"});
  CHECK(!dump_options(kMaria, {"--all"}));
  const auto nothing = dump_options(kMaria, {});
  REQUIRE(nothing);
  CHECK(std::find(nothing->begin(), nothing->end(), "--no-data") != nothing->end());
  const auto old = dump_options(kOld, {"exampledb"});
  REQUIRE(old);
  CHECK(std::find(old->begin(), old->end(), "--master-data=2") != old->end());
  CHECK(old->back() == "--all-databases");
}

TEST_CASE("mysql/copy: an option file keeps what a password may hold") {
  CopyAccount account;
  account.address = {"db1", 3306};
  account.user = "r";
  account.password = "a\\b\"c #d'";
  const std::string maria = options_file(kMaria, account);
  CHECK(maria.find("password=\"a\\\\b\\\"c #d'\"\n") != std::string::npos);
  CHECK(maria.find("host=\"db1\"\nport=3306\nskip-ssl\n") != std::string::npos);
  account.tls = TlsMode::verify_ca;
  account.ca_file = "/ca.pem";
  CHECK(options_file(kOracle, account).find("ssl-ca=\"/ca.pem\"\nssl-mode=VERIFY_CA\n") != std::string::npos);
  account.socket = "/run/s.sock";
  CHECK(options_file(kMaria, account).find("socket=\"/run/s.sock\"\n") != std::string::npos);
}

TEST_CASE("mysql/copy: a dump is read in pieces of any size, and data cannot pose as its position") {
  for (const std::size_t size : {1U, 2U, 7U, 64U, 4096U}) {
    DumpReader reader;
    bool before_the_end = false;
    for (std::size_t at = 0; at < kDump.size(); at += size) {
      reader.feed(kDump.substr(at, size));
      if (reader.snapshot_taken() && !reader.complete()) before_the_end = true;
    }
    CHECK(reader.complete());
    CHECK(reader.position() == "1-1-207,2-2-5");
    CHECK((before_the_end || size == 4096));
  }
  DumpReader half;
  half.feed(kDump.substr(0, 150));
  CHECK(half.snapshot_taken());
  CHECK(!half.complete());
  CHECK(half.position().empty());
}

TEST_CASE("mysql/copy: where replication goes on") {
  const auto plain = gtid_seed("1-1-207,2-2-5", "1-1-200", 3, 3, 0);
  REQUIRE(plain);
  CHECK(plain->slave_pos == "1-1-207,2-2-5");
  CHECK(plain->binlog_state == "1-1-207,2-2-5");
  // Its own numbers go on above the highest that anybody has.
  const auto lost = gtid_seed("1-1-207,3-3-9", "1-1-207,3-3-9", 3, 3, 12);
  REQUIRE(lost);
  CHECK(lost->slave_pos == "1-1-207,3-3-12");
  CHECK(lost->binlog_state == "1-1-207,3-3-12");
  CHECK(gtid_seed("1-1-207", "", 3, 3, 4)->slave_pos == "1-1-207,3-3-4");
  // Several servers wrote in one domain once: the newest comes last, as the server wants it.
  const auto shared = gtid_seed("0-2-7,1-1-3", "0-1-5,0-2-6,1-1-2", 3, 3, 0);
  REQUIRE(shared);
  CHECK(shared->binlog_state == "0-1-5,0-2-7,1-1-3");
  CHECK(!gtid_seed("nonsense", "", 3, 3, 0));
  const auto statements = adopt_position(*shared);
  const auto at = [&](const char* text) {
    return std::find_if(statements.begin(), statements.end(), [&](const auto& s) { return s.find(text) != s.npos; });
  };
  CHECK(at("RESET MASTER") < at("gtid_slave_pos"));
  CHECK(at("gtid_slave_pos") < at("gtid_binlog_state"));
}

TEST_CASE("mysql/copy: a position that forgets a domain is seen") {
  using Domains = std::vector<std::uint32_t>;
  CHECK(domains_unnamed("1-1-7,2-2-5", {"1-1-9,2-2-9", "1-1-9"}, 3).empty());
  CHECK(domains_unnamed("1-1-7", {"1-1-9,2-2-9,4-4-1", "2-2-8"}, 3) == Domains{2, 4});
  CHECK(domains_unnamed("1-1-7", {"1-1-9,3-3-9"}, 3).empty());  // it goes on in that one itself
}

TEST_CASE("mysql/copy: who follows for the first time does not ask for what it has") {
  ServerState server;
  server.version = kMaria;
  server.domain_id = server.server_id = 1;
  const auto said = [&](const char* executed, const char* slave_pos, const char* purged = "1-1-50") {
    server.executed = executed;
    server.slave_pos = slave_pos;
    const auto plan = begin_position(server, purged);
    return plan.empty() ? std::string() : plan.front().sql;
  };
  const std::string all = "SET GLOBAL gtid_slave_pos = @@global.gtid_binlog_pos";
  CHECK(said("", "").empty());
  CHECK(said("1-1-53", "") == all);
  CHECK(said("0-1-5,1-1-53", "1-1-53", "0-1-5,1-1-50") == all);  // written before it had a domain of its own
  CHECK(said("1-1-53,2-2-9", "1-1-50,2-2-9", "1-1-52") == all);
  CHECK(said("1-1-53,2-2-9", "1-1-50,2-2-9").empty());
  CHECK(said("1-1-53,2-2-9", "1-1-53,2-2-8").empty());
  CHECK(said("1-1-53", "1-1-53,3-3-7").empty());
  // The source can give all that is asked for; what only this server has written it has never seen.
  CHECK(said("1-1-53", "", "").empty());
  CHECK(said("1-1-53,2-2-9", "2-2-9", "2-2-5").empty());
  CHECK(said("1-1-53", "3-3-7") == "SET GLOBAL gtid_slave_pos = CONCAT(@@global.gtid_binlog_pos, ',3-3-7')");
  server.version = kOracle;
  CHECK(said("1-1-53", "").empty());
}

TEST_CASE("mysql/copy: accounts that stay, and all others as the donor has them") {
  const std::vector<KeptAccount> kept = {{"root", ""}, {"o'neill", "localhost"}};
  CHECK(account_query("global_priv", kept) ==
        "SELECT * FROM mysql.`global_priv` WHERE NOT ((User = 'root') OR (User = 'o\\'neill' AND Host = 'localhost'))");
  CHECK(account_delete("db", {}) == "DELETE FROM mysql.`db`");
  const Rows one = rows({"Host", "User", "Priv"}, {{"%", "joe", "{\"access\":\"it's\"}"}, {"%", "ann", std::nullopt}});
  CHECK(account_inserts("global_priv", one) ==
        Names{"REPLACE INTO mysql.`global_priv` (`Host`, `User`, `Priv`) VALUES ('%', 'joe', "
              "'{\"access\":\"it\\'s\"}')",
              "REPLACE INTO mysql.`global_priv` (`Host`, `User`, `Priv`) VALUES ('%', 'ann', NULL)"});
}

TEST_CASE("mysql/copy: an event runs where it ran before, and on no other node") {
  const Rows events = rows({"schema", "name", "status", "originator"}, {{"a", "theirs", "ENABLED", "1"},
                                                                        {"a", "own", "SLAVESIDE_DISABLED", "2"},
                                                                        {"a", "own9", "REPLICA_SIDE_DISABLED", "3"},
                                                                        {"a", "right", "ENABLED", "3"},
                                                                        {"a", "asleep", "SLAVESIDE_DISABLED", "3"},
                                                                        {"a", "unknown", "SLAVESIDE_DISABLED", "3"},
                                                                        {"a", "new", "SLAVESIDE_DISABLED", "1"},
                                                                        {"a", "off", "DISABLED", "3"}});
  const EventsBefore before = read_events(rows({"schema", "name", "status"}, {{"a", "own", "ENABLED"},
                                                                              {"a", "own9", "ENABLED"},
                                                                              {"a", "right", "ENABLED"},
                                                                              {"a", "asleep", "SLAVESIDE_DISABLED"},
                                                                              {"a", "off", "ENABLED"}}));
  const EventChanges changes = event_changes(events, before, 3);
  CHECK(changes.statements == Names{"ALTER EVENT `a`.`theirs` DISABLE ON SLAVE", "ALTER EVENT `a`.`own` ENABLE",
                                    "ALTER EVENT `a`.`own9` ENABLE"});
  CHECK(changes.doubtful == Names{"`a`.`unknown`"});
}

TEST_CASE("mysql/copy: a clone, its password and its state") {
  const Statement clone = clone_statement({"10.0.0.1", 3306}, "r", "s'x", TlsMode::required);
  CHECK(clone.sql == "CLONE INSTANCE FROM 'r'@'10.0.0.1':3306 IDENTIFIED BY 's\\'x' REQUIRE SSL");
  CHECK(clone.shown == "CLONE INSTANCE FROM 'r'@'10.0.0.1':3306 IDENTIFIED BY '***' REQUIRE SSL");
  const auto read = [](const char* state) {
    return read_clone_status(
        rows({"state", "source", "number", "error", "begun"}, {{state, "10.0.0.1:3306", "0", "", "17"}}));
  };
  CHECK(read("In Progress").state == CloneStatus::State::running);
  CHECK(read("Completed").state == CloneStatus::State::completed);
  CHECK(read("Completed").begun_unix == 17);
  CHECK(read("Failed").state == CloneStatus::State::failed);
  CHECK(read_clone_status({}).state == CloneStatus::State::none);
  CHECK(copy_advice("Clone Donor Error: 1524 : Plugin 'clone' is not loaded.", "db1").find("setup` on db1") !=
        std::string::npos);
  CHECK(copy_advice("disk full", "db1").empty());
}

}  // namespace ringagent
