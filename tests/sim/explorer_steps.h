#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gossip/chain.h"

// What one node can do, for the explorer: the only place that drives a Chain.
//
// Intuition: what a node does depends on its own state and on what comes in, on nothing else. So every state of a node
// is kept once and has a number, every letter likewise, and a step is run by the real Chain the first time and looked
// up from then on. A state of the whole world is then a handful of numbers.
//
// A step follows the contract of gossip/chain.h: persist, then send. It may end early: the node dies and starts again
// from its disk.
//
// Time: a node's clock stands still while letters come in. A tick moves it to what is due next and at least kTickLeast
// on; every throttle and every back-off of the first few rounds is over by then, whatever the jitter was. So it does
// not matter for what follows when a timer was set, only whether it was: that is what Chain::fingerprint tells.
namespace ringagent::explore {

using Index = std::uint32_t;

inline constexpr std::size_t kNodes = 3;  // all of them vote in config 1
inline constexpr Duration kTickLeast = 200ms;
inline constexpr std::size_t kTicksMax = 9;  // of one run; a proposal must not reach its age limit of 3 s by them

// Worlds that are broken on purpose, to see the checks fail. The Chain is the real one in all of them.
enum class Breakage : std::uint8_t {
  none,
  forgets_promises,  // the disk never gets a promise
  forgets_votes,     // the disk never gets an accepted value
  speaks_first,      // sends before it persists, and may die in between
  restores_copy,     // a crash is followed by the disk as it was in the beginning
  loses_links,       // the disk drops a config from the middle of the chain
  phantom_votes,     // what is asked of a voter is answered by the network, too: a quorum of one fewer
};
std::optional<Breakage> parse_breakage(std::string_view text);
std::string breakages();  // all names but none's, for people

struct Letter {
  std::size_t from = 0;
  std::size_t to = 0;
  Message message;
};

// A durable acceptance. History: it stays true when the acceptor moves on.
struct Vote {
  Instance instance;
  Ballot ballot;
  std::string value;
  NodeId voter;
  auto operator<=>(const Vote&) const = default;
};

// A config that was decided, or that somebody believes to be.
struct Link {
  Instance instance;
  std::string value;
  auto operator<=>(const Link&) const = default;
};

// Letters and votes are numbered each; a vote's number has this bit set where both stand in one list.
inline constexpr Index kVoteBit = Index{1} << 31;
inline bool is_vote(Index mark) {
  return (mark & kVoteBit) != 0;
}

struct Action {
  enum class Kind : std::uint8_t { deliver, propose, tick, crash };
  // How the step ends: whole; dead when it has written and not yet sent; dead when it has sent and not yet written (only
  // a world that speaks first). Dead before both is the same as a crash between two steps.
  enum class End : std::uint8_t { whole, unsent, unwritten };
  Kind kind = Kind::deliver;
  End end = End::whole;
  std::uint8_t who = 0;
  Index letter = 0;  // of deliver
};

// What an action makes of one node.
struct Outcome {
  Index node = 0;            // its new state
  std::vector<Index> marks;  // letters sent and votes that are durable now, sorted
  bool wrote = false;
  bool said = false;
  std::string complaint;  // C2 or C3: those that one disk can show
};

class Steps {
 public:
  explicit Steps(Breakage breakage);

  Index start(std::size_t who);
  // None where there is nothing to do: no timer runs, or the node has made its proposal of this life.
  const Outcome* step(Index node, const Action& action);

  const Letter& letter(Index at) const { return letters_[at]; }
  const Vote& vote(Index at) const { return votes_[at & ~kVoteBit]; }
  const Link& link(Index at) const { return links_[at]; }
  Index link_index(const Link& link);
  const Config& parent_of(const Instance& instance) const { return configs_.at(instance.parent); }
  // What the disk of a node in this state holds as decided after config 1.
  const std::vector<Index>& links_of(Index node) const { return nodes_[node].links; }
  std::size_t nodes() const { return nodes_.size(); }

 private:
  struct Node {
    std::size_t who = 0;
    DurableState disk;
    Chain chain;
    Time now{0};
    bool proposed = false;  // in this life
    std::vector<Index> links;
  };

  Node started(std::size_t who, DurableState disk, Time now) const;
  Node crashed(const Node& node) const;
  bool run(Node& node, const Action& action, ChainOut& out) const;
  DurableState stored(const DurableState& before, DurableState after) const;
  void post(const Node& node, const ChainOut& out, Outcome& outcome);
  void count_votes(const Node& node, std::size_t links_before, Outcome& outcome);
  void learn_links(Node& node);
  Index node_index(Node node);
  Index letter_index(Letter letter);

  Breakage breakage_;
  std::deque<Node> nodes_;
  std::deque<Letter> letters_;
  std::vector<Vote> votes_;
  std::vector<Link> links_;
  std::map<Hash, Config> configs_;
  std::unordered_map<std::string, Index> node_numbers_;
  std::unordered_map<std::string, Index> letter_numbers_;
  std::map<Vote, Index> vote_numbers_;
  std::map<Link, Index> link_numbers_;
  std::unordered_map<std::uint64_t, std::optional<Outcome>> steps_;
};

// Where everybody begins: config 1, three voters, all in the ring.
Config first_config();
std::string name_of(std::size_t who);
std::string name_of(const NodeId& id);

}  // namespace ringagent::explore
