#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <vector>

#include "gossip/codec.h"
#include "gossip/facts.h"
#include "gossip/seal.h"
#include "gossip/swim.h"

// A tiny deterministic network for the stories about gossip: hosts in a ring, each with membership and facts,
// in virtual time. Packets may be lost, doubled, delayed; hosts may die, pause and restart; any direction may
// be cut. A packet counts as long as it is when encoded and sealed; a short envelope is only opened by who has opened a
// long one of the same life before.
namespace ringagent {

inline NodeId node_id(std::size_t i) {
  NodeId id;
  id.bytes[0] = 0xa0;
  id.bytes[14] = static_cast<std::uint8_t>(i >> 8);
  id.bytes[15] = static_cast<std::uint8_t>(i);
  return id;
}

inline std::vector<SwimPeer> ring_peers(std::size_t self, std::size_t n) {
  std::vector<SwimPeer> peers;
  for (std::size_t i = 0; i < n; ++i) peers.push_back(SwimPeer{node_id(i), i == (self + 1) % n || self == (i + 1) % n});
  return peers;
}

struct NetFaults {
  double loss = 0;
  double twice = 0;
  Duration delay_min = 200us;
  Duration delay_max = 600us;
};

class Net {
 public:
  struct Host {
    Host(Swim s, FactTable f, std::uint32_t b) : swim(std::move(s)), facts(std::move(f)), boot(b) {}
    Swim swim;
    FactTable facts;
    std::uint32_t boot;
    bool up = true;
    Time paused_until{};
    std::uint64_t packets = 0;       // sent
    std::uint64_t bytes = 0;         // the same, sealed
    std::vector<std::uint32_t> met;  // the life of each other whose short envelopes it can open
    std::vector<LivenessChange> changes;
    std::vector<Time> changed_at;
    std::map<NodeId, std::vector<Time>> pings;  // when it asked whom, by a ping or in an answer
  };

  NetFaults faults;
  std::function<bool(std::size_t from, std::size_t to)> cut = [](std::size_t, std::size_t) { return false; };
  std::function<Duration(std::size_t from, std::size_t to)> late = [](std::size_t, std::size_t) { return 0us; };
  std::function<void(std::size_t from, std::size_t to, const Body&)> watch;
  bool remember_pings = true;
  Time now = 1s;

  explicit Net(std::size_t n, std::uint64_t seed = 1, SwimSettings settings = {})
      : settings_(settings), random_(seed), seed_(seed) {
    for (std::size_t i = 0; i < n; ++i) {
      hosts_.push_back(make(i, 1));
      wake(i, now);
    }
    for (std::size_t i = 0; i < n; ++i) set_members(i);
  }

  std::size_t size() const { return hosts_.size(); }
  Host& operator[](std::size_t i) { return hosts_[i]; }
  Liveness view(std::size_t of, std::size_t about) { return hosts_[of].swim.liveness(node_id(about)); }
  bool all_see(std::size_t about, Liveness state) {
    for (std::size_t i = 0; i < size(); ++i)
      if (i != about && hosts_[i].up && view(i, about) != state) return false;
    return true;
  }
  bool all_alive() {
    for (std::size_t i = 0; i < size(); ++i)
      if (hosts_[i].up && !all_see(i, Liveness::alive)) return false;
    return true;
  }
  std::size_t changes_to(Liveness state) {
    std::size_t count = 0;
    for (Host& host : hosts_)
      for (const LivenessChange& change : host.changes) count += change.to == state;
    return count;
  }
  // When `of` first thought so of `about` after `since`.
  std::optional<Time> when(std::size_t of, std::size_t about, Liveness state, Time since) {
    const Host& host = hosts_[of];
    for (std::size_t i = 0; i < host.changes.size(); ++i)
      if (host.changed_at[i] >= since && host.changes[i].node == node_id(about) && host.changes[i].to == state)
        return host.changed_at[i];
    return std::nullopt;
  }

  void kill(std::size_t i) { hosts_[i].up = false; }
  void restart(std::size_t i) {
    hosts_[i] = make(i, hosts_[i].boot + 1);
    set_members(i);
    wake(i, now);
  }
  // The process stands still; what arrives waits in its socket, and its guard notices the lag.
  void pause(std::size_t i, Duration gap) {
    hosts_[i].paused_until = now + gap;
    lags_[i] = now;
    wake(i, now + gap);
  }
  void leave(std::size_t i) {
    std::vector<Outgoing> out;
    hosts_[i].swim.leave(out);
    carry(i, out);
    hosts_[i].up = false;
  }
  void reset_counters() {
    for (Host& host : hosts_) host.packets = host.bytes = 0;
  }
  // Runs something on a host as its agent would, and sends what comes of it.
  void act(std::size_t i, const std::function<void(Host&, std::vector<Outgoing>&)>& action) {
    std::vector<Outgoing> out;
    action(hosts_[i], out);
    after(i, out);
  }

  void run(Duration span) {
    run_until([] { return false; }, span);
  }
  // Returns whether the condition came true within `span`; it is tried after each event.
  bool run_until(const std::function<bool()>& condition, Duration span) {
    const Time end = now + span;
    while (!condition()) {
      if (events_.empty() || events_.top().at > end) {
        now = end;
        return condition();
      }
      const Event event = events_.top();
      events_.pop();
      now = event.at;
      step(event);
    }
    return true;
  }

