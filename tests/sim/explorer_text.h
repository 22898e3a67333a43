#pragma once

#include <set>
#include <string>

#include "tests/sim/explorer_steps.h"

// A path of the explorer in words, a line an action: who gets what from whom, what it accepts, learns and says.
namespace ringagent::explore {

std::string reason_of(const std::string& config_bytes);  // in quotes: how people tell configs apart

class Teller {
 public:
  explicit Teller(Steps& steps) : steps_(steps) {}

  // `action` of a node in state `node`, which is possible there. To be called in the order of the path.
  std::string tell(Index node, const Action& action);

 private:
  std::string happens(const Action& action) const;
  std::string comes_of(Index node, const Outcome& outcome);
  std::string says(const Outcome& outcome, std::size_t who) const;

  Steps& steps_;
  std::set<Index> told_votes_;
};

}  // namespace ringagent::explore
