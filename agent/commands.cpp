#include "agent/commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>

#include "agent/api.h"
#include "agent/asking.h"
#include "agent/cli.h"
#include "agent/config_file.h"
#include "agent/daemon.h"
#include "agent/json_read.h"
#include "agent/settings_map.h"
#include "agent/status.h"
#include "agent/table.h"
#include "agent/terminal.h"
#include "config/duration.h"
#include "gossip/seal.h"
#include "gossip/seal_key.h"
#include "mysql/client.h"

namespace ringagent {
namespace {

constexpr Duration kFollowEvery = 500ms;

std::string health_of(const std::string& status) {
  const auto json = json_read::Json::parse(status, nullptr, false);
  return json.is_object() ? json_read::str(json, "health") : std::string();
}

// "" or a duration, as milliseconds.
Result<std::string> span_ms(const std::string& text) {
  if (text.empty()) return std::string();
  const auto span = parse_duration(text);
  if (!span) return fail("--for: " + span.error().text);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*span).count();
  if (ms == 0) return fail("--for: no length is none");
  return std::to_string(ms);
}

// A file, or standard input. No key file is longer than a few lines.
Result<std::string> read_key(const std::string& path) {
  constexpr std::size_t most = 64 * 1024;
  const bool from_stdin = path == "-";
  const int fd = from_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("cannot read " + path + ": " + std::strerror(errno));
  std::string text;
  char part[4096];
  ssize_t n = 0;
  while (text.size() < most && (n = ::read(fd, part, sizeof part)) > 0) text.append(part, static_cast<std::size_t>(n));
  const std::string why = n < 0 ? std::strerror(errno) : "";
  if (!from_stdin) ::close(fd);
  if (!why.empty()) return fail("cannot read " + path + ": " + why);
  return text;
}

}  // namespace

int status_command(const AgentChoice& agent, bool json, Console console) {
  int code = kExitOk;
  const auto status = ask(agent, "/status", console, code);
  if (!status) return code;
  const auto text = json ? Result<std::string>(*status) : status_table(*status, stdout_style());
  if (!text) return complain(console, text.error().text, kExitNoAgent);
  console.out << *text;
  return exit_code_of_health(health_of(*status));
}

int watch_command(const AgentChoice& agent, Duration period, Console console) {
  const bool redraw = stdout_is_terminal();
  const auto socket = socket_of(agent, console);
  if (!socket) return kExitConfig;
  const ApiClient client(*socket);
  if (redraw) console.out << "\x1b[2J";
  while (console.out.good()) {
    const auto answer = client.get("/status");
    auto text = answer ? status_table(answer->body, stdout_style()) : Result<std::string>(answer.error().text + "\n");
    if (!text) text = text.error().text + "\n";
    if (redraw) console.out << "\x1b[H";
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) console.out << line << (redraw ? "\x1b[K\n" : "\n");
    console.out << (redraw ? "\x1b[J" : "\n") << std::flush;
    std::this_thread::sleep_for(period);
  }
  return kExitOk;
}

int plan_command(const AgentChoice& agent, bool json, Console console) {
  int code = kExitOk;
  const auto plan = ask(agent, "/plan", console, code);
  if (!plan) return code;
  const auto text = json ? Result<std::string>(*plan) : plan_text(*plan);
  if (!text) return complain(console, text.error().text, kExitNoAgent);
  console.out << *text;
  return kExitOk;
}

int history_command(const AgentChoice& agent, const HistoryOptions& options, Console console) {
  std::string query = "/history?n=" + std::to_string(options.count);
  for (std::int64_t last = 0;;) {
    int code = kExitOk;
    const auto answer = ask(agent, query, console, code);
    if (!answer) return code;
    if (options.json && !options.follow) {
      console.out << *answer;
      return kExitOk;
    }
    const auto entries = json_read::Json::parse(*answer, nullptr, false);
    if (!entries.is_array()) return complain(console, "the agent's answer is not a JSON array", kExitNoAgent);
    for (const auto& entry : entries) {
      const std::string line = entry.dump(-1, ' ', false, json_read::Json::error_handler_t::replace);
      console.out << (options.json ? line + "\n" : history_text(line));
      last = std::max(last, json_read::number(entry, "seq").value_or(0));
    }
    console.out << std::flush;
    if (!options.follow || !console.out.good()) return kExitOk;
    std::this_thread::sleep_for(kFollowEvery);
    query = "/history?n=10000&after=" + std::to_string(last);
  }
}

