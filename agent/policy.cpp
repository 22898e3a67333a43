#include "agent/policy.h"

#include <algorithm>
#include <set>

#include "agent/care.h"
#include "agent/evidence.h"
#include "agent/joining.h"
#include "agent/positions.h"
#include "agent/reconcile.h"
#include "agent/writer.h"
#include "gossip/chain.h"

namespace ringagent {
namespace {

constexpr Duration kNever = Duration::max();
constexpr Duration kCollect = 5ms;          // several mysqlds that die together go into one epoch
constexpr Duration kCollectLink = 30ms;     // ... if the link of one of them takes longer to break than another's
constexpr Duration kCollectSilent = 600ms;  // ... and silent hosts, last heard of a heartbeat or a probe period apart
constexpr Duration kVotesDiffer = 60s;
constexpr Duration kVotesDifferUrgent = 10s;
constexpr Duration kSettleMax = 600s;
constexpr Duration kLookSkew = 50ms;

// How many living agents are nearer downstream of `node` than I am.
int rank(const View& view, const NodeId& node, const std::set<NodeId>& out) {
  int before = 0;
  for (const NodeId& id : downstream_order(*view.config, node)) {
    if (id == view.self) return before;
    const PeerView* p = peer(view, id);
    if (p != nullptr && p->liveness == Liveness::alive && out.count(id) == 0) ++before;
  }
  return before;
}

// Whoever goes out undrained comes back with what it alone may have, before its data may be replaced.
void calls_off(Member& member) {
  if (member.absence == Absence::standby || member.absence == Absence::copying) end_absence(member);
}

void take_out(Config& next, const NodeId& id, Evidence evidence) {
  Member* member = next.find(id);
  member->in = false;
  member->out_class = to_string(evidence);
  member->out_epoch = next.epoch;
  ++member->flaps;
  calls_off(*member);
}

void put_in(Config& next, const NodeId& id) {
  Member* member = next.find(id);
  member->in = true;
  member->out_class.clear();
  member->note.clear();
  member->replay = false;
}

// Of `candidates` the one that is behind no other; if incomparable the one with most; a tie goes by home order.
std::optional<NodeId> most_advanced(const View& view, const std::vector<NodeId>& candidates) {
  std::optional<NodeId> best;
  for (const NodeId& id : candidates) {
    if (!best || ahead_of(peer(view, id)->record, peer(view, *best)->record)) best = id;
  }
  return best;
}

// It has answered lately, or has not been asked since.
bool lives(const View& view, const NodeId& id) {
  return answers_now(view, id) || peer(view, id)->silent_for < view.silence;
}

// A node whose agent is silent and whose upstream is being decided out cannot follow: it goes with it.
void add_headless(const View& view, Config& next, std::vector<CanvassItem>& items) {
  for (bool again = true; again;) {
    again = false;
    for (const NodeId& id : ring(next)) {
      const PeerView* p = peer(view, id);
      const bool silent = id != view.self && p != nullptr && p->unanswered_for >= view.silence / 2;
      if (!silent || upstream(next, id) == upstream(*view.config, id)) continue;
      const bool there =
          p->record != nullptr && !p->record->links.empty() && p->record->links.front().source == upstream(next, id);
      if (there) continue;  // it never moved to the one that goes out
      if (ring(next).size() < 2) return;
      items.push_back({id, Evidence::headless});
      take_out(next, id, Evidence::headless);
      again = true;
      break;
    }
  }
}

// Its server is up and its agent answers.
bool runs(const View& view, const NodeId& node) {
  const PeerView* p = peer(view, node);
  if (p == nullptr || p->record == nullptr) return false;
  if (node != view.self && (p->liveness != Liveness::alive || p->ping_unanswered)) return false;
  return p->record->health == MysqlHealth::up && p->record->phase != Phase::copying;
}

// ... and nothing is known that speaks against it, but its start may not be checked yet.
bool well(const View& view, const NodeId& node) {
  return runs(view, node) && peer(view, node)->record->unsafe.empty() &&
         peer(view, node)->record->phase != Phase::refused;
}

// Who can go on alone where nobody of the ring is left.
std::optional<NodeId> saviour_of(const View& view, const Config& next, bool (*fit)(const View&, const NodeId&)) {
  std::vector<NodeId> candidates;
  for (const Member& member : next.members) {
    // One that waits for a copy has nothing, or what nobody should have.
    const bool may = member.role != Role::leaf && member.role != Role::witness && !is_copied_onto(member);
    if (may && fit(view, member.id)) candidates.push_back(member.id);
  }
  return most_advanced(view, candidates);
}

// The ring is never decided empty.
void keep_one(const View& view, Config& next, std::vector<CanvassItem>& items) {
  if (!ring(next).empty()) return;
  if (const auto saviour = saviour_of(view, next, usable)) {
    items.push_back({*saviour, Evidence::not_empty});
    put_in(next, *saviour);
    return;
  }
  // Nobody is well. The one that has most stays, so that the next to return knows whom to compare with.
  std::vector<NodeId> accused;
  for (const CanvassItem& item : items) accused.push_back(item.node);
  const auto last = most_advanced(view, accused);
  if (!last) return;
  *next.find(*last) = *view.config->find(*last);
  items.erase(std::remove_if(items.begin(), items.end(), [&](const CanvassItem& i) { return i.node == *last; }),
              items.end());
}

std::string name_of(const Config& config, const NodeId& id) {
  const Member* member = config.find(id);
  return member == nullptr ? id.str() : member->name;
}

std::string reason_of(const View& view, const std::vector<CanvassItem>& items) {
  std::string out;
  for (const CanvassItem& item : items) {
    if (!out.empty()) out += "; ";
    out += name_of(*view.config, item.node);
    const PeerView* p = peer(view, item.node);
    const std::string why = p != nullptr && p->record != nullptr ? p->record->health_why : "";
    switch (item.evidence) {
      case Evidence::mysqld_down:
        out += " is out: its mysqld is down" + (why.empty() ? "" : " (" + why + ")");
        break;
      case Evidence::mysqld_hung:
        out += " is out: its mysqld hangs" + (why.empty() ? "" : " (" + why + ")");
        break;
      case Evidence::unsafe:
        out += " is out: " + (p != nullptr && p->record != nullptr ? p->record->unsafe : "");
        break;
      case Evidence::refused:
        out += " is out: its agent is silent and its MySQL port refuses connections";
        break;
      case Evidence::silent:
        out += " is out: neither its agent nor its server was heard of";
        break;
      case Evidence::headless:
        out += " is out: its agent is silent, so it cannot follow a new upstream";
        break;
      case Evidence::unfollowed:
        out += " is out: the agent of its successor is silent, so nobody makes that one follow it";
        break;
      case Evidence::stuck:
        out += " is out: its link is stuck: " + (p != nullptr && p->record != nullptr ? p->record->stuck : "");
        break;
      case Evidence::returned:
        out += " is back";
        break;
      case Evidence::not_empty:
        out += " is in, as nobody else is left";
        break;
      default:
        out += std::string(": ") + to_string(item.evidence);
        break;
    }
  }
  return out;
}

Wish make_wish(const View& view, Config next, std::vector<CanvassItem> items) {
  next.reason = reason_of(view, items);
  next.evidence_class = to_string(items.front().evidence);
  next.proposer = name_of(*view.config, view.self);
  Wish wish{std::move(items), std::move(next), Duration{0}, 0};
  assign_wish_votes(view, {}, wish);
  return wish;
}

// The flap count halves with every hour that a node stays in the ring.
void forget_old_flaps(const View& view, Config& next) {
  for (Member& member : next.members) {
    const PeerView* p = peer(view, member.id);
    if (!member.in || p == nullptr) continue;
    for (auto hours = p->unmoved_for / 3600s; hours > 0 && member.flaps > 0; --hours) member.flaps /= 2;
  }
}

// ---------------------------------------------------------------- the three kinds of wishes, in order of urgency

struct Removals {
  std::vector<CanvassItem> items;
  std::optional<Duration> next_ripe;
  std::optional<Duration> next_ripe_silent;  // of a member that does not answer at all
  std::optional<Duration> next_ripe_down;    // of a member that tells of its server's death, before its link says so
  std::vector<NodeId> probe;
};

// Transactions of others that stand on this member and on no other that is in: taking it out would cut them off.
bool last_source(const View& view, const NodeId& id) {
  const PeerView* own = peer(view, id);
  const std::vector<const NodeRecord*> others = ring_records(view, id, false);
  return own == nullptr || own->record == nullptr || foreign_missing_elsewhere(*own->record, others) != 0;
}

// Who is alive and only stuck goes out alone, and not if half the ring is out already.
bool may_bypass(const View& view, const NodeId& id) {
  const auto whole = std::count_if(view.config->members.begin(), view.config->members.end(),
                                   [](const Member& m) { return m.role == Role::ring; });
  return 2 * (static_cast<std::ptrdiff_t>(ring(*view.config).size()) - 1) >= whole && !last_source(view, id);
}

Removals find_removals(const View& view) {
  Removals out;
  std::vector<NodeId> stuck;
  const std::vector<NodeId> now_in = ring(*view.config);
  for (const NodeId& id : now_in) {
    const Hearing hearing = hear(view, id);
    if (hearing.probe) out.probe.push_back(id);
    if (!hearing.charge) continue;
    const Charge& charge = *hearing.charge;
    if (charge.evidence == Evidence::stuck) {
      stuck.push_back(id);
    } else if (charge.wait == Duration{0}) {
      out.items.push_back({id, charge.evidence});
    } else {
      out.next_ripe = std::min(out.next_ripe.value_or(kNever), charge.wait);
      if (charge.evidence == Evidence::silent && charge.wait <= kCollectSilent) {
        out.next_ripe_silent = std::min(out.next_ripe_silent.value_or(kNever), charge.wait);
      }
      const Duration told = peer(view, id)->health_age;
      if (charge.evidence == Evidence::mysqld_down && told < kCollectLink) {
        out.next_ripe_down = std::max(out.next_ripe_down.value_or(Duration{0}), kCollectLink - told);
      }
    }
  }
  if (out.items.empty() && !out.next_ripe) {
    const auto first = std::find_if(stuck.begin(), stuck.end(), [&](const NodeId& id) { return may_bypass(view, id); });
    if (first != stuck.end()) out.items.push_back({*first, Evidence::stuck});
  }
  return out;
}

std::optional<Wish> wish_removal(const View& view, const Removals& removals) {
  if (removals.items.empty()) return std::nullopt;
  Config next = next_epoch(*view.config);
  forget_old_flaps(view, next);
  std::vector<CanvassItem> items = removals.items;
  for (const CanvassItem& item : items) take_out(next, item.node, item.evidence);
  add_headless(view, next, items);
  keep_one(view, next, items);
  call_off_absences(next);
  if (items.empty() || ring(next) == ring(*view.config)) return std::nullopt;
  Wish wish = make_wish(view, std::move(next), std::move(items));
  std::set<NodeId> out;
  bool silent = false;
  for (const CanvassItem& item : wish.items) {
    out.insert(item.node);
    silent = silent || item.evidence == Evidence::silent;
  }
  wish.rank = rank(view, wish.items.front().node, out);
  if (silent && removals.next_ripe_silent) wish.wait = std::max(wish.wait, *removals.next_ripe_silent);
  if (removals.next_ripe_down) wish.wait = std::max(wish.wait, *removals.next_ripe_down);
  if (wish.items.front().evidence == Evidence::mysqld_down) {
    // Leave the others 5 ms to tell of their deaths, counted from the newest one that we heard of.
    for (const CanvassItem& item : wish.items) {
      const PeerView* p = peer(view, item.node);
      if (item.evidence == Evidence::mysqld_down && p->health_age < kCollect)
        wish.wait = std::max(wish.wait, kCollect - p->health_age);
    }
  }
  return wish;
}

bool ready(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  return p != nullptr && p->record != nullptr && usable(view, id) && p->record->phase == Phase::ready &&
         p->record->head.epoch == view.config->epoch && p->record->head.generation == view.config->generation;
}

std::optional<Wish> wish_return(const View& view) {
  std::vector<CanvassItem> items;
  for (const Member& member : view.config->members) {
    const bool wanted = member.role == Role::ring ||
                        (member.role == Role::spare && (wants_spare(view) || member.absence == Absence::leaving));
    if (member.in || !wanted || !ready(view, member.id) || !held_back(view, member.id).empty()) continue;
    items.push_back({member.id, Evidence::returned});
    break;  // one at a time: each splice is verified before the next
  }
  if (items.empty()) return std::nullopt;
  Config next = next_epoch(*view.config);
  for (const CanvassItem& item : items) put_in(next, item.node);
  forget_old_flaps(view, next);
  Wish wish = make_wish(view, std::move(next), std::move(items));
  wish.rank = rank(view, wish.items.front().node, {});
  return wish;
}

std::optional<Wish> wish_planned(const View& view) {
  auto step = planned_step(view);
  if (!step) return std::nullopt;
  const NodeId id = step->item.node;
  Wish wish = make_wish(view, std::move(step->next), {step->item});
  wish.next.reason = step->reason;
  wish.rank = rank(view, id, {});
  return wish;
}

std::optional<Wish> wish_way_around(const View& view) {
  const auto way = route_around(view);
  if (!way) return std::nullopt;
  Config next = next_epoch(*view.config);
  reorder(next, way->home_order);
  take_out(next, way->out, Evidence::link);
  const bool moved = way->home_order != home_order(*view.config);
  Wish wish = make_wish(view, std::move(next), {{way->out, Evidence::link}});
  wish.next.reason =
      name_of(*view.config, way->out) + " is out" + (moved ? ", to come back at another place: " : ": ") + way->why;
  wish.rank = rank(view, way->out, {});
  return wish;
}

// A member that has lost its state directory keeps its place, whether it is in or not.
std::optional<Wish> wish_replacement(const View& view) {
  for (const auto& [id, applicant] : view.applicants) {
    if (!impostor(view, id, applicant).empty()) continue;
    Config next = next_epoch(*view.config);
    Member& member = *next.find(id);
    const Candidate& candidate = applicant.candidate;
    std::replace(next.wanted_order.begin(), next.wanted_order.end(), id, candidate.id);
    member.id = candidate.id;
    member.gossip = candidate.gossip;
    member.mysql = candidate.mysql;
    next.reason = member.name + " has lost its state directory and takes its place under a new id";
    next.evidence_class = to_string(Evidence::replaced);
    next.proposer = name_of(*view.config, view.self);
    Wish wish{{CanvassItem{id, Evidence::replaced}}, std::move(next), Duration{0}, 0};
    assign_wish_votes(view, {}, wish);
    wish.rank = rank(view, id, {id});
    return wish;
  }
  return std::nullopt;
}

// A new member. Whoever heard it asks for it.
std::optional<Wish> wish_joined(const View& view) {
  for (const auto& [name, hello] : view.joiners) {
    if (!against_joiner(view, hello).empty()) continue;
    Wish wish{{CanvassItem{hello.candidate.id, Evidence::joined}}, with_joiner(view, hello), Duration{0}, 0};
    assign_wish_votes(view, {}, wish);
    return wish;
  }
  return std::nullopt;
}

std::optional<Wish> wish_writer(const View& view) {
  auto step = writer_step(view);
  if (!step) return std::nullopt;
  Wish wish = make_wish(view, std::move(step->next), {step->item});
  wish.next.reason = std::move(step->reason);
  wish.rank = rank(view, view.config->members.front().id, {});
  return wish;
}

std::optional<Wish> wish_votes(const View& view) {
  if (view.votes_differ_for < std::min(kVotesDiffer, kVotesDifferUrgent)) return std::nullopt;
  Config next = next_epoch(*view.config);
  const std::vector<NodeId> healthy = healthy_agents(view);
  assign_votes(next, healthy);
  if (voters(next) == voters(*view.config)) return std::nullopt;
  std::size_t reachable = 0;
  for (const NodeId& id : voters(*view.config)) {
    reachable += static_cast<std::size_t>(std::count(healthy.begin(), healthy.end(), id));
  }
  const Duration needed = reachable <= majority(*view.config) ? kVotesDifferUrgent : kVotesDiffer;
  if (view.votes_differ_for < needed) return std::nullopt;
  next.reason = "the votes follow the agents that answer";
  next.evidence_class = to_string(Evidence::votes);
  next.proposer = name_of(*view.config, view.self);
  Wish wish{{CanvassItem{view.self, Evidence::votes}}, std::move(next), Duration{0}, 0};
  wish.rank = rank(view, view.config->members.front().id, {});
  return wish;
}

std::int64_t stranded_of(const View& view, const NodeRecord& record) {
  std::vector<const NodeRecord*> others;
  for (const auto& [id, p] : view.peers) {
    if (id != record.node && p.record != nullptr) others.push_back(p.record);
  }
  return own_missing_elsewhere(record, others);
}

// Who has got a copy of the data has no binary log from before it: who follows it must have all that already.
std::string lacks_what_is_purged(const View& view, const NodeId& follower, const NodeId& source) {
  const PeerView* to = peer(view, follower);
  const PeerView* from = peer(view, source);
  if (!answers_now(view, follower) || to == nullptr || to->record == nullptr || from == nullptr ||
      from->record == nullptr)
    return {};
  if (to->record->health != MysqlHealth::up || !to->record->unsafe.empty() || to->record->phase == Phase::refused ||
      is_copied_onto(*view.config->find(follower)))
    return {};
  // MariaDB throws away what it has received and not applied when it is pointed at another source.
  const bool keeps_received = static_cast<Flavor>(to->record->flavor) == Flavor::mysql && !to->record->received.empty();
  const std::string have = to->record->executed + (keeps_received ? "," + to->record->received : "");
  if (contains_all(from->record->flavor, have, from->record->purged)) return {};
  return name_of(*view.config, follower) + " still lacks transactions that " + name_of(*view.config, source) +
         " can no longer give";
}

// What it once wrote, others have, and it lacks: its own agent may not have heard of that yet.
std::int64_t own_lost_of(const View& view, const NodeId& id) {
  std::vector<const NodeRecord*> others;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (member.id != id && p != nullptr && p->position != nullptr && !is_copied_onto(member))
      others.push_back(p->position);
  }
  const PeerView* own = peer(view, id);
  return own == nullptr || own->record == nullptr ? 0 : own_lost(*own->record, own->record->executed, others);
}

}  // namespace

