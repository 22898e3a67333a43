#include "tests/sim/world.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "tests/sim/older.h"

namespace ringagent::sim {
namespace {

constexpr std::size_t kTraceMax = 20'000;
constexpr std::uint64_t kArchived = 16;  // every so many-th packet is recorded
constexpr std::size_t kArchiveMax = 256;
constexpr std::uint16_t kGossipPort = 7946;
constexpr std::uint16_t kMysqlPort = 3306;

std::string names_of(const Config& config) {
  std::string out;
  for (const NodeId& id : ring(config)) out += " " + config.find(id)->name;
  return out;
}

}  // namespace

std::string address_host(std::size_t number) {
  return "10.0.0." + std::to_string(number + 1);
}

Key key_called(const std::string& letter) {
  return *key_of(std::string(kKeyBytes, letter.empty() ? '?' : letter[0]));
}

World::World(WorldOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      checker_([this](const std::string& what) { violation(what); }) {
  std::vector<Address> peers;
  std::vector<std::string> founders;
  for (const std::string& name : options_.names) {
    if (options_.joiners.count(name) == 0) founders.push_back(name);
  }
  for (std::size_t i = 0; i < options_.names.size(); ++i) peers.push_back({address_host(i), kGossipPort});
  for (std::size_t i = 0; i < options_.names.size(); ++i) {
    Host host;
    host.name = options_.names[i];
    host.number = i;
    host.settings = options_.settings;
    host.settings.name = host.name;
    const bool joins = options_.joiners.count(host.name) > 0;
    host.older = options_.older.count(host.name) > 0;
    if (host.older) host.settings = settings_of_older(std::move(host.settings));
    if (!joins) host.settings.initial = founders;
    host.settings.gossip = {address_host(i), kGossipPort};
    host.settings.mysql = {address_host(i), kMysqlPort};
    if (!joins) host.settings.peers = peers;
    host.settings.key_file = KeyRing({options_.key});
    if (const auto role = options_.roles.find(host.name); role != options_.roles.end())
      host.settings.role = role->second;
    host.disk.self = fresh_id();
    if (options_.files) host.files = std::make_unique<SlotFiles>();
    host.server = std::make_unique<ModelServer>(static_cast<Surroundings&>(*this), host.name, host.settings.mysql,
                                                static_cast<std::uint32_t>(i + 1), options_.flavor);
    hosts_.push_back(std::move(host));
    index_[options_.names[i]] = i;
  }
  for (Host& host : hosts_) {
    host.server->on_gone = [this, &host](bool process) { server_gone(host, process); };
  }
  watch();
}

World::~World() = default;

NodeId World::fresh_id() {
  NodeId id;
  id.bytes[0] = 0xdb;
  id.bytes[15] = static_cast<std::uint8_t>(++ids_);
  return id;
}

// ---------------------------------------------------------------- time

void World::after(Duration wait, std::function<void()> then) {
  happenings_.push({now_ + std::max(wait, Duration{0}), ++order_, std::move(then)});
}

void World::run_until(Time end) {
  run_until([] { return false; }, end - now_);
}

bool World::run_until(const std::function<bool()>& condition, Duration span) {
  const Time end = now_ + span;
  while (!condition()) {
    if (happenings_.empty() || happenings_.top().at > end) {
      now_ = end;
      return condition();
    }
    const Happening next = happenings_.top();
    happenings_.pop();
    now_ = next.at;
    next.what();
    check_two_writers();
  }
  return true;
}

Duration World::between(Duration least, Duration most) {
  const auto span = static_cast<std::uint64_t>((most - least).count());
  return least + Duration(static_cast<std::int64_t>(random_() % (span + 1)));
}

bool World::chance(double share) {
  return share > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < share;
}

// ---------------------------------------------------------------- who is where, and who reaches whom

const Node* World::agent(const std::string& name) const {
  return host(name).node.get();
}

Snapshot World::snapshot(const std::string& name) const {
  const Host& h = host(name);
  return h.node ? h.node->snapshot(now_) : Snapshot{};
}

std::string World::name_of(const Address& address) const {
  for (const Host& host : hosts_) {
    if (host.settings.mysql == address || host.settings.gossip == address) return host.name;
  }
  return address.str();
}

World::Host* World::host_at(const Address& gossip) {
  for (Host& host : hosts_) {
    if (host.settings.gossip == gossip) return &host;
  }
  return nullptr;
}

ModelServer* World::server_at(const Address& address) const {
  for (const Host& host : hosts_) {
    if (host.settings.mysql == address) return host.server.get();
  }
  return nullptr;
}

std::vector<ModelServer*> World::servers() {
  std::vector<ModelServer*> out;
  for (Host& host : hosts_) out.push_back(host.server.get());
  return out;
}

bool World::reaches(const Host& from, const Host& to, Net net) const {
  if (!from.powered || !to.powered || clogged(from, to) > Duration{0}) return false;
  return (net == Net::agents ? cut_agents_ : cut_databases_).count({from.number, to.number}) == 0;
}

bool World::path(const ModelServer& from, const ModelServer& to) {
  return reaches(host(from.name()), host(to.name()), Net::databases);
}

void World::cut(const std::vector<std::vector<std::string>>& groups, Net net, bool one_way) {
  for (const auto& here : groups) {
    for (const auto& there : groups) {
      if (&here == &there || (one_way && &there < &here)) continue;
      for (const std::string& a : here) {
        for (const std::string& b : there) {
          const auto pair = std::make_pair(host(a).number, host(b).number);
          if (net != Net::databases) cut_agents_.insert(pair);
          if (net != Net::agents) cut_databases_.insert(pair);
        }
      }
    }
  }
}

void World::clog(const std::string& one, const std::string& other, Duration span) {
  clogged_[{host(one).number, host(other).number}] = clogged_[{host(other).number, host(one).number}] = now_ + span;
}

// How long yet.
Duration World::clogged(const Host& from, const Host& to) const {
  const auto until = clogged_.find({from.number, to.number});
  return until == clogged_.end() ? Duration{0} : std::max(until->second - now_, Duration{0});
}

void World::heal() {
  clogged_.clear();
  cut_agents_.clear();
  cut_databases_.clear();
}

// ---------------------------------------------------------------- one step of an agent

void World::step(Host& host, Event event) {
  ++steps_;
  Effects effects = host.node->step(std::move(event), now_);
  carry_out(host, std::move(effects));
  if (host.node) arm(host);
}

void World::deliver(Host& host, Event event, std::uint64_t life) {
  if (!host.node || host.life != life) return;
  if (now_ < host.paused_until) {
    host.held.push_back(std::move(event));
    return;
  }
  step(host, std::move(event));
}

void World::arm(Host& host) {
  const Time due = std::max(now_, host.node->next_due());
  if (due == host.tick_at) return;
  host.tick_at = due;
  if (due == Time::max()) return;
  happenings_.push({due, ++order_, [this, &host, token = ++host.tick_token, life = host.life] {
                      if (token != host.tick_token || life != host.life) return;
                      host.tick_at = Time::max();
                      deliver(host, Tick{}, life);
                    }});
}

// In the order that agent/node.h asks for. A crash leaves what was done so far.
void World::carry_out(Host& host, Effects effects) {
  const std::optional<CrashPoint> crash = crash_point(host, effects);
  if (crash && crash->torn) host.files->tear(host.torn.emplace(host.node->durable()), random_);
  if (crash && (crash->torn || crash->effects == 0)) return kill_agent(host.name);
  const std::size_t limit = crash ? crash->effects - 1 : std::numeric_limits<std::size_t>::max();  // after the persist
  auto goes_on = [limit, done = std::size_t{0}]() mutable { return done++ < limit; };
  if (effects.persist) persist(host);
  if (effects.keys) {
    if (effects.keys->book) host.key_book = *effects.keys->book;
    host.keys = effects.keys->ring;
  }
  const Duration wait = effects.persist ? options_.disk : Duration{0};
  record(host, effects);
  for (const Outgoing& outgoing : effects.send) {
    if (goes_on()) send(host, outgoing, wait);
  }
  for (SqlRequest& request : effects.sql) {
    if (goes_on()) std::visit([&](const auto& one) { start(host, one); }, request);
  }
  if (crash) return kill_agent(host.name);
  for (const PortRequest& request : effects.ports) start(host, request);
}

std::optional<World::CrashPoint> World::crash_point(Host& host, const Effects& effects) {
  if (host.crashes_torn && effects.persist) {
    host.crashes_torn = false;
    note(Seen::Kind::fault, host.name, "crashes while it persists");
    return CrashPoint{true};
  }
  if (!host.crashes) return std::nullopt;
  host.crashes = false;
  const std::size_t point = random_() % (effects.send.size() + effects.sql.size() + 2);
  note(Seen::Kind::fault, host.name,
       point == 0 ? "crashes before it persists"
                  : "crashes " + std::to_string(point - 1) + " effects after it persists");
  return CrashPoint{false, point};
}

void World::persist(Host& host) {
  if (host.files) host.files->persist(host.node->durable());
  note_durable(host, host.node->durable());
}

void World::note_durable(Host& host, const DurableState& after) {
  for (Config& config : checker_.persisted(host.name, host.disk, after, now_)) {
    Seen seen{now_, Seen::Kind::epoch, host.name, {}, config};
    seen.text = "epoch " + std::to_string(config.epoch) + ": " + config.reason + "; ring" + names_of(config);
    append(std::move(seen));
    check_removals(config);
    note_leavers(config);
  }
  host.disk = after;
}

void World::send(Host& host, const Outgoing& outgoing, Duration wait) {
  if (const auto* answer = std::get_if<CanvassAnswer>(&outgoing.message.body))
    checker_.answered(host.name, *answer, now_, host.settings.silence);
  Host* to = host_at(outgoing.address);
  if (to == nullptr) return;
  const Duration held = clogged(host, *to);
  if (held == Duration{0} && !reaches(host, *to, Net::agents)) return;
  // What is sealed for one cluster can be opened by nobody else; what is bound to the name, by all who share it.
  const ClusterId cluster = outgoing.by_name ? ClusterId{} : host.node->cluster_id();
  Packet packet{host.disk.self,   host.disk.boot, host.settings.gossip,
                outgoing.by_name, outgoing.brief, host.older ? said_by_older(outgoing.message) : outgoing.message};
  const Sent sent{std::move(packet), cluster, host.keys.primary().id, ++host.sent};
  if (sent.counter % kArchived == 0) {
    if (to->archive.size() < kArchiveMax)
      to->archive.push_back(sent);
    else
      to->archive[sent.counter / kArchived % kArchiveMax] = sent;
  }
  if (chance(replay) && !to->archive.empty()) {
    after(wait + held + options_.packet_least,
          [this, to, old = to->archive[random_() % to->archive.size()]] { arrive(*to, old, true); });
  }
  for (int copy = chance(twice) ? 2 : 1; copy > 0; --copy) {
    if (chance(loss)) continue;
    Duration takes = wait + held + between(options_.packet_least, options_.packet_most);
    if (late_most > Duration{0} && chance(0.1)) takes += between(0us, late_most);
    after(takes, [this, &host, to, sent] {
      if (reaches(host, *to, Net::agents)) arrive(*to, sent, false);
    });
  }
}

// What the envelope lets in (gossip/seal.h). `again`: somebody has recorded it; a copy that the network makes comes in as it is,
// which is more than the envelope would let pass.
void World::arrive(Host& to, const Sent& sent, bool again) {
  const Packet& packet = sent.packet;
  if (!to.node || (!packet.by_name && to.node->cluster_id() != sent.cluster)) return;
  const std::tuple sender{packet.from, packet.boot, sent.key};
  if (to.keys.find(sent.key) == nullptr) return deliver(to, UnknownKey{packet.address, sent.key}, to.life);
  if (packet.brief && !to.met.contains(sender)) return;
  if (again && (packet.from == to.disk.self || !to.windows[packet.from].admits(sent))) return;
  to.windows[packet.from].note(sent);
  to.met.insert(sender);
  std::optional<Message> read = to.older ? read_by_older(packet.message) : packet.message;
  if (!read) return;
  if (now_ >= to.paused_until && !again) checker_.heard(to.name, packet.from, now_);
  deliver(to, Packet{packet.from, packet.boot, packet.address, packet.by_name, packet.brief, std::move(*read)},
          to.life);
}

void World::record(Host& host, const Effects& effects) {
  for (const LogLine& line : effects.log) {
    note(Seen::Kind::log, host.name, line.text);
    check_told(host, line.text);
  }
  for (const HistoryEntry& entry : effects.history) {
    if (entry.kind != "epoch") note(Seen::Kind::history, host.name, entry.what + ": " + entry.why);
  }
  for (const Reply& reply : effects.replies)
    note(Seen::Kind::reply, host.name, (reply.ok ? "ok: " : "failed: ") + reply.text);
}

void World::note(Seen::Kind kind, const std::string& host, std::string text) {
  append({now_, kind, host, std::move(text), std::nullopt});
}

void World::append(Seen seen) {
  if (seen.kind == Seen::Kind::epoch) epochs_.emplace(dropped_ + trace_.size(), seen);
  trace_.push_back(std::move(seen));
  if (trace_.size() > kTraceMax) {
    trace_.pop_front();
    ++dropped_;
  }
}

void World::note(const ModelServer& server, const std::string& what) {
  note(Seen::Kind::server, server.name(), what);
}

void World::ran(const ModelServer& server, const std::string& sql) {
  note(Seen::Kind::statement, server.name(), sql);
}

// C5. Harmless as long as somebody else can give them again; and nobody can know that of a source that died a moment ago.
void World::thrown_away(const ModelServer& server, const std::vector<Transaction>& received) {
  note(server, std::to_string(received.size()) + " received transactions are thrown away");
  const ModelServer* source = server_at(server.source());
  if (source == nullptr || source->listening() || now_ - source->ended_at() < 1s) return;
  for (const Transaction& one : received) {
    const bool elsewhere = std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& h) {
      return h.server.get() != &server && h.server->listening() && h.server->holds(one.content) > 0;
    });
    if (one.content == 0 || elsewhere) continue;
    violation("C5: " + server.name() + " throws away transaction " + std::to_string(one.content) +
              " of a dead source, which no survivor has");
    return;
  }
}

void World::violation(const std::string& what) {
  if (excused_) return;
  if (what.starts_with("C1:") && forgot_unnoticed()) {
    excused_ = true;
    return note(Seen::Kind::fault, "",
                "the state of a voter was restored, and nobody within reach knew better: " + what);
  }
  note(Seen::Kind::fault, "", "VIOLATION " + what);
  violations_.push_back(what);
}

}  // namespace ringagent::sim
