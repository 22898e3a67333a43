#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/commands.h"
#include "agent/json_read.h"

// What the commands share that ask a running agent: where it listens, its status, and waiting for something in there.
namespace ringagent {

// One line on `err`; returns `code`.
int complain(Console console, const std::string& line, int code);

// Where the agent listens; none if --config is wrong.
std::optional<std::string> socket_of(const AgentChoice& agent, Console console);

// The body of an answer with status 200; else it was said on `err` and `code` is what to exit with.
std::optional<std::string> ask(const AgentChoice& agent, const std::string& path, Console console, int& code);

// The agent's status as an object; else it was said on `err` and `code` is what to exit with.
std::optional<json_read::Json> ask_status(const AgentChoice& agent, Console console, int& code);

// What the agent's status says of one node; null if it is no member.
json_read::Json node_in(const json_read::Json& status, const std::string& name);

// Looks at the status until `over` is satisfied; it returns what is still missing, or "". Ctrl-C ends the looking only.
int watch_until(const AgentChoice& agent, Console console,
                const std::function<std::string(const json_read::Json&)>& over);

// Sends a command and prints what came of it.
int run_agent_command(const AgentChoice& agent, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& arguments, Console console);

}  // namespace ringagent
