#include "gossip/paxos.h"

#include <algorithm>
#include <cstdlib>

namespace ringagent {

bool promise(AcceptorState& state, const Ballot& ballot) {
  if (ballot < state.promised) return false;
  state.promised = ballot;
  return true;
}

bool accept(AcceptorState& state, const Ballot& ballot, const std::string& value) {
  if (ballot < state.promised) return false;
  // One ballot, one value: a proposer that breaks this would let two values be chosen.
  if (ballot == state.accepted && value != state.value) return false;
  state.promised = ballot;
  state.accepted = ballot;
  state.value = value;
  return true;
}

Proposer::Proposer(Instance instance, Ballot ballot, std::vector<NodeId> voters, std::size_t quorum)
    : instance_(instance), ballot_(ballot), voters_(std::move(voters)), quorum_(quorum) {
  if (quorum_ == 0 || quorum_ > voters_.size()) std::abort();
}

bool Proposer::counts(const Instance& instance, const Ballot& ballot, const NodeId& acceptor) const {
  return instance == instance_ && ballot == ballot_ &&
         std::find(voters_.begin(), voters_.end(), acceptor) != voters_.end();
}

bool Proposer::on_promise(const Promise& promise) {
  if (phase_ != Phase::preparing || promised_) return false;
  if (!counts(promise.instance, promise.ballot, promise.acceptor)) return false;
  if (!promises_.emplace(promise.acceptor, promise).second) return false;
  if (promise.accepted_ballot.round != 0 && promise.accepted_ballot > inherited_ballot_) {
    inherited_ballot_ = promise.accepted_ballot;
    inherited_ = promise.accepted_value;
  }
  promised_ = promises_.size() >= quorum_;
  return promised_;
}

std::vector<Candidate> Proposer::candidates() const {
  std::vector<Candidate> out;
  for (const auto& [acceptor, promise] : promises_) {
    if (promise.candidate) out.push_back(*promise.candidate);
  }
  return out;
}

void Proposer::start_accepting(std::string value) {
  if (phase_ != Phase::preparing || !promised_) std::abort();
  if (inherited_ && *inherited_ != value) std::abort();
  value_ = std::move(value);
  phase_ = Phase::accepting;
}

bool Proposer::on_accepted(const Accepted& accepted) {
  if (phase_ != Phase::accepting || !counts(accepted.instance, accepted.ballot, accepted.acceptor)) return false;
  accepts_.insert(accepted.acceptor);
  if (accepts_.size() < quorum_) return false;
  phase_ = Phase::chosen;
  return true;
}

std::vector<NodeId> Proposer::missing() const {
  std::vector<NodeId> out;
  for (const NodeId& voter : voters_) {
    const bool answered = phase_ == Phase::preparing ? promises_.count(voter) > 0 : accepts_.count(voter) > 0;
    if (!answered) out.push_back(voter);
  }
  return out;
}

}  // namespace ringagent
