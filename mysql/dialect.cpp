#include "mysql/dialect.h"

#include <charconv>

// Versions and questions; what the answers mean is in dialect_rows.cpp, the plans are in dialect_plans.cpp.
namespace ringagent {
namespace {

// Settings that preconditions, check and status look at. A name that a version does not know is simply absent
// from the answer, so one list serves all.
constexpr std::string_view kVariables[] = {"auto_increment_increment",
                                           "auto_increment_offset",
                                           "binlog_expire_logs_seconds",
                                           "binlog_format",
                                           "binlog_row_image",
                                           "enforce_gtid_consistency",
                                           "event_scheduler",
                                           "expire_logs_days",
                                           "gtid_domain_id",
                                           "gtid_ignore_duplicates",
                                           "gtid_mode",
                                           "gtid_strict_mode",
                                           "innodb_flush_log_at_trx_commit",
                                           "log_bin",
                                           "log_replica_updates",
                                           "log_slave_updates",
                                           "performance_schema",
                                           "relay_log_recovery",
                                           "replica_exec_mode",
                                           "replica_net_timeout",
                                           "replica_parallel_workers",
                                           "replica_preserve_commit_order",
                                           "replica_skip_errors",
                                           "replica_type_conversions",
                                           "replicate_same_server_id",
                                           "rpl_semi_sync_master_enabled",
                                           "rpl_semi_sync_replica_enabled",
                                           "rpl_semi_sync_slave_enabled",
                                           "rpl_semi_sync_source_enabled",
                                           "skip_replica_start",
                                           "skip_slave_start",
                                           "slave_exec_mode",
                                           "slave_net_timeout",
                                           "slave_parallel_threads",
                                           "slave_parallel_workers",
                                           "slave_preserve_commit_order",
                                           "slave_skip_errors",
                                           "slave_type_conversions",
                                           "sync_binlog",
                                           "version_comment",
                                           "wsrep_on"};

std::string variables_sql() {
  std::string list;
  for (const auto name : kVariables) list += (list.empty() ? "'" : ",'") + std::string(name) + "'";
  return "SHOW GLOBAL VARIABLES WHERE Variable_name IN (" + list + ")";
}

}  // namespace

Version parse_version(std::string_view text) {
  if (text.substr(0, 6) == "5.5.5-") text.remove_prefix(6);  // MariaDB's greeting for the sake of old clients
  Version version;
  version.text = std::string(text.substr(0, 64));
  std::uint32_t part[3] = {0, 0, 0};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [next, error] = std::from_chars(at, end, part[i]);
    if (error != std::errc{} || part[i] > 999) return version;
    at = next;
    if (i < 2 && (at == end || *at++ != '.')) return version;
  }
  version.number = part[0] * 10000 + part[1] * 100 + part[2];
  const std::string_view digits = text.substr(0, static_cast<std::size_t>(at - text.data()));
  const bool maria = text.find("MariaDB") != std::string_view::npos || text.find("mariadb") != std::string_view::npos;
  version.flavor = maria ? Flavor::mariadb : Flavor::mysql;
  version.text = std::string(digits) + (maria ? "-MariaDB" : "-MySQL");
  return version;
}

Result<Dialect> Dialect::for_server(const Version& version) {
  const bool maria = version.flavor == Flavor::mariadb && version.number >= 100500;
  const bool mysql = version.flavor == Flavor::mysql && version.number >= 50700 && version.number < 100000;
  if (!maria && !mysql)
    return fail("server version '" + version.text +
                "' is not supported: MariaDB from 10.5 or MySQL 5.7 to 9.x is needed");
  return Dialect(version);
}

// ------------------------------------------------------------------ questions

