#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "gossip/message.h"
#include "gossip/rumours.h"

// Who is alive: SWIM with Lifeguard, among the members of the ring config. Pure: time comes in, packets go
// out.
//
// Intuition: everybody keeps asking a few others "are you there?". Who does not answer is asked again, then
// through others, then suspected aloud; whoever hears the suspicion LOOKS FOR ITSELF and only then joins in;
// the suspect is told to its face and can refute. Hearsay makes me look, it may end a suspicion, and it never
// proves life or death: whatever `liveness` says about a member is backed by what my own pings met.
//
// The course of one doubt (T = max(probe_timeout, 3 RTT) x (1 + awareness)):
//   0        a ping goes out; repeated every T/2 while nothing comes back
//   T        up to `helpers` others are asked to ping it for me (not if somebody else already doubts it:
//   prompted looks) 2T       no answer, no helper reached it: suspect. The rumour spreads; all who hear it
//   ping it at once silence  enough independent voices: dead. A lone voice waits longer, up to 2 silence
//   (Lifeguard's shrinking time-out:
//            max - (max - min) log(voices + 1) / log(expected + 1)). When somebody says `dead` and my own
//            doubt is older than 2T, I agree at once.
// All of it is counted from the first unanswered ping, so a neighbour that dies is dead after silence + at most
// a little more than one probe_period, and one that merely pauses for less than silence has time to answer. A
// rumour or a helper that ends a suspicion starts the course afresh, but not `unanswered_since`, which is strictly
// first-hand.
//
// Invariants:
//  - Only an answer to a question of mine, from the asked id, to a number sent after the last answered one and at most
//    `silence` ago, proves life, and it proves it for the moment when that question was SENT, plus the time for which it
//    says that it was kept back. Any other packet proves nothing; a question from somebody whom I doubt makes me ping
//    back at once.
//  - A member that never answered since my start or its joining is `suspect`, then `dead`, without a word to
//    others: ignorance is no testimony.
//  - Dead, left and never-seen members are pinged for ever, one every dead_probe_period; otherwise a healed
//  partition
//    never meets again (hashicorp/memberlist #222).
//  - Incarnation = (boot, refutation). The boot of a member is believed from its own packets only (the sealed
//  header);
//    a rumour with a higher boot makes me look and is not passed on. A rumour by a third party raises a
//    member's refutation by at most kRefutationJumpMax over what I know; the accused obeys the same limit
//    when it refutes. So nobody can push a counter to its end or above what its owner could answer.
//  - A restarted member (higher boot) beats its obituary with its first ping: the receiver pings back and is
//  answered.
//
// Lifeguard (Dadgar, Phillips, Currey: "Lifeguard: local health awareness for more accurate failure
// detection", 2018): awareness is raised by being accused, by a lagging loop, and by a failed probe for which
// not one helper answered, and lowered by each prompt answer; it stretches my own probe time-outs, so that a
// slow node doubts itself first.
//
// Cost at rest, whatever the number of members: two neighbours every probe_period, one more member every
// round_period, and their answers. Neighbours take turns (Turn): whoever is asked and would soon have asked itself asks
// back in its answer, and the answer to that is kept back until its receiver asks again, 400 ms later. Two packets where
// two exchanges take four: about 6 packets/s sent by each node with the defaults. A question that rode on an answer is not
// missed: if nothing has come when the next one is due, a ping goes out, and only that one is counted as unanswered. An
// answer that was kept back says for how long, so it proves life as late as one that was sent at once; only to whoever asks
// back for the first time since a ping of its own the proof comes a period later than that. Who has asked back waits a
// little longer than the other, who therefore stays the first to ask.
//
// Short envelopes (seal.h): a ping goes out in one if its receiver has answered in its present life and nothing is
// unanswered; the answer takes the form of the question. So whoever has forgotten me is asked at length at the second try.
//
// Units: Duration and Time are microseconds. Errors: none; a packet that makes no sense is ignored.
namespace ringagent {

struct SwimSettings {
  Duration probe_period = 400ms;    // each neighbour is asked so often, by who comes second 10 ms later
  Duration round_period = 2s;       // one more member by shuffled round-robin
  Duration probe_timeout = 200ms;   // T of the course above, before RTT and awareness
  Duration silence = 2500ms;        // dead after this, with enough voices; a pause of 2 s must cause nothing
  Duration dead_probe_period = 2s;  // one of the dead is pinged so often
  Duration sweep_period = 20ms;     // between the first pings to new members, so that a start is no burst
  std::size_t helpers = 3;          // asked per probe, where SWIM says k
  int awareness_max = 4;
};

struct SwimPeer {
  NodeId id;
  bool neighbour = false;  // ring predecessor or successor
};

struct LivenessChange {
  NodeId node;
  Liveness from = Liveness::suspect;
  Liveness to = Liveness::suspect;
  bool operator==(const LivenessChange&) const = default;
};

class Swim {
 public:
  static constexpr std::uint32_t kRefutationJumpMax = 64;
  static constexpr std::size_t kRelaysMax = 64;   // pings on behalf of others at one time
  static constexpr std::size_t kFlightsMax = 64;  // unanswered pings remembered per member

