#pragma once

#include <iosfwd>
#include <string>
#include <vector>

// The command line (contract.md, "Commands").
//
// Intuition: `run` is the agent; everything else is a small program that asks a running one over its unix
// socket, or, as `check`, `setup` and `keygen` do, works without it.
//
// Exit codes: 0 done; 1 degraded, or it was refused; 2 critical; 3 no agent answers; 64 the command line is
// wrong (one line says what would be right); 78 the config is wrong (all of its faults, one line each).
namespace ringagent {

enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,
  kExitCritical = 2,
  kExitNoAgent = 3,
  kExitUsage = 64,
  kExitConfig = 78,
};

inline constexpr const char* kDefaultConfig = "/etc/ringagent/ringagent.toml";

// `arguments` without the program's name. `out` gets the answer, `err` what went wrong.
int run_cli(std::vector<std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace ringagent
