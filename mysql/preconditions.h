#pragma once

#include <cstdint>
#include <vector>

#include "mysql/server.h"

// Whether a server's settings are such that it can live in a ring: one rule for each hazard of circular
// replication that a machine can see in one server (hazards.md, numbers H1 ..). Pure.
//
// An error means that data would be lost, doubled or loop, or that replication would break: such a server is
// not attached to anything. A warning means that it is less safe than it could be. Each finding says what is
// wrong in one sentence and how to mend it exactly. A setting that the server does not have is no finding.
namespace ringagent {

// What the ring knows and one server's settings are held against.
struct RingView {
  std::vector<std::uint32_t> peer_domains;  // MariaDB gtid_domain_id of the other members
  std::vector<std::uint32_t> peer_server_ids;
  std::size_t ring_size = 0;  // members that may write; 0: not known
};

std::vector<Finding> preconditions(const ServerState& state, const RingView& ring);

}  // namespace ringagent
