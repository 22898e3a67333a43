#include "tests/sim/model_server.h"

#include <algorithm>
#include <cstdlib>

namespace ringagent::sim {
namespace {

constexpr Duration kNetTimeout = 10s;     // slave_net_timeout
constexpr Duration kConnectAgain = 50ms;  // how often a waiting connect() looks whether it gets through
constexpr std::uint64_t kNeverStarted = ~std::uint64_t{0};
constexpr Duration kLockWait = 2s;  // what the agent's sessions set lock_wait_timeout to, where they wait
constexpr std::int64_t kUnixEpoch_s = 1'700'000'000;

std::string uuid_of(std::uint32_t server_id) {
  std::string text = "00000000-0000-11ee-8000-000000000000";
  for (std::size_t digit = 0; digit < 8; ++digit, server_id >>= 4U)
    text[7 - digit] = text[text.size() - 1 - digit] = "0123456789abcdef"[server_id & 0xFU];
  return text;
}

std::string gtid_text(Flavor flavor, std::uint32_t origin, std::uint64_t number) {
  if (flavor == Flavor::mysql) return uuid_of(origin) + ":" + std::to_string(number);
  const std::string id = std::to_string(origin);
  return id + "-" + id + "-" + std::to_string(number);
}

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

std::map<std::string, std::string> good_variables(Flavor flavor) {
  std::map<std::string, std::string> all = {
      {"auto_increment_increment", "16"},      {"binlog_format", "ROW"}, {"log_bin", "ON"},
      {"innodb_flush_log_at_trx_commit", "1"}, {"sync_binlog", "1"},
  };
  if (flavor == Flavor::mysql) {
    all.insert({{"gtid_mode", "ON"},
                {"enforce_gtid_consistency", "ON"},
                {"log_replica_updates", "ON"},
                {"replica_net_timeout", "10"},
                {"performance_schema", "ON"},
                {"skip_replica_start", "ON"}});
  } else {
    all.insert({{"gtid_strict_mode", "ON"},
                {"gtid_ignore_duplicates", "ON"},
                {"log_slave_updates", "ON"},
                {"slave_net_timeout", "10"}});
  }
  return all;
}

}  // namespace

ModelServer::ModelServer(Surroundings& world, std::string name, Address address, std::uint32_t server_id, Flavor flavor)
    : world_(world),
      name_(std::move(name)),
      address_(std::move(address)),
      server_id_(server_id),
      flavor_(flavor),
      variables_(good_variables(flavor)) {}

// ---------------------------------------------------------------- the process

void ModelServer::later(Duration wait, std::function<void()> then) {
  world_.after(wait, [this, start = starts_, then = std::move(then)] {
    if (start != starts_ || process_ == Process::stopped) return;
    if (hung_)
      frozen_.push_back(then);
    else
      then();
  });
}

void ModelServer::when_awake(std::function<void()> then) {
  later(0us, std::move(then));
}

void ModelServer::start(Duration takes) {
  if (process_ != Process::stopped) return;
  ++starts_;
  process_ = Process::starting;
  later(takes, [this] {
    process_ = Process::up;
    socket_file_ = true;
    started_at_ = clock();
    at_start_ = executed_;
    read_only_ = true;
    world_.note(*this, "mysqld is up");
  });
}

void ModelServer::drop_volatile() {
  hung_ = false;
  frozen_.clear();
  ++io_life_;
  io_ = IoState::stopped;
  sql_running_ = applying_ = stalled_ = locked_ = false;
  waiting_.clear();
  io_errno_ = sql_errno_ = 0;
  io_error_.clear();
  sql_error_.clear();
  sql_transaction_.clear();
  relay_.clear();
  relay_applied_ = 0;
  received_.clear();
  heartbeats_ = 0;
}

void ModelServer::close_connections(bool kernel_tells) {
  if (!kernel_tells) return;  // nobody is left to send a reset: the others must find out by silence
  for (ModelServer* other : world_.servers()) {
    if (other != this && world_.path(*this, *other)) other->source_closed(*this);
  }
}

void ModelServer::kill(bool kernel_tells) {
  if (process_ == Process::stopped) return;
  process_ = Process::stopped;
  ended_at_ = world_.now();
  drop_volatile();
  close_connections(kernel_tells);
  if (on_gone) on_gone(true);
}

// As mariadbd does it: its own link stops first, then it closes the door and its connections, then it ends.
void ModelServer::shut_down() {
  if (process_ != Process::up) return;
  stop_threads(true, true);
  later(30ms, [this] {
    process_ = Process::stopping;
    socket_file_ = false;
    close_connections(true);
    if (on_gone) on_gone(false);
    later(200ms, [this] {
      process_ = Process::stopped;
      ended_at_ = world_.now();
      drop_volatile();
      if (on_gone) on_gone(true);
    });
  });
}

void ModelServer::hang() {
  if (process_ == Process::up) hung_ = true;
}

void ModelServer::wake() {
  if (!hung_) return;
  hung_ = false;
  for (auto& then : std::exchange(frozen_, {})) later(0us, std::move(then));
}

// ---------------------------------------------------------------- what it tells

std::string ModelServer::text(const Positions& positions) const {
  std::string out;
  for (const auto& [origin, number] : positions) {
    if (number == 0) continue;
    if (!out.empty()) out += ",";
    out += mariadb() ? gtid_text(flavor_, origin, number) : uuid_of(origin) + ":1-" + std::to_string(number);
  }
  return out;
}

ServerState ModelServer::state() const {
  ServerState s;
  s.version =
      mariadb() ? Version{Flavor::mariadb, 101119, "10.11.19-MariaDB"} : Version{Flavor::mysql, 90700, "9.7.0-MySQL"};
  s.server_id = server_id_;
  if (mariadb())
    s.domain_id = server_id_;
  else
    s.server_uuid = uuid_of(server_id_);
  s.port = address_.port;
  s.pid = 1000 * server_id_ + starts_;
  // As mysqld counts it: below zero (and so huge) where the clock was set back behind its start.
  s.uptime_s = static_cast<std::uint64_t>((clock() - started_at_) / 1s);
  s.started_unix_s = kUnixEpoch_s + started_at_ / 1s;
  s.read_only = read_only_;
  s.super_read_only = read_only_ && !mariadb();
  s.executed = text(executed_);
  s.purged = text(purged_);
  s.at_start = text(at_start_);
  s.slave_pos = text(slave_pos_);
  s.binlog_file = "bin.00000" + std::to_string(starts_);
  s.binlog_pos = 300 + 100 * binlog_.size();
  for (const auto& [name, value] : variables_) s.variables.emplace_back(name, value);
  if (!defined_) return s;
  Link link;
  link.source = source_;
  link.user = user_;
  link.io = io_;
  link.sql_running = sql_running_;
  link.io_errno = io_errno_;
  link.io_error = io_error_;
  link.sql_errno = sql_errno_;
  link.sql_error = sql_error_;
  link.sql_transaction = sql_transaction_;
  link.uses_gtid = true;
  link.ignore_server_ids.assign(ignored_.begin(), ignored_.end());
  link.gtid_mode_text = mariadb() ? "Slave_Pos" : "1";
  link.heartbeat_period_ms = static_cast<std::uint32_t>(heartbeat_ / 1ms);
  link.connect_retry_s = static_cast<std::uint32_t>(retry_ / 1s);
  link.io_position = text(received_);
  if (!mariadb()) link.received = link.io_position;
  link.progress = std::to_string(io_life_) + ":" + link.io_position + " " + std::to_string(heartbeats_);
  link.applied = std::to_string(executed_log_entries_);
  link.drained_exact = link.drained_idle = relay_applied_ == relay_.size();
  s.links.push_back(std::move(link));
  return s;
}

// ---------------------------------------------------------------- what applications and people do

bool ModelServer::write(std::uint64_t content) {
  if (process_ != Process::up || hung_ || read_only_ || locked_) return false;
  append({server_id_, executed_[server_id_] + 1, content});
  return true;
}

void ModelServer::append(const Transaction& transaction) {
  binlog_.push_back(transaction);
  executed_[transaction.origin] = std::max(executed_[transaction.origin], transaction.number);
  if (transaction.content != 0) {
    if (contents_.count(transaction.content) > 0) {
      world_.violation("C8: " + name_ + " has applied " + gtid_text(flavor_, transaction.origin, transaction.number) +
                       " twice");
    }
    contents_.insert(transaction.content);
  }
  for (ModelServer* other : world_.servers()) {
    if (other != this) other->source_appended(*this);
  }
}

bool ModelServer::has(std::uint64_t content) const {
  return holds(content) > 0 ||
         std::any_of(relay_.begin(), relay_.end(), [=](const Transaction& t) { return t.content == content; });
}

std::vector<std::uint64_t> ModelServer::tail(std::size_t transactions) const {
  std::vector<std::uint64_t> out;
  for (auto last = binlog_.rbegin(); last != binlog_.rend() && transactions > 0; ++last) {
    if (last->origin == server_id_) --transactions;
    out.push_back(last->content);
  }
  return out;
}

void ModelServer::lose_tail(std::size_t transactions) {
  for (const std::uint64_t content : tail(transactions)) {
    if (const auto found = contents_.find(content); found != contents_.end()) contents_.erase(found);
    binlog_.pop_back();
  }
  executed_ = purged_;
  for (const Transaction& kept : binlog_) executed_[kept.origin] = std::max(executed_[kept.origin], kept.number);
  for (auto& [origin, number] : slave_pos_) number = std::min(number, executed_[origin]);
}

// MariaDB is loaded while it runs; MySQL's CLONE starts the server anew. Both have no binlog of what came with the copy.
void ModelServer::copy_from(const ModelServer& donor) {
  stop_threads(true, true);
  close_connections(true);
  ++resets_;
  binlog_.clear();
  executed_ = purged_ = slave_pos_ = donor.executed_;
  contents_ = donor.contents_;
  defined_ = stopped_by_hand_ = poisoned_ = false;
  ignored_.clear();
  relay_.clear();
  relay_applied_ = 0;
  received_.clear();
  io_errno_ = sql_errno_ = 0;
  if (mariadb()) return;
  kill();
  start();
}

// But for what a connected replica has not been sent yet: a file that is being read stays.
void ModelServer::purge() {
  std::vector<ModelServer*> readers;
  for (ModelServer* other : world_.servers()) {
    const bool reads =
        other->io_ == IoState::running && other->source_ == address_ && other->source_start_ == starts_ + resets_;
    if (other != this && reads) readers.push_back(other);
  }
  std::size_t gone = binlog_.size();
  for (const ModelServer* reader : readers) gone = std::min(gone, reader->source_index_);
  for (ModelServer* reader : readers) reader->source_index_ -= gone;
  for (std::size_t i = 0; i < gone; ++i)
    purged_[binlog_[i].origin] = std::max(purged_[binlog_[i].origin], binlog_[i].number);
  binlog_.erase(binlog_.begin(), binlog_.begin() + static_cast<std::ptrdiff_t>(gone));
}

void ModelServer::stall(bool on) {
  stalled_ = on;
  apply_soon();
}

void ModelServer::lock(bool on) {
  locked_ = on;
  if (!on) later(0us, [this] { run_those_who_waited(); });
  apply_soon();
}

void ModelServer::set_variable(const std::string& name, const std::string& value) {
  variables_[name] = value;
}

// ---------------------------------------------------------------- statements

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
  if (sql == "SET GLOBAL read_only = 1" || sql == "SET GLOBAL super_read_only = 1")
    return read_only_ = true, std::nullopt;
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

// ---------------------------------------------------------------- receiving

void ModelServer::connect() {
  ModelServer* source = world_.server_at(source_);
  const bool there = source != nullptr && world_.path(*this, *source) && world_.path(*source, *this);
  const auto again = [this](Duration wait) {
    later(wait, [this, life = io_life_] {
      if (life == io_life_) connect();
    });
  };
  if (there && source->listening() && !source->hung()) {
    if (const std::string no = refusal(*source); !no.empty()) {
      refused(no);
      return;
    }
    connected(*source);
    return;
  }
  if (there && !source->listening()) {
    io_errno_ = 2003;
    io_error_ = "error connecting to master: Can't connect to server (111 \"Connection refused\")";
    waiting_since_ = world_.now() + retry_;
    again(retry_);
    return;
  }
  if (world_.now() - waiting_since_ >= kNetTimeout) {
    io_errno_ = there ? 2013 : 2003;
    io_error_ = there ? "Lost connection to server at 'waiting for initial communication packet'"
                      : "Can't connect to server (110 \"Connection timed out\")";
    waiting_since_ = world_.now() + retry_;
    again(retry_);
    return;
  }
  again(kConnectAgain);
}

// What the replica asks to be spared: MariaDB what it says in gtid_slave_pos, MySQL all that it has or has received.
Positions ModelServer::asked() const {
  Positions out = mariadb() ? slave_pos_ : executed_;
  for (const auto& [origin, number] : received_) out[origin] = std::max(out[origin], number);
  out[server_id_] = std::max(out[server_id_], executed_.count(server_id_) > 0 ? executed_.at(server_id_) : 0);
  return out;
}

std::string ModelServer::refusal(const ModelServer& source) const {
  const Positions have = asked();
  for (const auto& [origin, number] : source.purged_) {
    const auto found = have.find(origin);
    if (found == have.end() || found->second < number) {
      return "Got fatal error 1236 from master: the source has purged " + gtid_text(flavor_, origin, number);
    }
  }
  if (mariadb()) {
    for (const auto& [origin, number] : slave_pos_) {
      if (number == 0 || source.executed_.count(origin) > 0) continue;
      return "Got fatal error 1236 from master: connecting slave requested to start from GTID " +
             gtid_text(flavor_, origin, number) + ", which is not in the master's binlog";
    }
    return {};
  }
  const auto own = have.find(source.server_id_);
  const auto theirs = source.executed_.find(source.server_id_);
  if (own != have.end() && own->second > (theirs == source.executed_.end() ? 0 : theirs->second)) {
    return "Got fatal error 1236 from source: Replica has more GTIDs than the source has, using the source's "
           "SERVER_UUID";
  }
  return {};
}

void ModelServer::connected(ModelServer& source) {
  ++io_life_;
  io_ = IoState::running;
  io_errno_ = 0;
  io_error_.clear();
  source_start_ = source.starts_ + source.resets_;
  source_index_ = 0;
  for (const auto& [origin, number] : asked()) received_[origin] = std::max(received_[origin], number);
  heard_ = world_.now();
  receive();
  later(heartbeat_, [this, life = io_life_] { keep_alive(life); });
}

// The source may say so when the receiver has been running for a moment already.
void ModelServer::refused(const std::string& why) {
  ++io_life_;
  const Duration after = world_.between(0us, 1us) > 0us ? world_.between(1ms, 250ms) : 0us;
  io_ = IoState::running;
  io_errno_ = 0;
  io_error_.clear();
  source_start_ = kNeverStarted;  // nothing comes
  const auto stop = [this, why, life = io_life_] {
    if (life != io_life_) return;
    ++io_life_;
    io_ = IoState::stopped;
    io_errno_ = mariadb() ? 1236 : 13114;
    io_error_ = why;
    world_.note(*this, "the link stops: " + why);
  };
  if (after == 0us) return stop();
  later(after, stop);
}

void ModelServer::lost(unsigned number, const std::string& why, Duration retry) {
  ++io_life_;
  io_ = IoState::connecting;
  io_errno_ = number;
  io_error_ = why;
  waiting_since_ = world_.now() + retry;
  later(retry, [this, life = io_life_] {
    if (life == io_life_) connect();
  });
}

void ModelServer::source_appended(const ModelServer& source) {
  if (io_ != IoState::running || source.address() != source_) return;
  later(world_.between(200us, 600us), [this, life = io_life_] {
    if (life == io_life_) receive();
  });
}

void ModelServer::source_closed(const ModelServer& source) {
  if (io_ != IoState::running || source.address() != source_) return;
  later(world_.between(3ms, 12ms), [this, life = io_life_] {
    if (life == io_life_)
      lost(2003, "error reconnecting to master: Can't connect to server (111 \"Connection refused\")", retry_);
  });
}

void ModelServer::receive() {
  ModelServer* source = world_.server_at(source_);
  if (source == nullptr || source->hung() || !source->listening() || source->starts_ + source->resets_ != source_start_)
    return;
  if (!world_.path(*source, *this) || !world_.path(*this, *source)) return;
  for (; source_index_ < source->binlog_.size(); ++source_index_) {
    const Transaction& next = source->binlog_[source_index_];
    std::uint64_t& had = received_[next.origin];
    if (next.number <= had) continue;
    had = next.number;
    heard_ = world_.now();
    if (next.origin == server_id_ || ignored_.count(next.origin) > 0)
      slave_pos_[next.origin] = std::max(slave_pos_[next.origin], next.number);
    else
      relay_.push_back(next);  // own transactions that come round are dropped by the receiver
  }
  apply_soon();
}

// The heartbeat of the source, and the receiver's own patience with it.
void ModelServer::keep_alive(std::uint64_t life) {
  if (life != io_life_) return;
  ModelServer* source = world_.server_at(source_);
  const bool there = source != nullptr && world_.path(*this, *source) && world_.path(*source, *this);
  if (there && (source->starts_ + source->resets_ != source_start_ || source->process_ == Process::stopped)) {
    lost(2013, "error reconnecting to master: Lost connection", retry_);
    return;
  }
  if (there && source->listening() && !source->hung()) {
    receive();
    ++heartbeats_;
    heard_ = world_.now();
  } else if (world_.now() - heard_ >= kNetTimeout) {
    lost(0, "", 0us);
    return;
  }
  later(heartbeat_, [this, life] { keep_alive(life); });
}

// ---------------------------------------------------------------- applying

void ModelServer::apply_soon() {
  if (applying_ || stalled_ || locked_ || !sql_running_ || relay_applied_ == relay_.size()) return;
  applying_ = true;
  later(world_.between(100us, 400us), [this] {
    applying_ = false;
    apply();
    apply_soon();
  });
}

void ModelServer::apply() {
  if (stalled_ || locked_ || !sql_running_ || relay_applied_ == relay_.size()) return;
  const Transaction next = relay_[relay_applied_];
  if (poisoned_) {
    poisoned_ = false;
    sql_running_ = false;
    sql_errno_ = 1062;
    sql_transaction_ = gtid_text(flavor_, next.origin, next.number);
    sql_error_ = "Duplicate entry '7' for key 'PRIMARY', Gtid " + sql_transaction_;
    world_.note(*this, "the applier stops on error 1062");
    return;
  }
  ++relay_applied_;
  ++executed_log_entries_;
  const auto found = executed_.find(next.origin);
  if (found == executed_.end() || found->second < next.number) append(next);
  slave_pos_[next.origin] = std::max(slave_pos_[next.origin], next.number);
}

}  // namespace ringagent::sim
