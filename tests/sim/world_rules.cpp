#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

// What must be true: the rules of every step, the audit of the data, and the ring as it should be in the end.
namespace ringagent::sim {
namespace {

constexpr Duration kWatch = 100ms;
constexpr Duration kSoundFor = 5s;         // any evidence that is older has been refuted
constexpr Duration kTogether = 2500ms;     // closer to each other nobody can tell which of two went first
constexpr Duration kWatchedFor = 500ms;    // a look, and a statement
constexpr Duration kReadOnlyWithin = 12s;  // a statement that was overtaken is tried again, and may have to back off

}  // namespace

bool World::linked(const Host& a, const Host& b, Net net) const {
  return reaches(a, b, net) && reaches(b, a, net);
}

// Does `follower` hear of this server, over a network that works both ways?
bool World::hears(const Host& follower, const Host& host) const {
  const ModelServer& server = *host.server;
  const ModelServer& s = *follower.server;
  return host.powered && server.listening() && !server.hung() && s.listening() && !s.hung() &&
         s.io() == IoState::running && s.source() == server.address() && linked(host, follower, Net::databases);
}

// By one that is in after `decided`, for so long that any evidence which is older has been refuted; and its agent can tell him
// who proposed it, unless that one could look for himself.
bool World::heard_of(const Host& host, const Config& decided, Time wanted) const {
  const Host& proposer = this->host(decided.proposer);
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& other) {
    const Member* member = decided.find(other.name);
    const auto since = host.heard_since.find(other.number);
    if (member == nullptr || !member->in || since == host.heard_since.end()) return false;
    if (!hears(other, host) || wanted - since->second <= kSoundFor) return false;
    return (other.node && linked(proposer, other, Net::agents)) || linked(proposer, host, Net::databases);
  });
}

// C9. An agent that is silent, however long, is no reason; nor is what was true a moment ago.
void World::check_removals(const Config& config) {
  const Time wanted =
      std::min(now_, checker_.first_vote(canonical_bytes(config)));  // it may have waited for a quorum since
  for (const Member& member : config.members) {
    const bool as_dead = member.out_class == "silent" || member.out_class == "refused" ||
                         member.out_class == "mysqld_down" || member.out_class == "mysqld_hung";
    if (member.in || !as_dead || member.out_epoch != config.epoch || !has(member.name)) continue;
    if (heard_of(host(member.name), config, wanted))
      violation("C9: " + member.name + " is taken out (" + member.out_class + ") though its successor hears from it");
  }
}

// C14. Until a person says `resume` an agent leaves such a link alone, and the ring waits behind it.
void World::check_told(Host& host, const std::string& line) {
  if (line.starts_with("resumed: ")) host.by_hand = false;
  if (line.starts_with("foreign change: ") && !host.by_hand && !host.restored)
    violation("C14: " + host.name + " tells of a change by hand, and there was none");
}

void World::note_leavers(const Config& config) {
  for (Host& host : hosts_) {
    const bool member = config.find(host.name) != nullptr;
    host.was_member = host.was_member || member;
    if (member || !host.was_member || std::exchange(host.gone, true)) continue;
    host.left = config.evidence_class == "planned" && !host.damaged;
  }
}

// Whoever does not knows only an old word, perhaps, and its server stays as it is ([failure] on_quorum_loss = "keep").
bool World::reaches_quorum(const Host& host) const {
  const std::vector<NodeId> all = voters(*checker_.newest());
  const auto reached = std::count_if(all.begin(), all.end(), [&](const NodeId& id) {
    const Host& voter = this->host(checker_.newest()->find(id)->name);
    return voter.number == host.number || (voter.node && linked(host, voter, Net::agents));
  });
  return 2 * static_cast<std::size_t>(reached) > all.size();
}

