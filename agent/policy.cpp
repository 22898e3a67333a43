#include "agent/policy.h"

#include <algorithm>
#include <set>

#include "agent/care.h"
#include "agent/evidence.h"
#include "agent/joining.h"
#include "agent/positions.h"
#include "agent/reconcile.h"
#include "agent/standing.h"
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

}  // namespace

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

}  // namespace ringagent
