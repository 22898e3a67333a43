#include "tests/sim/explorer_history.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace ringagent::explore {

std::size_t Histories::Hash::operator()(Index at) const {
  std::uint64_t out = 0;
  for (const Index mark : (*histories)[at].marks) out = (out ^ mark ^ out >> 29) * 0x9e3779b97f4a7c15;
  return out ^ out >> 32;
}

Histories::Histories(Steps& steps) : steps_(steps), known_(0, Hash{&histories_}, Equal{&histories_}) {
  histories_.emplace_back();
  known_.insert(none());
}

Index Histories::after(Index before, const Outcome& outcome) {
  const std::vector<Index>& old = histories_[before].marks;
  if (std::includes(old.begin(), old.end(), outcome.marks.begin(), outcome.marks.end())) return before;
  std::vector<Index> marks;
  std::set_union(old.begin(), old.end(), outcome.marks.begin(), outcome.marks.end(), std::back_inserter(marks));
  marks.shrink_to_fit();  // there will be millions
  const auto index = static_cast<Index>(histories_.size());
  histories_.push_back({std::move(marks), {}});
  const auto [known, is_new] = known_.insert(index);
  if (is_new) {
    histories_.back().chosen = chosen_by(histories_.back().marks);
  } else {
    histories_.pop_back();
  }
  return *known;
}

std::vector<Index> Histories::chosen_by(const std::vector<Index>& marks) const {
  std::map<std::pair<Link, Ballot>, std::set<NodeId>> polls;
  for (const Index mark : marks) {
    if (!is_vote(mark)) continue;
    const Vote& vote = steps_.vote(mark);
    polls[{{vote.instance, vote.value}, vote.ballot}].insert(vote.voter);
  }
  std::set<Index> out;
  for (const auto& [poll, said_yes] : polls) {
    const Config& parent = steps_.parent_of(poll.first.instance);
    const std::vector<NodeId> electorate = voters(parent);
    const auto yes = std::count_if(electorate.begin(), electorate.end(),
                                   [&who = said_yes](const NodeId& id) { return who.count(id) > 0; });
    if (static_cast<std::size_t>(yes) >= majority(parent)) out.insert(steps_.link_index(poll.first));
  }
  return {out.begin(), out.end()};
}

}  // namespace ringagent::explore