std::vector<NodeId> healthy_agents(const View& view) {
  std::vector<NodeId> out;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (member.id == view.self || (p != nullptr && agent_answers(*p) && lives(view, member.id)))
      out.push_back(member.id);
  }
  return out;
}

bool usable(const View& view, const NodeId& node) {
  return well(view, node) && peer(view, node)->record->phase != Phase::checking;
}

std::int64_t stranded_count(const View& view, const NodeId& node) {
  const PeerView* p = peer(view, node);
  return p == nullptr || p->record == nullptr ? 0 : stranded_of(view, *p->record);
}

std::string held_back(const View& view, const NodeId& id) {
  const Member& member = *view.config->find(id);
  // One that is leaving comes in once more if it has something that nobody else has.
  const bool brings = member.absence == Absence::leaving && !known_to_ring(view, id);
  if (member.absence != Absence::none && !brings) return std::string(to_string(member.absence)) + " is not over";
  Config next = *view.config;
  put_in(next, id);
  const std::vector<NodeId> followers = downstream(next, id);
  if (!followers.empty() && followers.front() != view.self && ring(next).size() > 1) {
    if (!answers_now(view, followers.front())) {
      return "the agent of " + name_of(next, followers.front()) + " does not answer, so nobody can make it follow " +
             name_of(next, id);
    }
  }
  for (const NodeId& follower : followers) {
    if (std::string lacks = lacks_what_is_purged(view, follower, id); !lacks.empty()) return lacks;
  }
  if (!followers.empty() && member.out_class == to_string(Evidence::link) && !good_edge(view, id, followers.front()))
    return name_of(next, followers.front()) + " has not been able to log in to it within 10 s";
  if (const std::int64_t lost = own_lost_of(view, id); lost != 0)
    return std::to_string(lost) + " transactions that it once wrote stand on other members but not here";
  const std::int64_t stranded = stranded_count(view, id);
  if (stranded == 0 || member.replay) return {};
  if (!view.replay_stranded) {
    return std::to_string(stranded) +
           " transactions are stranded on it and [failure] stranded = \"hold\": a person decides";
  }
  if (view.replay_max_age > Duration{0} && peer(view, id)->unmoved_for > view.replay_max_age) {
    return std::to_string(stranded) +
           " transactions have been stranded on it for longer than replay_max_age: a person decides";
  }
  return {};
}