 private:
  struct Event {
    Time at{};
    std::uint64_t order = 0;
    std::size_t to = 0;
    std::size_t from = 0;
    std::uint32_t boot = 0;
    bool brief = false;
    std::shared_ptr<const Body> body;  // none: a timer
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  Host make(std::size_t i, std::uint32_t boot) {
    return Host(Swim(node_id(i), boot, seed_ * 1000003 + i * 31 + boot, settings_),
                FactTable(node_id(i), boot, seed_ * 7919 + i * 17 + boot), boot);
  }
  void set_members(std::size_t i) {
    hosts_[i].met.resize(size());
    hosts_[i].swim.set_members(ring_peers(i, size()), now);
    std::vector<NodeId> ids;
    for (std::size_t m = 0; m < size(); ++m) ids.push_back(node_id(m));
    hosts_[i].facts.set_members(ids, {node_id((i + 1) % size()), node_id((i + size() - 1) % size())});
  }
  void wake(std::size_t i, Time at) { events_.push(Event{at, ++order_, i, i, 0, false, nullptr}); }

  void step(const Event& event) {
    Host& host = hosts_[event.to];
    if (!host.up) return;
    if (now < host.paused_until) {
      Event later = event;
      later.at = host.paused_until;
      later.order = ++order_;
      if (event.body) events_.push(later);
      return;
    }
    if (const auto lag = lags_.find(event.to); lag != lags_.end()) {
      host.swim.loop_lagged(now - lag->second, now);
      lags_.erase(lag);
    }
    std::vector<Outgoing> out;
    if (event.body) receive(host, event, out);
    if (host.swim.next_due() <= now) host.swim.tick(now, out);
    if (host.facts.next_due() <= now) host.facts.tick(now, out);
    after(event.to, out);
  }
  void receive(Host& host, const Event& event, std::vector<Outgoing>& out) {
    const NodeId from = node_id(event.from);
    if (event.brief && host.met[event.from] != event.boot) return;
    host.met[event.from] = std::max(host.met[event.from], event.boot);
    if (const auto* ping = std::get_if<Ping>(&*event.body)) {
      host.swim.on_ping(from, event.boot, *ping, event.brief, now, out);
      host.facts.on_mark(from, ping->seq, ping->facts_mark, now, out);
    } else if (const auto* ack = std::get_if<Ack>(&*event.body)) {
      host.swim.on_ack(from, event.boot, *ack, now, out);
    } else if (const auto* turn = std::get_if<Turn>(&*event.body)) {
      host.swim.on_turn(from, event.boot, *turn, event.brief, now, out);
      host.facts.on_mark(from, turn->seq, turn->facts_mark, now, out);
    } else if (const auto* request = std::get_if<PingReq>(&*event.body)) {
      host.swim.on_ping_req(from, event.boot, *request, now, out);
    } else if (const auto* answer = std::get_if<PingReqAnswer>(&*event.body)) {
      host.swim.on_ping_req_answer(from, event.boot, *answer, now, out);
    } else if (const auto* facts = std::get_if<Facts>(&*event.body)) {
      host.facts.on_facts(from, *facts, now, out);
    }
    host.swim.carry(host.facts.checksum());
  }
  void after(std::size_t i, const std::vector<Outgoing>& out) {
    Host& host = hosts_[i];
    host.swim.carry(host.facts.checksum());
    for (const LivenessChange& change : host.swim.take_changes()) {
      host.changes.push_back(change);
      host.changed_at.push_back(now);
    }
    carry(i, out);
    const Time due = std::min(host.swim.next_due(), host.facts.next_due());
    if (due != Time::max() && due != timers_[i]) {
      timers_[i] = due;
      wake(i, std::max(due, now));
    }
  }
  void carry(std::size_t from, const std::vector<Outgoing>& out) {
    Host& host = hosts_[from];
    for (const Outgoing& packet : out) {
      const std::size_t to = std::size_t{packet.to.bytes[14]} << 8 | packet.to.bytes[15];
      ++host.packets;
      host.bytes += size_of(packet);
      if (asks(packet.message.body) && remember_pings) host.pings[packet.to].push_back(now);
      if (watch) watch(from, to, packet.message.body);
      if (cut(from, to)) continue;
      for (int copy = chance(faults.twice) ? 2 : 1; copy > 0; --copy)
        if (!chance(faults.loss))
          events_.push(Event{now + delay() + late(from, to), ++order_, to, from, host.boot, packet.brief,
                             std::make_shared<Body>(packet.message.body)});
    }
  }
  bool chance(double share) { return share > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < share; }
  Duration delay() {
    const auto span = static_cast<std::uint64_t>((faults.delay_max - faults.delay_min).count());
    return faults.delay_min + Duration(static_cast<Duration::rep>(random_() % (span + 1)));
  }
  // As at the thousandth epoch.
  static std::uint64_t size_of(const Outgoing& packet) {
    Message message = packet.message;
    message.head.epoch = 1000;
    message.head.mark = ~0U;
    return encode(message).size() + (packet.brief ? kBriefBytes : kSealBytes);
  }

  SwimSettings settings_;
  std::mt19937_64 random_;
  std::uint64_t seed_;
  std::vector<Host> hosts_;
  std::map<std::size_t, Time> lags_;
  std::map<std::size_t, Time> timers_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
};

}  // namespace ringagent