int pause_command(const AgentChoice& agent, const std::string& for_text, const std::string& reason, Console console) {
  const auto ms = span_ms(for_text);
  if (!ms) return complain(console, ms.error().text, kExitUsage);
  std::vector<std::pair<std::string, std::string>> arguments = {{"reason", reason}};
  if (!ms->empty()) arguments.emplace_back("for_ms", *ms);
  return run_agent_command(agent, "pause", arguments, console);
}

int resume_command(const AgentChoice& agent, Console console) {
  return run_agent_command(agent, "resume", {}, console);
}

int maintenance_command(const AgentChoice& agent, const MaintenanceOptions& o, Console console) {
  if (o.state != "on" && o.state != "off")
    return complain(console, "say on or off: ringagent maintenance " + o.node + " on", kExitUsage);
  const auto ms = span_ms(o.for_text);
  if (!ms) return complain(console, ms.error().text, kExitUsage);
  std::vector<std::pair<std::string, std::string>> arguments = {
      {"node", o.node}, {"state", o.state}, {"reason", o.reason}};
  if (!ms->empty()) arguments.emplace_back("for_ms", *ms);
  const int code = run_agent_command(agent, "maintenance", arguments, console);
  if (code != kExitOk || !o.wait) return code;
  const bool on = o.state == "on";
  return watch_until(agent, console, [&](const json_read::Json& status) -> std::string {
    const auto node = node_in(status, o.node);
    if (!node.is_object()) return "";
    const bool in = json_read::flag(node, "in");
    if (on && in && json_read::str(node, "reason").empty()) {
      console.out << o.node << " is in the ring: the maintenance was over before it could go out\n";
      return "";
    }
    if (on && in) return o.node + " is being drained: what it wrote has not all reached its successor yet";
    if (!on && !in && json_read::str(node, "role") == "ring")
      return o.node + " is " + json_read::str(node, "phase") + ", not in the ring yet";
    console.out << o.node << (on ? " is out: it may be stopped now\n" : " is in the ring\n");
    return "";
  });
}

int leave_command(const AgentChoice& agent, bool wait, Console console) {
  const int code = run_agent_command(agent, "leave", {}, console);
  if (code != kExitOk || !wait) return code;
  return watch_until(agent, console, [&](const json_read::Json& status) -> std::string {
    const std::string self = json_read::str(status, "node");
    if (node_in(status, self).is_object())
      return self + " is being drained: what it wrote has not all reached the others yet";
    console.out << self << " has left the ring; its server follows nobody and is read_only\n";
    return "";
  });
}

int remove_command(const AgentChoice& agent, const std::string& node, Console console) {
  return run_agent_command(agent, "remove", {{"node", node}}, console);
}

int order_command(const AgentChoice& agent, const std::vector<std::string>& nodes, bool wait, Console console) {
  std::vector<std::pair<std::string, std::string>> arguments;
  for (const std::string& node : nodes) arguments.emplace_back("node", node);
  const int code = run_agent_command(agent, "order", arguments, console);
  if (code != kExitOk || !wait) return code;
  return watch_until(agent, console, [&](const json_read::Json& status) -> std::string {
    std::string ring;
    for (const std::string& name : json_read::names(status, "ring")) ring += (ring.empty() ? "" : " -> ") + name;
    const auto& problems = json_read::list(status, "problems");
    const bool moving = std::any_of(problems.begin(), problems.end(), [](const auto& p) {
      return p.is_object() && json_read::str(p, "code") == "reordering";
    });
    if (moving || json_read::names(status, "ring").size() < nodes.size()) return "the ring is " + ring;
    console.out << "the ring is " << ring << ", as asked for\n";
    return "";
  });
}

