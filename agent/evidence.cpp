#include "agent/evidence.h"

#include <algorithm>

namespace ringagent {
namespace {

constexpr Duration kNever = Duration::max();

LinkSays from_port(const PeerView& accused) {
  switch (accused.port) {
    case EdgeState::ok:
      return LinkSays::alive;
    case EdgeState::refused:
    case EdgeState::silent:
      return LinkSays::broken;
    case EdgeState::unknown:
      return LinkSays::nothing;
  }
  return LinkSays::nothing;
}

// A successor whose agent does not answer now, or whose own server is gone, says nothing new about its link.
bool can_testify(const PeerView* peer) {
  return peer != nullptr && agent_answers(*peer) && !peer->ping_unanswered && peer->record != nullptr &&
         peer->record->health == MysqlHealth::up;
}

// What a follower of `accused` says of its link, or nothing.
std::optional<LinkWord> word_of(const View& view, const NodeId& follower, const NodeId& accused) {
  if (follower == view.self) {
    if (view.link_source != accused || view.link == LinkSays::nothing) return std::nullopt;
    return LinkWord{view.link, view.link_quiet_for};
  }
  const PeerView* other = peer(view, follower);
  if (!can_testify(other)) return std::nullopt;
  for (const LinkFact& link : other->record->links) {
    if (link.source != accused) continue;
    const bool lost = link.io != 2 && (link.error_number == 2003 || link.error_number == 2013 ||
                                       link.error_number == 2002 || link.error_number == 2006);
    if (lost) return LinkWord{LinkSays::broken, kNever};
    if (link.io == 2) {
      // Its agent would have told if the link had gone quiet (heard_ms is 0 while it has not).
      if (link.heard_ms == 0) return LinkWord{LinkSays::alive, Duration{0}};
      return LinkWord{LinkSays::quiet, std::chrono::milliseconds(link.heard_ms) + other->record_age};
    }
  }
  return std::nullopt;
}

// Is the link dead enough, given that a link that is merely quiet must have been so for `quiet_enough`?
struct LinkVerdict {
  bool alive = false;
  bool unknown = false;
  Duration wait{0};
};
LinkVerdict verdict(const LinkWord& word, Duration quiet_enough) {
  switch (word.says) {
    case LinkSays::alive:
      return {true, false, quiet_enough > word.quiet_for ? quiet_enough - word.quiet_for : Duration{0}};
    case LinkSays::nothing:
      return {false, true, Duration{0}};
    case LinkSays::broken:
      return {};
    case LinkSays::quiet:
      return {false, false, word.quiet_for >= quiet_enough ? Duration{0} : quiet_enough - word.quiet_for};
  }
  return {};
}

bool says_well(const NodeRecord& record) {
  return record.unsafe.empty() && record.health != MysqlHealth::down && record.health != MysqlHealth::hung;
}

// Its own agent says what is wrong with its server.
Hearing hear_own_agent(const View& view, const PeerView& accused, const LinkWord& word) {
  const NodeRecord& record = *accused.record;
  if (!record.unsafe.empty()) return {Charge{Evidence::unsafe, 0us}, false};
  if (record.health == MysqlHealth::down) {
    const LinkVerdict link = verdict(word, view.silence);
    if (link.unknown) return {std::nullopt, true};
    // Alive or merely quiet: a broken link will say so within milliseconds; until then it may be the agent that errs.
    const Duration grace = view.grace > accused.health_age ? view.grace - accused.health_age : Duration{0};
    return {Charge{Evidence::mysqld_down, std::max(grace, link.wait)}, false};
  }
  if (record.health == MysqlHealth::hung) {
    const LinkVerdict link = verdict(word, view.hung_after);
    if (link.unknown) return {std::nullopt, true};
    return {Charge{Evidence::mysqld_hung, link.wait}, false};
  }
  return {};
}

// Its agent does not answer: only its port and the link to it can tell.
Hearing hear_others(const View& view, const PeerView& accused, const LinkWord& word) {
  if (view.up_for < view.silence) return {Charge{Evidence::silent, view.silence - view.up_for}, false};
  const LinkVerdict link = verdict(word, view.silence);
  if (link.unknown) return {std::nullopt, true};
  if (link.alive) return {Charge{Evidence::silent, std::max(link.wait, Duration{1000})}, false};
  if (word.says == LinkSays::broken) {
    if (accused.port == EdgeState::unknown) return {std::nullopt, true};
    if (accused.port == EdgeState::refused && accused.port_answered_before)
      return {Charge{Evidence::refused, 0us}, false};
    if (accused.port == EdgeState::ok) return {};
  }
  const Duration agent_wait = std::max(Duration{0}, view.silence - accused.unanswered_for);
  // A port that was silent a while ago is asked again and again until the charge is ripe.
  return {Charge{Evidence::silent, std::max(agent_wait, link.wait)}, accused.port != EdgeState::unknown};
}

// Its agent is silent, and what it replicates from, as far as it could tell, was decided out or has another address: it
// cannot repoint.
bool is_headless(const View& view, const NodeId& id, const PeerView& p) {
  const auto up = upstream(*view.config, id);
  if (!up || p.record == nullptr || p.record->links.empty()) return false;
  const Member* source = view.config->find(p.record->links.front().source);
  if (source == nullptr) return false;
  const Address& followed = p.record->links.front().address;
  const bool moved = !followed.empty() && followed != source->mysql;
  return moved || (!source->in && source->id != *up);
}

// Its link starves all behind it; its own agent has said so for link_grace.
Hearing hear_stuck(const View& view, const PeerView& accused) {
  if (!view.bypass_stuck || accused.record == nullptr || accused.record->stuck.empty()) return {};
  return {Charge{Evidence::stuck, 0us}, false};
}

}  // namespace

const PeerView* peer(const View& view, const NodeId& id) {
  const auto found = view.peers.find(id);
  return found == view.peers.end() ? nullptr : &found->second;
}

bool agent_answers(const PeerView& peer) {
  return peer.liveness == Liveness::alive || peer.liveness == Liveness::suspect;
}

bool answers_now(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  return id == view.self || (p != nullptr && agent_answers(*p) && !p->ping_unanswered);
}

std::vector<const NodeRecord*> ring_records(const View& view, const NodeId& but, bool living) {
  std::vector<const NodeRecord*> out;
  for (const NodeId& id : ring(*view.config)) {
    const PeerView* p = peer(view, id);
    const bool counts = !living || id == view.self || (p != nullptr && agent_answers(*p));
    if (id != but && counts && p != nullptr && p->record != nullptr) out.push_back(p->record);
  }
  return out;
}

Config next_epoch(const Config& head) {
  Config next = head;
  ++next.epoch;
  return next;
}

LinkWord link_word(const View& view, const NodeId& accused, const PeerView& accused_peer) {
  std::optional<LinkWord> out;
  const Member* member = view.config->find(accused);
  if (member != nullptr && member->in) {
    for (const NodeId& follower : downstream(*view.config, accused)) {
      const std::optional<LinkWord> word = word_of(view, follower, accused);
      if (word && (!out || word->says == LinkSays::alive)) out = word;
      // The ring hangs on the successor alone. Where there is none, the last one serves all who follow it.
      if (view.config->find(follower)->in) break;
    }
  }
  if (out) return *out;
  const LinkSays port = from_port(accused_peer);
  return {port, port == LinkSays::broken ? kNever : Duration{0}};
}

std::optional<Duration> unfollowed_for(const View& view, const NodeId& id) {
  const bool all_answer =
      std::none_of(view.peers.begin(), view.peers.end(), [](const auto& p) { return p.second.ping_unanswered; });
  if (all_answer) return std::nullopt;
  const auto followers = downstream(*view.config, id);
  if (followers.empty() || followers.front() == view.self || view.up_for < view.silence) return std::nullopt;
  const Member* successor = view.config->find(followers.front());
  const PeerView* p = peer(view, successor->id);
  if (!successor->in || p == nullptr || !p->ping_unanswered || p->record == nullptr || p->record->links.empty())
    return std::nullopt;
  const NodeId& follows = p->record->links.front().source;
  const Member* source = view.config->find(follows);
  if (follows == id || source == nullptr || !source->in) return std::nullopt;  // out: then the successor is headless
  return p->unanswered_for;
}

Hearing hear(const View& view, const NodeId& accused) {
  const PeerView* p = peer(view, accused);
  if (p == nullptr) return {};
  const bool by_own_agent = answers_now(view, accused);
  if (by_own_agent && (p->record == nullptr || says_well(*p->record))) {
    const auto unfollowed = unfollowed_for(view, accused);
    if (!unfollowed) return hear_stuck(view, *p);
    return {Charge{Evidence::unfollowed, std::max(Duration{0}, view.silence / 2 - *unfollowed)}, false};
  }
  const LinkWord word = link_word(view, accused, *p);
  if (by_own_agent) return hear_own_agent(view, *p, word);
  // It may have told of its server's death with its last breath.
  if (p->record != nullptr && p->silent_for < view.silence && p->record->health != MysqlHealth::up) {
    const Hearing told = hear_own_agent(view, *p, word);
    if (told.charge && told.charge->wait == Duration{0}) return told;
  }
  const Duration agent_enough = view.silence / 2;
  if (view.up_for >= view.silence && is_headless(view, accused, *p)) {
    return {Charge{Evidence::headless, std::max(Duration{0}, agent_enough - p->unanswered_for)}, false};
  }
  return hear_others(view, *p, word);
}

}  // namespace ringagent
