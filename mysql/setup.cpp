#include "mysql/setup.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "mysql/copy.h"

namespace ringagent {
namespace {

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const auto part : parts) out += part;
  return out;
}

class Accounts {
 public:
  Accounts(const Version& version, const AccountSettings& settings) : version_(version), settings_(settings) {}

  std::vector<Statement> statements() {
    add("session", std::string(kSessionSetup));
    add("session", "SET SESSION sql_log_bin = 0");
    const std::string agent = quote(settings_.user) + "@" + quote(settings_.host);
    account(agent, agent_authentication(), settings_.password, false);
    for (const auto& grant : agent_grants()) add("agent account", joined({"GRANT ", grant, " TO ", agent}));
    const std::string replica = quote(settings_.replication_user) + "@" + quote(settings_.replication_host);
    account(replica, by_password(), settings_.replication_password, settings_.require_tls);
    add("replication account", joined({"GRANT ", replication_privileges(), " ON *.* TO ", replica}));
    return std::move(statements_);
  }

 private:
  bool mariadb() const { return version_.flavor == Flavor::mariadb; }

  void add(std::string label, std::string sql, std::string shown = "") {
    Statement statement;
    statement.shown = shown.empty() ? sql : std::move(shown);
    statement.sql = std::move(sql);
    statement.label = std::move(label);
    statement.deadline = 10s;
    statements_.push_back(std::move(statement));
  }

  // Creates the account or brings an older one in line: setup may be run again. `with` holds %s for the
  // password.
  void account(const std::string& who, const std::string& with, const std::string& password, bool tls) {
    for (const std::string_view verb : {"CREATE USER IF NOT EXISTS ", "ALTER USER "}) {
      const std::string_view tail = tls ? " REQUIRE SSL" : " REQUIRE NONE";
      const auto at = with.find("%s");
      if (at == std::string::npos) {
        add("account", joined({verb, who, " IDENTIFIED ", with, tail}));
        continue;
      }
      const auto filled = [&](std::string_view literal) {
        return joined({verb, who, " IDENTIFIED ", with.substr(0, at), literal, with.substr(at + 2), tail});
      };
      add("account", filled(quote(password)), filled("'***'"));
    }
  }

  std::string by_password() const {
    return !mariadb() && version_.number >= 80004 ? "WITH caching_sha2_password BY %s" : "BY %s";
  }

  std::string agent_authentication() const {
    if (!settings_.password.empty()) return by_password();
    if (mariadb()) return "VIA unix_socket";
    return settings_.os_user == settings_.user ? "WITH auth_socket" : "WITH auth_socket AS " + quote(settings_.os_user);
  }

  // Each privilege, for what: mariadb.md 11 and mysql.md G say which statement needs which.
  std::vector<std::string> agent_grants() const {
    if (mariadb()) {
      const std::string monitor = version_.number >= 100509 ? ", REPLICA MONITOR" : "";
      return {"REPLICATION SLAVE ADMIN, BINLOG MONITOR, READ_ONLY ADMIN, CONNECTION ADMIN" + monitor + " ON *.*",
              "DROP ON `ringagent`.*"};  // DROP VIEW IF EXISTS primes the node's domain
    }
    if (version_.number < 80000)
      return {"SUPER, REPLICATION CLIENT, REPLICATION SLAVE ON *.*", "SELECT ON performance_schema.*"};
    return {
        "REPLICATION CLIENT, REPLICATION SLAVE, REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN, "
        "CONNECTION_ADMIN ON *.*",
        "SELECT ON performance_schema.*"};
  }

  std::string replication_privileges() const {
    std::string out = "REPLICATION SLAVE";
    // A look at another node's server asks what it has purged: on MariaDB that takes BINLOG MONITOR.
    if (mariadb()) out += ", BINLOG MONITOR";
    // `ringagent join` and `reseed` on another node copy this server's data with this account. By its binary log it could
    // read whatever is written; with these also what was written before.
    for (const auto& privilege : copy_privileges(version_, usual_method(version_))) out += ", " + privilege;
    // `stranded show` asks for the keys of tables: REFERENCES is the least that shows them, and no data. SELECT shows them, too.
    if (out.find("SELECT") == std::string::npos) out += ", REFERENCES";
    return out;
  }

  const Version& version_;
  const AccountSettings& settings_;
  std::vector<Statement> statements_;
};

struct Line {
  std::string setting;
  std::string why;
};

