#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "mysql/dialect.h"
#include "mysql/gtid.h"

// What the answers of a poll mean.
namespace ringagent {
namespace {

bool same_word(std::string_view a, std::string_view b) {
  const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return low(x) == low(y); });
}

template <class T>
T to_number(std::string_view text, T otherwise = 0) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? value : otherwise;
}

// Seconds with a fraction, as the servers print them.
std::uint32_t to_milliseconds(const std::string& text) {
  const double seconds = std::strtod(text.c_str(), nullptr);
  return seconds > 0 && seconds < 4e6 ? static_cast<std::uint32_t>(std::lround(seconds * 1000)) : 0;
}

bool is_on(std::string_view text) {
  return !text.empty() && text != "0" && !same_word(text, "OFF") && !same_word(text, "NO");
}

IoState io_state(std::string_view text) {
  if (same_word(text, "Yes")) return IoState::running;
  return same_word(text, "No") || text.empty() ? IoState::stopped : IoState::connecting;  // Connecting, Preparing
}

// "name=value" for each column that is not empty.
std::string joined(const Rows& rows, std::size_t row, std::initializer_list<std::string_view> names) {
  std::string out;
  for (const auto name : names) {
    const std::string value = rows.text(row, {name});
    if (value.empty()) continue;
    if (!out.empty()) out += ' ';
    out += std::string(name) + "=" + value;
  }
  return out;
}

std::vector<std::uint32_t> id_list(std::string_view text) {
  std::vector<std::uint32_t> ids;
  while (!text.empty()) {
    const auto at = text.find_first_of("0123456789");
    if (at == std::string_view::npos) break;
    text.remove_prefix(at);
    ids.push_back(to_number<std::uint32_t>(text));
    const auto end = text.find_first_not_of("0123456789");
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end);
  }
  return ids;
}

// MariaDB ends the message of some failures with "..., Gtid 3-3-106"; events in its logs say "GTID 3-3-106".
std::string gtid_in(const std::string& message) {
  auto at = message.rfind("Gtid ");
  if (at == std::string::npos) at = message.rfind("GTID ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + 5;
  return message.substr(begin, message.find_first_not_of("0123456789-", begin) - begin);
}

void read_threads(const Rows& rows, std::size_t i, Link& link) {
  link.io = io_state(rows.text(i, {"Replica_IO_Running", "Slave_IO_Running"}));
  link.sql_running = same_word(rows.text(i, {"Replica_SQL_Running", "Slave_SQL_Running"}), "Yes");
  link.io_state = rows.text(i, {"Replica_IO_State", "Slave_IO_State"});
  link.sql_state = rows.text(i, {"Replica_SQL_Running_State", "Slave_SQL_Running_State"});
  link.io_errno = to_number<unsigned>(rows.text(i, {"Last_IO_Errno"}));
  link.io_error = rows.text(i, {"Last_IO_Error"});
  link.sql_errno = to_number<unsigned>(rows.text(i, {"Last_SQL_Errno"}));
  link.sql_error = rows.text(i, {"Last_SQL_Error"});
  link.seconds_behind = to_number<std::int64_t>(rows.text(i, {"Seconds_Behind_Source", "Seconds_Behind_Master"}), -1);
}

void read_definition(const Rows& rows, std::size_t i, Link& link) {
  link.source.host = rows.text(i, {"Source_Host", "Master_Host"});
  link.source.port = to_number<std::uint16_t>(rows.text(i, {"Source_Port", "Master_Port"}));
  link.user = rows.text(i, {"Source_User", "Master_User"});
  link.connect_retry_s = to_number<std::uint32_t>(rows.text(i, {"Connect_Retry"}));
  link.delay_s = to_number<std::uint32_t>(rows.text(i, {"SQL_Delay"}));
  link.ignore_server_ids = id_list(rows.text(i, {"Replicate_Ignore_Server_Ids"}));
  link.filters = joined(rows, i,
                        {"Replicate_Do_DB", "Replicate_Ignore_DB", "Replicate_Do_Table", "Replicate_Ignore_Table",
                         "Replicate_Wild_Do_Table", "Replicate_Wild_Ignore_Table", "Replicate_Rewrite_DB",
                         "Replicate_Do_Domain_Ids", "Replicate_Ignore_Domain_Ids"});
  link.tls = joined(rows, i,
                    {"Source_SSL_Allowed",
                     "Source_SSL_CA_File",
                     "Source_SSL_CA_Path",
                     "Source_SSL_Cert",
                     "Source_SSL_Cipher",
                     "Source_SSL_Key",
                     "Source_SSL_Verify_Server_Cert",
                     "Source_SSL_Crl",
                     "Source_SSL_Crlpath",
                     "Source_TLS_Version",
                     "Source_public_key_path",
                     "Get_Source_public_key",
                     "Master_SSL_Allowed",
                     "Master_SSL_CA_File",
                     "Master_SSL_CA_Path",
                     "Master_SSL_Cert",
                     "Master_SSL_Cipher",
                     "Master_SSL_Key",
                     "Master_SSL_Verify_Server_Cert",
                     "Master_SSL_Crl",
                     "Master_SSL_Crlpath",
                     "Master_TLS_Version"});
}

void read_flow(const Rows& rows, std::size_t i, Link& link) {
  const std::string read_file = rows.text(i, {"Source_Log_File", "Master_Log_File"});
  const std::string read_pos = rows.text(i, {"Read_Source_Log_Pos", "Read_Master_Log_Pos"});
  const std::string exec_file = rows.text(i, {"Relay_Source_Log_File", "Relay_Master_Log_File"});
  const std::string exec_pos = rows.text(i, {"Exec_Source_Log_Pos", "Exec_Master_Log_Pos"});
  link.io_position = rows.text(i, {"Gtid_IO_Pos", "Retrieved_Gtid_Set"});
  link.progress =
      read_file + ":" + read_pos + " " + link.io_position + " " + rows.text(i, {"Slave_received_heartbeats"});
  link.relay_file = rows.text(i, {"Relay_Log_File"});
  link.relay_pos = to_number<std::uint64_t>(rows.text(i, {"Relay_Log_Pos"}));
  link.applied = link.relay_file + ":" + rows.text(i, {"Relay_Log_Pos"}) + " " + exec_file + ":" + exec_pos + " " +
                 rows.text(i, {"Executed_log_entries"});
  link.drained_exact = !read_file.empty() && read_file == exec_file && read_pos == exec_pos;
  link.drained_idle = link.sql_state.starts_with("Slave has read all relay log") ||
                      link.sql_state.starts_with("Replica has read all relay log");
}

Result<void> absorb_links(bool mariadb, const Rows& rows, ServerState& state) {
  state.links.clear();
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    if (!rows.at(i, "Slave_IO_Running") && !rows.at(i, "Replica_IO_Running"))
      return fail("the server's replication status lacks the column Slave_IO_Running");
    Link link;
    link.channel = rows.text(i, {"Connection_name", "Channel_Name"});
    read_threads(rows, i, link);
    read_definition(rows, i, link);
    read_flow(rows, i, link);
    link.gtid_mode_text = rows.text(i, {"Using_Gtid", "Auto_Position"});
    link.uses_gtid = link.gtid_mode_text == (mariadb ? "Slave_Pos" : "1");
    if (mariadb) {
      link.heartbeat_period_ms = to_milliseconds(rows.text(i, {"Slave_heartbeat_period"}));
      link.sql_transaction = link.sql_errno == 0 ? "" : gtid_in(link.sql_error);
    } else {
      link.received = rows.text(i, {"Retrieved_Gtid_Set"});
    }
    state.links.push_back(std::move(link));
  }
  // A replica that was never configured is no link: some MySQL versions show a row with an empty host.
  std::erase_if(state.links, [](const Link& link) { return link.source.host.empty(); });
  return {};
}