std::vector<Query> Dialect::poll() const {
  if (mariadb())
    return {{Query::What::links, "SHOW ALL SLAVES STATUS"},
            {Query::What::sets,
             "SELECT @@global.gtid_binlog_state AS executed, @@global.gtid_slave_pos AS slave_pos, "
             "@@global.read_only AS read_only"}};
  // One row for each receiver, or one row of NULLs beside the sets when there is none.
  return {{Query::What::links, std::string("SHOW ") + replica() + " STATUS"},
          {Query::What::sets,
           "SELECT @@global.gtid_executed AS executed, @@global.read_only AS read_only, "
           "@@global.super_read_only AS super_read_only, s.CHANNEL_NAME AS channel, "
           "s.RECEIVED_TRANSACTION_SET AS received, s.COUNT_RECEIVED_HEARTBEATS AS heartbeats, "
           "s.LAST_HEARTBEAT_TIMESTAMP AS heartbeat_at, c.HEARTBEAT_INTERVAL AS heartbeat_period "
           "FROM (SELECT 1 AS one) AS o "
           "LEFT JOIN performance_schema.replication_connection_status AS s ON TRUE "
           "LEFT JOIN performance_schema.replication_connection_configuration AS c "
           "ON c.CHANNEL_NAME = s.CHANNEL_NAME"}};
}

Query Dialect::binlog() const {
  return {Query::What::binlog,
          !mariadb() && version_.number >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS"};
}

std::vector<Query> Dialect::survey() const {
  const std::string common =
      "SELECT VERSION() AS version, @@global.server_id AS server_id, @@global.port AS port, "
      "UNIX_TIMESTAMP() AS now, u.VARIABLE_VALUE AS uptime, ";
  if (mariadb())
    return {{Query::What::identity, common + "@@global.gtid_domain_id AS domain_id "
                                             "FROM information_schema.GLOBAL_STATUS AS u "
                                             "WHERE u.VARIABLE_NAME = 'UPTIME'"},
            {Query::What::variables, variables_sql()}};
  return {{Query::What::identity, common + "@@global.server_uuid AS server_uuid "
                                           "FROM performance_schema.global_status AS u "
                                           "WHERE u.VARIABLE_NAME = 'Uptime'"},
          {Query::What::variables, variables_sql()},
          {Query::What::purged, "SELECT @@global.gtid_purged AS purged"}};
}

std::vector<Query> Dialect::follow_up(const ServerState& state, bool surveyed) const {
  std::vector<Query> more;
  if (surveyed && !state.binlog_file.empty()) {
    // Without IN the oldest file is shown. The list is the second event, the third where the file is
    // encrypted.
    if (mariadb()) more.push_back({Query::What::purged, "SHOW BINLOG EVENTS LIMIT 3"});
    more.push_back({Query::What::at_start, "SHOW BINLOG EVENTS IN " + quote(state.binlog_file) + " LIMIT 3"});
  }
  for (const Link& link : state.links) {
    if (link.sql_errno == 0 || !link.sql_transaction.empty()) continue;
    if (!mariadb()) {
      more.push_back(applier_query());
      break;
    }
    // The applier's position in the relay log is the beginning of the group that it could not apply.
    if (link.channel.empty() && !link.sql_running)
      more.push_back(
          {Query::What::applier,
           "SHOW RELAYLOG EVENTS IN " + quote(link.relay_file) + " FROM " + std::to_string(link.relay_pos) + " LIMIT 1",
           true});
  }
  return more;
}

Query Dialect::applier_query() const {
  const char* transaction = version_.number >= 80000 ? "APPLYING_TRANSACTION" : "LAST_SEEN_TRANSACTION";
  return {Query::What::applier,
          std::string("SELECT CHANNEL_NAME AS channel, ") + transaction +
              " AS transaction, LAST_ERROR_MESSAGE AS error "
              "FROM performance_schema.replication_applier_status_by_worker WHERE LAST_ERROR_NUMBER <> 0",
          true};
}

Query Dialect::glance() const {
  if (mariadb())
    return {Query::What::glance,
            "SELECT VERSION() AS version, @@global.server_id AS server_id, @@global.gtid_domain_id AS domain_id, "
            "@@global.port AS port, @@global.read_only AS read_only, @@global.gtid_binlog_state AS executed, "
            "@@global.gtid_slave_pos AS slave_pos"};
  return {Query::What::glance,
          "SELECT VERSION() AS version, @@global.server_id AS server_id, @@global.server_uuid AS server_uuid, "
          "@@global.port AS port, @@global.read_only AS read_only, @@global.super_read_only AS super_read_only, "
          "@@global.gtid_executed AS executed"};
}

Query Dialect::glance_purged() const {
  return {Query::What::purged, mariadb() ? "SHOW BINLOG EVENTS LIMIT 3" : "SELECT @@global.gtid_purged AS purged"};
}

}  // namespace ringagent