  // `boot` is the durable boot counter; `seed` feeds shuffles, the choice of helpers and the sequence numbers.
  Swim(NodeId self, std::uint32_t boot, std::uint64_t seed, SwimSettings settings = {});
  Swim(Swim&&) = default;  // a copy's timers would be those of the original
  Swim& operator=(Swim&&) = default;

  // The members of the head config; self may be among them. Who was known keeps its state, who is new is
  // looked at, who is gone is forgotten.
  void set_members(const std::vector<SwimPeer>& members, Time now);

  // Later doubts are as long as this; those under way, too.
  void set_silence(Duration silence) { settings_.silence = silence; }

  // Luggage: the checksum of the fact table, of which every question from now on bears a mark.
  void carry(std::uint64_t facts_checksum) { facts_checksum_ = facts_checksum; }

  // Sends what is due. Call it at `next_due` or any time earlier or later. `message.head` is left to the
  // caller.
  void tick(Time now, std::vector<Outgoing>& out);
  Time next_due() const;

  // Packets from members; `boot` is that of the sealed header. Strangers get no answer.
  // `brief`: in the short envelope.
  void on_ping(const NodeId& from, std::uint32_t boot, const Ping& ping, bool brief, Time now,
               std::vector<Outgoing>& out);
  void on_ack(const NodeId& from, std::uint32_t boot, const Ack& ack, Time now, std::vector<Outgoing>& out);
  void on_turn(const NodeId& from, std::uint32_t boot, const Turn& turn, bool brief, Time now,
               std::vector<Outgoing>& out);
  void on_ping_req(const NodeId& from, std::uint32_t boot, const PingReq& request, Time now,
                   std::vector<Outgoing>& out);
  void on_ping_req_answer(const NodeId& from, std::uint32_t boot, const PingReqAnswer& answer, Time now,
                          std::vector<Outgoing>& out);

  // An extra ping at once (canvass, a broken link), unless the last one is younger than `gap`. The answer shows in
  // last_answer, its lack in unanswered_since.
  void probe_now(const NodeId& id, Time now, std::vector<Outgoing>& out, Duration gap = Duration::zero());

  // From now on my packets look different from outside (another key): nobody can open my short envelopes until he has
  // answered a long one.
  void changed_envelope();

  // An orderly stop: tells every member `left`, then is silent for ever.
  void leave(std::vector<Outgoing>& out);

  // This process stood still for `gap` until `now`. Pings in flight are void (their answers may have been
  // lost here), running suspicions are longer by the gap, and at the next tick the neighbours hear that this
  // node lives.
  void loop_lagged(Duration gap, Time now);

  // Unknown ids are `dead`, never answered.
  Liveness liveness(const NodeId& id) const;
  // When the member is last known to have lived (the first invariant). nullopt: never since the start.
  std::optional<Time> last_answer(const NodeId& id) const;
  bool answered_since_start(const NodeId& id) const { return last_answer(id).has_value(); }
  // Since when my pings go unanswered: when the first of them was sent. nullopt if the last was answered, or
  // if the first unanswered one is younger than the probe time-out (without awareness).
  std::optional<Time> unanswered_since(const NodeId& id, Time now) const;
  // Nobody who counts as alive, or may become so, has kept a ping of mine waiting for longer than the probe time-out:
  // `tick` will do no more than ask.
  bool at_ease(Time now) const;
  // Smoothed round-trip time; zero before the first answer. Capped at probe_timeout, so that a pause does not
  // count.
  Duration rtt(const NodeId& id) const;

  // 0: healthy; up to awareness_max: this node doubts itself.
  int awareness() const { return awareness_; }
  Incarnation incarnation() const { return own_; }
  // Somebody speaks of a later life of this node (a higher boot): its state directory was restored or cloned.
  std::optional<std::uint32_t> outlived_by() const { return outlived_by_; }

  // What changed since the last call, in order. For the log and the policy.
  std::vector<LivenessChange> take_changes();