Link* link_of(ServerState& state, const std::string& channel) {
  for (Link& link : state.links)
    if (link.channel == channel) return &link;
  return nullptr;
}

Result<void> absorb_sets(bool mariadb, const Rows& rows, ServerState& state) {
  const std::string* executed = rows.at(0, "executed");
  const std::string* read_only = rows.at(0, "read_only");
  if (!executed || !read_only) return fail("the server did not tell its GTID sets");
  state.executed = *executed;
  state.slave_pos = rows.text(0, {"slave_pos"});
  state.super_read_only = is_on(rows.text(0, {"super_read_only"}));
  state.read_only = is_on(*read_only) || state.super_read_only;
  if (mariadb) return {};
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const std::string* channel = rows.at(i, "channel");
    Link* link = channel ? link_of(state, *channel) : nullptr;
    if (!link) continue;
    link->received = rows.text(i, {"received"});
    link->progress += rows.text(i, {"heartbeats"}) + " " + rows.text(i, {"heartbeat_at"});
    link->heartbeat_period_ms = to_milliseconds(rows.text(i, {"heartbeat_period"}));
  }
  return {};
}

void read_identity(const Rows& rows, ServerState& state) {
  if (const Version version = parse_version(rows.text(0, {"version"})); version.flavor != Flavor::unknown)
    state.version = version;
  state.server_id = to_number<std::uint32_t>(rows.text(0, {"server_id"}));
  state.server_uuid = rows.text(0, {"server_uuid"});
  state.domain_id = to_number<std::uint32_t>(rows.text(0, {"domain_id"}));
  state.port = to_number<std::uint32_t>(rows.text(0, {"port"}));
}

