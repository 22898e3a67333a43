#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gossip/transport_handle.h"
#include "mysql/worker.h"

// Notices at once that mysqld is gone, instead of at the next poll.
//
// Intuition: the kernel knows first. The process has a pidfd that becomes readable when it ends; the
// connection that polls the server hangs up when the server closes it. The first is proof, the second only a
// reason to look again: a server may close one connection and be well.
//
// Invariants: never reads from the connection; each descriptor tells its end once; a poll that fails gives
// the connection up but keeps the process in sight, so that a hung mysqld that is killed is seen to die.
namespace ringagent {

class ServerWatch {
 public:
  // `gone` is called on the loop.
  using Gone = std::function<void(bool process, std::string why)>;
  ServerWatch(uv_loop_t* loop, Gone gone) : loop_(loop), gone_(std::move(gone)) {}
  ServerWatch(const ServerWatch&) = delete;
  ServerWatch& operator=(const ServerWatch&) = delete;

  // What the newest answered poll brought along; null if a poll failed.
  void follow(std::shared_ptr<const Watch> watch);

 private:
  // One descriptor in the loop, together with the value that keeps it open.
  struct Lookout {
    std::shared_ptr<const Watch> watch;
    UvHandle<uv_poll_t> poll;  // closed before `watch` is given up
  };
  Lookout look_out(const std::shared_ptr<const Watch>& watch, int fd, int events);
  void fired(const uv_poll_t* poll);

  uv_loop_t* const loop_;
  const Gone gone_;
  Lookout connection_;
  Lookout process_;
};

}  // namespace ringagent
