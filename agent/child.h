#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "config/types.h"

// Another program, run beside this one: a dump, or the client that plays it in.
//
// What it must not tell others (a password) is in an option file that exists in memory only and that it inherits open:
// neither its command line nor any directory shows it. It dies with us, however we die, and with this value. It has a
// process group of its own, so that Ctrl-C reaches us alone.
namespace ringagent {

// Where PATH has the first of these programs; "" if it has none.
std::string find_program(const std::vector<std::string>& names);

class Child {
 public:
  struct Spec {
    std::string program;
    std::string options_file;  // text; goes in as --defaults-file
    std::vector<std::string> arguments;
    int in = -1;   // -1: /dev/null
    int out = -1;  // -1: /dev/null
  };
  static Result<Child> start(const Spec& spec);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  // ends it

  // Waits for its end. 0, or the exit status; 128 and the signal's number if it was killed.
  int wait();
  // The end of what it wrote to standard error, one line.
  std::string said() const;

 private:
  Child(pid_t pid, int errors) : pid_(pid), errors_(errors) {}
  pid_t pid_;
  int errors_;
};

// The two ends of a pipe, closed with this value.
class Pipe {
 public:
  Pipe();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int read_end() const { return read_end_; }
  int write_end() const { return write_end_; }
  void close_read();
  void close_write();

 private:
  int read_end_ = -1;
  int write_end_ = -1;
};

}  // namespace ringagent
