#include "agent/standing.h"

#include <algorithm>

#include "agent/care.h"
#include "agent/evidence.h"
#include "agent/positions.h"
#include "agent/reconcile.h"

namespace ringagent {
namespace {

constexpr Duration kSettleMax = 600s;

// Transactions of others that stand on this member and on no other that is in: taking it out would cut them off.
bool last_source(const View& view, const NodeId& id) {
  const PeerView* own = peer(view, id);
  const std::vector<const NodeRecord*> others = ring_records(view, id, false);
  return own == nullptr || own->record == nullptr || foreign_missing_elsewhere(*own->record, others) != 0;
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

// What all others have that have data, by their last words, and whether each of them has said one.
struct LastWords {
  std::vector<const NodeRecord*> positions;
  bool all = true;
};
LastWords last_words(const View& view, const NodeId& but) {
  LastWords out;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (member.id == but || member.role == Role::witness || is_copied_onto(member)) continue;
    if (p != nullptr && p->position != nullptr)
      out.positions.push_back(p->position);
    else
      out.all = false;
  }
  return out;
}

// Nothing but the stranded ones: may it come in at all?
std::string cannot_come_in(const View& view, const NodeId& id) {
  const Member& member = *view.config->find(id);
  // One that is leaving comes in once more if it has something that nobody else has.
  const bool brings = member.absence == Absence::leaving && !known_to_ring(view, id);
  if (member.absence != Absence::none && !brings) return std::string(to_string(member.absence)) + " is not over";
  if (std::string gone = gone_for_good(view, id); !gone.empty()) return gone;
  Config next = *view.config;
  next.find(id)->in = true;
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
  // Its own agent may not have heard of it yet.
  const PeerView* own = peer(view, id);
  const std::int64_t lost = own == nullptr || own->record == nullptr
                                ? 0
                                : own_lost(*own->record, own->record->executed, last_words(view, id).positions);
  return lost == 0 ? "" : std::to_string(lost) + " transactions that it once wrote stand on other members but not here";
}

}  // namespace

std::string name_of(const Config& config, const NodeId& id) {
  const Member* member = config.find(id);
  return member == nullptr ? id.str() : member->name;
}

bool lives(const View& view, const NodeId& id) {
  return answers_now(view, id) || peer(view, id)->silent_for < view.silence;
}

bool runs(const View& view, const NodeId& node) {
  const PeerView* p = peer(view, node);
  if (p == nullptr || p->record == nullptr) return false;
  if (node != view.self && (p->liveness != Liveness::alive || p->ping_unanswered)) return false;
  return p->record->health == MysqlHealth::up && p->record->phase != Phase::copying;
}

bool well(const View& view, const NodeId& node) {
  return runs(view, node) && peer(view, node)->record->unsafe.empty() &&
         peer(view, node)->record->phase != Phase::refused;
}

bool usable(const View& view, const NodeId& node) {
  return well(view, node) && peer(view, node)->record->phase != Phase::checking;
}

std::vector<NodeId> healthy_agents(const View& view) {
  std::vector<NodeId> out;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (member.id == view.self || (p != nullptr && agent_answers(*p) && lives(view, member.id)))
      out.push_back(member.id);
  }
  return out;
}

bool may_bypass(const View& view, const NodeId& id) {
  const auto whole = std::count_if(view.config->members.begin(), view.config->members.end(),
                                   [](const Member& m) { return m.role == Role::ring; });
  return 2 * (static_cast<std::ptrdiff_t>(ring(*view.config).size()) - 1) >= whole && !last_source(view, id);
}

std::int64_t stranded_count(const View& view, const NodeId& node) {
  const PeerView* p = peer(view, node);
  return p == nullptr || p->record == nullptr ? 0 : stranded_of(view, *p->record);
}

std::string gone_for_good(const View& view, const NodeId& id) {
  const PeerView* own = peer(view, id);
  if (own == nullptr || own->record == nullptr || view.config->find(id)->role == Role::witness) return {};
  const LastWords words = last_words(view, id);
  if (!words.all) return {};
  const std::string gone = purged_of_all(*own->record, words.positions);
  return gone.empty() ? "" : "what only it has is purged from its binary log, so nobody can get it from there: " + gone;
}

std::string waits_for_a_person(const View& view, const NodeId& id) {
  const Member& member = *view.config->find(id);
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

std::string held_back(const View& view, const NodeId& id) {
  std::string why = cannot_come_in(view, id);
  return why.empty() ? waits_for_a_person(view, id) : why;
}

Duration settle_time(Duration settle, std::uint32_t flaps) {
  Duration out = settle;
  for (std::uint32_t i = 1; i < flaps && out < kSettleMax; ++i) out *= 2;
  return std::min(out, kSettleMax);
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

}  // namespace ringagent
