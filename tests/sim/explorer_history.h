#pragma once

#include <cstdint>
#include <deque>
#include <unordered_set>
#include <vector>

#include "tests/sim/explorer_steps.h"

// What was ever said and voted, for the explorer: the network and the memory of the checks in one.
//
// Intuition: a letter that was sent once may arrive now, later, twice or never. So nothing is ever taken off the wire: to
// lose a letter is not to deliver it, to double it is to deliver it again. A history only grows, and equal ones have
// equal numbers.
//
// Invariant: `chosen` follows from the votes alone: the values that a majority of the voters accepted durably at one
// ballot, whoever knows of it.
namespace ringagent::explore {

struct History {
  std::vector<Index> marks;   // of Outcome: letters, then votes
  std::vector<Index> chosen;  // links, sorted
};

class Histories {
 public:
  explicit Histories(Steps& steps);

  Index none() const { return 0; }
  const History& operator[](Index at) const { return histories_[at]; }
  // The history that follows from `before` by what `outcome` said and voted.
  Index after(Index before, const Outcome& outcome);
  std::size_t size() const { return histories_.size(); }

 private:
  // The set holds numbers and compares what they stand for.
  struct Hash {
    const std::deque<History>* histories;
    std::size_t operator()(Index at) const;
  };
  struct Equal {
    const std::deque<History>* histories;
    bool operator()(Index a, Index b) const { return (*histories)[a].marks == (*histories)[b].marks; }
  };

  std::vector<Index> chosen_by(const std::vector<Index>& marks) const;

  Steps& steps_;
  std::deque<History> histories_;
  std::unordered_set<Index, Hash, Equal> known_;
};

}  // namespace ringagent::explore
