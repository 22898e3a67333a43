#pragma once

#include <string>

#include "agent/policy.h"
#include "mysql/server.h"

// How a ring grows, and when the data of a member may be made anew.
//
// Intuition: a further node knows nobody but one address. It says there that it wants to join (Hello.join); the member that
// hears this proposes a config with it. A server that joins comes in as one that is out and whose data is being copied
// (Absence::copying): it takes no writes and follows nobody, until whoever copies says `copied`; from then on it is a member
// that comes back, as any other. `reseed` is the same for a member that exists.
//
// Invariants: two members never share what tells them or their transactions apart (name, server_id, server_uuid, domain,
// address). No data is replaced before the ring agrees on what that server once wrote: it will go on numbering from there
// (hazard H4). Pure.
namespace ringagent {

// Why this agent cannot become a member, or "".
std::string against_joiner(const View& view, const Hello& hello);

// The next config, with it: behind the member that it names, else behind the last one of the ring.
Config with_joiner(const View& view, const Hello& hello);

// Why the data of this node's own server, as it is, must not be replaced yet, or "".
std::string against_copying(const View& view, const ServerState& server);

}  // namespace ringagent
