#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/policy.h"

// Who is the one writer of a ring with [ring] writers = "one", and when may it open?
//
// Intuition: the writer stands in the config as everything else does. Whatever epoch takes it out of the ring, or plans to,
// names the next one with it: the member that has most. So there is nothing to be elected afterwards, and a ring with a
// majority is never undecided. Being named is not permission: the new writer stays read_only until those that wrote before
// it are known to write no more, and all that the living have received is applied here.
//
// Invariants: old_writers names everybody who may still take writes and is not the writer; one leaves it only with a new
// writer, and only if its own record says that it has stopped, or a person vouches for it. A member whose read_only was set
// by a person is named only if there is nobody else, and never opened by its agent.
//
// Everything is a pure function of the View.
namespace ringagent {

// To be called on whatever is about to be proposed: names another writer if the present one is out of `next`, or is to be
// absent, or is gone; and the old ones with it.
void settle_writer(const View& view, Config& next);

// Makes `id` the writer of `next`.
void name_writer(const View& view, Config& next, const NodeId& id);

// What the ring lacks that only an epoch of its own can give: another mode or lease, as all settings say, or a writer.
struct WriterStep {
  CanvassItem item;
  Config next;
  std::string reason;
};
std::optional<WriterStep> writer_step(const View& view);

// The member of `next` that is best made the writer; nothing if nobody can be.
std::optional<NodeId> best_writer(const View& view, const Config& next);

// Its own record says, in this tenure, that it takes no writes.
bool closed(const View& view, const NodeId& id);

// Why the writer of the head must not open yet because of those that wrote before it, or "". `learnt_for`: how long it has
// known that it is the writer.
std::string still_writing(const View& view, Duration learnt_for);

// What `own`, the writer's record, lacks of what the living members of the ring have or have received, or "".
std::string still_missing(const View& view, const NodeRecord& own);

}  // namespace ringagent
