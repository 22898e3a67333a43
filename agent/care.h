#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/policy.h"

// What people have planned for the ring, carried out one step an epoch: absences, another order, spares, new addresses.
//
// Intuition: a plan stands in the config (an absence, a wanted order), so that it survives everybody's restart and anybody
// can take its next step. A member never leaves the ring with writes that nobody else has: it is drained first, and only
// its own agent can say that it is. Nothing is moved while a link of the ring is not yet as the last epoch wants it.
//
// Everything is a pure function of the View.
namespace ringagent {

struct PlannedStep {
  CanvassItem item;
  Config next;
  std::string reason;
};
std::optional<PlannedStep> planned_step(const View& view);

// Why a voter is against the planned step for `id`, or "".
std::string against_plan(const View& view, const NodeId& id);

// A way around a bad edge: who must go out, and a home order that uses good edges only.
//
// A link is bad if its replica's agent has said so for link_grace while the source's agent says that its server is well. Good
// edges are those that replicate now and those that a login as the replication account has just shown to be good.
struct RouteAround {
  NodeId out;                      // the one member that goes out, to come back elsewhere
  std::vector<NodeId> home_order;  // with it at its new place; as it is if there is no good place for it
  std::string why;
};
std::optional<RouteAround> route_around(const View& view);

// `to` can replicate from `from`, as far as anybody has just tried.
bool good_edge(const View& view, const NodeId& from, const NodeId& to);

// All that this member has is at members of the ring whose agents answer: nobody needs it for its data.
bool known_to_ring(const View& view, const NodeId& id);

// Where nobody is left who takes writes but members that are to be absent, they stay: the ring needs them.
void call_off_absences(Config& next);

// True while a spare that is ready should take the place of a member that is out.
bool wants_spare(const View& view);

// Every member of the ring whose agent answers, but for `but`, follows its upstream in this epoch, and something has arrived.
bool links_as_wanted(const View& view, const NodeId& but = {});

}  // namespace ringagent
