#pragma once

#include <string>

#include "config/types.h"

// The log of the agent, on standard error: systemd, a container or a shell keeps it.
//
// A line is one incident told once: the machines behind it say what happened and why, and repeat nothing.
// `text` is for people ("2024-05-01T10:39:59.042Z warning db3 out: ..."), `json` one object a line for
// collectors: {"time", "level", "cluster", "node", "text"}, for the lines of many agents end up in one place.
namespace ringagent {

// Once at the start, and again on a reload.
void set_up_log(LogLevel level, bool json, const std::string& cluster, const std::string& node);

void log_line(LogLevel level, const std::string& text);

}  // namespace ringagent
