#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/commands.h"
#include "agent/json_read.h"

// How the commands talk with the agent that runs, and with whoever gave them.
namespace ringagent {

// One line on `err`; returns `code`.
int complain(Console console, const std::string& line, int code);

// Where the agent listens; none if --config is wrong.
std::optional<std::string> socket_of(const AgentChoice& agent, Console console);

// The body of an answer with status 200; else it was said on `err` and `code` is what to exit with.
std::optional<std::string> ask(const AgentChoice& agent, const std::string& path, Console console, int& code);

// What the agent's status says of one node; null if it is no member.
json_read::Json node_in(const json_read::Json& status, const std::string& name);

// Looks at the status until `over` is satisfied; it returns what is still missing, or "". Ctrl-C ends the looking only.
int watch_until(const AgentChoice& agent, Console console,
                const std::function<std::string(const json_read::Json&)>& over);

// Has the agent carry out a command, and tells its answer.
int run_agent_command(const AgentChoice& agent, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& arguments, Console console);

}  // namespace ringagent