Duration settle_time(Duration settle, std::uint32_t flaps) {
  Duration out = settle;
  for (std::uint32_t i = 1; i < flaps && out < kSettleMax; ++i) out *= 2;
  return std::min(out, kSettleMax);
}

Decision decide(const View& view) {
  Decision out;
  if (!view.confirmed) {
    out.why_not = "the head is not confirmed by a majority of the voters";
    return out;
  }
  if (view.config->paused.on) {
    out.why_not = "paused by " + view.config->paused.by;
    return out;
  }
  const Removals removals = find_removals(view);
  out.probe = removals.probe;
  out.look_again = removals.next_ripe;
  out.wish = wish_removal(view, removals);
  if (!out.wish) out.wish = wish_replacement(view);
  if (!out.wish) out.wish = wish_joined(view);
  if (!out.wish) out.wish = wish_writer(view);
  if (!out.wish) out.wish = wish_planned(view);
  if (!out.wish) out.wish = wish_return(view);
  if (!out.wish) out.wish = wish_way_around(view);
  if (!out.wish) out.wish = wish_votes(view);
  return out;
}

std::string impostor(const View& view, const NodeId& id, const Hello& applicant) {
  const Member* member = view.config->find(id);
  const PeerView* p = peer(view, id);
  if (member == nullptr || p == nullptr) return "there is no such member";
  if (id == view.self) return "that is my own name";
  if (lives(view, id)) return member->name + " itself answers: is the other one a copy of its machine?";
  // The hello of a former life may still count when the next one has just been taken in.
  if (p->unmoved_for < view.silence)
    return member->name + " itself may still answer: it has been known as it is for a moment only";
  const Candidate& c = applicant.candidate;
  if (c.role != member->role)
    return "its role is " + std::string(to_string(c.role)) + ", the member's " + to_string(member->role);
  if (member->role == Role::witness) return {};
  if (c.server_id == 0) return "its MySQL has not been seen yet";
  if (c.server_id != member->server_id || c.server_uuid != member->server_uuid)
    return "its server has another identity than the member's (server_id " + std::to_string(member->server_id) + ")";
  return {};
}

