#include "agent/daemon_hooks.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

#include "agent/status.h"
#include "agent/text.h"

extern char** environ;

namespace ringagent {
namespace {

// Replaces `path` by a rename; the error in words, or "".
std::string replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return std::strerror(errno);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  std::string why = written ? "" : std::strerror(errno);
  ::close(fd);
  if (written && ::rename(fresh.c_str(), path.c_str()) != 0) why = std::strerror(errno);
  if (!why.empty()) ::unlink(fresh.c_str());
  return why;
}

}  // namespace

void Hooks::configure(std::string program, std::string state_file) {
  program_ = std::move(program);
  state_file_ = std::move(state_file);
  state_file_failed_ = false;
}

void Hooks::ring_changed(const Snapshot& s) {
  show(s);
  if (program_.empty()) return;
  run({"RINGAGENT_CLUSTER=" + s.cluster, "RINGAGENT_NODE=" + s.node,
       "RINGAGENT_GENERATION=" + std::to_string(s.generation), "RINGAGENT_EPOCH=" + std::to_string(s.epoch),
       "RINGAGENT_HEALTH=" + s.health, "RINGAGENT_RING=" + joined(s.ring), "RINGAGENT_STATE_FILE=" + state_file_});
}

void Hooks::show(const Snapshot& snapshot) {
  if (!state_file_.empty() && snapshot.epoch > 0) write_state_file(snapshot);
}

void Hooks::write_state_file(const Snapshot& snapshot) {
  const std::string why = replace_file(state_file_, ring_json(snapshot));
  if (why.empty() == !state_file_failed_) return;
  state_file_failed_ = !why.empty();
  if (state_file_failed_) {
    log_(LogLevel::warning, "[hooks] state_file: cannot write " + state_file_ + ": " + why);
  } else {
    log_(LogLevel::info, "[hooks] state_file: " + state_file_ + " can be written again");
  }
}

void Hooks::run(std::vector<std::string> variables) {
  if (process_) {
    next_ = std::move(variables);
    return;
  }
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  for (auto& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  char* arguments[] = {program_.data(), nullptr};
  uv_stdio_container_t stdio[3] = {};
  for (int i = 1; i < 3; ++i) {
    stdio[i].flags = UV_INHERIT_FD;
    stdio[i].data.fd = i;
  }
  uv_process_options_t options{};
  options.file = program_.c_str();
  options.args = arguments;
  options.env = environment.data();
  options.stdio = stdio;
  options.stdio_count = 3;
  options.flags = UV_PROCESS_DETACHED;  // a group of its own: what it has started is killed with it
  options.exit_cb = [](uv_process_t* process, std::int64_t status, int signal) {
    if (process->data) static_cast<Hooks*>(process->data)->ended(status, signal);
  };
  // The handle must be closed even where uv_spawn fails.
  process_.reset(new uv_process_t{});
  process_->data = this;
  if (const int error = uv_spawn(loop_, process_.get(), &options); error != 0) {
    process_.reset();
    log_(LogLevel::warning, "[hooks] ring_changed: cannot run " + program_ + ": " + uv_strerror(error));
    return;
  }
  limit_ = make_handle<uv_timer_t>(loop_, uv_timer_init, this);
  uv_timer_start(
      limit_.get(),
      [](uv_timer_t* timer) {
        auto* hooks = static_cast<Hooks*>(timer->data);
        if (hooks && hooks->process_) ::kill(-hooks->process_->pid, SIGKILL);
      },
      static_cast<std::uint64_t>(limit_of_run_ / 1ms), 0);
}

void Hooks::ended(std::int64_t status, int signal) {
  limit_.reset();
  process_.reset();
  if (signal == SIGKILL) {
    log_(LogLevel::warning, "[hooks] ring_changed: " + program_ + " was killed (the limit is " +
                                human_duration(limit_of_run_ / 1ms) + ")");
  } else if (signal != 0 || status != 0) {
    log_(LogLevel::warning, "[hooks] ring_changed: " + program_ + " ended with " +
                                (signal != 0 ? "signal " + std::to_string(signal) : std::to_string(status)));
  }
  if (!next_.empty()) run(std::exchange(next_, {}));
}

void Hooks::close() {
  next_.clear();
  limit_.reset();
  process_.reset();
}

}  // namespace ringagent
