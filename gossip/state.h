#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gossip/message.h"

// What an agent must never forget. `gossip/chain` changes it, `gossip/store` makes it durable, the simulator
// keeps it on a disk of its own.
//
// Intuition: everything that this node has ever *said* about the ring and could contradict after a restart
// stands here, and nothing else. What can be learnt again (liveness, facts, links) does not.
//
// Invariants, held by those who change it and checked by the simulator at every step:
//  - it is durable before any word that follows from it leaves the node;
//  - boot, own_round, promised (within one instance) and the head of the chain never go back;
//  - seq is higher in each state that is handed to `Store::persist`;
//  - promised >= accepted within one instance; accepted_value is empty exactly if accepted.round is 0;
//  - chain is oldest first, each config names the hash of the one before it, at most kChainKept are kept.
namespace ringagent {

inline constexpr std::size_t kChainKept = 128;
inline constexpr std::size_t kPeersSeenMax = 2 * kMembersMax;
inline constexpr std::size_t kMarkersMax = 256;

struct DurableState {
  NodeId self;                  // made together with the state directory, for life
  std::uint32_t boot = 0;       // starts of the agent; counted up before the first packet of each
  std::uint64_t seq = 0;        // store sequence: counted up with each write; (boot, seq) unmasks a restored snapshot
  std::uint64_t own_round = 0;  // the highest round that this node has used in a ballot of its own

  // The acceptor. Each answer belongs to one instance; of older instances the chain itself holds the outcome.
  Instance promised_instance;
  Ballot promised;
  Instance accepted_instance;
  Ballot accepted;             // round 0: nothing accepted
  std::string accepted_value;  // canonical bytes of a Config

  std::vector<std::string> chain;  // canonical bytes of configs, oldest first; the last one is the head

  // The highest store version that each peer has shown: a lower one is a restored snapshot and is refused.
  std::vector<std::pair<NodeId, StoreVersion>> peers_seen;

  // Formation: what instance 0 was bound to when this node first accepted in it.
  Hash formation_parent{};
  std::vector<std::string> formation_initial;

  // Small durable notes of the agent itself, by name (which start of mysqld was checked, who set read_only,
  // ...).
  std::vector<std::pair<std::string, std::string>> markers;

  bool operator==(const DurableState&) const = default;
};

}  // namespace ringagent
