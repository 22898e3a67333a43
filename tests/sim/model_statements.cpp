#include <algorithm>
#include <cstdlib>

#include "tests/sim/model_server.h"

// The statements that a model server understands, and how they wait for each other.
namespace ringagent::sim {
namespace {

constexpr Duration kLockWait = 2s;  // what the agent's sessions set lock_wait_timeout to, where they wait

SqlError server_error(unsigned number, std::string text) {
  return {SqlErrorKind::server, number, std::move(text)};
}

// The literal or number after NAME= in a CHANGE statement.
std::optional<std::string> option(const std::string& sql, const std::string& name) {
  std::size_t at = 0;
  do {
    at = sql.find(name + "=", at);
    if (at == std::string::npos) return std::nullopt;
  } while (at > 0 && sql[at - 1] != ' ' && ++at);
  at += name.size() + 1;
  std::string out;
  if (sql[at] != '\'') {
    while (at < sql.size() && sql[at] != ',') out += sql[at++];
    return out;
  }
  for (++at; at < sql.size() && sql[at] != '\''; ++at) {
    if (sql[at] == '\\') ++at;
    out += sql[at];
  }
  return out;
}

}  // namespace

void ModelServer::execute(const std::string& sql, std::function<void(std::optional<SqlError>)> done) {
  later(world_.between(1ms, 6ms), [this, sql, done = std::move(done)] {
    world_.ran(*this, sql);
    run_or_wait(sql, done);
  });
}

// STOP waits for a transaction in the applier, and whatever else touches the link waits for that STOP.
bool ModelServer::waits(const std::string& sql) const {
  const bool stops = sql.starts_with("STOP ");
  const bool receiver = stops && sql.ends_with("IO_THREAD");
  const bool link = (stops && !receiver) || sql.starts_with("START ") || sql.starts_with("CHANGE ");
  const bool in_the_way =
      std::any_of(waiting_.begin(), waiting_.end(), [](const Waiting& w) { return w.sql.starts_with("STOP "); });
  if (link && in_the_way) return true;
  if (!locked_) return false;
  if (stops) return !receiver && sql_running_ && relay_applied_ < relay_.size();
  return sql.ends_with("read_only = 1") || sql.starts_with("DROP VIEW");
}

void ModelServer::run_or_wait(const std::string& sql, std::function<void(std::optional<SqlError>)> done) {
  if (!waits(sql)) return done(run(sql));
  waiting_.push_back({sql, ++tickets_, std::move(done)});
  if (!sql.ends_with("read_only = 1")) return;
  later(kLockWait, [this, ticket = tickets_] {
    const auto late =
        std::find_if(waiting_.begin(), waiting_.end(), [=](const Waiting& w) { return w.ticket == ticket; });
    if (late == waiting_.end()) return;
    const auto tell = std::move(late->done);
    waiting_.erase(late);
    tell(server_error(1205, "Lock wait timeout exceeded; try restarting transaction"));
  });
}

void ModelServer::run_those_who_waited() {
  for (Waiting& one : std::exchange(waiting_, {})) run_or_wait(one.sql, std::move(one.done));
}

std::optional<SqlError> ModelServer::run(const std::string& sql) {
  if (sql.starts_with("CHANGE MASTER TO ") || sql.starts_with("CHANGE REPLICATION SOURCE TO ")) return change(sql);
  if (sql == "STOP SLAVE" || sql == "STOP REPLICA") return stop_threads(true, true), std::nullopt;
  if (sql == "STOP REPLICA IO_THREAD") return stop_threads(true, false), std::nullopt;
  if (sql == "STOP SLAVE IO_THREAD" && mariadb()) {
    if (sql_running_) {
      world_.violation("C8: the receiver of " + name_ +
                       " was stopped alone: half a transaction may be committed, unlogged (H25)");
    }
    return stop_threads(true, false), std::nullopt;
  }
  if (sql == "START SLAVE" || sql == "START REPLICA") return start_threads(true, true);
  if (sql == "START SLAVE IO_THREAD" || sql == "START REPLICA IO_THREAD") return start_threads(true, false);
  if (sql == "START SLAVE SQL_THREAD" || sql == "START REPLICA SQL_THREAD") return start_threads(false, true);
  if (sql == "SET GLOBAL read_only = 1" || sql == "SET GLOBAL super_read_only = 1") {
    committing_.clear();  // it waits for them
    read_only_ = true;
    return std::nullopt;
  }
  if (sql == "SET GLOBAL read_only = 0") return read_only_ = false, std::nullopt;
  if (const std::string position = "SET GLOBAL gtid_slave_pos = "; sql.starts_with(position))
    return set_position(sql.substr(position.size()));
  if (sql.starts_with("SET SESSION lock_wait_timeout")) return std::nullopt;
  if (sql.starts_with("DROP VIEW IF EXISTS `ringagent`")) {
    append({server_id_, executed_[server_id_] + 1, 0});
    return std::nullopt;
  }
  world_.violation(name_ + " does not understand the statement " + sql);
  return server_error(1064, "You have an error in your SQL syntax");
}

// A literal, the server's own binlog position, or both: each GTID is 1-1-7, its domain and its origin being the same.
std::optional<SqlError> ModelServer::set_position(const std::string& value) {
  if (io_ != IoState::stopped || sql_running_)
    return server_error(1198, "This operation cannot be performed as you have a running slave");
  Positions wanted;
  if (value.find("@@global.gtid_binlog_pos") != std::string::npos) wanted = executed_;
  for (std::size_t at = 0; (at = value.find('-', at)) != std::string::npos; at = value.find_first_of(",'", at)) {
    const std::size_t number = value.find('-', at + 1);
    wanted[static_cast<std::uint32_t>(std::atoi(value.c_str() + at + 1))] =
        std::strtoull(value.c_str() + number + 1, nullptr, 10);
    at = number + 1;
  }
  if (const auto own = executed_.find(server_id_); own != executed_.end()) {
    const auto there = wanted.find(server_id_);
    if (there == wanted.end())
      return server_error(1948, "The value for @@gtid_slave_pos has none for the domain of the own binary log");
    if (there->second < own->second)
      return server_error(1947, "The value for @@gtid_slave_pos is behind the binary log");
  }
  slave_pos_ = std::move(wanted);
  return std::nullopt;
}

std::optional<SqlError> ModelServer::operate(const std::string& sql) {
  stopped_by_hand_ = stopped_by_hand_ || sql.starts_with("STOP");
  return run(sql);
}

std::optional<SqlError> ModelServer::change(const std::string& sql) {
  const std::string prefix = sql.starts_with("CHANGE MASTER") ? "MASTER_" : "SOURCE_";
  if (io_ != IoState::stopped || (mariadb() && sql_running_)) {
    return server_error(1198, "This operation cannot be performed as you have a running slave; run STOP SLAVE first");
  }
  if (mariadb() && relay_applied_ < relay_.size() && !stopped_by_hand_) {
    world_.thrown_away(*this, {relay_.begin() + static_cast<std::ptrdiff_t>(relay_applied_), relay_.end()});
  }
  if (const auto host = option(sql, prefix + "HOST")) source_.host = *host;
  if (const auto port = option(sql, prefix + "PORT"))
    source_.port = static_cast<std::uint16_t>(std::atoi(port->c_str()));
  if (const auto user = option(sql, prefix + "USER")) user_ = *user;
  if (const std::size_t ids = sql.find("IGNORE_SERVER_IDS = ("); ids != std::string::npos) {
    if (!mariadb()) return server_error(3889, "IGNORE_SERVER_IDS is not allowed where GTIDs are on");
    ignored_.clear();
    if (const int id = std::atoi(sql.c_str() + sql.find('(', ids) + 1); id != 0)
      ignored_.insert(static_cast<std::uint32_t>(id));
  }
  if (const auto retry = option(sql, prefix + "CONNECT_RETRY"))
    retry_ = std::chrono::seconds(std::atoi(retry->c_str()));
  if (const auto beat = option(sql, prefix + "HEARTBEAT_PERIOD")) {
    heartbeat_ = Duration(static_cast<std::int64_t>(std::strtod(beat->c_str(), nullptr) * 1e6));
  }
  defined_ = true;
  stopped_by_hand_ = false;
  io_errno_ = 0;
  io_error_.clear();
  if (mariadb() || !sql_running_) {
    relay_.clear();
    relay_applied_ = 0;
    received_.clear();
  }
  return std::nullopt;
}

void ModelServer::stop_threads(bool io, bool sql) {
  if (io) {
    ++io_life_;
    io_ = IoState::stopped;  // the last error stays until the next start or change
  }
  if (sql) sql_running_ = false;
}

std::optional<SqlError> ModelServer::start_threads(bool io, bool sql) {
  if (!defined_) return server_error(1200, "The server is not configured as slave; fix with CHANGE MASTER TO");
  if (io || sql) stopped_by_hand_ = false;
  if (mariadb() && io && sql && io_ == IoState::stopped && !sql_running_) {
    relay_.clear();  // with GTID a start of both threads fetches everything anew
    relay_applied_ = 0;
    received_.clear();
  }
  if (sql && !sql_running_) {
    sql_running_ = true;
    sql_errno_ = 0;
    sql_error_.clear();
    sql_transaction_.clear();
    apply_soon();
  }
  if (io && io_ == IoState::stopped) {
    ++io_life_;
    io_ = IoState::connecting;
    io_errno_ = 0;
    io_error_.clear();
    waiting_since_ = world_.now();
    later(world_.between(3ms, 15ms), [this, life = io_life_] {
      if (life == io_life_) connect();
    });
  }
  return std::nullopt;
}

}  // namespace ringagent::sim
