#include "agent/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace ringagent {
namespace {

std::atomic<int> write_end{-1};

void on_signal(int /*number*/) {
  const int saved = errno;
  const char byte = 1;
  // A full pipe says all that is to be said.
  if (::write(write_end.load(), &byte, 1) < 0) errno = saved;
  errno = saved;
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, nullptr);
}

}  // namespace

Interrupt::Interrupt() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  read_end_ = ends[0];
  write_end = ends[1];
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  handle(SIGPIPE, SIG_IGN);
}

Interrupt::~Interrupt() {
  for (const int number : {SIGINT, SIGTERM, SIGPIPE}) handle(number, SIG_DFL);
  ::close(write_end.exchange(-1));
  ::close(read_end_);
}

bool Interrupt::raised() const {
  pollfd one{read_end_, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0;
}

}  // namespace ringagent
