#include "mysql/copy.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

namespace ringagent {
namespace {

bool mariadb(const Version& version) {
  return version.flavor == Flavor::mariadb;
}

std::uint64_t number_at(const Rows& rows, std::size_t row, std::string_view column) {
  const std::string* text = rows.at(row, column);
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 0;
}

std::string text_at(const Rows& rows, std::size_t row, std::string_view column) {
  const std::string* text = rows.at(row, column);
  return text ? *text : std::string();
}

bool says(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

const char* to_string(CopyMethod method) {
  return method == CopyMethod::clone ? "clone" : "dump";
}

CopyMethod usual_method(const Version& version) {
  return !mariadb(version) && version.number >= 80017 ? CopyMethod::clone : CopyMethod::dump;
}

std::string identifier(std::string_view name) {
  std::string out = "`";
  for (const char c : name) out += c == '`' ? std::string("``") : std::string(1, c);
  return out + "`";
}

// ---------------------------------------------------------------- what is there

std::string schemas_query() {
  return "SELECT s.SCHEMA_NAME AS name,"
         " (SELECT COUNT(*) FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = s.SCHEMA_NAME)"
         " + (SELECT COUNT(*) FROM information_schema.ROUTINES r WHERE r.ROUTINE_SCHEMA = s.SCHEMA_NAME) AS things,"
         " (SELECT COALESCE(SUM(t.DATA_LENGTH), 0) FROM information_schema.TABLES t"
         " WHERE t.TABLE_SCHEMA = s.SCHEMA_NAME) AS bytes"
         " FROM information_schema.SCHEMATA s"
         " WHERE s.SCHEMA_NAME NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"
         " ORDER BY s.SCHEMA_NAME";
}

Schemas read_schemas(const Rows& rows) {
  Schemas out;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const std::string name = text_at(rows, i, "name");
    if (name.empty() || name == kCopySchema) continue;
    out.all.push_back(name);
    out.bytes += number_at(rows, i, "bytes");
    // `test` comes with the server; `ringagent` is the agent's own.
    const bool nobodys = name == "ringagent" || (name == "test" && number_at(rows, i, "things") == 0);
    if (!nobodys) out.data.push_back(name);
  }
  return out;
}

std::vector<std::string> begin_mark(std::string_view donor) {
  const std::string table = identifier(kCopySchema) + ".state";
  return {"CREATE DATABASE IF NOT EXISTS " + identifier(kCopySchema),
          "CREATE TABLE IF NOT EXISTS " + table +
              " (id INT PRIMARY KEY, complete INT NOT NULL, donor VARCHAR(255) NOT NULL)"
              " COMMENT 'the data of this server are being made anew from a copy: ringagent join or reseed goes on'",
          "REPLACE INTO " + table + " VALUES (1, 0, " + quote(donor) + ")"};
}

std::string complete_mark() {
  return "UPDATE " + identifier(kCopySchema) + ".state SET complete = 1";
}

std::string clear_mark() {
  return "DROP DATABASE IF EXISTS " + identifier(kCopySchema);
}

std::string mark_query() {
  return "SELECT complete, donor FROM " + identifier(kCopySchema) + ".state";
}

// ---------------------------------------------------------------- privileges

std::vector<std::string> copy_privileges(const Version& version, CopyMethod method) {
  if (method == CopyMethod::clone) return {"BACKUP_ADMIN"};
  std::vector<std::string> out = {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"};
  // mysqldump takes its position under a global read lock, and asks for tablespaces.
  if (!mariadb(version)) out.insert(out.end(), {"RELOAD", "PROCESS", "REPLICATION CLIENT"});
  return out;
}

std::vector<std::string> missing_privileges(const Version& version, CopyMethod method, const Rows& grants) {
  std::vector<std::string> granted;
  for (const auto& row : grants.rows) {
    if (row.empty() || !row[0]) continue;
    std::string_view text = *row[0];
    const auto end = text.find(" ON *.* TO ");
    if (!text.starts_with("GRANT ") || end == std::string_view::npos) continue;
    text = text.substr(6, end - 6);
    if (text == "ALL PRIVILEGES") return {};
    for (std::size_t at = 0; at <= text.size();) {
      const auto comma = std::min(text.find(", ", at), text.size());
      granted.emplace_back(text.substr(at, comma - at));
      at = comma + 2;
    }
  }
  std::vector<std::string> missing;
  for (const auto& wanted : copy_privileges(version, method)) {
    if (std::find(granted.begin(), granted.end(), wanted) == granted.end()) missing.push_back(wanted);
  }
  return missing;
}

// ---------------------------------------------------------------- by dump

std::vector<std::string> dump_programs(const Version& version) {
  if (mariadb(version)) return {"mariadb-dump", "mysqldump"};
  return {"mysqldump"};
}

std::vector<std::string> client_programs(const Version& version) {
  if (mariadb(version)) return {"mariadb", "mysql"};
  return {"mysql"};
}

Result<std::vector<std::string>> dump_options(const Version& version, const std::vector<std::string>& schemas) {
  std::vector<std::string> out = {"--single-transaction", "--hex-blob", "--default-character-set=utf8mb4",
                                  "--max-allowed-packet=1G"};
  const std::vector<std::string> programs = {"--routines", "--triggers", "--events"};
  if (!mariadb(version)) {
    out.insert(out.end(), programs.begin(), programs.end());
    out.emplace_back(version.number >= 80026 ? "--source-data=2" : "--master-data=2");
    out.insert(out.end(), {"--set-gtid-purged=ON", "--no-tablespaces", "--all-databases"});
    return out;
  }
  out.insert(out.end(), {"--master-data=2", "--gtid"});
  if (schemas.empty()) {  // only the position
    out.insert(out.end(),
               {"--no-data", "--no-create-info", "--no-create-db", "--skip-triggers", "--databases", "mysql"});
    return out;
  }
  out.insert(out.end(), programs.begin(), programs.end());
  out.emplace_back("--databases");
  for (const auto& schema : schemas) {
    if (schema.starts_with("-"))
      return fail("the donor has a schema named '" + schema + "', which no dump program can be told to copy");
    out.push_back(schema);
  }
  return out;
}

namespace {

// A value in an option file: in quotes, so that # and blanks belong to it.
std::string option_value(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::string options_file(const Version& version, const CopyAccount& account) {
  std::string out =
      "[client]\nuser=" + option_value(account.user) + "\npassword=" + option_value(account.password) + "\n";
  if (!account.socket.empty()) return out + "protocol=socket\nsocket=" + option_value(account.socket) + "\n";
  out += "protocol=tcp\nhost=" + option_value(account.address.host) + "\nport=" + std::to_string(account.address.port) +
         "\n";
  const bool verify = account.tls == TlsMode::verify_ca;
  if (verify) out += "ssl-ca=" + option_value(account.ca_file) + "\n";
  if (!mariadb(version)) {
    // Without TLS a password in the server's cache-less log-in needs the server's public key.
    if (account.tls == TlsMode::off) return out + "ssl-mode=DISABLED\nget-server-public-key\n";
    return out + (verify ? "ssl-mode=VERIFY_CA\n" : "ssl-mode=REQUIRED\n");
  }
  return out + (account.tls == TlsMode::off ? "skip-ssl\n" : "ssl\nloose-skip-ssl-verify-server-cert\n");
}

std::vector<std::string> drop_schemas(const std::vector<std::string>& schemas) {
  std::vector<std::string> out;
  if (!schemas.empty()) out.emplace_back("SET SESSION foreign_key_checks = 0");
  for (const auto& schema : schemas) out.push_back("DROP DATABASE IF EXISTS " + identifier(schema));
  return out;
}

std::vector<std::string> forget_transactions(const Version& version) {
  return {version.number >= 80200 && !mariadb(version) ? "RESET BINARY LOGS AND GTIDS" : "RESET MASTER"};
}

std::string import_preamble() {
  return "SET SESSION sql_log_bin = 0;\nSET SESSION foreign_key_checks = 0;\nSET SESSION unique_checks = 0;\n";
}

namespace {

constexpr std::string_view kSnapshotLine = "-- CHANGE ";
constexpr std::string_view kPositionLine = "-- SET GLOBAL gtid_slave_pos='";
constexpr std::string_view kLastLine = "-- Dump completed";
// Lines of data are long, and only their first characters matter; a position is longer the more domains there are.
constexpr std::size_t kLineBytesMax = 64 * std::size_t{1024};

}  // namespace

void DumpReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    const bool comment = line_.empty() ? part.starts_with('-') : line_.starts_with('-');
    if (comment && line_.size() < kLineBytesMax) line_ += part.substr(0, kLineBytesMax - line_.size());
    if (!comment && line_.empty() && !part.empty()) line_ = " ";  // some other line has begun
    if (end == std::string_view::npos) return;
    line();
    line_.clear();
    piece.remove_prefix(end + 1);
  }
}

void DumpReader::line() {
  const std::string_view text = line_;
  if (text.starts_with(kSnapshotLine) && says(text, "_LOG_FILE=")) snapshot_taken_ = true;
  if (text.starts_with(kLastLine)) complete_ = true;
  if (!text.starts_with(kPositionLine)) return;
  const std::string_view rest = text.substr(kPositionLine.size());
  position_ = rest.substr(0, rest.find('\''));
}

Result<GtidSeed> gtid_seed(std::string_view position, std::string_view state_before, std::uint32_t domain,
                           std::uint32_t server_id, std::uint64_t own) {
  const auto at = GtidSet::parse(Flavor::mariadb, position);
  const auto before = GtidSet::parse(Flavor::mariadb, state_before);
  if (!at) return fail("the dump's position is no list of transactions: " + at.error().text);
  if (!before) return fail("the donor's gtid_binlog_state cannot be read: " + before.error().text);
  using Key = std::pair<std::uint32_t, std::uint32_t>;
  std::vector<std::pair<Key, std::uint64_t>> last;  // of each domain: what is its newest; comes last in the domain
  std::vector<std::pair<Key, std::uint64_t>> older;
  const auto newest = [](const auto& entry) { return entry.second.back().last; };
  for (const auto& entry : at->streams()) last.push_back({{entry.first.domain, entry.first.server}, newest(entry)});
  const auto mine = std::find_if(last.begin(), last.end(), [&](const auto& e) { return e.first.first == domain; });
  const std::pair<Key, std::uint64_t> own_newest = {{domain, server_id}, own};
  if (mine != last.end()) {
    if (mine->second < own) *mine = own_newest;
  } else if (own > 0) {
    last.push_back(own_newest);
  }
  for (const auto& entry : before->streams()) {
    const Key key = {entry.first.domain, entry.first.server};
    if (std::none_of(last.begin(), last.end(), [&](const auto& e) { return e.first == key; }))
      older.push_back({key, newest(entry)});
  }
  const auto list = [](const auto& entries) {
    std::string out;
    for (const auto& [key, number] : entries) {
      out += (out.empty() ? "" : ",") + std::to_string(key.first) + "-" + std::to_string(key.second) + "-" +
             std::to_string(number);
    }
    return out;
  };
  GtidSeed seed{list(last), list(older)};
  if (!seed.slave_pos.empty()) seed.binlog_state += (seed.binlog_state.empty() ? "" : ",") + seed.slave_pos;
  return seed;
}

std::vector<std::uint32_t> domains_unnamed(std::string_view position, const std::vector<std::string>& others,
                                           std::uint32_t own_domain) {
  std::set<std::uint32_t> named = {own_domain};
  std::set<std::uint32_t> unnamed;
  const auto each = [](std::string_view text, auto&& then) {
    const auto set = GtidSet::parse(Flavor::mariadb, text);
    if (!set) return;
    for (const auto& entry : set->streams()) then(entry.first.domain);
  };
  each(position, [&](std::uint32_t domain) { named.insert(domain); });
  for (const std::string& other : others) {
    each(other, [&](std::uint32_t domain) {
      if (named.count(domain) == 0) unnamed.insert(domain);
    });
  }
  return {unnamed.begin(), unnamed.end()};
}

std::vector<std::string> adopt_position(const GtidSeed& seed) {
  return {"STOP SLAVE", "RESET SLAVE ALL", "RESET MASTER", "SET GLOBAL gtid_slave_pos = " + quote(seed.slave_pos),
          "SET GLOBAL gtid_binlog_state = " + quote(seed.binlog_state)};
}

std::vector<Statement> begin_position(const ServerState& server, const std::string& purged) {
  if (!mariadb(server.version)) return {};
  const auto have = GtidSet::parse(Flavor::mariadb, server.executed);
  const auto asked = GtidSet::parse(Flavor::mariadb, server.slave_pos);
  const auto gone = GtidSet::parse(Flavor::mariadb, purged);
  if (!have || !asked || !gone) return {};  // whoever needs them says so
  if (asked->contains(*gone)) return {};
  const auto newest = [](const GtidSet& set, std::uint32_t domain) {
    std::uint64_t out = 0;
    for (const auto& [stream, intervals] : set.streams()) {
      if (stream.domain == domain) out = std::max(out, intervals.back().last);
    }
    return out;
  };
  const auto domains = have->domains();
  const bool behind = std::any_of(domains.begin(), domains.end(), [&](std::uint32_t domain) {
    const std::uint64_t there = newest(*asked, domain);
    return there == 0 || (domain == server.domain_id && there < newest(*have, domain));
  });
  if (!behind) return {};
  // By the server's own word, not by ours: it goes on writing, and strict mode refuses a position behind its binlog.
  std::string sql = "SET GLOBAL gtid_slave_pos = @@global.gtid_binlog_pos";
  std::string more;
  for (const auto& [stream, intervals] : asked->streams()) {
    if (std::find(domains.begin(), domains.end(), stream.domain) != domains.end()) continue;
    more += "," + std::to_string(stream.domain) + "-" + std::to_string(stream.server) + "-" +
            std::to_string(intervals.back().last);
  }
  if (!more.empty()) sql = "SET GLOBAL gtid_slave_pos = CONCAT(@@global.gtid_binlog_pos, " + quote(more) + ")";
  return {Statement{sql, sql, "position"}};
}

// ---------------------------------------------------------------- accounts

const std::vector<std::string>& account_tables() {
  static const std::vector<std::string> tables = {"global_priv", "db",           "tables_priv",  "columns_priv",
                                                  "procs_priv",  "proxies_priv", "roles_mapping"};
  return tables;
}

namespace {

std::string not_kept(const std::vector<KeptAccount>& kept) {
  std::string out;
  for (const auto& account : kept) {
    out += (out.empty() ? " WHERE NOT (" : " OR ") + ("(User = " + quote(account.user));
    if (!account.host.empty()) out += " AND Host = " + quote(account.host);
    out += ")";
  }
  return out.empty() ? out : out + ")";
}

}  // namespace

std::string account_query(std::string_view table, const std::vector<KeptAccount>& kept) {
  return "SELECT * FROM mysql." + identifier(table) + not_kept(kept);
}

std::string account_delete(std::string_view table, const std::vector<KeptAccount>& kept) {
  return "DELETE FROM mysql." + identifier(table) + not_kept(kept);
}

std::vector<std::string> account_inserts(std::string_view table, const Rows& rows) {
  std::string head = "REPLACE INTO mysql." + identifier(table) + " (";
  for (std::size_t i = 0; i < rows.columns.size(); ++i) head += (i ? ", " : "") + identifier(rows.columns[i]);
  std::vector<std::string> out;
  for (const auto& row : rows.rows) {
    std::string values;
    for (const auto& value : row)
      values += (values.empty() ? "" : ", ") + (value ? quote(*value) : std::string("NULL"));
    out.push_back(head + ") VALUES (" + values + ")");
  }
  return out;
}

// ---------------------------------------------------------------- events

std::string events_query() {
  return "SELECT EVENT_SCHEMA AS `schema`, EVENT_NAME AS name, STATUS AS status, ORIGINATOR AS originator"
         " FROM information_schema.EVENTS";
}

EventsBefore read_events(const Rows& rows) {
  EventsBefore out;
  for (std::size_t i = 0; i < rows.rows.size(); ++i)
    out[{text_at(rows, i, "schema"), text_at(rows, i, "name")}] = text_at(rows, i, "status") == "ENABLED";
  return out;
}

EventChanges event_changes(const Rows& rows, const EventsBefore& before, std::uint32_t server_id) {
  EventChanges out;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const std::pair key = {text_at(rows, i, "schema"), text_at(rows, i, "name")};
    const std::string event = identifier(key.first) + "." + identifier(key.second);
    const std::string status = text_at(rows, i, "status");
    const bool asleep = says(status, "SIDE_DISABLED");  // it runs on another node
    const auto known = before.find(key);
    const bool here = known != before.end() && known->second;
    if (status == "ENABLED" && !here) out.statements.push_back("ALTER EVENT " + event + " DISABLE ON SLAVE");
    if (asleep && here) out.statements.push_back("ALTER EVENT " + event + " ENABLE");
    if (asleep && known == before.end() && number_at(rows, i, "originator") == server_id) out.doubtful.push_back(event);
  }
  return out;
}

// ---------------------------------------------------------------- by clone

std::vector<std::string> allow_donor(const Address& donor) {
  return {"SET GLOBAL clone_valid_donor_list = " + quote(donor.str())};
}

Statement clone_statement(const Address& donor, const std::string& user, const std::string& password, TlsMode tls) {
  const std::string head = "CLONE INSTANCE FROM " + quote(user) + "@" + quote(donor.host) + ":" +
                           std::to_string(donor.port) + " IDENTIFIED BY ";
  const std::string tail = tls == TlsMode::off ? "" : " REQUIRE SSL";
  Statement out;
  out.sql = head + quote(password) + tail;
  out.shown = head + "'***'" + tail;
  out.label = "clone";
  return out;
}

std::string clone_status_query() {
  return "SELECT STATE AS state, SOURCE AS source, ERROR_NO AS number, ERROR_MESSAGE AS error,"
         " FLOOR(UNIX_TIMESTAMP(BEGIN_TIME)) AS begun,"
         " (SELECT COUNT(*) FROM performance_schema.threads t WHERE t.PROCESSLIST_ID = PID) AS alive"
         " FROM performance_schema.clone_status";
}

CloneStatus read_clone_status(const Rows& rows) {
  CloneStatus out;
  if (rows.rows.empty()) return out;
  using State = CloneStatus::State;
  const std::string state = text_at(rows, 0, "state");
  constexpr std::array<std::pair<std::string_view, State>, 3> kStates = {
      {{"In Progress", State::running}, {"Completed", State::completed}, {"Failed", State::failed}}};
  for (const auto& [word, meaning] : kStates) {
    if (state == word) out.state = meaning;
  }
  out.source = text_at(rows, 0, "source");
  out.number = static_cast<unsigned>(number_at(rows, 0, "number"));
  out.error = text_at(rows, 0, "error");
  out.alive = number_at(rows, 0, "alive") > 0;
  out.begun_unix = static_cast<std::int64_t>(number_at(rows, 0, "begun"));
  return out;
}

std::string clone_progress_query() {
  return "SELECT COALESCE(SUM(DATA), 0) AS done, COALESCE(SUM(ESTIMATE), 0) AS total"
         " FROM performance_schema.clone_progress WHERE STAGE LIKE '%COPY'";
}

std::vector<std::string> forget_link(const Version& version) {
  if (!mariadb(version) && version.number >= 80022) return {"STOP REPLICA", "RESET REPLICA ALL"};
  return {"STOP SLAVE", "RESET SLAVE ALL"};
}

std::string copy_advice(std::string_view error, std::string_view donor) {
  const std::string there = "run `ringagent setup` on " + std::string(donor);
  if (says(error, "clone") && says(error, "not loaded"))
    return there +
           " again and restart its server once, or there as an administrator: INSTALL PLUGIN clone SONAME "
           "'mysql_clone.so'";
  if (says(error, "BACKUP_ADMIN") || says(error, "denied") || says(error, "(1045)") || says(error, "(1227)"))
    return there + " again: its replication account lacks what a copy needs";
  if (says(error, "different") || says(error, "3863") || says(error, "3864"))
    return "a clone needs the same version on both; try --method dump";
  return {};
}

}  // namespace ringagent
