#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/types.h"
#include "mysql/dialect.h"

// What a server must be given once, before its agent can work: two accounts and a piece of my.cnf. Pure:
// texts only.
//
// The accounts are created with sql_log_bin=0 on each server for itself: a replicated CREATE USER stops the
// other appliers (1396), and on MySQL it would be an errant transaction. They may do what RingAgent does and
// nothing more (mariadb.md 11, mysql.md G).
namespace ringagent {

struct AccountSettings {
  std::string user = "ringagent";
  std::string host = "localhost";
  std::string password;               // "": MariaDB unix_socket, MySQL auth_socket
  std::string os_user = "ringagent";  // the agent's, for auth_socket where it is named otherwise than `user`
  std::string replication_user = "ringagent_repl";
  std::string replication_host = "%";
  std::string replication_password;
  bool require_tls = false;  // of the replication account
};

// In this order, as an administrator, on one connection.
Result<std::vector<Statement>> account_statements(const Version& version, const AccountSettings& settings);

struct SnippetSettings {
  std::uint32_t server_id = 0;
  std::uint32_t auto_increment_increment = 16;  // at least the largest ring that is ever wanted
  std::uint32_t auto_increment_offset = 1;      // this member's, for life
};

// A file for conf.d, every line with its reason.
std::string config_snippet(const Version& version, const SnippetSettings& settings);

}  // namespace ringagent
