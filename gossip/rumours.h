#pragma once

#include <cstddef>
#include <vector>

#include "gossip/message.h"

// The rumours that this agent still passes on, riding on packets that are sent anyway.
//
// Intuition: a rumour that every node repeats about log2(n) times reaches all of n nodes with high
// probability (Das, Gupta, Motivala: SWIM, DSN 2002, section 4.1; the factor 3 covers lost packets). What has
// been said least often goes first, so fresh news overtakes old, and nobody needs to remember who was told
// what.
//
// Invariants:
//  - about one member only claims of its newest incarnation are kept; there the strongest state wins (alive <
//  suspect <
//    dead < left), and of equal suspicions at most kVoicesMax different voices, which is all that a listener
//    counts;
//  - a packet gets at most kRumoursMax rumours, and never a rumour "you are alive" for the member that it
//  goes to;
//  - the queue holds at most kQueueMax rumours; beyond that the one said most often is dropped.
namespace ringagent {

inline constexpr std::size_t kVoicesMax = 3;

class RumourQueue {
 public:
  static constexpr std::size_t kQueueMax = 2048;

  // Takes a rumour up, unless it is known already or outdated. A rumour that replaces others starts afresh.
  // Returns whether it was news.
  bool add(const Rumour& rumour);

  // Fills `packet` up to kRumoursMax for `to`, least-said first, and counts each as said once more. A rumour
  // is dropped when it has been said 3 log2(members + 1) times.
  void take(const NodeId& to, std::size_t members, std::vector<Rumour>& packet);

  // Nothing more is said about somebody who is no member any more.
  void forget(const NodeId& about);

  std::size_t size() const { return queue_.size(); }
  static std::size_t repeats(std::size_t members);

 private:
  struct Queued {
    Rumour rumour;
    std::size_t said = 0;
  };
  std::vector<Queued> queue_;  // oldest first
};

}  // namespace ringagent
