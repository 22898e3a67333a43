#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "config/ring.h"
#include "gossip/message.h"
#include "gossip/state.h"

// The lease of the one writer (protocol.md section 7; Gray and Cheriton, "Leases", SOSP 1989).
//
// Intuition: the chain of configs says who the writer is, but a writer that is cut off does not hear that another one has
// been chosen. So it may only go on for as long as a majority of the voters of its config has lately told it that it may.
// It asks them a few times per lease; when no majority has answered a question that was sent within the last `lease`, it
// makes its server read_only, whatever else is going on. Paxos itself knows nothing of this: nobody votes differently
// because of a lease, and who gives a vote in what follows a config grants no more lease under it.
//
// Why there are never two. Let W be the writer of config e, and e' > e the first config that names another one, W'.
//  1. A lease under config e was granted by a majority of the voters of e, and the config e + 1 was decided by promises of
//     a majority of the same voters. The two share a voter; it granted before it promised, for afterwards it grants nothing
//     under e (also after a restart: promises are durable). So the question was sent before e + 1 was decided, and the
//     lease, counted from the sending, ends within `lease` of that decision. The same holds for every config before e'.
//  2. So `lease` after e' was decided no server but that of W' has a lease, and none will get one while e' is the head.
//  3. W' opens when W has said in its own record, in e' or later, that its server takes no writes; or when
//     1.1 lease + 2 s have passed since W' learnt of e' and since it last heard of the agent of W (agent/writer.h).
//
// What is assumed: clocks of two hosts run at the same speed within a tenth, and go on while a host sleeps
// (CLOCK_BOOTTIME, config/types.h); once the lease has ended, W's agent gets `SET GLOBAL read_only` done within 2 s. Where
// that cannot be assumed nothing is opened by the clock: while W's agent answers and its server does not (it hangs: it may
// take a write when it wakes), and where W's server was heard of after its agent had gone (nobody enforces the lease).
//
// What no lease can do: the agent stands beside the server, not in the way of its clients. A host that stood still as a
// whole wakes with its server and its agent at once, and clients that are connected may commit until the agent's
// `SET GLOBAL read_only` is done, a few milliseconds later. Such a commit is not lost: that server is out of the ring by then,
// and it is counted as stranded. And an agent that dies just after its host was cut off enforces nothing until the service
// manager has started it again.
//
// Invariants: a lease only grows by answers of a majority to questions of the present config; an answer counts from when
// its question was sent. Pure.
namespace ringagent {

// `lease` is `silence`: a pause that the ring takes without changing anything seldom stops the writer either.
inline constexpr int kLeaseAsks = 5;  // questions per lease: three may be lost in a row

// The voter's side: does it let the writer `from` go on under the config that `asked` names?
bool grants_lease(const DurableState& voter, const Config& head, const Instance& here, const NodeId& from,
                  const Instance& asked);

// How long the next writer waits for one that it hears nothing of.
Duration lease_over(std::uint64_t lease_ms);

// The writer's side.
class Lease {
 public:
  // `boot`: which life of this agent it is; questions of an earlier one have other numbers.
  explicit Lease(std::uint32_t boot) : seq_(std::uint64_t{boot} << 32U) {}

  // The head is this config, and this node its writer. What an earlier config has granted runs on to its end.
  void hold(const Instance& config, std::vector<NodeId> voters, Duration length);
  // This node is the writer no more, or its server has been started anew.
  void drop();

  bool ask_due(Time now) const { return !voters_.empty() && now >= ask_due_; }
  std::uint64_t ask(Time now);  // the number of a question that is sent now
  // True if a voter of this very config refused.
  bool on_answer(const NodeId& voter, const LeaseGrant& answer);

  Time until() const { return until_; }
  bool held(Time now) const { return now < until_; }
  Duration length() const { return length_; }
  const std::vector<NodeId>& voters() const { return voters_; }
  Time next_due(Time now) const;  // of a question, or of the end

 private:
  Instance config_;
  std::vector<NodeId> voters_;
  Duration length_{0};
  Time ask_due_{0};
  std::uint64_t seq_ = 0;
  std::map<std::uint64_t, Time> sent_;  // the last few questions
  std::map<NodeId, Time> granted_;      // when the newest question that this voter granted was sent
  Time until_{0};
};

}  // namespace ringagent
