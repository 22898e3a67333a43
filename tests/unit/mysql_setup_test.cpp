#include <doctest/doctest.h>

#include "mysql/setup.h"

namespace ringagent {
namespace {

using Lines = std::vector<std::string>;

Lines shown(const std::vector<Statement>& statements) {
  Lines out;
  for (const Statement& statement : statements) out.push_back(statement.shown);
  return out;
}

}  // namespace

TEST_CASE("mysql/setup: accounts are made on each server for itself, with what the agent needs") {
  AccountSettings accounts;
  accounts.replication_password = "secre't";
  const auto maria = account_statements(parse_version("10.11.19-MariaDB"), accounts);
  REQUIRE(maria);
  const Lines said = shown(*maria);
  CHECK(said[1] == "SET SESSION sql_log_bin = 0");
  CHECK(said[2] == "CREATE USER IF NOT EXISTS 'ringagent'@'localhost' IDENTIFIED VIA unix_socket REQUIRE NONE");
  for (const Statement& statement : *maria) CHECK(statement.shown.find("secre") == std::string::npos);
  CHECK((*maria)[6].sql == "CREATE USER IF NOT EXISTS 'ringagent_repl'@'%' IDENTIFIED BY 'secre\\'t' REQUIRE NONE");

  CHECK(said.back() ==
        "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'ringagent_repl'@'%'");

  accounts.os_user = "agent";
  CHECK(!account_statements(parse_version("10.11.19-MariaDB"), accounts));
  const auto oracle = account_statements(parse_version("9.7.4"), accounts);
  REQUIRE(oracle);
  CHECK(shown(*oracle)[2] ==
        "CREATE USER IF NOT EXISTS 'ringagent'@'localhost' IDENTIFIED WITH auth_socket AS 'agent' REQUIRE "
        "NONE");
  CHECK(shown(*oracle).back() == "GRANT REPLICATION SLAVE, BACKUP_ADMIN, REFERENCES ON *.* TO 'ringagent_repl'@'%'");
  accounts.replication_password.clear();
  CHECK(!account_statements(parse_version("9.7.4"), accounts));
  CHECK(!account_statements(parse_version("5.6.1"), accounts));
}

TEST_CASE("mysql/setup: the config snippet has what the preconditions ask for") {
  const std::string maria = config_snippet(parse_version("10.11.19-MariaDB"), {3, 16, 3});
  for (const char* line : {"[mariadb]\n", "server_id = 3 ", "gtid_domain_id = 3 ", "gtid_ignore_duplicates = ON",
                           "gtid_strict_mode = ON", "skip_slave_start", "read_only = ON", "sync_binlog = 1",
                           "auto_increment_increment = 16", "auto_increment_offset = 3"})
    CHECK_MESSAGE(maria.find(line) != std::string::npos, line);
  const std::string oracle = config_snippet(parse_version("9.7.4"), {3, 16, 3});
  for (const char* line :
       {"[mysqld]\n", "gtid_mode = ON", "log_replica_updates = ON", "skip_replica_start = ON", "super_read_only = ON"})
    CHECK_MESSAGE(oracle.find(line) != std::string::npos, line);
  CHECK(oracle.find("gtid_domain_id") == std::string::npos);
  CHECK(oracle.find("plugin_load_add = mysql_clone.so") != std::string::npos);
  CHECK(config_snippet(parse_version("5.7.44"), {3, 16, 3}).find("mysql_clone") == std::string::npos);
  CHECK(config_snippet(parse_version("5.7.44"), {3, 16, 3}).find("skip_slave_start = ON") != std::string::npos);
}

}  // namespace ringagent