// C10. Only of those who know the newest head: the others have an excuse.
void World::check_writer(Host& host) {
  const bool informed =
      !host.disk.chain.empty() && checker_.newest() != nullptr && host.disk.chain.back() == checker_.newest_bytes();
  const bool paused = informed && checker_.newest()->paused.on;  // then nobody may touch a server
  const Member* member =
      informed && !paused && reaches_quorum(host) ? checker_.newest()->find(host.disk.self) : nullptr;
  const bool may = member != nullptr && (member->out_class == "link" || member->out_class == "stuck");
  const bool out = member != nullptr && !member->in && !may && host.node && now_ >= host.paused_until;
  const bool writes =
      host.server->listening() && !host.server->hung() && !host.server->read_only() && !host.server->locked();
  if (!out || !writes)
    host.out_since = Time::max();
  else if (host.out_since == Time::max())
    host.out_since = now_;
  else if (now_ - host.out_since > kReadOnlyWithin)
    violation("C10: " + host.name + " is out and takes writes");
}

// Since when nobody has watched this server, and since when somebody does again. An agent that has no ring yet does not, nor
// one whose server has hung since a time when it could tell few others.
void World::note_watching(Host& host) {
  const auto hearers = std::count_if(hosts_.begin(), hosts_.end(), [&](const Host& other) {
    return other.number != host.number && other.node && reaches(host, other, Net::agents);
  });
  const bool told = 2 * (hearers + 1) > static_cast<std::ptrdiff_t>(hosts_.size());
  if (!host.server->hung()) host.hung_since = now_;
  if (host.server->locked()) host.locked = now_;
  // Later than that the others have been told.
  const bool unknown_yet = now_ - host.hung_since <= host.settings.hung_after + kWatchedFor;
  host.hung_unheard = host.server->hung() && (host.hung_unheard || (!told && unknown_yet));
  const bool watched = host.node && now_ >= host.paused_until && !host.disk.chain.empty() && !host.hung_unheard;
  if (!watched && !host.unwatched_since) host.unwatched_since = now_;
  if (watched && host.unwatched_since) {
    host.unwatched_last = *std::exchange(host.unwatched_since, std::nullopt);
    host.watched_again = now_;
  }
  // By so many that the next writer, who needs a majority, is among them.
  const auto linked_to = std::count_if(hosts_.begin(), hosts_.end(), [&](const Host& other) {
    return other.number != host.number && other.server->listening() && linked(host, other, Net::databases);
  });
  const auto up = std::count_if(hosts_.begin(), hosts_.end(), [](const Host& h) { return h.server->listening(); });
  const bool reached = 2 * (linked_to + 1) > up;
  if (!reached || !host.server->listening() || host.server->hung()) {
    host.within_reach = false;
    return;
  }
  if (!std::exchange(host.within_reach, true)) {
    host.reached_before = host.reached;
    host.reached_since = now_;
  }
  host.reached = now_;
}

// Nobody could have made it read_only in time, nor could anybody know: its agent went no earlier than about when the server
// was cut off, and is not back for more than a moment.
bool World::excused(const Host& host) const {
  if (host.locked > Time{0} && now_ - host.locked <= kReadOnlyWithin) return true;
  const bool away = host.unwatched_since || now_ - host.watched_again <= kWatchedFor;
  if (!away) return false;
  const Time since = host.unwatched_since ? *host.unwatched_since : host.unwatched_last;
  // It was out of reach until a moment ago, or nobody has watched it since it is within reach again.
  const bool woke = since <= host.reached_since || now_ - host.reached_since <= kWatchedFor;
  return since + kTogether >= (woke ? host.reached_before : host.reached);
}