std::optional<Config> forced_config(const View& view, const std::vector<NodeId>& lost,
                                    const std::vector<NodeId>& survivors) {
  Config next = next_epoch(*view.config);
  std::string names;
  for (const NodeId& id : lost) {
    Member& member = *next.find(id);
    if (member.in) calls_off(member);
    member.in = member.vote = false;
    member.out_class = kLost;
    member.out_epoch = next.epoch;
    names += (names.empty() ? "" : ", ") + member.name;
  }
  assign_votes(next, survivors);
  std::string alone;
  if (ring(next).empty()) {
    // Only a majority checks a start of mysqld. Whose start has not been checked yet goes on read_only, and is checked by the
    // survivors as soon as they are the majority. Who is known to have lost something stays read_only until a person ends that.
    auto saviour = saviour_of(view, next, usable);
    if (!saviour) saviour = saviour_of(view, next, well);
    if (!saviour) saviour = saviour_of(view, next, runs);
    if (!saviour) return std::nullopt;
    const bool copied = next.find(*saviour)->out_class == kCopied;
    put_in(next, *saviour);
    if (copied) next.find(*saviour)->out_class = kCopied;  // its check counts on it
    alone = "; " + name_of(next, *saviour) + " is in, as nobody else is left";
    const NodeRecord& record = *peer(view, *saviour)->record;
    if (!record.unsafe.empty())
      alone += ", and stays read_only: " + record.unsafe;
    else if (!usable(view, *saviour))
      alone += ", and its last start is checked by the survivors only: what the lost alone had of it nobody can know";
  }
  call_off_absences(next);
  settle_writer(view, next);
  next.proposer = name_of(*view.config, view.self);
  next.reason = next.proposer + " forced the quorum" + (names.empty() ? "" : " without " + names) + alone;
  next.evidence_class = to_string(Evidence::forced);
  return next;
}

