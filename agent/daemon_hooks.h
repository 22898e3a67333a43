#pragma once

#include <uv.h>

#include <functional>
#include <string>
#include <vector>

#include "agent/snapshot.h"
#include "config/types.h"
#include "gossip/transport_handle.h"

// What is done for others when the ring has changed: [hooks] in ringagent.toml.
//
// The state file is for programs that would rather read a file than ask HTTP; it is replaced by a rename, so a reader
// sees the old ring or the new one. The program gets the same in RINGAGENT_* variables:
//   RINGAGENT_CLUSTER, _NODE, _GENERATION, _EPOCH, _HEALTH, _RING (names in order, with spaces between), _STATE_FILE
//
// Rules: one program at a time; changes that come meanwhile are one run more, with the newest ring; after kHookLimit it
// is killed, with whatever it has started. Nothing in the agent waits for it, and an error in here is a line in the log
// and a note in the history.
namespace ringagent {

inline constexpr Duration kHookLimit = 30s;

class Hooks {
 public:
  using Log = std::function<void(LogLevel, const std::string&)>;
  // `limit` is for tests.
  Hooks(uv_loop_t* loop, Log log, Duration limit = kHookLimit)
      : loop_(loop), log_(std::move(log)), limit_of_run_(limit) {}
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // "": none.
  void configure(std::string program, std::string state_file);
  void ring_changed(const Snapshot& snapshot);
  // The state file alone, once there is a ring: for an agent that has only started.
  void show(const Snapshot& snapshot);
  // No more of it; a program that runs is left to end by itself.
  void close();

 private:
  void write_state_file(const Snapshot& snapshot);
  void run(std::vector<std::string> variables);
  void ended(std::int64_t status, int signal);

  uv_loop_t* const loop_;
  const Log log_;
  const Duration limit_of_run_;
  std::string program_;
  std::string state_file_;
  bool state_file_failed_ = false;
  UvHandle<uv_process_t> process_;
  UvHandle<uv_timer_t> limit_;
  std::vector<std::string> next_;  // the variables of the run that waits
};

}  // namespace ringagent