// C12.
void World::check_two_writers() {
  if (checker_.newest() == nullptr || !checker_.newest()->one_writer) {
    one_writer_ = false;
    return;
  }
  const Host* writer = nullptr;
  for (Host& host : hosts_) {
    note_watching(host);
    if (!host.server->listening() || host.server->hung() || host.server->read_only()) continue;
    if (writer == nullptr) {
      writer = &host;
      continue;
    }
    if (!one_writer_ || excused(host) || excused(*writer)) return;
    one_writer_ = false;  // said once, until there is one again
    return violation("C12: " + writer->name + " and " + host.name + " take writes");
  }
  // Where the mode has just begun, those who wrote before end one after another; it holds from when its first writer knows
  // that they have.
  const Config& head = *checker_.newest();
  if (one_writer_ || writer == nullptr || head.writer != writer->disk.self) return;
  one_writer_ = has_opened(*writer, head);
}

// The writer of this config knows that nobody else writes, and has begun.
bool World::has_opened(const Host& writer, const Config& head) const {
  const auto& markers = writer.disk.markers;
  const std::pair<std::string, std::string> begun{
      "writer", std::to_string(head.generation) + "." + std::to_string(head.writer_since)};
  return std::find(markers.begin(), markers.end(), begun) != markers.end();
}

// What the rules of the world need to know of the last seconds.
void World::watch() {
  for (Host& h : hosts_) {
    for (const Host& other : hosts_) {
      if (hears(other, h))
        h.heard_since.try_emplace(other.number, now_);
      else
        h.heard_since.erase(other.number);
    }
    check_writer(h);
  }
  after(kWatch, [this] { watch(); });
}

// ---------------------------------------------------------------- load and its audit

void World::write(const std::string& name, std::size_t transactions) {
  for (std::size_t i = 0; i < transactions; ++i) {
    if (server(name).write(++contents_)) acknowledged_[contents_] = name;
  }
}

void World::lose_tail(const std::string& name, std::size_t transactions) {
  Host& h = host(name);
  if (h.server->process() != ModelServer::Process::stopped) return;
  // Where the disk of a server that syncs its commits lies, what only servers have that are down is missed by nobody: the next
  // writes here take the same numbers. One that does not sync them is checked against everybody.
  const auto only_down_have = [&](std::uint64_t content) {
    bool down = false;
    for (const Host& other : hosts_) {
      if (other.number == h.number || other.server->holds(content) == 0) continue;
      if (other.server->listening()) return false;
      down = true;
    }
    return down;
  };
  const std::vector<std::uint64_t> tail = h.server->tail(transactions);
  if (h.server->syncs_commits() && std::any_of(tail.begin(), tail.end(), only_down_have)) return;
  const std::multiset<std::uint64_t> before = h.server->contents();
  h.server->lose_tail(transactions);
  h.damaged = true;
  forget_missing(h, before);
}

void World::forget_missing(const Host& host, const std::multiset<std::uint64_t>& before) {
  for (const std::uint64_t content : before) {
    if (host.server->holds(content) == 0) given_up_.insert(content);
  }
}

void World::copy_data(const Host& donor, Host& to) {
  note(Seen::Kind::server, to.name, "its data is replaced by a copy of that of " + donor.name);
  const std::multiset<std::uint64_t> before = to.server->contents();
  to.server->copy_from(*donor.server);
  forget_missing(to, before);
  to.damaged = false;
  // The donor may not have had all that it once wrote: then its agent finds a lost tail, and rightly.
  to.copy_lacks = std::any_of(acknowledged_.begin(), acknowledged_.end(), [&](const auto& written) {
    const std::uint64_t content = written.first;
    return written.second == to.name && to.server->holds(content) == 0 &&
           std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& h) { return h.server->has(content); });
  });
}

// Until `current` is no longer `token`: each wish for the same thing takes the next one.
void World::repeat(Duration period, const std::uint64_t& current, std::uint64_t token, std::function<void()> what) {
  if (period == Duration{0}) return;
  after(period, [this, period, &current, token, what = std::move(what)] {
    if (token != current) return;
    what();
    repeat(period, current, token, what);
  });
}

void World::load(Duration period) {
  ++load_token_;
  repeat(period, load_token_, load_token_, [this] {
    for (Host& host : hosts_) write(host.name, 1);
  });
}

