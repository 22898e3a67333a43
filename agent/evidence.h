#pragma once

#include <optional>
#include <vector>

#include "agent/policy.h"

// What speaks against a member of the ring (protocol.md section 4): the hearing before a removal is wished.
//
// Intuition: first who may testify. A member's own agent knows best what ails its server; where that agent is silent, the
// link of its successor speaks, and where that one cannot, a fresh connection to the port. A charge says when it will be
// ripe: until then it may still be refuted.
//
// For policy.cpp and its like; everything is a pure function of the View.
namespace ringagent {

// Evidence against one member: ripe in `wait`.
struct Charge {
  Evidence evidence = Evidence::none;
  Duration wait{0};
};
struct Hearing {
  std::optional<Charge> charge;
  bool probe = false;  // nothing can be said before its MySQL port was asked
};
Hearing hear(const View& view, const NodeId& accused);

// The word of the database link to `accused`: its successor's own link if that successor's agent lives (of the last one in the
// ring: the links of all who follow it, and one that is alive counts for all), otherwise a fresh connection by whoever asks.
// `nothing` means: ask the port.
struct LinkWord {
  LinkSays says = LinkSays::nothing;
  Duration quiet_for{0};
};
LinkWord link_word(const View& view, const NodeId& accused, const PeerView& accused_peer);

// Its successor's agent is silent, and that successor follows somebody else, as far as is known: it died just when it should
// have moved. What `id` writes reaches nobody; out of the ring it is read_only. For how long that agent has been silent.
std::optional<Duration> unfollowed_for(const View& view, const NodeId& id);

// Its agent is believed to live, and has not left my newest ping unanswered; true of myself.
bool answers_now(const View& view, const NodeId& id);

// The newest records of the members of the ring, `but` left out; with `living`, of those only whose agents answer.
std::vector<const NodeRecord*> ring_records(const View& view, const NodeId& but, bool living);

// The head, one epoch on: what a wish begins with.
Config next_epoch(const Config& head);

// nullptr: no member.
const PeerView* peer(const View& view, const NodeId& id);
bool agent_answers(const PeerView& peer);

}  // namespace ringagent
