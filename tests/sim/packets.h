#pragma once

#include <cstdint>
#include <set>

#include "agent/node.h"
#include "gossip/seal.h"

// A packet on its way, and which old ones can be sent again by somebody who has recorded them.
namespace ringagent::sim {

struct Sent {
  Packet packet;
  ClusterId cluster;  // nil: bound to the cluster's name
  KeyId key{};
  std::uint64_t counter = 0;  // of its sender, over all lives of its agent
};

// What gossip/seal.h remembers of one sender, from the start of the receiving agent on: each counter passes once, if it is
// not too far back and of no former life.
class ReplayWindow {
 public:
  bool admits(const Sent& sent) const {
    if (sent.packet.boot != boot_) return sent.packet.boot > boot_;
    return seen_.count(sent.counter) == 0 && (seen_.empty() || sent.counter + kReplayWindow > *seen_.rbegin());
  }
  void note(const Sent& sent) {
    if (sent.packet.boot < boot_) return;
    if (sent.packet.boot > boot_) seen_.clear();
    boot_ = sent.packet.boot;
    seen_.insert(sent.counter);
    if (seen_.size() > kReplayWindow) seen_.erase(seen_.begin());
  }

 private:
  std::uint32_t boot_ = 0;
  std::set<std::uint64_t> seen_;
};

}  // namespace ringagent::sim
