#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/explorer_steps.h"

// Tries everything that can happen to three chains, up to a number of actions.
//
// Purpose: stories show what somebody thought of and seeds what chance finds; this shows that there is nothing else, in
// a small world. The algorithm is not modelled: what answers is the class Chain that the agent runs.
//
// Intuition: breadth first, from three nodes that know config 1 and all vote. In each state everything is tried that
// could come next:
//  - any letter that was ever sent arrives. Nothing leaves the wire: a lost letter is one that never arrives, a doubled
//    one arrives again, and every order is tried;
//  - db1 or db2 proposes, once in each life and each its own wish, also on top of the other's; db2 wants config 2 to be
//    the last that three decide: then db1 votes alone;
//  - a timer runs out: a resend, the end of a back-off, a voter's turn to finish what it has accepted;
//  - a node dies and starts again from its disk: between two steps (so, too, if it dies in one before it has written: the
//    letter was lost), or when it has written and not yet sent. Dead in the midst of sending is dead after it, with some
//    letters lost.
// A state that was seen before is not looked at again. It is compared exactly, by the numbers of its parts: three states
// of nodes (explorer_steps.h) and a history (explorer_history.h). The first violation found has a shortest path.
//
// `lose` off: timers run out only when no letter on the wire changes anything any more. It is smaller and looks deeper.
//
// Checked, by the names of section 8 of the protocol:
//  C1 one value for each (generation, epoch, parent), over all disks and over all that was chosen, known or not;
//  C2 on each disk every config names the hash of the one before it;
//  C3 on each disk the promise, the own round, the boot counter and the head never go back, nor does a head of which
//     somebody was told;
//  C4 what a disk holds as decided was accepted by a majority of its voters, durably and at one ballot.
//
// Not explored: formation, generations, jumps over links that nobody keeps; more than three nodes; proposers without a
// vote, but for what follows db2's wish; confirming the head, which steers policy and no vote; how long things take
// (explorer_steps.h says why that does not matter here), so neither the age limit of proposals nor liveness. db1, db2 and
// db3 are not interchangeable: ballots are ordered by id, and each wants something else. So no symmetry is used.
//
// Invariants: the same options give the same result; no clock is read here; a Breakage changes the world around the
// chains and never a chain.
namespace ringagent::explore {

struct Options {
  std::size_t depth = 0;      // actions from the beginning
  std::size_t proposers = 2;  // db1, db2, ...
  std::size_t crashes = 1;    // in one run, of any node
  std::size_t ticks = 1;      // in one run, of any node
  bool lose = true;
  Breakage breakage = Breakage::none;
  std::size_t states_max = 30'000'000;  // about 5 GB
  std::function<bool()> go_on;          // asked now and then; none: to the end
};

struct Violation {
  std::string complaint;          // "C1: ..."
  std::vector<std::string> path;  // the shortest one: each action, with what came of it
};

struct Result {
  std::size_t depth = 0;  // all states that so many actions reach were seen
  bool closed = false;    // nothing new is left at any depth
  std::string stopped;    // why it ended before its depth; "" if it did not
  std::size_t states = 0;
  std::size_t transitions = 0;     // that change something
  std::size_t decided_states = 0;  // in which some disk holds more than config 1
  std::size_t local_states = 0;    // of one node
  std::size_t histories = 0;
  std::set<std::string> decided;  // the reasons of all configs 2 that were decided somewhere
  std::size_t epoch_max = 1;
  std::optional<Violation> violation;
};

Result explore(const Options& options);

}  // namespace ringagent::explore