int writer_command(const AgentChoice& agent, const std::string& node, bool yes, bool wait, Console console) {
  std::vector<std::pair<std::string, std::string>> arguments = {{"node", node}};
  if (yes) arguments.emplace_back("yes", "1");
  const int code = run_agent_command(agent, "writer", arguments, console);
  if (code != kExitOk || !wait) return code;
  return watch_until(agent, console, [&](const json_read::Json& status) -> std::string {
    const std::string writer = json_read::str(status, "writer");
    if (writer != node) {
      console.out << "meanwhile " << (writer.empty() ? "nobody" : writer) << " is the writer\n";
      return "";
    }
    for (const auto& problem : json_read::list(status, "problems")) {
      if (problem.is_object() && json_read::str(problem, "code") == "writer_waits")
        return json_read::str(problem, "text");
    }
    const auto view = node_in(status, node);
    const auto read_only = view.find("read_only");
    if (read_only == view.end() || !read_only->is_boolean() || read_only->get<bool>())
      return node + " is to be the writer and does not take writes yet";
    console.out << node << " takes the writes\n";
    return "";
  });
}

int force_quorum_command(const AgentChoice& agent, const ForceOptions& o, Console console) {
  if (o.yield) return run_agent_command(agent, "force-quorum", {{"yield", "1"}}, console);
  std::vector<std::pair<std::string, std::string>> arguments;
  for (const std::string& node : o.lost) arguments.emplace_back("lost", node);
  if (o.yes) arguments.emplace_back("yes", "1");
  return run_agent_command(agent, "force-quorum", arguments, console);
}

int key_install_command(const AgentChoice& agent, const std::string& file, Console console) {
  const auto text = read_key(file);
  if (!text) return complain(console, text.error().text, kExitUsage);
  const auto keys = KeyRing::parse(*text);
  if (!keys) return complain(console, file + ": " + keys.error().text, kExitUsage);
  if (keys->keys().size() != 1)
    return complain(console, file + " holds " + std::to_string(keys->keys().size()) + " keys; install one at a time",
                    kExitUsage);
  return run_agent_command(agent, "key-install", {{"key", key_text(keys->primary())}}, console);
}

int key_use_command(const AgentChoice& agent, const std::string& fingerprint, Console console) {
  const int code = run_agent_command(agent, "key-use", {{"key", fingerprint}}, console);
  if (code == kExitOk)
    console.out
        << "put it first into key_file on every node, too: an agent that loses its state directory, and a node that "
           "is new, have nothing else\n";
  return code;
}

int key_remove_command(const AgentChoice& agent, const std::string& fingerprint, bool force, Console console) {
  std::vector<std::pair<std::string, std::string>> arguments = {{"key", fingerprint}};
  if (force) arguments.emplace_back("force", "1");
  return run_agent_command(agent, "key-remove", arguments, console);
}

int key_list_command(const AgentChoice& agent, Console console) {
  int code = kExitOk;
  const auto answer = ask(agent, "/status", console, code);
  if (!answer) return code;
  const auto text = key_table(*answer);
  if (!text) return complain(console, text.error().text, kExitNoAgent);
  console.out << *text;
  return kExitOk;
}

int keygen_command(const std::string& path, Console console) {
  if (!init_crypto()) return complain(console, "the system gives no randomness", kExitRefused);
  std::string key = generate_key_text();
  if (!key.ends_with('\n')) key += '\n';
  if (path.empty()) {
    console.out << key;
    return kExitOk;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    return complain(console, path + " exists: a key in use is not overwritten; choose another file", kExitRefused);
  }
  if (fd < 0) return complain(console, "cannot write " + path + ": " + std::strerror(errno), kExitRefused);
  const bool written = ::write(fd, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(fd) == 0;
  const std::string why = std::strerror(errno);
  ::close(fd);
  if (written) return kExitOk;
  ::unlink(path.c_str());
  return complain(console, "cannot write " + path + ": " + why, kExitRefused);
}

int version_command(Console console) {
  console.out << "ringagent " << RINGAGENT_VERSION << "\n"
              << "build: compiler " << __VERSION__ << ", C++ " << __cplusplus / 100 % 100 << "\n"
              << "client library: " << Client::library() << "\n";
  return kExitOk;
}

int run_command(const std::string& config, Console console) {
  const auto settings = load_settings(config);
  if (!settings) {
    print_faults(console.err, config, settings.error());
    return kExitConfig;
  }
  if (const auto keys = read_keys(*settings); !keys) return complain(console, keys.error().text, kExitConfig);
  return run_daemon(*settings, config);
}

}  // namespace ringagent
