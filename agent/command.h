#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/node.h"
#include "agent/policy.h"

// What a command of a person wants of the ring config.
//
// Intuition: a command is level-triggered as everything else. It is held against the head again and again until the head
// shows what was asked for (then it is done, and whoever asked twice hears the same), or cannot come to show it (then it is
// refused, with what would be right). In between it has one config to propose.
//
// Commands and their arguments: pause [for_ms, reason], resume, maintenance node on|off [for_ms, reason], leave, remove
// node, order node node ..., stranded node action replay, reseed, copied (both about this node), writer node [yes]. Pure.
namespace ringagent {

struct CommandStep {
  bool over = false;  // done or refused: `ok` and `text` are the answer
  bool ok = false;
  std::string text;
  std::optional<Config> next;  // otherwise: to be proposed
};

// `who`: the node where it was given.
CommandStep command_step(const Command& command, const View& view, const std::string& who);

// The names that command_step knows.
bool is_command(const std::string& name);
std::string no_such_member(const Config& head, const std::string& name);

// A named argument of a command, or ""; and all of that name, in order.
std::string argument(const Command& command, const std::string& key);
std::vector<std::string> arguments(const Command& command, const std::string& key);

}  // namespace ringagent
