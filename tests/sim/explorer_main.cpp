#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/explorer.h"

// ringexplore: the explorer by hand, for a depth that a test has no time for. Exit 0: all is well; 1: a violation, with
// the shortest path to it; 64: the command line is wrong.
namespace {

using ringagent::explore::Breakage;
using ringagent::explore::Options;
using ringagent::explore::Result;

struct CommandLine {
  Options options;
  std::size_t seconds = 0;  // 0: no limit
};

std::optional<std::size_t> number(std::string_view text, std::size_t least, std::size_t most) {
  std::size_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || out < least || out > most) return std::nullopt;
  return out;
}

// "" if all is well, else one line: what is wrong and what would be right.
std::string parse(const std::vector<std::string>& words, CommandLine& out) {
  struct Number {
    std::size_t* value;
    std::size_t least, most;
  };
  Options& options = out.options;
  const std::map<std::string, Number> numbers = {
      {"--depth", {&options.depth, 1, 1000}},
      {"--proposers", {&options.proposers, 1, ringagent::explore::kNodes}},
      {"--crashes", {&options.crashes, 0, 9}},
      {"--ticks", {&options.ticks, 0, ringagent::explore::kTicksMax}},
      {"--states", {&options.states_max, 1, 1'000'000'000}},
      {"--seconds", {&out.seconds, 1, 1'000'000}},
  };
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string& name = words[i];
    const std::string value = i + 1 < words.size() ? words[i + 1] : "";
    if (const auto known = numbers.find(name); known != numbers.end()) {
      const auto& [target, least, most] = known->second;
      const auto read = number(value, least, most);
      if (!read)
        return name + " \"" + value + "\": not a number from " + std::to_string(least) + " to " + std::to_string(most);
      *target = *read;
    } else if (name == "--lose") {
      if (value != "yes" && value != "no") return "--lose \"" + value + "\": it is yes or no";
      options.lose = value == "yes";
    } else if (name == "--broken") {
      const auto breakage = ringagent::explore::parse_breakage(value);
      if (!breakage) return "--broken \"" + value + "\": it is one of " + ringagent::explore::breakages();
      options.breakage = *breakage;
    } else {
      return "\"" + name + "\" is unknown; usage: ringexplore --depth N [--proposers 2] [--crashes 1] [--ticks 1] " +
             "[--lose yes|no] [--seconds LIMIT] [--states LIMIT] [--broken WHAT]";
    }
  }
  return options.depth == 0 ? "--depth N is missing: how many actions deep to look" : "";
}

void print(const Result& result, double seconds) {
  const auto line = [](const std::string& name, const auto& value) {
    std::cout << name << std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') << value << "\n";
  };
  std::string depth = std::to_string(result.depth);
  if (result.closed) depth += ", and nothing new beyond it";
  if (!result.stopped.empty()) depth += " in full, and a part of the next: " + result.stopped;
  line("depth", depth);
  line("states", result.states);
  line("transitions", result.transitions);
  line("decided in", std::to_string(result.decided_states) + " states");
  for (const std::string& reason : result.decided) line("", "config 2 as \"" + reason + "\"");
  line("", "the newest is config " + std::to_string(result.epoch_max));
  line("parts",
       std::to_string(result.local_states) + " states of one node, " + std::to_string(result.histories) + " histories");
  line("seconds", seconds);
  line("per second", static_cast<std::size_t>(static_cast<double>(result.states) / std::max(seconds, 1e-6)));
  if (!result.violation) return;
  std::cout << result.violation->complaint << "\nafter " << result.violation->path.size() << " actions:\n";
  std::size_t count = 0;
  for (const std::string& action : result.violation->path) std::cout << "  " << ++count << ". " << action << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  if (const std::string wrong = parse({argv + 1, argv + argc}, line); !wrong.empty()) {
    std::cerr << "ringexplore: " << wrong << "\n";
    return 64;
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  if (line.seconds > 0) line.options.go_on = [&] { return seconds() < static_cast<double>(line.seconds); };
  const Result result = ringagent::explore::explore(line.options);
  print(result, seconds());
  return result.violation ? 1 : 0;
}
