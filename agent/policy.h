#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/ring.h"
#include "gossip/message.h"

// When may the ring be changed, and into what? (protocol.md section 4)
//
// Intuition: a wrong removal costs one needless repoint, a missed one breaks the ring; but the ring must never be
// disturbed because the agents have trouble while the databases are fine. So an agent's opinion of another *agent* is
// never enough: the database link has the last word. Whoever lost its upstream (the orphan) proposes; the others are
// asked before Paxos starts, and each answers from what it has seen itself.
//
// Everything here is a pure function of a View: what one agent knows at one moment. It remembers nothing.
namespace ringagent {

// What a replication link says about the server at its other end.
enum class LinkSays : std::uint8_t {
  nothing,  // stopped by hand, or stopped by an error that the source did not cause: ask the port instead
  alive,    // something was received lately
  broken,   // it broke by itself: connection lost or refused
  quiet,    // still up, as far as the kernel knows, but nothing has been heard for `quiet_for`
};

// What this agent knows of one member (itself included).
struct PeerView {
  Liveness liveness = Liveness::dead;    // by gossip; only `dead` and `left` need confirmation by `silent_for`
  Duration silent_for{0};                // since it last answered a ping of mine, lately asked or not; max() if never
  Duration unanswered_for{0};            // for how long it has left my pings unanswered; 0 if it has not
  bool ping_unanswered = false;          // the newest ping has waited for 200 ms or more
  const NodeRecord* record = nullptr;    // its newest own record, none if never seen
  const NodeRecord* position = nullptr;  // the newest that knows what its server has: its agent may have been restarted
  Duration record_age{0};                // since that record was received
  Duration health_age{0};                // since its record first said what it says of its server's health
  EdgeState port = EdgeState::unknown;   // my own probe of its MySQL port, if younger than a second
  bool port_answered_before = false;     // since my start, it did answer me once
  bool lives_twice = false;              // another agent goes on under its id
  Duration heard_for{Duration::max()};   // since its agent last sent me anything
  Duration unmoved_for{0};               // how long it has been in, or out, as far as I know
  Duration absent_for{0};                // since this agent learnt of its planned absence
  std::optional<bool> looked_read_only;  // a login at its server, not older than kLookFresh, has shown whether it is
};

struct View {
  const Config* config = nullptr;
  NodeId self;
  std::map<NodeId, PeerView> peers;   // every member of config
  LinkSays link = LinkSays::nothing;  // my own link to my source
  Duration link_quiet_for{0};         // for as long as that counts against my source (local_server.h)
  Duration link_heard_for{0};         // since something last arrived, however long my own server has not answered
  NodeId link_source;                 // nil: no link, or to no member
  bool confirmed = false;             // my head is confirmed and I do not lag
  Duration up_for{0};                 // since this agent's start or its last long pause
  Duration votes_differ_for{0};       // how long the wanted voters have differed from the config's
  Duration rerouted_for{0};           // since the last way around a bad edge; max() if none is remembered
  // By member: an agent without a ring that presents its name under another id, and was heard of lately.
  std::map<NodeId, Hello> applicants;
  std::map<std::string, Hello> joiners;  // by name: agents that ask to become members, and were heard of lately

  Duration silence{0};
  Duration hung_after{0};
  Duration grace{0};
  bool replay_stranded = true;
  Duration replay_max_age{0};
  bool bypass_stuck = false;
  bool one_writer = false;     // my own settings ask for it
  bool writers_agree = false;  // so do those of all whose agents answer
};

// What should be decided next, and why; or when to look again.
struct Wish {
  std::vector<CanvassItem> items;  // empty: nothing is wished
  Config next;
  Duration wait{0};  // not before this has passed (collection window)
  int rank = 0;      // living agents nearer downstream: they go first, rank_delay each
};
struct Decision {
  std::optional<Wish> wish;
  std::optional<Duration> look_again;  // evidence that is not ripe yet
  std::vector<NodeId> probe;           // members whose MySQL port must be asked before anything can be said
  std::string why_not;                 // "" or why nothing is wished though something is wrong
};
Decision decide(const View& view);

// Whose consent the wish needs besides that of a majority, whether it votes or not: the successor of one that returns must
// be there to follow it.
std::optional<NodeId> must_concur(const View& view, const Wish& wish);

// Gives the votes of the wish to the agents that answer: those that the view knows of, and those that have just answered the
// canvass (a node that was cut off a moment ago may have heard of nobody else yet).
void assign_wish_votes(const View& view, const std::vector<NodeId>& answered, Wish& wish);

// The config that all `survivors` are to agree on when the majority is lost for good (protocol.md section 6). If none of them is
// in the ring, one goes on: one whose start was checked before if there is one, else one whose start the survivors check as soon
// as they are the majority, else one that stays read_only. Nothing: none of them has a server that is up.
std::optional<Config> forced_config(const View& view, const std::vector<NodeId>& lost,
                                    const std::vector<NodeId>& survivors);

// A voter's answer to one item of a canvass. `probe`: first ask the port of the item's node.
struct Judgement {
  Opinion opinion = Opinion::abstain;
  std::string why;
  bool probe = false;
};
Judgement judge(const View& view, const CanvassItem& item);

}  // namespace ringagent
