#include "mysql/dialect.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>

// The questions and the plans; what the answers mean is in dialect_rows.cpp.
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

// Control characters would end a line of the server's own replication files.
bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return std::iscntrl(static_cast<unsigned char>(c)); });
}

std::string seconds(std::uint32_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%u.%03u", ms / 1000, ms % 1000);
  return text;
}

Statement plain(std::string sql, std::string label, Duration deadline = 2s) {
  Statement statement;
  statement.shown = sql;
  statement.sql = std::move(sql);
  statement.label = std::move(label);
  statement.deadline = deadline;
  return statement;
}

std::vector<Option> address_options(const Address& source) {
  return {{"HOST", quote(source.host)}, {"PORT", std::to_string(source.port)}};
}

// Both flavours reset the heartbeat period to half of slave_net_timeout when the address changes: it is named
// again.
std::vector<Option> repoint_options(const Link& link, const Address& source) {
  auto options = address_options(source);
  if (link.heartbeat_period_ms != 0)
    options.push_back({"HEARTBEAT_PERIOD", seconds(link.heartbeat_period_ms)});
  return options;
}

std::optional<Error> wrong_source(const Version& version, const Address& source) {
  const std::size_t host_max = version.flavor == Flavor::mariadb || version.number < 80017 ? 60 : 255;
  if (source.host.empty() || source.port == 0) return Error{"no source address"};
  if (!printable(source.host)) return Error{"the source's host name has a control character in it"};
  if (source.host.size() > host_max)
    return Error{"the source's host name is longer than the " + std::to_string(host_max) +
                 " characters that " + version.text + " takes"};
  return std::nullopt;
}

