#include "tests/sim/model_server.h"

#include <algorithm>
#include <cstdlib>

namespace ringagent::sim {
namespace {

constexpr std::int64_t kUnixEpoch_s = 1'700'000'000;

std::string uuid_of(std::uint32_t server_id) {
  std::string text = "00000000-0000-11ee-8000-000000000000";
  for (std::size_t digit = 0; digit < 8; ++digit, server_id >>= 4U)
    text[7 - digit] = text[text.size() - 1 - digit] = "0123456789abcdef"[server_id & 0xFU];
  return text;
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
  committing_.clear();
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

std::string ModelServer::gtid(std::uint32_t origin, std::uint64_t number) const {
  if (!mariadb()) return uuid_of(origin) + ":" + std::to_string(number);
  const std::string id = std::to_string(origin);
  return id + "-" + id + "-" + std::to_string(number);
}

std::string ModelServer::text(const Positions& positions) const {
  std::string out;
  for (const auto& [origin, number] : positions) {
    if (number == 0) continue;
    if (!out.empty()) out += ",";
    out += mariadb() ? gtid(origin, number) : uuid_of(origin) + ":1-" + std::to_string(number);
  }
  return out;
}

Positions ModelServer::committed() const {
  Positions out = executed_;
  const auto late = std::count_if(committing_.begin(), committing_.end(), [&](Time at) { return at > world_.now(); });
  if (late == 0) return out;
  std::uint64_t& own = out[server_id_];
  own -= std::min(own, static_cast<std::uint64_t>(late));
  if (own == 0) out.erase(server_id_);
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
  s.executed = text(committed());
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
  while (!committing_.empty() && committing_.front() <= world_.now()) committing_.pop_front();
  if (!mariadb() && transaction.origin == server_id_ && commit_takes_ > Duration{0})
    committing_.push_back(world_.now() + commit_takes_);
  executed_[transaction.origin] = std::max(executed_[transaction.origin], transaction.number);
  if (transaction.content != 0) {
    if (contents_.count(transaction.content) > 0) {
      world_.violation("C8: " + name_ + " has applied " + gtid(transaction.origin, transaction.number) + " twice");
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

// But for what a connected replica has not been sent yet: a file that is being read stays. A server that is down purges nothing.
void ModelServer::purge() {
  if (!listening()) return;
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

bool ModelServer::syncs_commits() const {
  return variables_.at("sync_binlog") == "1" && variables_.at("innodb_flush_log_at_trx_commit") == "1";
}

void ModelServer::set_variable(const std::string& name, const std::string& value) {
  variables_[name] = value;
}

}  // namespace ringagent::sim
