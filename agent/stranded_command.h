#pragma once

#include <string>

#include "agent/commands.h"

// `ringagent stranded show|replay|discard NODE`: a person looks at what never left a node, and decides.
namespace ringagent {

struct StrandedOptions {
  std::string action = "show";  // show | replay | discard
  std::string node;
  bool json = false;        // show
  bool yes = false;         // replay, discard: do not ask
  bool wait = true;         // replay: until the node is in
  std::string out_file;     // discard; "": a new file in the state directory, or here
  std::string binlog_tool;  // "": agent/binlog_tool.h finds one
};
int stranded_command(const AgentChoice& agent, const StrandedOptions& options, Console console);

}  // namespace ringagent
