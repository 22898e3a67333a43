#include <algorithm>

#include "tests/sim/model_server.h"

// The link of a model server: how it connects, what its source refuses, and what it receives and applies.
namespace ringagent::sim {
namespace {

constexpr Duration kNetTimeout = 10s;     // slave_net_timeout
constexpr Duration kConnectAgain = 50ms;  // how often a waiting connect() looks whether it gets through
constexpr std::uint64_t kNeverStarted = ~std::uint64_t{0};

}  // namespace

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
      return "Got fatal error 1236 from master: the source has purged " + gtid(origin, number);
    }
  }
  if (mariadb()) return {};
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
  unproven_.clear();
  for (const auto& [origin, number] : slave_pos_) {
    if (mariadb() && number > 0 && source.executed_.count(origin) == 0) unproven_[origin] = number;
  }
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
  if (after == 0us) return stopped_by_source(why);
  later(after, [this, why, life = io_life_] {
    if (life == io_life_) stopped_by_source(why);
  });
}

void ModelServer::stopped_by_source(const std::string& why) {
  ++io_life_;
  io_ = IoState::stopped;
  io_errno_ = mariadb() ? 1236 : 13114;
  io_error_ = why;
  world_.note(*this, "the link stops: " + why);
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
    if (const auto asked = unproven_.find(next.origin); asked != unproven_.end()) {
      if (source->executed_.at(next.origin) < asked->second) {
        apply_soon();
        return stopped_by_source("Got fatal error 1236 from master: connecting slave requested to start from GTID " +
                                 gtid(asked->first, asked->second) + ", which is not in the master's binlog");
      }
      unproven_.erase(asked);
    }
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
    sql_transaction_ = gtid(next.origin, next.number);
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