void assign_wish_votes(const View& view, const std::vector<NodeId>& answered, Wish& wish) {
  std::vector<NodeId> healthy = healthy_agents(view);
  for (const CanvassItem& item : wish.items) {
    const bool gone =
        item.evidence == Evidence::silent || item.evidence == Evidence::refused || item.evidence == Evidence::headless;
    if (gone) std::erase(healthy, item.node);
  }
  healthy.insert(healthy.end(), answered.begin(), answered.end());
  for (Member& member : wish.next.members) {
    const Member* before = view.config->find(member.id);
    if (before == nullptr) healthy.push_back(member.id);  // it has just presented itself
    member.vote = before != nullptr && before->vote;
    member.lost_vote_epoch = before != nullptr ? before->lost_vote_epoch : 0;
  }
  assign_votes(wish.next, healthy);
}

std::optional<NodeId> must_concur(const View& view, const Wish& wish) {
  const CanvassItem& first = wish.items.front();
  if (first.evidence == Evidence::address) return first.node == view.self ? std::nullopt : std::optional(first.node);
  const Member* after = wish.next.find(first.node);
  const bool goes =
      first.evidence == Evidence::planned && view.config->find(first.node)->in && (after == nullptr || !after->in);
  if (first.evidence != Evidence::returned && !goes) return std::nullopt;
  const std::vector<NodeId> followers = downstream(goes ? *view.config : wish.next, first.node);
  if (followers.empty() || followers.front() == view.self) return std::nullopt;
  return followers.front();
}