std::optional<Error> wrong_account(const Version& version, const LinkSettings& settings) {
  if (!printable(settings.user) || !printable(settings.password) || !printable(settings.ca_file))
    return Error{"[replication] user, password and ca must not hold control characters"};
  if (settings.user.empty()) return Error{"[replication] user is empty"};
  if (settings.user.size() > (version.flavor == Flavor::mariadb ? 128U : 96U))
    return Error{"[replication] user is too long for the server"};
  if (version.flavor == Flavor::mysql && settings.password.size() > 32)
    return Error{
        "[replication] the password has more than the 32 characters that MySQL takes for a replication link"};
  if (version.flavor == Flavor::mariadb && settings.password.size() > 96)
    return Error{
        "[replication] the password has more than the 96 characters that MariaDB takes for a replication "
        "link"};
  if (settings.tls == TlsMode::verify_ca && settings.ca_file.empty())
    return Error{"[replication] tls = \"verify_ca\" needs ca = FILE"};
  return std::nullopt;
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\0') {
      out += "\\0";
      continue;
    }
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

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
  const bool maria =
      text.find("MariaDB") != std::string_view::npos || text.find("mariadb") != std::string_view::npos;
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
             "@@global.read_only AS read_only"},
            {Query::What::binlog, "SHOW MASTER STATUS"}};
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
           "ON c.CHANNEL_NAME = s.CHANNEL_NAME"},
          {Query::What::binlog, version_.number >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS"}};
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
      more.push_back({Query::What::applier,
                      "SHOW RELAYLOG EVENTS IN " + quote(link.relay_file) + " FROM " +
                          std::to_string(link.relay_pos) + " LIMIT 1",
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
    return {
        Query::What::glance,
        "SELECT VERSION() AS version, @@global.server_id AS server_id, @@global.gtid_domain_id AS domain_id, "
        "@@global.port AS port, @@global.read_only AS read_only, @@global.gtid_binlog_state AS executed, "
        "@@global.gtid_slave_pos AS slave_pos"};
  return {
      Query::What::glance,
      "SELECT VERSION() AS version, @@global.server_id AS server_id, @@global.server_uuid AS server_uuid, "
      "@@global.port AS port, @@global.read_only AS read_only, @@global.super_read_only AS super_read_only, "
      "@@global.gtid_executed AS executed"};
}

Query Dialect::glance_purged() const {
  return {Query::What::purged,
          mariadb() ? "SHOW BINLOG EVENTS LIMIT 3" : "SELECT @@global.gtid_purged AS purged"};
}

// ------------------------------------------------------------------ plans

Statement Dialect::change(std::string label, const std::vector<Option>& options) const {
  const std::string prefix = says_source() ? "SOURCE_" : "MASTER_";
  std::string sql = says_source() ? "CHANGE REPLICATION SOURCE TO " : "CHANGE MASTER TO ";
  std::string shown = sql;
  bool first = true;
  for (const Option& option : options) {
    const bool whole = option.name == "PUBLIC_KEY" || option.name == "IGNORE_SERVER_IDS";
    const std::string name = option.name == "PUBLIC_KEY" ? "GET_" + prefix + option.name
                             : whole                     ? option.name
                                                         : prefix + option.name;
    const std::string head = (first ? "" : ", ") + name + "=";
    sql += head + option.value;
    shown += head + (option.secret ? "'***'" : option.value);
    first = false;
  }
  Statement statement = plain(std::move(sql), std::move(label), 5s);
  statement.shown = std::move(shown);
  return statement;
}

std::vector<Option> Dialect::account_options(const LinkSettings& settings) const {
  const bool tls = settings.tls != TlsMode::off;
  const bool verify = settings.tls == TlsMode::verify_ca;
  std::vector<Option> options = {{"USER", quote(settings.user)},
                                 {"PASSWORD", quote(settings.password), true},
                                 {"CONNECT_RETRY", std::to_string(std::max(1U, settings.connect_retry_s))},
                                 {"HEARTBEAT_PERIOD", seconds(settings.heartbeat_period_ms)},
                                 {"SSL", tls ? "1" : "0"},
                                 {"SSL_CA", quote(verify ? settings.ca_file : "")},
                                 {"SSL_VERIFY_SERVER_CERT", verify && mariadb() ? "1" : "0"}};
  if (mariadb()) return options;            // --master-retry-count is a server option there
  options.push_back({"RETRY_COUNT", "0"});  // for ever; MySQL 9 gives up after 10
  // caching_sha2_password needs the source's RSA key where there is no TLS.
  if (version_.number >= 80004) options.push_back({"PUBLIC_KEY", tls ? "0" : "1"});
  return options;
}

Result<std::vector<Statement>> Dialect::repoint(const Link& link, const Address& source) const {
  if (const auto wrong = wrong_source(version_, source)) return tl::unexpected<Error>(*wrong);
  if (!link.uses_gtid)
    return fail("the link does not use GTIDs (" + link.gtid_mode_text + "): it is left alone");
  std::vector<Statement> plan;
  if (mariadb()) {
    plan = stop_link();
    plan.push_back(change("repoint", repoint_options(link, source)));
    plan.push_back(start_link().front());
    return plan;
  }
  if (link.sql_errno != 0)
    return fail("the applier stands on error " + std::to_string(link.sql_errno) +
                ": a repoint now would throw away what it has received");
  if (!link.sql_running)
    plan.push_back(plain(std::string("START ") + replica() + " SQL_THREAD", "start applier"));
  plan.push_back(stop_receiving().front());
  plan.push_back(change("repoint", repoint_options(link, source)));
  plan.push_back(start_receiver().front());
  return plan;
}

Result<std::vector<Statement>> Dialect::create_link(const Address& source,
                                                    const LinkSettings& settings) const {
  if (const auto wrong = wrong_source(version_, source)) return tl::unexpected<Error>(*wrong);
  if (const auto wrong = wrong_account(version_, settings)) return tl::unexpected<Error>(*wrong);
  std::vector<Option> options = address_options(source);
  for (auto& option : account_options(settings)) options.push_back(std::move(option));
  if (mariadb())
    options.push_back({"USE_GTID", "slave_pos"});
  else
    options.push_back({"AUTO_POSITION", "1"});
  return std::vector<Statement>{change("create link", options), start_link().front()};
}

Result<std::vector<Statement>> Dialect::adjust_link(const Link& link, const LinkSettings& settings) const {
  if (const auto wrong = wrong_account(version_, settings)) return tl::unexpected<Error>(*wrong);
  if (!link.uses_gtid)
    return fail("the link does not use GTIDs (" + link.gtid_mode_text + "): it is left alone");
  if (mariadb())
    return std::vector<Statement>{stop_link().front(), change("change link", account_options(settings)),
                                  start_link().front()};
  if (!link.sql_running)
    return fail("the applier is stopped: a change now would throw away what it has received");
  return std::vector<Statement>{stop_receiving().front(), change("change link", account_options(settings)),
                                start_receiver().front()};
}

std::vector<Statement> Dialect::start_link() const {
  return {plain(std::string("START ") + replica(), "start link")};
}

std::vector<Statement> Dialect::start_receiver() const {
  return {plain(std::string("START ") + replica() + " IO_THREAD", "start receiver")};
}

std::vector<Statement> Dialect::stop_link() const {
  if (mariadb()) return {plain("STOP SLAVE", "stop link", 10s)};
  // The receiver first and for itself: MySQL's applier may take a minute to give up half a transaction.
  return {stop_receiving().front(), plain(std::string("STOP ") + replica(), "stop link", 10s)};
}

std::vector<Statement> Dialect::stop_receiving() const {
  if (mariadb()) return stop_link();
  // 2 s inside a connect(); then a little more.
  return {plain(std::string("STOP ") + replica() + " IO_THREAD", "stop receiver", 5s)};
}

std::vector<Statement> Dialect::set_read_only() const {
  return {
      plain("SET SESSION lock_wait_timeout = 2", "bound the wait", 1s),
      plain(mariadb() ? "SET GLOBAL read_only = 1" : "SET GLOBAL super_read_only = 1", "set read_only", 3s)};
}

std::vector<Statement> Dialect::lift_read_only() const {
  return {plain("SET GLOBAL read_only = 0", "lift read_only", 3s)};  // MySQL lifts super_read_only with it
}

std::vector<Statement> Dialect::prime() const {
  if (!mariadb()) return {};
  return {plain("DROP VIEW IF EXISTS `ringagent`.`prime`", "prime domain", 3s)};
}

}  // namespace ringagent