 private:
  struct Flight {  // a question under way
    std::uint64_t seq = 0;
    Time sent{};
    bool rides = false;   // on an answer: its own answer may be kept back, so it is not missed
    bool former = false;  // it left in an envelope of before `changed_envelope`
  };
  struct Owed {  // a question that rode on an answer
    std::uint64_t seq = 0;
    Time since{};
  };
  struct Peer {
    NodeId id;
    bool neighbour = false;
    Liveness state = Liveness::suspect;
    Incarnation incarnation;
    std::optional<Time> last_answer;
    std::uint32_t met = 0;  // the life (boot) in which it last answered: it can open short envelopes
    Duration rtt{};
    std::vector<Flight> flights;     // sent after the newest answered one, oldest first
    std::optional<Time> unanswered;  // the first of them that is missed, even when it is no longer waited for
    std::optional<Owed> owed;        // answered by the next question to it
    std::optional<Time> doubt;       // start of the course above; reset by hearsay that ends it
    Time last_ping = Time::min();
    std::uint32_t tries = 0;           // pings in this doubt
    Time next_regular{};               // neighbours: when the next ping is due
    std::uint64_t request = 0;         // sequence number of this doubt's ping-reqs; 0: none sent
    std::set<NodeId> helpers;          // whom they went to
    bool prompted = false;             // somebody else doubts too: no ping-reqs
    bool helped = false;               // a helper answered, whatever it said
    std::set<NodeId> voices;           // others who suspect it at this incarnation
    std::optional<Rumour> accusation;  // the strongest heard at this incarnation; told to its face
    Time accused = Time::min();        // when it last got stronger or another voice joined
  };
  struct Relay {  // a ping on behalf of `asker`
    NodeId asker;
    std::uint64_t request = 0;
    NodeId target;
    Time since{};
    Time until{};
  };
  using Out = std::vector<Outgoing>;

  Peer* find(const NodeId& id);
  const Peer* find(const NodeId& id) const;
  void set_state(Peer& peer, Liveness state);
  void note_timer(Peer& peer);

  Duration base_timeout(const Peer& peer) const;
  Duration timeout(const Peer& peer) const;
  Duration retry(const Peer& peer) const;
  Duration patience(const Peer& peer) const;
  Time peer_due(const Peer& peer) const;
  bool wants_helpers(const Peer& peer) const;

  void ask(Peer& peer, std::uint64_t seq, bool rides, Time now);
  void send_ping(Peer& peer, Time now, Out& out);
  void send_turn(Peer& peer, std::uint64_t seq, Duration held, bool brief, Out& out);
  void answer(Peer& peer, std::uint64_t seq, bool brief, Time now, Out& out);
  bool keeps_back(const Peer& peer, const Turn& turn, Time now) const;
  bool asks_back(const Peer& peer, Time now) const;
  void look(Peer& peer, Duration gap, Time now, Out& out);
  void look_doubted(Peer& peer, Time now, Out& out);
  void look_prompted(Peer& peer, Time now, Out& out);
  void ask_helpers(Peer& peer, std::size_t count, Out& out);
  void forget_doubt(Peer& peer);
  void reprieve(Peer& peer);
  void hear_answer(Peer& peer, std::uint32_t boot, std::uint64_t seq, Duration held, Time now, Out& out);
  void answered(Peer& peer, const Flight& flight, Duration held, Time now);
  void suspect(Peer& peer, Time now, Out& out);
  void bury(Peer& peer, Liveness state);
  void accuse(Peer& peer, Liveness state);

  void tick_peer(Peer& peer, Time now, Out& out);
  void tick_relays(Time now, Out& out);
  void tick_rounds(Time now, Out& out);
  Peer* next_of_round();
  Peer* longest_unasked_of_the_gone();

  Peer* admit(const NodeId& from, std::uint32_t boot);
  void know(Peer& peer, Incarnation incarnation);
  void send(const NodeId& to, Body body, Out& out) const;
  std::vector<Rumour> rumours_for(const Peer& to);
  void hear(const NodeId& sender, const std::vector<Rumour>& rumours, Time now, Out& out);
  void hear_refutation(Peer& peer, const Rumour& rumour, Time now, Out& out);
  void hear_accusation(Peer& peer, const NodeId& sender, const Rumour& rumour, Time now, Out& out);
  void hear_of_self(const Rumour& rumour);
  void announce_self();
  void aware(int change);
  Duration random_below(Duration limit);
  Duration after_the_other() const { return settings_.probe_period * 41 / 40; }
  std::uint64_t new_seq() { return random_() >> 33U; }  // as a turn's number follows from another's, none is in order

  NodeId self_;
  SwimSettings settings_;
  std::mt19937_64 random_;
  Incarnation own_;
  std::map<NodeId, Peer> peers_;
  std::map<NodeId, Peer*> busy_;  // neighbours and members in doubt: those that have a timer
  std::vector<NodeId> order_;     // all peers, shuffled anew at each turn of the round-robin
  std::vector<NodeId> sweep_;     // new members, still to be pinged for the first time
  std::size_t round_position_ = 0;
  Time round_due_{};
  Time dead_due_{};
  Time sweep_due_{};
  std::size_t alive_ = 0;  // peers in state alive
  std::vector<Relay> relays_;
  RumourQueue rumours_;
  std::vector<LivenessChange> changes_;
  bool another_envelope_ = false;  // than at the start
  std::uint64_t facts_checksum_ = 0;
  int awareness_ = 0;
  bool gone_ = false;
  std::optional<std::uint32_t> outlived_by_;
};

}  // namespace ringagent
