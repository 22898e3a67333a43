#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/message.h"

// One instance of single-decree Paxos (Lamport, "Paxos Made Simple", 2001), as two small machines.
//
// Intuition: a proposer first asks the acceptors to promise that they will listen to nobody with a lower ballot, and
// learns from their answers what may already have been chosen. Only then does it ask them to accept a value: the one
// that may have been chosen if there is one, else its own. Two majorities share an acceptor, so no second value can
// be chosen. Nothing here times out, resends or stores: `gossip/chain` does, and it makes every answer durable before
// it is said.
//
// Invariants: a promise is given iff the ballot is higher than the promised one, or is the promised one (a resend);
// acceptance raises the promise; a ballot is used with one value.
namespace ringagent {

// What an acceptor must never forget within one instance.
struct AcceptorState {
  Ballot promised;
  Ballot accepted;  // round 0: nothing
  std::string value;
  bool operator==(const AcceptorState&) const = default;
};

// Both answer whether the ballot is served, and change the state only if it is.
bool promise(AcceptorState& state, const Ballot& ballot);
bool accept(AcceptorState& state, const Ballot& ballot, const std::string& value);

// One ballot of one proposer.
class Proposer {
 public:
  enum class Phase { preparing, accepting, chosen };

  // `quorum` of `voters` must answer in each phase.
  Proposer(Instance instance, Ballot ballot, std::vector<NodeId> voters, std::size_t quorum);

  const Instance& instance() const { return instance_; }
  const Ballot& ballot() const { return ballot_; }
  Phase phase() const { return phase_; }

  // True if this promise completed the quorum. Then `inherited()` is the value that must be proposed, if any, and the
  // caller calls `start_accepting` with it or with its own.
  bool on_promise(const Promise& promise);
  const std::optional<std::string>& inherited() const { return inherited_; }
  const Ballot& inherited_ballot() const { return inherited_ballot_; }  // in which that value was accepted
  std::vector<Candidate> candidates() const;                            // of the promises; formation only
  void start_accepting(std::string value);
  const std::string& value() const { return value_; }

  // True if this acceptance made the value chosen.
  bool on_accepted(const Accepted& accepted);

  // The voters whose answer in the present phase is still missing: resend to these.
  std::vector<NodeId> missing() const;

 private:
  bool counts(const Instance& instance, const Ballot& ballot, const NodeId& acceptor) const;

  Instance instance_;
  Ballot ballot_;
  std::vector<NodeId> voters_;
  std::size_t quorum_;
  Phase phase_ = Phase::preparing;
  bool promised_ = false;  // the quorum of promises is complete
  std::map<NodeId, Promise> promises_;
  std::set<NodeId> accepts_;
  std::optional<std::string> inherited_;
  Ballot inherited_ballot_;
  std::string value_;
};

}  // namespace ringagent
