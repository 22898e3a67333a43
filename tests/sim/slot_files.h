#pragma once

#include <optional>
#include <random>
#include <string>

#include "gossip/store.h"

// A host's state directory, kept by the daemon's own gossip/store in real files, and how a crash tears what was being
// written: of each sector of the slot either what was there before or what is new.
namespace ringagent::sim {

class SlotFiles {
 public:
  SlotFiles();
  ~SlotFiles();
  SlotFiles(const SlotFiles&) = delete;
  SlotFiles& operator=(const SlotFiles&) = delete;

  // As an agent that starts; `fresh` is the id of a new node.
  Result<DurableState> open(const NodeId& fresh);
  void persist(const DurableState& state) { store_->persist(state); }
  // The machine stops while this is written.
  void tear(const DurableState& state, std::mt19937_64& random);
  void close() { store_.reset(); }  // the agent is gone
  void wipe();
  void replace(const DurableState& state);  // by a copy from elsewhere; the agent must be gone

 private:
  std::string slot(int index) const { return directory_ + "/state." + std::to_string(index); }

  std::string directory_;
  std::optional<Store> store_;
};

}  // namespace ringagent::sim