void World::decide(Duration period) {
  ++decide_token_;
  repeat(period, decide_token_, decide_token_, [this] {
    for (const Host& asked : hosts_) {
      if (!asked.node) continue;
      for (const ProblemView& problem : snapshot(asked.name).problems) {
        if (problem.code == "stranded") command(asked.name, "stranded", {{"node", problem.node}, {"action", "replay"}});
      }
    }
  });
}

std::size_t World::binlogged() const {
  std::size_t out = 0;
  for (const Host& host : hosts_) out += host.server->binlog().size();
  return out;
}

// A server that acknowledged writes must be able to tell: those that run in the ring (or at all, before there is one).
bool World::counts(const Host& host) const {
  if (!host.server->listening() || host.server->hung() || !host.powered) return false;
  const Config* head = checker_.newest();
  const Member* member = head == nullptr ? nullptr : head->find(host.name);
  if (head == nullptr || member == nullptr) return head == nullptr;
  return member->in;
}

bool World::quiet() const {
  const Positions* first = nullptr;
  for (const Host& host : hosts_) {
    if (!counts(host)) continue;
    if (first == nullptr) first = &host.server->executed();
    if (*first != host.server->executed()) return false;
  }
  return true;
}

// A leaf has all that the ring has. It may have more: what it alone got from one that died since.
std::string World::wrong_with_leaves() {
  const Config* head = checker_.newest();
  for (Host& leaf : hosts_) {
    const Member* member = head == nullptr ? nullptr : head->find(leaf.name);
    const bool follows = member != nullptr && member->role == Role::leaf && leaf.node && leaf.server->listening() &&
                         !leaf.server->hung() && !leaf.damaged;
    for (const auto& [content, origin] : acknowledged_) {
      if (!follows) break;
      const bool in_ring = std::any_of(hosts_.begin(), hosts_.end(), [&, number = content](const Host& host) {
        return counts(host) && host.server->holds(number) > 0;
      });
      if (in_ring && leaf.server->holds(content) != 1)
        return "C8: transaction " + std::to_string(content) + " of " + origin + " stands " +
               std::to_string(leaf.server->holds(content)) + " times on the leaf " + leaf.name;
    }
  }
  return {};
}

std::string World::audit() {
  const bool starved = starves();
  if (!starved && !quiet()) return "the servers have different positions";
  for (const auto& [content, origin] : acknowledged_) {
    const bool given_up = given_up_.count(content) > 0;
    const bool survivor = ((counts(host(origin)) && !host(origin).damaged) || host(origin).left) && !given_up;
    std::size_t holders = 0;
    std::size_t up = 0;
    for (Host& host : hosts_) {
      if (!counts(host)) continue;
      ++up;
      const std::size_t times = host.server->holds(content);
      if (times > 1)
        return "C8: transaction " + std::to_string(content) + " of " + origin + " stands " + std::to_string(times) +
               " times on " + host.name;
      holders += times;
    }
    if (holders == up || (!survivor && holders == 0) || (starved && holders > 0)) continue;
    return "C8: transaction " + std::to_string(content) + " of " + origin + " stands on " + std::to_string(holders) +
           " of " + std::to_string(up) + " servers";
  }
  return starved ? "" : wrong_with_leaves();
}