Judgement judge(const View& view, const CanvassItem& item) {
  if (!view.confirmed) return {Opinion::abstain, "my head is not confirmed", false};
  if (item.evidence == Evidence::joined) {
    if (view.config->find(item.node) == nullptr) return {Opinion::concur, "", false};
    return {Opinion::object, "it is a member already", false};
  }
  const PeerView* p = peer(view, item.node);
  if (p == nullptr) return {Opinion::object, "no such member", false};
  const std::string name = name_of(*view.config, item.node);
  const bool self = item.node == view.self;
  const auto by_record = [&](bool says_so, const char* what) -> Judgement {
    if (says_so) return {Opinion::concur, "", false};
    return {Opinion::object, name + "'s own newest record does not say that " + what, false};
  };
  switch (item.evidence) {
    case Evidence::mysqld_down: {
      // Only what arrived after the news of its death speaks against it; a look may be a little older than it seems.
      const bool mine_says_alive = !self && view.link == LinkSays::alive && view.link_source == item.node &&
                                   view.link_heard_for + kLookSkew < p->health_age;
      if (mine_says_alive) return {Opinion::object, "my link to " + name + " is alive", false};
      return by_record(p->record != nullptr && p->record->health == MysqlHealth::down, "mysqld is down");
    }
    case Evidence::mysqld_hung:
      return by_record(p->record != nullptr && p->record->health == MysqlHealth::hung, "mysqld hangs");
    case Evidence::unsafe:
      return by_record(p->record != nullptr && !p->record->unsafe.empty(), "it is unsafe");
    case Evidence::refused:
      if (self) return {Opinion::object, "I am alive", false};
      if (p->port == EdgeState::ok) return {Opinion::object, name + "'s MySQL port answers me", false};
      if (p->port == EdgeState::unknown) return {Opinion::abstain, "asking the port", true};
      if (!p->ping_unanswered) return {Opinion::object, name + "'s agent answers me", false};
      if (p->port == EdgeState::refused && p->port_answered_before) return {Opinion::concur, "", false};
      return {Opinion::abstain, name + "'s port is silent to me", false};
    case Evidence::silent:
    case Evidence::headless:
      if (self) return {Opinion::object, "I am alive", false};
      if (view.up_for < view.silence) return {Opinion::abstain, "I have been up for too short a time", false};
      if (p->silent_for < view.silence / 2) return {Opinion::object, name + " answered me lately", false};
      if (item.evidence == Evidence::silent) {
        const LinkWord word = link_word(view, item.node, *p);
        if (word.says == LinkSays::alive) return {Opinion::object, "the database of " + name + " is alive", false};
        if (word.says == LinkSays::nothing) return {Opinion::abstain, "asking the port", true};
      }
      return {Opinion::concur, "", false};
    case Evidence::replaced: {
      const auto applicant = view.applicants.find(item.node);
      if (applicant == view.applicants.end())
        return {Opinion::abstain, "no agent has presented that name to me", false};
      const std::string why = impostor(view, item.node, applicant->second);
      return why.empty() ? Judgement{Opinion::concur, "", false} : Judgement{Opinion::object, why, false};
    }
    case Evidence::unfollowed: {
      const auto unfollowed = unfollowed_for(view, item.node);
      if (unfollowed && *unfollowed >= view.silence / 2) return {Opinion::concur, "", false};
      return {Opinion::object, "the agent of " + name + "'s successor answered me lately", false};
    }
    case Evidence::returned: {
      if (!usable(view, item.node)) return {Opinion::object, name + " is not usable as I see it", false};
      const std::string held = held_back(view, item.node);
      if (!held.empty()) return {Opinion::object, held, false};
      return by_record(p->record->phase == Phase::ready, "it is ready");
    }
    case Evidence::not_empty:
      if (usable(view, item.node)) return {Opinion::concur, "", false};
      return {Opinion::object, name + " is not usable as I see it", false};
    case Evidence::votes: {
      Config wanted = next_epoch(*view.config);
      assign_votes(wanted, healthy_agents(view));
      if (voters(wanted) != voters(*view.config)) return {Opinion::concur, "", false};
      return {Opinion::object, "the votes are as they should be as I see it", false};
    }
    case Evidence::stuck:
      if (!may_bypass(view, item.node)) return {Opinion::object, name + " is needed by others", false};
      return by_record(p->record != nullptr && !p->record->stuck.empty(), "it is stuck");
    case Evidence::planned: {
      const std::string why = against_plan(view, item.node);
      return why.empty() ? Judgement{Opinion::concur, "", false} : Judgement{Opinion::object, why, false};
    }
    case Evidence::address: {
      const Member& member = *view.config->find(item.node);
      return by_record(p->record != nullptr && (p->record->mysql != member.mysql || p->record->gossip != member.gossip),
                       "it has another address");
    }
    case Evidence::link: {
      const auto way = route_around(view);
      if (way && way->out == item.node) return {Opinion::concur, "", false};
      return {Opinion::object, "I see no need to go around " + name, false};
    }
    case Evidence::command:
      return {Opinion::concur, "", false};
    case Evidence::writer:
      if (writer_step(view)) return {Opinion::concur, "", false};
      return {Opinion::object, "I see no need for another writer", false};
    default:
      return {Opinion::abstain, "this version does not know that reason", false};
  }
}

}  // namespace ringagent
