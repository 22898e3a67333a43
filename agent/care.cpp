#include "agent/care.h"

#include <algorithm>

#include "agent/evidence.h"
#include "agent/positions.h"
#include "agent/standing.h"

namespace ringagent {
namespace {

constexpr Duration kSpareAfter = 10s;   // a restart of mysqld or its host's agent needs no spare
constexpr Duration kAddressFresh = 3s;  // the age of a member's own word about its address
constexpr Duration kRouteAgain = 60s;   // between two ways around; doubles with every flap

// ---------------------------------------------------------------- absences

bool drained(const View& view, const Member& member) {
  const PeerView* p = peer(view, member.id);
  return p != nullptr && p->record != nullptr && p->record->phase == Phase::drained &&
         p->record->head.epoch == view.config->epoch;
}

std::optional<PlannedStep> goes_out(const View& view, const Member& member) {
  if (!member.in || member.absence == Absence::none || !drained(view, member) || ring(*view.config).size() < 2 ||
      !links_as_wanted(view, member.id))
    return std::nullopt;
  // Nobody would make its successor follow another: until somebody can, other steps may be taken.
  if (!answers_now(view, downstream(*view.config, member.id).front())) return std::nullopt;
  Config next = next_epoch(*view.config);
  if (member.absence == Absence::leaving) {
    erase_member(next, member.id);
    return PlannedStep{
        {member.id, Evidence::planned}, std::move(next), member.name + " has left the ring: it is drained"};
  }
  Member& changed = *next.find(member.id);
  changed.in = false;
  changed.out_class = to_string(member.absence);
  changed.out_epoch = next.epoch;
  if (member.absence == Absence::standby) changed.absence = Absence::none;
  return PlannedStep{{member.id, Evidence::planned},
                     std::move(next),
                     member.name + " is out: drained for " + to_string(member.absence) +
                         (member.note.empty() ? "" : " (" + member.note + ")")};
}

// One that was out already has nothing to drain, but for what never left it: only if it is up and has caught up is that known.
std::optional<PlannedStep> leaves_from_outside(const View& view, const Member& member) {
  const PeerView* p = peer(view, member.id);
  if (member.in || member.absence != Absence::leaving || p == nullptr || p->record == nullptr) return std::nullopt;
  const bool ready = p->record->phase == Phase::ready && usable(view, member.id);
  // One that would have to be reseeded first need not be, if it only goes.
  const bool unfit = p->record->phase == Phase::refused && p->record->health == MysqlHealth::up &&
                     p->record->read_only && p->liveness == Liveness::alive && !p->ping_unanswered;
  if ((!ready && !unfit) || !known_to_ring(view, member.id)) return std::nullopt;
  Config next = next_epoch(*view.config);
  erase_member(next, member.id);
  return PlannedStep{{member.id, Evidence::planned}, std::move(next), member.name + " has left the ring"};
}

std::optional<PlannedStep> absence_over(const View& view, const Member& member) {
  if (member.absence != Absence::maintenance || member.absence_ms == 0) return std::nullopt;
  const PeerView* p = peer(view, member.id);
  if (p == nullptr || p->absent_for < std::chrono::milliseconds(member.absence_ms)) return std::nullopt;
  Config next = next_epoch(*view.config);
  end_absence(*next.find(member.id));
  return PlannedStep{{member.id, Evidence::planned}, std::move(next), "the maintenance of " + member.name + " is over"};
}

// ---------------------------------------------------------------- another order

std::optional<PlannedStep> next_move(const View& view) {
  const Config& head = *view.config;
  if (head.wanted_order.empty()) return std::nullopt;
  const std::vector<NodeId> placed = well_placed(head);
  for (const Member& member : head.members) {
    if (std::find(placed.begin(), placed.end(), member.id) != placed.end()) continue;
    if (member.in && (member.absence != Absence::none || ring(head).size() < 2)) return std::nullopt;  // under way
    if (!links_as_wanted(view)) return std::nullopt;
    Config next = next_epoch(head);
    Member& changed = *next.find(member.id);
    if (member.in) {
      changed.absence = Absence::moving;
      return PlannedStep{
          {member.id, Evidence::planned}, std::move(next), member.name + " is to be moved: it is drained first"};
    }
    if (changed.absence == Absence::moving) changed.absence = Absence::none;
    move_to_place(next, member.id);
    return PlannedStep{{member.id, Evidence::planned}, std::move(next), member.name + " has got its new place"};
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- spares

std::size_t missing(const View& view, Duration for_longer_than) {
  std::size_t out = 0;
  for (const Member& member : view.config->members) {
    if (member.role != Role::ring || member.in) continue;
    const PeerView* p = peer(view, member.id);
    if (p != nullptr && p->unmoved_for >= for_longer_than) ++out;
  }
  return out;
}

std::size_t spares_in(const Config& config) {
  return static_cast<std::size_t>(std::count_if(config.members.begin(), config.members.end(), [](const Member& m) {
    return m.role == Role::spare && m.in && m.absence == Absence::none;
  }));
}

std::optional<PlannedStep> spare_rests(const View& view) {
  if (spares_in(*view.config) <= missing(view, Duration{0}) || !links_as_wanted(view)) return std::nullopt;
  for (auto it = view.config->members.rbegin(); it != view.config->members.rend(); ++it) {
    if (it->role != Role::spare || !it->in || it->absence != Absence::none) continue;
    Config next = next_epoch(*view.config);
    next.find(it->id)->absence = Absence::standby;
    return PlannedStep{{it->id, Evidence::planned},
                       std::move(next),
                       "the ring is complete again: the spare " + it->name + " is drained"};
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- addresses

std::optional<PlannedStep> new_address(const View& view, const Member& member) {
  const PeerView* p = peer(view, member.id);
  if (p == nullptr || p->record == nullptr || p->record->mysql.empty() || p->record->gossip.empty())
    return std::nullopt;
  if (p->record->mysql == member.mysql && p->record->gossip == member.gossip) return std::nullopt;
  const bool same_server = p->record->server_id == member.server_id && p->record->server_uuid == member.server_uuid;
  if (p->lives_twice || (member.role != Role::witness && !same_server)) return std::nullopt;  // a copied machine
  if (p->record->head.epoch != view.config->epoch) return std::nullopt;                       // an older word
  const bool here = member.id == view.self || (p->liveness == Liveness::alive && !p->ping_unanswered);
  if (!here || (member.id != view.self && p->record_age > kAddressFresh)) return std::nullopt;
  Config next = next_epoch(*view.config);
  Member& changed = *next.find(member.id);
  changed.mysql = p->record->mysql;
  changed.gossip = p->record->gossip;
  return PlannedStep{
      {member.id, Evidence::address},
      std::move(next),
      member.name + " has another address: MySQL at " + changed.mysql.str() + ", agent at " + changed.gossip.str()};
}

// ---------------------------------------------------------------- ways around a bad edge

std::optional<NodeId> starved_member(const View& view) {
  for (const NodeId& id : ring(*view.config)) {
    const PeerView* p = peer(view, id);
    if (p != nullptr && p->record != nullptr && !p->record->starved.empty() && (id == view.self || agent_answers(*p)))
      return id;
  }
  return std::nullopt;
}

// Does the ring `order` use good edges only?
bool all_good(const View& view, const std::vector<NodeId>& order) {
  for (std::size_t i = 0; i < order.size() && order.size() > 1; ++i) {
    if (!good_edge(view, order[i], order[(i + 1) % order.size()])) return false;
  }
  return true;
}

// The home order with `id` behind `before` instead of where it is.
std::vector<NodeId> order_with(const Config& config, const NodeId& id, const NodeId& before) {
  std::vector<NodeId> out;
  for (const Member& member : config.members) {
    if (member.id != id) out.push_back(member.id);
    if (member.id == before) out.push_back(id);
  }
  return out;
}

}  // namespace

bool good_edge(const View& view, const NodeId& from, const NodeId& to) {
  const PeerView* p = peer(view, to);
  if (p == nullptr || p->record == nullptr || p->record->health != MysqlHealth::up) return false;
  for (const LinkFact& link : p->record->links) {
    if (link.source == from) return link.io == 2 && link.heard_ms == 0;
  }
  return std::any_of(p->record->edges.begin(), p->record->edges.end(),
                     [&](const EdgeFact& e) { return e.to == from && e.state == EdgeState::ok; });
}

bool known_to_ring(const View& view, const NodeId& id) {
  const PeerView* own = peer(view, id);
  const std::vector<const NodeRecord*> others = ring_records(view, id, true);
  return own != nullptr && own->record != nullptr && own_missing_elsewhere(*own->record, others) == 0 &&
         foreign_missing_elsewhere(*own->record, others) == 0;
}

void call_off_absences(Config& next) {
  const auto stays = [](const Member& m) { return m.in && m.absence == Absence::none; };
  if (std::any_of(next.members.begin(), next.members.end(), stays)) return;
  for (Member& member : next.members) {
    if (member.in) end_absence(member);
  }
}

bool links_as_wanted(const View& view, const NodeId& but) {
  const std::vector<NodeId> in = ring(*view.config);
  for (const NodeId& id : in) {
    if (in.size() == 1) break;  // it follows nobody
    if (id == but) continue;
    const PeerView* p = peer(view, id);
    if (p == nullptr) return false;
    // For an agent that is gone nobody waits; one that has not been heard of yet is given time to be.
    const bool gone = id != view.self && (!agent_answers(*p) || p->ping_unanswered);
    if (gone && (p->record != nullptr || view.up_for >= view.silence)) continue;
    if (p->record == nullptr || p->record->acted_epoch != view.config->epoch) return false;
  }
  return true;
}

bool wants_spare(const View& view) {
  return spares_in(*view.config) < missing(view, kSpareAfter);
}

std::optional<PlannedStep> planned_step(const View& view) {
  for (const Member& member : view.config->members) {
    if (auto step = goes_out(view, member)) return step;
    if (auto step = leaves_from_outside(view, member)) return step;
    if (auto step = absence_over(view, member)) return step;
    if (auto step = new_address(view, member)) return step;
  }
  if (auto step = next_move(view)) return step;
  return spare_rests(view);
}

std::string against_plan(const View& view, const NodeId& id) {
  const Member* member = view.config->find(id);
  if (member == nullptr) return "there is no such member";
  if (member->in && member->absence != Absence::none && !absence_over(view, *member) && !drained(view, *member))
    return member->name + "'s own newest record does not say that it is drained";
  return {};
}

std::optional<RouteAround> route_around(const View& view) {
  const Config& head = *view.config;
  const auto starved = starved_member(view);
  if (!starved || view.rerouted_for < kRouteAgain || !head.wanted_order.empty()) return std::nullopt;
  const auto source = upstream(head, *starved);
  const PeerView* p = source ? peer(view, *source) : nullptr;
  if (p == nullptr || p->record == nullptr || p->record->health != MysqlHealth::up || p->ping_unanswered)
    return std::nullopt;
  const std::vector<NodeId> in = ring(head);
  if (in.size() < 3) return std::nullopt;
  std::optional<RouteAround> last_resort;
  for (const NodeId& id : {*starved, *source}) {
    if (view.rerouted_for < kRouteAgain * (1 << std::min<std::uint32_t>(head.find(id)->flaps, 6))) continue;
    std::vector<NodeId> others = in;
    std::erase(others, id);
    if (!all_good(view, others)) continue;
    const std::string why = head.find(*starved)->name + " cannot replicate from " + head.find(*source)->name + ": " +
                            peer(view, *starved)->record->starved;
    for (std::size_t i = 0; i < others.size(); ++i) {
      const NodeId& before = others[i];
      const NodeId& after = others[(i + 1) % others.size()];
      if (good_edge(view, before, id) && good_edge(view, id, after))
        return RouteAround{id, order_with(head, id, before), why};
    }
    if (!last_resort) last_resort = RouteAround{id, home_order(head), why};
  }
  return last_resort;
}

}  // namespace ringagent
