#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/node.h"

// What must hold true at every step, whatever breaks (protocol.md section 8):
//   C1  one value per (generation, epoch), over all nodes and restarts (but for a generation that people forced twice)
//   C2  each config names the hash of its parent
//   C3  what is durable never goes back: promises, head, own round, counters
//   C4  every decision was accepted, durably, by a majority of the voters of the config before it, at one ballot
//   C5  a link is only pointed at upstream(self) of the durable head, or, by one that is out, at another that is in while that
//       one can no longer give all; and what was received and stands nowhere else is not thrown away
//   C6  the ring is never empty; one epoch lets in one node; those who stay in keep their order
//   C7  who hears no majority of the voters touches no link, but to stop it
// C8 (nothing lost, doubled or looping) is the model servers' part: they see contents, not positions (world.h, audit).
// So are two rules of the world: C9, nobody is taken out as dead whose server does well and is heard of by its successor;
// C10, no server takes writes for long while its node is out; C12, with one writer no two servers take writes at once (but
// for what no agent can prevent: world.cpp); C13, nobody is sent to be reseeded who has lost nothing; C14, no agent tells of a
// change by hand that nobody made. C11: who objects because somebody answered it has got packets from it.
//
// Intuition: the checker looks only at disks and at what is sent to servers, never into an agent: so it cannot share an
// agent's mistake. It sees every persist before anything that follows from it.
namespace ringagent::sim {

// The checker's own idea of whom a member follows: the code under test must not be its own judge.
std::optional<NodeId> source_of(const Config& config, const NodeId& id);

class Checker {
 public:
  explicit Checker(std::function<void(const std::string&)> complain) : complain_(std::move(complain)) {}

  // A host's disk is about to go from `before` to `after`. Returns the configs that nobody had on disk until now.
  std::vector<Config> persisted(const std::string& host, const DurableState& before, const DurableState& after,
                                Time now);
  // When somebody first voted for this value: what Paxos hands back may be older than its decision. Time::max(): nobody.
  Time first_vote(const std::string& value) const;
  // A host's disk was wiped: what it promised under its old id is forgotten there, so nobody may ever use that id again.
  void wiped(const std::string& host, const NodeId& id) {
    chain_seen_.erase(host);
    wiped_.insert(id);
  }
  // A host's disk was set to what it had been: the one case for which C1 and C3 cannot answer.
  void restored(const std::string& host) { chain_seen_.erase(host); }
  // From now on people may force a generation on both sides of a split.
  void expect_two_generations() { forced_twice_ = true; }
  // A host got a packet of another.
  void heard(const std::string& host, const NodeId& from, Time now) { heard_[host][from] = now; }
  // An agent asks its server for this. `patience`: how long it may take a node to notice that it is alone.
  // `gives`: has that server in its binary log all that this one lacks?
  void dispatched(const std::string& host, const DurableState& disk, const Statement& statement, Time now,
                  Duration patience, const std::function<bool(const Member& upstream)>& gives);

  // A host answers a canvass.
  void answered(const std::string& host, const CanvassAnswer& answer, Time now, Duration silence);

  // The newest config that is on any disk; nullptr before the ring is formed.
  const Config* newest() const { return decided_.empty() ? nullptr : &configs_.at(decided_.rbegin()->second).config; }
  const std::string& newest_bytes() const { return configs_.at(decided_.rbegin()->second).bytes; }

 private:
  using Number = std::pair<std::uint32_t, std::uint64_t>;  // generation, epoch
  struct DecidedConfig {
    std::string bytes;
    Config config;
  };
  struct Vote {
    std::string value;
    std::set<NodeId> acceptors;
  };

  void check_no_way_back(const std::string& host, const DurableState& before, const DurableState& after) const;
  void note_vote(const DurableState& before, const DurableState& after, Time now);
  void check_chain(const std::string& host, const DurableState& after, std::vector<Config>& fresh);
  bool check_one_value(const Config& config, const std::string& bytes, const std::string& host);
  void check_majority(const Config& config, const std::string& bytes, const DurableState& decider) const;
  void check_change(const Config& config) const;
  static bool same_circle(const Config& before, const Config& after);
  const DecidedConfig* parent_of(const Config& config) const;

  std::function<void(const std::string&)> complain_;
  std::map<Hash, DecidedConfig> configs_;
  std::map<Number, Hash> decided_;
  bool forced_twice_ = false;
  std::set<NodeId> wiped_;
  std::map<NodeId, std::string> host_of_;          // under every id that a host has had
  std::map<std::string, std::string> chain_seen_;  // by host: the last config whose chain was looked at
  std::map<Instance, std::map<Ballot, Vote>> votes_;
  std::map<std::string, Time> first_votes_;
  std::map<std::string, std::map<NodeId, Time>> heard_;
};

}  // namespace ringagent::sim