std::vector<Line> mariadb_lines(const std::string& id) {
  return {{"log_bin = bin", "everything written here travels by the binary log"},
          {"log_slave_updates = ON", "what comes from one neighbour goes on to the other"},
          {"binlog_format = ROW", "the same effect on every node"},
          {"gtid_domain_id = " + id, "a domain for each writer: never the same on two nodes"},
          {"gtid_strict_mode = ON", "a position can never go back unseen"},
          {"gtid_ignore_duplicates = ON", "what comes round the ring a second time is dropped"},
          {"skip_slave_start", "the agent checks the server before replication starts"},
          {"read_only = ON", "... and lifts this after the check"},
          {"relay_log_recovery = ON", "no torn relay log after a crash"},
          {"sync_binlog = 1", "no transaction is lost by a power failure after others have it"},
          {"innodb_flush_log_at_trx_commit = 1", "the same for the tables"},
          {"slave_net_timeout = 10", "the server itself notices a silent source"},
          {"master_retry_count = 0", "a link never gives up"},
          {"slave_type_conversions = ALL_NON_LOSSY", "rows on their way during an ALTER TABLE still fit"}};
}

// MySQL 8.0.26 and later know the new names; the old ones are gone in 9.x for some.
std::vector<Line> mysql_lines(const Version& version) {
  const bool modern = version.number >= 80026;
  const auto word = [&](const char* now, const char* before) { return std::string(modern ? now : before); };
  std::vector<Line> lines = {
      {"log_bin = bin", "everything written here travels by the binary log"},
      {word("log_replica_updates", "log_slave_updates") + " = ON",
       "what comes from one neighbour goes on to the other"},
      {"binlog_format = ROW", "the same effect on every node"},
      {"gtid_mode = ON", "transactions have names: what a node has can be compared"},
      {"enforce_gtid_consistency = ON", "... and nothing is accepted that cannot have one"},
      {word("skip_replica_start", "skip_slave_start") + " = ON",
       "the agent checks the server before replication starts"},
      {"super_read_only = ON", "... and lifts this after the check"},
      {"relay_log_recovery = ON", "no torn relay log after a crash"},
      {word("replica_preserve_commit_order", "slave_preserve_commit_order") + " = ON",
       "readers see the order that was"},
      {"sync_binlog = 1", "no transaction is lost by a power failure after others have it"},
      {"innodb_flush_log_at_trx_commit = 1", "the same for the tables"},
      {word("replica_net_timeout", "slave_net_timeout") + " = 10", "the server itself notices a silent source"},
      {word("replica_type_conversions", "slave_type_conversions") + " = ALL_NON_LOSSY",
       "rows on their way during an ALTER TABLE still fit"},
      {"loose_binlog_expire_logs_seconds = 2592000", "a node may be away for 30 days"},
      {"plugin_load_add = auth_socket.so", "the agent logs in without a password"}};
  if (usual_method(version) == CopyMethod::clone)
    lines.push_back({"plugin_load_add = mysql_clone.so", "other nodes can copy from here: `ringagent join`, `reseed`"});
  return lines;
}

}  // namespace

Result<std::vector<Statement>> account_statements(const Version& version, const AccountSettings& settings) {
  if (auto dialect = Dialect::for_server(version); !dialect) return tl::unexpected<Error>(dialect.error());
  if (settings.user.empty() || settings.replication_user.empty()) return fail("an account needs a user name");
  if (settings.replication_password.empty())
    return fail("the replication account needs a password: [replication] password_file");
  if (settings.password.empty() && version.flavor == Flavor::mariadb && settings.os_user != settings.user)
    return fail("MariaDB's unix_socket lets the system's user '" + settings.os_user + "' in as '" + settings.os_user +
                "' only: set [mysql] user to it, or give a password_file");
  return Accounts(version, settings).statements();
}

std::string config_snippet(const Version& version, const SnippetSettings& settings) {
  const bool maria = version.flavor == Flavor::mariadb;
  const std::string id = std::to_string(settings.server_id);
  std::vector<Line> lines = {{"server_id = " + id, "never the same on two nodes"}};
  for (auto& line : maria ? mariadb_lines(id) : mysql_lines(version)) lines.push_back(std::move(line));
  lines.push_back({"auto_increment_increment = " + std::to_string(settings.auto_increment_increment),
                   "at least the largest ring that is ever wanted; equal on all nodes"});
  lines.push_back({"auto_increment_offset = " + std::to_string(settings.auto_increment_offset),
                   "another one on each node, for life"});
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.setting.size());
  std::string out =
      "# What a ring needs of this server. Written by `ringagent setup`; takes effect at the next restart.\n";
  out += maria ? "[mariadb]\n" : "[mysqld]\n";
  for (const Line& line : lines)
    out += line.setting + std::string(width + 2 - line.setting.size(), ' ') + "# " + line.why + "\n";
  return out;
}

}  // namespace ringagent