Result<void> absorb_identity(const Rows& rows, ServerState& state) {
  const std::string* uptime = rows.at(0, "uptime");
  if (!uptime || !rows.at(0, "server_id") || !rows.at(0, "now"))
    return fail("the server did not tell its server_id and uptime (is performance_schema off?)");
  read_identity(rows, state);
  const auto now = to_number<std::int64_t>(rows.text(0, {"now"}));
  const auto uptime_s = to_number<std::uint64_t>(*uptime);
  // Unsigned: where the clock was set back behind the start, the server's uptime is below zero and comes as 2^64 less.
  const auto started = static_cast<std::int64_t>(static_cast<std::uint64_t>(now) - uptime_s);
  if (now < 0 || started < 0)
    return fail("the server's clock and uptime contradict each other: it is " + rows.text(0, {"now"}) +
                " and it runs for " + *uptime + " s");
  state.uptime_s = uptime_s;
  state.started_unix_s = started;
  return {};
}

Result<void> absorb_variables(const Rows& rows, ServerState& state) {
  state.variables.clear();
  for (std::size_t i = 0; i < rows.rows.size(); ++i)
    state.variables.emplace_back(rows.text(i, {"Variable_name"}), rows.text(i, {"Value"}));
  if (state.variables.empty()) return fail("the server showed none of its variables (is performance_schema off?)");
  return {};
}

void absorb_binlog(const Rows& rows, ServerState& state) {
  state.binlog_file = rows.text(0, {"File"});
  state.binlog_pos = to_number<std::uint64_t>(rows.text(0, {"Position"}));
}

// The set at the head of a binlog file.
Result<std::string> head_of(bool mariadb, const Rows& rows) {
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    if (rows.text(i, {"Event_type"}) != (mariadb ? "Gtid_list" : "Previous_gtids")) continue;
    std::string set = rows.text(i, {"Info"});
    if (mariadb) std::erase_if(set, [](char c) { return c == '[' || c == ']'; });
    return set;
  }
  return fail(std::string("no ") + (mariadb ? "Gtid_list" : "Previous_gtids") + " at the head of the binlog file");
}

// MySQL: what was purged, or cloned, stands in no file and so not in Previous_gtids.
Result<void> absorb_at_start(bool mariadb, const Rows& rows, ServerState& state) {
  const auto head = head_of(mariadb, rows);
  if (!head) return fail(head.error().text);
  state.at_start = *head;
  if (mariadb || state.purged.empty()) return {};
  const auto purged = GtidSet::parse(Flavor::mysql, state.purged);
  const auto logged = GtidSet::parse(Flavor::mysql, *head);
  if (!purged) return fail(purged.error().text);
  if (!logged) return fail(logged.error().text);
  state.at_start = logged->unite(*purged).str();
  return {};
}

Result<void> absorb_purged(bool mariadb, const Rows& rows, ServerState& state) {
  if (!mariadb) {
    state.purged = rows.text(0, {"purged"});
    return {};
  }
  const auto head = head_of(mariadb, rows);
  if (!head) return fail(head.error().text);
  state.purged = *head;
  return {};
}

// MySQL: the first message says why; with several workers the others only say that they followed the first.
// MariaDB: the event in the relay log, "GTID 3-3-106" or "BEGIN GTID 3-3-106 cid=12".
void absorb_applier(bool mariadb, const Rows& rows, ServerState& state) {
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    Link* link = link_of(state, rows.text(i, {"channel"}));
    if (!link || !link->sql_transaction.empty()) continue;
    link->sql_transaction = mariadb ? gtid_in(rows.text(i, {"Info"})) : rows.text(i, {"transaction"});
    if (const auto error = rows.text(i, {"error"}); !error.empty()) link->sql_error = error;
  }
}

}  // namespace

const std::string* Rows::at(std::size_t row, std::string_view column) const {
  if (row >= rows.size()) return nullptr;
  for (std::size_t i = 0; i < columns.size() && i < rows[row].size(); ++i)
    if (same_word(columns[i], column)) return rows[row][i] ? &*rows[row][i] : nullptr;
  return nullptr;
}

std::string Rows::text(std::size_t row, std::initializer_list<std::string_view> names) const {
  for (const auto name : names)
    if (const std::string* value = at(row, name)) return *value;
  return "";
}

Result<void> Dialect::absorb(const Query& query, const Rows& rows, ServerState& state) const {
  switch (query.what) {
    case Query::What::links:
      return absorb_links(mariadb(), rows, state);
    case Query::What::sets:
      return absorb_sets(mariadb(), rows, state);
    case Query::What::binlog:
      absorb_binlog(rows, state);
      return {};
    case Query::What::identity:
      return absorb_identity(rows, state);
    case Query::What::variables:
      return absorb_variables(rows, state);
    case Query::What::purged:
      return absorb_purged(mariadb(), rows, state);
    case Query::What::at_start:
      return absorb_at_start(mariadb(), rows, state);
    case Query::What::applier:
      absorb_applier(mariadb(), rows, state);
      return {};
    case Query::What::glance:
      break;
  }
  if (!rows.at(0, "server_id")) return fail("the server did not tell its server_id");
  read_identity(rows, state);
  return absorb_sets(mariadb(), rows, state);
}

}  // namespace ringagent
