#include "agent/daemon_watch.h"

#include <utility>

namespace ringagent {

ServerWatch::ServerWatch(uv_loop_t* loop, Gone gone) : loop_(loop), gone_(std::move(gone)) {}

ServerWatch::~ServerWatch() {
  dismiss(connection_);
  dismiss(process_);
}

void ServerWatch::follow(std::shared_ptr<const Watch> watch) {
  if (!watch) {
    dismiss(connection_);
    return;
  }
  if (connection_ && connection_->watch == watch) return;
  dismiss(connection_);
  dismiss(process_);
  connection_ = look_out(watch, watch->fd, UV_DISCONNECT, false);
  process_ = look_out(watch, watch->pidfd, UV_READABLE, true);
}

ServerWatch::Lookout* ServerWatch::look_out(const std::shared_ptr<const Watch>& watch, int fd, int events,
                                            bool process) {
  if (fd < 0) return nullptr;
  auto lookout = std::make_unique<Lookout>();
  lookout->watch = watch;
  lookout->owner = this;
  lookout->process = process;
  lookout->poll.data = lookout.get();
  if (uv_poll_init(loop_, &lookout->poll, fd) != 0) return nullptr;  // polling goes on without it
  uv_poll_start(&lookout->poll, events, [](uv_poll_t* poll, int status, int) {
    auto* fired = static_cast<Lookout*>(poll->data);
    fired->owner->fired(fired, status);
  });
  return lookout.release();  // the close callback deletes it
}

void ServerWatch::fired(Lookout* lookout, int) {
  const bool process = lookout->process;
  const std::string why = process ? "mysqld (pid " + std::to_string(lookout->watch->pid) + ") has ended"
                                  : "the server closed the connection that watches it";
  dismiss(process ? process_ : connection_);
  gone_(process, why);
}

void ServerWatch::dismiss(Lookout*& lookout) {
  if (!lookout) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&lookout->poll),
           [](uv_handle_t* handle) { delete static_cast<Lookout*>(handle->data); });
  lookout->owner = nullptr;
  lookout = nullptr;
}

}  // namespace ringagent
