#include "gossip/swim.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gossip/facts.h"

namespace ringagent {

namespace {

constexpr Duration kHeldMax = 255 * kHeldUnit;  // what a Turn can say

bool gone_from(Liveness state) {
  return state == Liveness::dead || state == Liveness::left;
}

// What a counter may become when a third party says `claimed`.
std::uint32_t clamp_jump(std::uint32_t known, std::uint32_t claimed) {
  const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - 1 - known;
  return std::min(claimed, known + std::min(room, Swim::kRefutationJumpMax));
}

}  // namespace

Swim::Swim(NodeId self, std::uint32_t boot, std::uint64_t seed, SwimSettings settings)
    : self_(self), settings_(settings), random_(seed), own_{boot, 0} {}

// ---------------------------------------------------------------- members

void Swim::set_members(const std::vector<SwimPeer>& members, Time now) {
  const bool first = peers_.empty();
  std::map<NodeId, Peer> kept;
  std::vector<NodeId> fresh;
  for (const SwimPeer& member : members) {
    if (member.id == self_ || kept.contains(member.id)) continue;
    const auto known = peers_.find(member.id);
    const bool was_neighbour = known != peers_.end() && known->second.neighbour;
    Peer& peer = kept[member.id];
    if (known != peers_.end()) peer = std::move(known->second);
    if (known == peers_.end()) fresh.insert(member.neighbour ? fresh.begin() : fresh.end(), member.id);
    peer.id = member.id;
    peer.neighbour = member.neighbour;
    if (member.neighbour && !was_neighbour) peer.next_regular = now + random_below(settings_.probe_period);
    if (!member.neighbour) peer.owed.reset();
  }
  for (const auto& [id, peer] : peers_)
    if (!kept.contains(id)) rumours_.forget(id);
  peers_ = std::move(kept);
  std::erase_if(relays_, [this](const Relay& relay) { return !find(relay.target) || !find(relay.asker); });
  std::erase_if(sweep_, [this](const NodeId& id) { return !find(id); });
  sweep_.insert(sweep_.end(), fresh.begin(), fresh.end());
  sweep_due_ = now;
  if (first) {
    round_due_ = now + random_below(settings_.round_period);
    dead_due_ = now + random_below(settings_.dead_probe_period);
  }
  order_.clear();
  busy_.clear();
  alive_ = 0;
  for (auto& [id, peer] : peers_) {
    order_.push_back(id);
    note_timer(peer);
    if (peer.state == Liveness::alive) ++alive_;
  }
  round_position_ = order_.size();
}

Swim::Peer* Swim::find(const NodeId& id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

const Swim::Peer* Swim::find(const NodeId& id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

void Swim::set_state(Peer& peer, Liveness state) {
  if (peer.state == state) return;
  if (peer.state == Liveness::alive) --alive_;
  if (state == Liveness::alive) ++alive_;
  changes_.push_back(LivenessChange{peer.id, peer.state, state});
  peer.state = state;
}

// Keeps `busy_` right: whoever has a timer of its own is in it.
void Swim::note_timer(Peer& peer) {
  if (peer_due(peer) == Time::max())
    busy_.erase(peer.id);
  else
    busy_.emplace(peer.id, &peer);
}

// ---------------------------------------------------------------- how long to wait

Duration Swim::base_timeout(const Peer& peer) const {
  return std::max(settings_.probe_timeout, 3 * peer.rtt);
}

Duration Swim::timeout(const Peer& peer) const {
  return base_timeout(peer) * (1 + awareness_);
}

// Between two pings of one doubt. Who never answered is asked ever less often: it may not exist yet.
Duration Swim::retry(const Peer& peer) const {
  const Duration once = base_timeout(peer) / 2;
  return peer.last_answer ? once : once * (1 << std::min(peer.tries, 4U));
}

// From the first unanswered ping until the member is dead.
Duration Swim::patience(const Peer& peer) const {
  const Duration least = settings_.silence;
  const Duration most = 2 * settings_.silence;
  if (!peer.last_answer || peers_.size() == 1) return least;
  const std::size_t expected = std::min(kVoicesMax, alive_);
  if (expected == 0) return most;  // nobody is left who could agree: perhaps it is me
  const std::size_t voices = std::min(expected, peer.voices.size());
  const double share = std::log(static_cast<double>(voices + 1)) / std::log(static_cast<double>(expected + 1));
  return most - Duration(std::llround(static_cast<double>((most - least).count()) * share));
}

Time Swim::peer_due(const Peer& peer) const {
  if (gone_from(peer.state)) return Time::max();
  Time due = peer.neighbour ? peer.next_regular : Time::max();
  if (peer.unanswered && !peer.doubt) due = std::min(due, peer.last_ping + settings_.probe_period);
  if (!peer.doubt) return due;
  due = std::min(due, peer.last_ping + retry(peer));
  if (peer.state == Liveness::suspect) return std::min(due, *peer.doubt + patience(peer));
  if (wants_helpers(peer)) due = std::min(due, *peer.doubt + timeout(peer));
  return std::min(due, *peer.doubt + 2 * timeout(peer));
}

bool Swim::wants_helpers(const Peer& peer) const {
  return !peer.prompted && peer.request == 0;
}

// ---------------------------------------------------------------- one doubt from its start to its end

// A question goes out.
void Swim::ask(Peer& peer, std::uint64_t seq, bool rides, Time now) {
  std::erase_if(peer.flights, [&](const Flight& flight) { return flight.sent + settings_.silence < now; });
  if (peer.flights.size() == kFlightsMax) peer.flights.erase(peer.flights.begin());
  peer.flights.push_back(Flight{seq, now, rides});
  if (rides) return;
  peer.last_ping = now;
  ++peer.tries;
  if (!peer.unanswered) peer.unanswered = now;
  if (!peer.doubt && !gone_from(peer.state)) peer.doubt = now;
  note_timer(peer);
}

// A question that is waited for. It takes along the answer that was kept back for it.
void Swim::send_ping(Peer& peer, Time now, Out& out) {
  const bool all_well = !peer.unanswered && peer.last_answer;
  const bool brief = all_well && peer.met == peer.incarnation.boot;
  const Duration held = peer.owed ? now - peer.owed->since : Duration::zero();
  if (held > kHeldMax) peer.owed.reset();
  if (all_well && peer.owed && held >= kHeldUnit) {
    const std::uint64_t theirs = std::exchange(peer.owed, std::nullopt)->seq;
    ask(peer, theirs + 1, false, now);
    return send_turn(peer, theirs, held, brief, out);
  }
  const std::uint64_t seq = new_seq();
  ask(peer, seq, false, now);
  send(peer.id, Ping{seq, facts_mark(facts_checksum_, seq), rumours_for(peer)}, out);
  out.back().brief = brief;
}

void Swim::send_turn(Peer& peer, std::uint64_t seq, Duration held, bool brief, Out& out) {
  const auto units = static_cast<std::uint8_t>(held / kHeldUnit);
  send(peer.id, Turn{seq, units, facts_mark(facts_checksum_, seq), rumours_for(peer)}, out);
  out.back().brief = brief;
}

// At once, to a question that came in such an envelope.
void Swim::answer(Peer& peer, std::uint64_t seq, bool brief, Time now, Out& out) {
  brief = brief && (!another_envelope_ || peer.met == peer.incarnation.boot);
  if (asks_back(peer, now)) {
    ask(peer, seq + 1, true, now);
    peer.next_regular = now + after_the_other();
    note_timer(peer);
    return send_turn(peer, seq, Duration::zero(), brief, out);
  }
  // Both have asked at once: from now on one of them is the first.
  if (peer.neighbour && peer.unanswered && self_ > peer.id) peer.next_regular = now + after_the_other();
  send(peer.id, Ack{seq, rumours_for(peer)}, out);
  out.back().brief = brief;
}

void Swim::changed_envelope() {
  another_envelope_ = true;
  for (auto& [id, peer] : peers_) {
    peer.met = 0;
    for (Flight& flight : peer.flights) flight.former = true;
  }
}

// Its question rode on an answer to one of mine, and I shall ask it again before it misses mine.
bool Swim::keeps_back(const Peer& peer, const Turn& turn, Time now) const {
  return turn.held == 0 && peer.neighbour && peer.state == Liveness::alive && !peer.unanswered &&
         peer.next_regular <= now + settings_.probe_period;
}

// It has asked me, I know it in its present life, and I would ask it before long. Not while a question of mine is open: if
// that was lost, a ping must follow that is missed.
bool Swim::asks_back(const Peer& peer, Time now) const {
  return peer.neighbour && peer.state == Liveness::alive && peer.flights.empty() && peer.met == peer.incarnation.boot &&
         peer.last_ping + settings_.probe_period / 2 <= now;
}

// A ping out of turn, unless one went out within `gap`.
void Swim::look(Peer& peer, Duration gap, Time now, Out& out) {
  if (peer.last_ping == Time::min() || peer.last_ping + gap <= now) send_ping(peer, now, out);
}

// Whom I doubt has asked me something: then it may well live.
void Swim::look_doubted(Peer& peer, Time now, Out& out) {
  const bool doubted = peer.unanswered || peer.state == Liveness::suspect || peer.state == Liveness::dead;
  if (doubted && peer.state != Liveness::left) look(peer, base_timeout(peer) / 2, now, out);
}

void Swim::look_prompted(Peer& peer, Time now, Out& out) {
  look(peer, gone_from(peer.state) ? settings_.probe_period : retry(peer), now, out);
  if (peer.doubt) peer.prompted = true;
  note_timer(peer);
}

void Swim::ask_helpers(Peer& peer, std::size_t count, Out& out) {
  std::vector<const Peer*> others;
  for (const auto& [id, other] : peers_)
    if (id != peer.id && other.state == Liveness::alive) others.push_back(&other);
  if (peer.request == 0) peer.request = new_seq() + 1;
  for (std::size_t i = 0; i < std::min(count, others.size()); ++i) {
    std::swap(others[i], others[i + random_() % (others.size() - i)]);
    peer.helpers.insert(others[i]->id);
    send(others[i]->id, PingReq{peer.request, peer.id, rumours_for(*others[i])}, out);
  }
}

void Swim::forget_doubt(Peer& peer) {
  peer.doubt.reset();
  peer.tries = 0;
  peer.request = 0;
  peer.helpers.clear();
  peer.prompted = false;
  peer.helped = false;
}

// Hearsay ends the doubt. It proves nothing: what is unanswered stays so, and who never answered stays
// suspect.
void Swim::reprieve(Peer& peer) {
  if (gone_from(peer.state) || !peer.last_answer) return;
  forget_doubt(peer);
  set_state(peer, Liveness::alive);
  note_timer(peer);
}

// The only proof of life.
void Swim::answered(Peer& peer, const Flight& flight, Duration held, Time now) {
  const Time lived = std::min(flight.sent + held, now);
  if (now - lived <= timeout(peer)) aware(-1);
  // One that was kept back says only roughly for how long: it took between `least` and `took`.
  const Duration took = std::min(now - lived, settings_.probe_timeout);
  const Duration least = std::max(Duration::zero(), took - kHeldUnit);
  const Duration sample = held == Duration::zero() || !peer.last_answer ? took : std::clamp(peer.rtt, least, took);
  peer.rtt = peer.last_answer ? (7 * peer.rtt + sample) / 8 : sample;
  peer.last_answer = std::max(peer.last_answer.value_or(lived), lived);
  std::erase_if(peer.flights, [sent = flight.sent](const Flight& older) { return older.sent <= sent; });
  peer.unanswered.reset();
  forget_doubt(peer);
  const auto missed = std::find_if(peer.flights.begin(), peer.flights.end(), [](const Flight& f) { return !f.rides; });
  if (missed != peer.flights.end()) peer.unanswered = peer.doubt = std::max(missed->sent, lived);
  set_state(peer, Liveness::alive);
  note_timer(peer);
}

void Swim::suspect(Peer& peer, Time now, Out& out) {
  if (!peer.helpers.empty() && !peer.helped) aware(+1);
  const bool agreed = peer.accusation && gone_from(peer.accusation->state) && peer.accused >= *peer.doubt;
  if (agreed) return bury(peer, peer.accusation->state);
  set_state(peer, Liveness::suspect);
  accuse(peer, Liveness::suspect);
  send_ping(peer, now, out);
  if (!peer.prompted) ask_helpers(peer, settings_.helpers, out);
}

void Swim::bury(Peer& peer, Liveness state) {
  forget_doubt(peer);
  set_state(peer, state);
  if (peer.last_answer) accuse(peer, state);
  note_timer(peer);
}

// Says aloud what I think of it.
void Swim::accuse(Peer& peer, Liveness state) {
  const Rumour rumour{peer.id, state, peer.incarnation, self_};
  if (!peer.accusation || peer.accusation->state < state) peer.accusation = rumour;
  rumours_.add(rumour);
}

// ---------------------------------------------------------------- time passes

void Swim::tick(Time now, Out& out) {
  if (gone_) return;
  tick_rounds(now, out);
  tick_relays(now, out);
  std::vector<Peer*> busy;
  for (const auto& [id, peer] : busy_) busy.push_back(peer);
  for (Peer* peer : busy) tick_peer(*peer, now, out);
}

void Swim::tick_peer(Peer& peer, Time now, Out& out) {
  if (peer.doubt && peer.state == Liveness::alive && now >= *peer.doubt + 2 * timeout(peer)) suspect(peer, now, out);
  if (peer.doubt && peer.state == Liveness::suspect && now >= *peer.doubt + patience(peer)) bury(peer, Liveness::dead);
  if (gone_from(peer.state)) return;
  if (peer.doubt && peer.state == Liveness::alive && wants_helpers(peer) && now >= *peer.doubt + timeout(peer))
    ask_helpers(peer, settings_.helpers, out);
  const bool regular = peer.neighbour && now >= peer.next_regular;
  const bool again = peer.doubt && now >= peer.last_ping + retry(peer);
  const bool unfinished = peer.unanswered && !peer.doubt && now >= peer.last_ping + settings_.probe_period;
  if (regular) peer.next_regular = now + settings_.probe_period * 79 / 80 - random_below(settings_.probe_period / 80);
  if (regular || again || unfinished) send_ping(peer, now, out);
  if (again && peer.state == Liveness::suspect && peer.last_answer && peer.tries % 2 == 0) ask_helpers(peer, 1, out);
  note_timer(peer);
}

// Answers "it did not answer me" in time for the asker to know that I am alive (Lifeguard's nack).
void Swim::tick_relays(Time now, Out& out) {
  for (const Relay& relay : relays_)
    if (now >= relay.until) send(relay.asker, PingReqAnswer{relay.request, relay.target, false}, out);
  std::erase_if(relays_, [now](const Relay& relay) { return now >= relay.until; });
}

void Swim::tick_rounds(Time now, Out& out) {
  if (!sweep_.empty() && now >= sweep_due_) {
    Peer& peer = *find(sweep_.front());
    sweep_.erase(sweep_.begin());
    sweep_due_ = now + settings_.sweep_period;
    if (peer.last_ping == Time::min()) send_ping(peer, now, out);
  }
  if (now >= round_due_) {
    round_due_ = std::max(round_due_ + settings_.round_period, now + settings_.round_period / 2);
    if (Peer* peer = next_of_round()) send_ping(*peer, now, out);
  }
  if (now >= dead_due_) {
    dead_due_ = now + settings_.dead_probe_period;
    if (Peer* peer = longest_unasked_of_the_gone()) send_ping(*peer, now, out);
  }
}

// The shuffled round-robin over the living who are no neighbours (those are asked anyway).
Swim::Peer* Swim::next_of_round() {
  for (std::size_t steps = 0; steps < 2 * order_.size(); ++steps) {
    if (round_position_ >= order_.size()) {
      for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_() % i]);
      round_position_ = 0;
    }
    Peer& peer = *find(order_[round_position_++]);
    if (!peer.neighbour && peer.state == Liveness::alive && !peer.doubt) return &peer;
  }
  return nullptr;
}

Swim::Peer* Swim::longest_unasked_of_the_gone() {
  Peer* longest = nullptr;
  for (auto& [id, peer] : peers_)
    if (gone_from(peer.state) && (!longest || peer.last_ping < longest->last_ping)) longest = &peer;
  return longest;
}

Time Swim::next_due() const {
  if (gone_ || peers_.empty()) return Time::max();
  Time due = std::min(round_due_, dead_due_);
  if (!sweep_.empty()) due = std::min(due, sweep_due_);
  for (const Relay& relay : relays_) due = std::min(due, relay.until);
  for (const auto& [id, peer] : busy_) due = std::min(due, peer_due(*peer));
  return due;
}

void Swim::loop_lagged(Duration gap, Time now) {
  for (auto& [id, peer] : peers_) {
    peer.flights.clear();
    if (peer.state == Liveness::suspect) {
      if (peer.doubt) peer.doubt = std::min(*peer.doubt + gap, now);
      if (peer.unanswered) peer.unanswered = std::min(*peer.unanswered + gap, now);
    } else if (peer.state == Liveness::alive) {
      forget_doubt(peer);
      peer.unanswered.reset();
    }
    if (peer.neighbour) peer.next_regular = now;
    note_timer(peer);
  }
  relays_.clear();
  aware(+1);
  own_.refutation = clamp_jump(own_.refutation, own_.refutation + 1);
  announce_self();
}

// ---------------------------------------------------------------- packets

// The sender, if the packet is worth reading: from a member, in this life of it or a later one.
Swim::Peer* Swim::admit(const NodeId& from, std::uint32_t boot) {
  Peer* peer = find(from);
  if (gone_ || !peer || boot < peer->incarnation.boot) return nullptr;
  if (boot > peer->incarnation.boot) know(*peer, Incarnation{boot, 0});
  return peer;
}

// A higher incarnation: what was said about the lower one is void.
void Swim::know(Peer& peer, Incarnation incarnation) {
  peer.incarnation = incarnation;
  peer.voices.clear();
  peer.accusation.reset();
}

void Swim::on_ping(const NodeId& from, std::uint32_t boot, const Ping& ping, bool brief, Time now, Out& out) {
  const Peer* known = find(from);
  const bool restarted = known && boot > known->incarnation.boot;
  Peer* peer = admit(from, boot);
  if (!peer) return;
  hear(from, ping.rumours, now, out);
  peer->owed.reset();
  answer(*peer, ping.seq, brief, now, out);
  if (restarted)
    look(*peer, Duration::zero(), now, out);
  else
    look_doubted(*peer, now, out);
}

void Swim::on_ack(const NodeId& from, std::uint32_t boot, const Ack& ack, Time now, Out& out) {
  Peer* peer = admit(from, boot);
  if (!peer) return;
  hear_answer(*peer, boot, ack.seq, Duration::zero(), now, out);
  hear(from, ack.rumours, now, out);
}

void Swim::on_turn(const NodeId& from, std::uint32_t boot, const Turn& turn, bool brief, Time now, Out& out) {
  Peer* peer = admit(from, boot);
  if (!peer) return;
  hear_answer(*peer, boot, turn.seq, turn.held * kHeldUnit, now, out);
  hear(from, turn.rumours, now, out);
  peer->owed.reset();
  if (keeps_back(*peer, turn, now))
    peer->owed = Owed{turn.seq + 1, now};
  else
    answer(*peer, turn.seq + 1, brief, now, out);
  look_doubted(*peer, now, out);
}

void Swim::hear_answer(Peer& peer, std::uint32_t boot, std::uint64_t seq, Duration held, Time now, Out& out) {
  const auto found =
      std::find_if(peer.flights.begin(), peer.flights.end(), [&](const Flight& flight) { return flight.seq == seq; });
  if (found == peer.flights.end() || found->sent + settings_.silence < now) return;
  const Flight flight = *found;
  answered(peer, flight, held, now);
  if (!flight.former) peer.met = boot;
  std::erase_if(relays_, [&](const Relay& relay) {
    if (relay.target != peer.id || flight.sent + held + base_timeout(peer) < relay.since) return false;
    send(relay.asker, PingReqAnswer{relay.request, relay.target, true}, out);
    return true;
  });
}

void Swim::on_ping_req(const NodeId& from, std::uint32_t boot, const PingReq& request, Time now, Out& out) {
  if (!admit(from, boot)) return;
  hear(from, request.rumours, now, out);
  Peer* target = find(request.target);
  if (!target || target->id == from || relays_.size() == kRelaysMax) return;
  const bool doubled = std::any_of(relays_.begin(), relays_.end(), [&](const Relay& relay) {
    return relay.asker == from && relay.request == request.seq;
  });
  if (doubled) return;
  relays_.push_back(Relay{from, request.seq, target->id, now, now + base_timeout(*target) * 3 / 4});
  if (target->doubt)
    look_prompted(*target, now, out);
  else
    send_ping(*target, now, out);
  target->prompted = target->doubt.has_value();
}

void Swim::on_ping_req_answer(const NodeId& from, std::uint32_t boot, const PingReqAnswer& answer, Time /*now*/,
                              Out& /*out*/) {
  if (!admit(from, boot)) return;
  Peer* peer = find(answer.target);
  if (!peer || peer->request == 0 || peer->request != answer.seq || !peer->helpers.contains(from)) return;
  peer->helped = true;
  if (answer.ok) reprieve(*peer);
}

void Swim::probe_now(const NodeId& id, Time now, Out& out, Duration gap) {
  if (Peer* peer = find(id); peer && !gone_) look(*peer, gap, now, out);
}

void Swim::leave(Out& out) {
  const Rumour farewell{self_, Liveness::left, own_, self_};
  for (const auto& [id, peer] : peers_) {
    const std::uint64_t seq = new_seq();
    send(id, Ping{seq, facts_mark(facts_checksum_, seq), {farewell}}, out);
  }
  gone_ = true;
}

void Swim::send(const NodeId& to, Body body, Out& out) const {
  out.push_back(Outgoing{to, Address{}, Message{Head{}, std::move(body)}});
}

// ---------------------------------------------------------------- hearsay

// What it is accused of comes first: to its face.
std::vector<Rumour> Swim::rumours_for(const Peer& to) {
  std::vector<Rumour> packet;
  if (to.accusation) packet.push_back(*to.accusation);
  rumours_.take(to.id, peers_.size() + 1, packet);
  return packet;
}

void Swim::hear(const NodeId& sender, const std::vector<Rumour>& rumours, Time now, Out& out) {
  for (std::size_t i = 0; i < std::min(rumours.size(), kRumoursMax); ++i) {
    Rumour rumour = rumours[i];
    if (rumour.about == self_) {
      hear_of_self(rumour);
      continue;
    }
    Peer* peer = find(rumour.about);
    if (!peer || rumour.incarnation.boot < peer->incarnation.boot) continue;
    if (rumour.incarnation.boot > peer->incarnation.boot) {
      look_prompted(*peer, now, out);
      continue;
    }
    if (sender != rumour.about)
      rumour.incarnation.refutation = clamp_jump(peer->incarnation.refutation, rumour.incarnation.refutation);
    if (rumour.state == Liveness::alive)
      hear_refutation(*peer, rumour, now, out);
    else
      hear_accusation(*peer, sender, rumour, now, out);
  }
}

void Swim::hear_refutation(Peer& peer, const Rumour& rumour, Time now, Out& out) {
  if (rumour.incarnation <= peer.incarnation) return;
  know(peer, rumour.incarnation);
  rumours_.add(Rumour{peer.id, Liveness::alive, rumour.incarnation, peer.id});
  if (gone_from(peer.state))
    look_prompted(peer, now, out);
  else if (peer.state == Liveness::suspect)
    reprieve(peer);
}

void Swim::hear_accusation(Peer& peer, const NodeId& sender, const Rumour& rumour, Time now, Out& out) {
  const bool farewell = rumour.state == Liveness::left && sender == peer.id;
  if (rumour.incarnation < peer.incarnation || rumour.from == self_) return;
  if (rumour.from == peer.id && rumour.state != Liveness::left) return;
  if (rumour.incarnation > peer.incarnation) know(peer, rumour.incarnation);
  const bool stronger = !peer.accusation || peer.accusation->state < rumour.state;
  const bool voice = rumour.from != peer.id && find(rumour.from) && peer.voices.size() < kVoicesMax &&
                     peer.voices.insert(rumour.from).second;
  if (stronger) peer.accusation = rumour;
  if (stronger || voice) {
    peer.accused = now;
    rumours_.add(rumour);
  }
  const bool unanswered = peer.doubt && now >= *peer.doubt + 2 * timeout(peer);
  if (farewell) {
    peer.flights.clear();
    peer.unanswered.reset();
    bury(peer, Liveness::left);
  } else if (gone_from(rumour.state) && (unanswered || peer.state == Liveness::dead)) {
    bury(peer, rumour.state);
  } else if (!gone_from(peer.state)) {
    look_prompted(peer, now, out);
  }
}

void Swim::hear_of_self(const Rumour& rumour) {
  if (rumour.incarnation.boot > own_.boot) {
    outlived_by_ = std::max(outlived_by_.value_or(0), rumour.incarnation.boot);
    return;
  }
  if (rumour.incarnation.boot < own_.boot) {
    if (rumour.state != Liveness::alive) announce_self();
    return;
  }
  if (rumour.incarnation.refutation < own_.refutation) return;
  own_.refutation = clamp_jump(own_.refutation, rumour.incarnation.refutation);
  if (rumour.state == Liveness::alive) return;
  ++own_.refutation;
  aware(+1);
  announce_self();
}

void Swim::announce_self() {
  rumours_.add(Rumour{self_, Liveness::alive, own_, self_});
}

void Swim::aware(int change) {
  awareness_ = std::clamp(awareness_ + change, 0, settings_.awareness_max);
}

// ---------------------------------------------------------------- questions

Liveness Swim::liveness(const NodeId& id) const {
  const Peer* peer = find(id);
  return peer ? peer->state : Liveness::dead;
}

std::optional<Time> Swim::last_answer(const NodeId& id) const {
  const Peer* peer = find(id);
  return peer ? peer->last_answer : std::nullopt;
}

std::optional<Time> Swim::unanswered_since(const NodeId& id, Time now) const {
  const Peer* peer = find(id);
  if (!peer || !peer->unanswered || *peer->unanswered + base_timeout(*peer) > now) return std::nullopt;
  return peer->unanswered;
}

bool Swim::at_ease(Time now) const {
  return std::none_of(busy_.begin(), busy_.end(), [now, this](const auto& entry) {
    const Peer& peer = *entry.second;
    return peer.state == Liveness::suspect || (peer.unanswered && *peer.unanswered + base_timeout(peer) <= now);
  });
}

Duration Swim::rtt(const NodeId& id) const {
  const Peer* peer = find(id);
  return peer ? peer->rtt : Duration::zero();
}

std::vector<LivenessChange> Swim::take_changes() {
  return std::exchange(changes_, {});
}

Duration Swim::random_below(Duration limit) {
  return Duration(static_cast<Duration::rep>(random_() % static_cast<std::uint64_t>(limit.count())));
}

}  // namespace ringagent
