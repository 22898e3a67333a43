#include "agent/commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/config_file.h"
#include "agent/daemon.h"
#include "agent/json_read.h"
#include "agent/status.h"
#include "agent/table.h"
#include "agent/terminal.h"
#include "config/duration.h"
#include "gossip/seal_key.h"
#include "mysql/client.h"

namespace ringagent {
namespace {

constexpr Duration kFollowEvery = 500ms;

int complain(Console console, const std::string& line, int code) {
  console.err << "ringagent: " << line << "\n";
  return code;
}

// Where the agent listens; none if --config is wrong.
std::optional<std::string> socket_of(const AgentChoice& agent, Console console) {
  if (!agent.socket.empty()) return agent.socket;
  const std::string usual = Settings{}.socket;
  if (agent.config.empty() && ::access(kDefaultConfig, F_OK) != 0) return usual;
  const std::string path = agent.config.empty() ? kDefaultConfig : agent.config;
  const auto settings = settings_without_secrets(path);
  if (settings) return settings->socket;
  print_faults(console.err, path, settings.error());
  if (!agent.config.empty()) return std::nullopt;
  console.err << "ringagent: trying " << usual << "\n";  // the agent that runs may still have a good config
  return usual;
}

// The body of an answer with status 200; else it was said on `err` and `code` is what to exit with.
std::optional<std::string> ask(const AgentChoice& agent, const std::string& path, Console console, int& code) {
  const auto socket = socket_of(agent, console);
  if (!socket) {
    code = kExitConfig;
    return std::nullopt;
  }
  const auto answer = ApiClient(*socket).get(path);
  if (answer && answer->status == 200) return answer->body;
  std::string text = answer ? answer->body : answer.error().text;
  while (text.ends_with('\n')) text.pop_back();
  code = complain(console, printable(text), kExitNoAgent);
  return std::nullopt;
}

std::string health_of(const std::string& status) {
  const auto json = json_read::Json::parse(status, nullptr, false);
  return json.is_object() ? json_read::str(json, "health") : std::string();
}

int run_agent_command(const AgentChoice& agent, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& arguments, Console console) {
  const auto socket = socket_of(agent, console);
  if (!socket) return kExitConfig;
  const auto outcome = ApiClient(*socket).command(name, arguments);
  if (!outcome) return complain(console, outcome.error().text, kExitNoAgent);
  if (!outcome->ok) return complain(console, outcome->text, kExitRefused);
  console.out << outcome->text << "\n";
  return kExitOk;
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
  std::vector<std::pair<std::string, std::string>> arguments = {{"reason", reason}};
  if (!for_text.empty()) {
    const auto span = parse_duration(for_text);
    if (!span) return complain(console, "--for: " + span.error().text, kExitUsage);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*span).count();
    if (ms == 0) return complain(console, "--for: a pause of no length is none", kExitUsage);
    arguments.emplace_back("for_ms", std::to_string(ms));
  }
  return run_agent_command(agent, "pause", arguments, console);
}

int resume_command(const AgentChoice& agent, Console console) {
  return run_agent_command(agent, "resume", {}, console);
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
  return run_daemon(*settings, config);
}

}  // namespace ringagent