std::string World::wrong_with_ring(bool explain) {
  explains_ = explain;
  const Config* head = checker_.newest();
  if (head == nullptr) return "no ring has been formed";
  for (Host& host : hosts_) {
    const bool informed = host.disk.chain.empty() || host.disk.chain.back() == checker_.newest_bytes();
    if (!host.node || informed || head->find(host.disk.self) == nullptr) continue;
    return host.name + " does not have epoch " + std::to_string(head->epoch);
  }
  for (const Host& host : hosts_) {
    const bool joins = calm_token_ > 0 && options_.joiners.count(host.name) > 0 && host.node && !host.gone &&
                       host.server->listening() && !host.server->hung();
    if (joins && head->find(host.name) == nullptr) return host.name + " has not joined";
    const bool wiped = calm_token_ > 0 && host.node && host.disk.chain.empty() && !host.gone;
    if (wiped && head->find(host.name) != nullptr) return host.name + " has lost its state and is not yet taken back";
    if (calm_token_ > 0 && host.node && host.wiped && outlived(snapshot(host.name)))
      return host.name + " is about to be given a new state directory";
  }
  const Host* first = nullptr;  // whose keys everybody should have
  for (const Host& host : hosts_) {
    if (!host.node || head->find(host.disk.self) == nullptr) continue;
    if (first != nullptr && host.keys != first->keys) return host.name + " has other gossip keys than " + first->name;
    first = &host;
  }
  // One whose agent is gone can be made neither the writer nor the successor of one that could be.
  const bool eligible = std::any_of(head->members.begin(), head->members.end(), [&](const Member& m) {
    return m.in && m.absence == Absence::none && host(m.name).node && host(m.name).server->listening();
  });
  if (head->one_writer && head->writer.nil() && eligible) return "there is no writer";
  const auto anybody_asks_for = [&](bool one_writer) {
    return std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& h) {
      return h.node && head->find(h.disk.self) != nullptr && h.settings.one_writer == one_writer;
    });
  };
  if (anybody_asks_for(!head->one_writer) && !anybody_asks_for(head->one_writer))
    return std::string("all ask for writers = \"") + (head->one_writer ? "all" : "one") + "\" and it is not so";
  // The last one of a ring cannot be moved: it takes its place when another one is back.
  if (!head->wanted_order.empty() && ring(*head).size() > 1) return "the order is not yet the one that was asked for";
  if (starves()) return {};
  for (const Member& member : head->members) {
    std::string wrong = wrong_with_member(*head, member);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// The agent of a server in the ring went for good while that server's link stood still (in the middle of a repoint, or before
// its source moved house): it can follow nobody until a person starts that agent, and what is behind it gets nothing.
bool World::starves() const {
  const Config* head = checker_.newest();
  if (head == nullptr || calm_token_ == 0) return false;
  return std::any_of(head->members.begin(), head->members.end(), [&](const Member& member) {
    const Host& h = host(member.name);
    if (!member.in || h.node || !h.server->listening() || !source_of(*head, member.id)) return false;
    return h.server->io() == IoState::stopped || server_at(h.server->source()) == nullptr;
  });
}

// Nobody can make its successor follow it, or it could not serve it.
bool World::held_back(const Config& head, const Member& member) const {
  Config next = head;
  next.find(member.id)->in = true;
  const std::vector<NodeId> followers = downstream(next, member.id);
  if (followers.empty()) return false;
  const Host& follower = host(next.find(followers.front())->name);
  if (!follower.node) return true;
  // It has something by a copy that nobody can give to the one that would follow it, nor does that one's source.
  const Positions& have = follower.server->executed();
  const Positions& purged = host(member.name).server->purged();
  const ModelServer* source = server_at(follower.server->source());
  const auto at = [](const Positions& positions, std::uint32_t origin) {
    const auto found = positions.find(origin);
    return found == positions.end() ? 0 : found->second;
  };
  return std::any_of(purged.begin(), purged.end(), [&](const auto& p) {
    const std::uint64_t mine = at(have, p.first);
    if (p.second <= mine) return false;
    const bool comes = source != nullptr && source->listening() && !source->hung() &&
                       at(source->executed(), p.first) >= p.second && at(source->purged(), p.first) <= mine;
    return !comes;
  });
}

// What the agent of a host says of itself, for a failure that a person has to understand.
std::string World::told_of(const std::string& name) const {
  for (const NodeView& v : snapshot(name).nodes) {
    if (v.name == name)
      return "; its agent says: phase " + v.phase + (v.blocked.empty() ? "" : ", blocked: " + v.blocked) +
             (v.stranded == 0 ? "" : ", stranded " + std::to_string(v.stranded));
  }
  return {};
}

std::string World::explained(const std::string& name) const {
  return explains_ ? told_of(name) : "";
}

// A spare is in while somebody else is out, and rests when all are in.
std::string World::wrong_with_spare(const Config& head, const Member& member) const {
  std::size_t missing = 0;
  std::size_t spares = 0;
  for (const Member& m : head.members) {
    missing += m.role == Role::ring && !m.in ? 1 : 0;
    spares += m.role == Role::spare && m.in ? 1 : 0;
  }
  if (member.in && spares > missing) return "the spare " + member.name + " is in though the ring is complete";
  if (!member.in && spares < missing && !held_back(head, member) && member.absence == Absence::none)
    return "the spare " + member.name + " is not in" + explained(member.name);
  return {};
}

std::string World::wrong_with_member(const Config& head, const Member& member) {
  const Host& h = host(member.name);
  if (member.role == Role::witness) return {};
  ModelServer& server = *host(member.name).server;
  if (server.process() == ModelServer::Process::starting) return member.name + " is starting";
  const bool absent = !h.node || !server.listening() || server.hung() || now_ < h.paused_until;
  if (absent) return member.in && !server.listening() ? member.name + " is in and its mysqld is not up" : "";
  if (!member.in && h.damaged && calm_token_ == 0) return {};  // else a person reseeds it
  // Nobody could make its successor follow another.
  const auto followers = downstream(head, member.id);
  if (member.in && member.absence != Absence::none && !followers.empty() &&
      !host(head.find(followers.front())->name).node)
    return {};
  // What a server has that is down, or whose agent is gone, or that cannot be let in, may be all that there is of it: nobody's
  // data is replaced before a person has decided.
  const bool unknown = std::any_of(head.members.begin(), head.members.end(), [&](const Member& m) {
    return m.role != Role::witness && (!host(m.name).node || !host(m.name).server->listening() ||
                                       host(m.name).server->hung() || (!m.in && held_back(head, m)));
  });
  if (member.absence == Absence::copying && unknown && donor_for(h).empty())
    return {};  // who has the data hangs, or is gone
  // An agent that has just started has heard of nobody yet, and says so.
  const bool settled = now_ >= h.agent_since + 3s;
  const std::string told = member.absence == Absence::copying && unknown && settled ? told_of(member.name) : "";
  for (const char* waits :
       {"does not answer, and when", "bring it back", "no server of the ring has been heard of yet"}) {
    if (told.find(waits) != told.npos) return {};
  }
  if (member.absence != Absence::none)
    return member.name + ": " + to_string(member.absence) + " is not over" + explained(member.name);
  if (!member.in && member.role == Role::ring)
    return held_back(head, member) && !(calm_token_ > 0 && needs_reseed(snapshot(h.name), h.name))
               ? ""
               : member.name + " is out: " + member.out_class + explained(member.name);
  if (member.role == Role::spare) {
    if (std::string wrong = wrong_with_spare(head, member); !wrong.empty()) return wrong;
  }
  const auto up = source_of(head, member.id);
  const bool should_write = member.in && (!head.one_writer || head.writer == member.id);
  if (should_write && server.read_only()) return member.name + " is read_only" + explained(member.name);
  if (should_write && head.one_writer && !has_opened(h, head)) return member.name + " is the writer and has not opened";
  if (head.one_writer && !should_write && !server.read_only())
    return member.name + " takes writes and is not the writer";
  if (!up) return {};
  if (!server.ignores_nobody()) return "the link of " + member.name + " ignores a server";
  if (!server.linked() || server.source() != head.find(*up)->mysql)
    return member.name + " does not follow " + head.find(*up)->name;
  if (server.io() != IoState::running || !server.sql_running()) return "the link of " + member.name + " does not run";
  return {};
}

}  // namespace ringagent::sim
