#pragma once

// Ctrl-C as something that can be waited for.
//
// While one of these lives, SIGINT and SIGTERM do not end the process: they make `fd()` readable, for good, so that
// whoever waits for a server or a program is woken, cleans up and says how to go on. SIGPIPE is an error of write().
// One at a time in a process.
namespace ringagent {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  int fd() const { return read_end_; }
  bool raised() const;

 private:
  int read_end_ = -1;
};

}  // namespace ringagent
