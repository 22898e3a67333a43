#pragma once

#include <string>

#include "tests/unit/gossip_net.h"

// What gossip costs each of n members, and how fast it is: for the test of the bounds, and for `gossipsim`.
namespace ringagent {

struct Scale {
  double packets = 0;  // sent, per member and second
  double bytes = 0;    // the same, sealed
  Duration fact{};     // from an urgent change until everybody has it
  Duration death{};    // from a death until everybody else calls it dead
};

// A record as a MariaDB in a ring of five gives it, about 800 bytes. The position does not grow with n: whether a
// thousand servers could write in one ring is not what is measured.
inline NodeRecord lifelike(std::size_t i, std::uint64_t transactions) {
  NodeRecord record;
  record.name = "db" + std::to_string(i);
  record.agent_version = "0.1.0";
  record.head = Head{0, 1000, {}};
  record.head.hash.fill(0x5A);
  record.config_fingerprint = ~0ULL;
  record.health = MysqlHealth::up;
  record.started_unix_s = 1'790'000'000;
  record.flavor = 1;
  record.mysql_version = "10.11.14-MariaDB-0+deb12u2-log";
  record.server_id = static_cast<std::uint32_t>(1000 + i);
  record.server_uuid = "6ccd780c-baba-1026-9564-5b8c656024db";
  record.mysql = Address{record.name + ".example.org", 3306};
  record.gossip = Address{record.name + ".example.org", 7946};
  for (int origin = 1; origin <= 5; ++origin)
    record.executed +=
        "," + std::to_string(origin) + "-100" + std::to_string(origin) + "-" + std::to_string(transactions);
  record.executed.erase(0, 1);
  record.binlog_file = "binlog.000123";
  record.binlog_pos = 1000 * transactions;
  LinkFact link;
  link.source = node_id(i + 1);
  link.address = record.mysql;
  link.io = 2;
  link.sql = link.verified = true;
  record.links = {link};
  record.edges = {{node_id(i + 1), EdgeState::ok}, {node_id(i + 2), EdgeState::ok}};
  record.acted_epoch = 1000;
  return record;
}

class ScaleNet {
 public:
  // Without `records` nobody has one until there is news: a thousand times a thousand of them take minutes.
  explicit ScaleNet(std::size_t n, bool records = true, std::uint64_t seed = 1) : net_(n, seed), records_(records) {
    net_.remember_pings = false;
    slice_ = n <= 50 ? 1ms : 5ms;
  }

  // Everybody has met everybody, has everybody's record, and names none to others any more.
  bool settle() {
    run(20ms * static_cast<Duration::rep>(net_.size()) + 3s);
    return net_.all_alive() && until([&] { return quiet(); }) < kPatience;
  }

  // `busy`: everybody's position changes all the time, and is looked up five times a second as a node does.
  void set_busy(bool busy) { busy_ = busy; }

  Scale measure(Duration span) {
    Scale scale;
    net_.reset_counters();
    run(span);
    const double seconds = static_cast<double>(span.count()) / 1e6 * static_cast<double>(net_.size());
    for (std::size_t i = 0; i < net_.size(); ++i) {
      scale.packets += static_cast<double>(net_[i].packets) / seconds;
      scale.bytes += static_cast<double>(net_[i].bytes) / seconds;
    }
    scale.fact = spread(net_.size() / 3);
    const std::size_t victim = net_.size() / 2;
    scale.death = death(victim);
    net_.restart(victim);
    return scale;
  }

 private:
  static constexpr Duration kPatience = 120s;

  bool quiet() {
    for (std::size_t i = 0; i < net_.size(); ++i)
      if (net_[i].facts.checksum() != net_[0].facts.checksum() || net_[i].facts.next_due() != Time::max()) return false;
    return true;
  }
  void offer(std::size_t i) {
    NodeRecord record = lifelike(i, 1'000'000 + (busy_ ? static_cast<std::uint64_t>(net_.now.count() / 1000) : 0));
    record.health_why = why_[i];
    net_.act(i,
             [&](Net::Host& host, std::vector<Outgoing>& out) { host.facts.offer(std::move(record), net_.now, out); });
  }

  void step() {
    const auto phases = static_cast<std::size_t>(200ms / slice_);
    for (std::size_t i = turn_++ % phases; i < net_.size(); i += phases)
      if (net_[i].up && records_) offer(i);
    net_.run(slice_);
  }
  void run(Duration span) {
    for (const Time end = net_.now + span; net_.now < end;) step();
  }
  template <class Condition>
  Duration until(Condition condition) {
    const Time began = net_.now;
    while (!condition() && net_.now < began + kPatience) step();
    return net_.now - began;
  }

  Duration spread(std::size_t owner) {
    why_[owner] += "Can't connect to local server through socket '/run/mysqld/mysqld.sock' (111)";
    offer(owner);
    return until([&] {
      for (std::size_t i = 0; i < net_.size(); ++i) {
        const NodeRecord* record = net_[i].facts.find(node_id(owner));
        if (net_[i].up && (record == nullptr || record->health_why != why_[owner])) return false;
      }
      return true;
    });
  }
  Duration death(std::size_t victim) {
    net_.kill(victim);
    return until([&] { return net_.all_see(victim, Liveness::dead); });
  }

  Net net_;
  bool records_;
  bool busy_ = false;
  Duration slice_{};
  std::size_t turn_ = 0;
  std::map<std::size_t, std::string> why_;
};

}  // namespace ringagent
