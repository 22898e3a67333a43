#include "agent/asking.h"

#include <unistd.h>

#include <ostream>
#include <thread>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/config_file.h"
#include "config/settings.h"

namespace ringagent {
namespace {

constexpr Duration kWatchEvery = 200ms;

}  // namespace

int complain(Console console, const std::string& line, int code) {
  console.err << "ringagent: " << line << "\n";
  return code;
}

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

std::optional<json_read::Json> ask_status(const AgentChoice& agent, Console console, int& code) {
  const auto answer = ask(agent, "/status", console, code);
  if (!answer) return std::nullopt;
  auto status = json_read::Json::parse(*answer, nullptr, false);
  if (status.is_object()) return status;
  code = complain(console, "the agent's answer is not a JSON object", kExitNoAgent);
  return std::nullopt;
}

json_read::Json node_in(const json_read::Json& status, const std::string& name) {
  for (const auto& node : json_read::list(status, "nodes")) {
    if (node.is_object() && json_read::str(node, "name") == name) return node;
  }
  return {};
}

int watch_until(const AgentChoice& agent, Console console,
                const std::function<std::string(const json_read::Json&)>& over) {
  std::string before;
  for (;;) {
    int code = kExitOk;
    const auto status = ask_status(agent, console, code);
    if (!status) return code;
    const std::string missing = over(*status);
    if (missing.empty()) return kExitOk;
    if (missing != before) console.out << missing << "\n" << std::flush;
    before = missing;
    std::this_thread::sleep_for(kWatchEvery);
  }
}

int run_agent_command(const AgentChoice& agent, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& arguments, Console console) {
  const auto socket = socket_of(agent, console);
  if (!socket) return kExitConfig;
  const auto outcome = ApiClient(*socket).command(name, arguments);
  if (!outcome) return complain(console, outcome.error().text, kExitNoAgent);
  if (!outcome->ok) return complain(console, outcome->text, kExitRefused);
  console.out << outcome->text << "\n" << std::flush;
  return kExitOk;
}

}  // namespace ringagent
