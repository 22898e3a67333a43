#include "agent/daemon_watch.h"

namespace ringagent {

void ServerWatch::follow(std::shared_ptr<const Watch> watch) {
  if (watch && connection_.watch == watch) return;
  connection_ = {};
  if (!watch) return;
  process_ = {};
  connection_ = look_out(watch, watch->fd, UV_DISCONNECT);
  process_ = look_out(watch, watch->pidfd, UV_READABLE);
}

// A descriptor that cannot be watched is none: polling goes on and finds out later.
ServerWatch::Lookout ServerWatch::look_out(const std::shared_ptr<const Watch>& watch, int fd, int events) {
  Lookout out{watch, nullptr};
  if (fd < 0) return out;
  auto poll = std::make_unique<uv_poll_t>();
  if (uv_poll_init(loop_, poll.get(), fd) != 0) return out;
  out.poll.reset(poll.release());
  out.poll->data = this;
  uv_poll_start(out.poll.get(), events, [](uv_poll_t* which, int, int) {
    if (which->data) static_cast<ServerWatch*>(which->data)->fired(which);
  });
  return out;
}

void ServerWatch::fired(const uv_poll_t* poll) {
  const bool process = poll == process_.poll.get();
  Lookout& lookout = process ? process_ : connection_;
  const std::string why = process ? "mysqld (pid " + std::to_string(lookout.watch->pid) + ") has ended"
                                  : "the server closed the connection that watches it";
  lookout.poll.reset();
  gone_(process, why);
}

}  // namespace ringagent
