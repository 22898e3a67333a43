#include <algorithm>
#include <future>
#include <ostream>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/commands.h"
#include "agent/config_file.h"
#include "agent/json_read.h"
#include "agent/settings_map.h"
#include "agent/terminal.h"
#include "mysql/preconditions.h"

// `ringagent check`: three looks, each of which works without the others: at the config, at the local server
// with the agent's own account, and at the ring through the agent that runs, if one does.
namespace ringagent {
namespace {

using Severity = Finding::Severity;
using json_read::Json;

constexpr Duration kSurveyDeadline = 5s;

struct Placed {
  std::string where;  // config | server | ring
  Finding finding;
};

void add(std::vector<Placed>& findings, const char* where, Severity severity, std::string code, std::string text,
         std::string mend = "", std::string hazard = "") {
  findings.push_back({where, {severity, std::move(code), std::move(hazard), std::move(text), std::move(mend)}});
}

// Everything that the agent would ask for on a new connection.
PollAnswer survey(const Settings& settings) {
  std::promise<PollAnswer> answered;
  Worker worker(worker_settings(settings, "check"),
                [&](Answer answer) { answered.set_value(std::get<PollAnswer>(std::move(answer))); });
  worker.submit(PollJob{1, true, kSurveyDeadline});
  return answered.get_future().get();
}

// How to get in, for the ways in which a first try usually fails.
std::string mend_of(const SqlError& error, const Settings& settings) {
  const bool by_system_user = settings.mysql.password.empty();
  if (error.kind != SqlErrorKind::denied) return "is the server running, and is [mysql] right?";
  if (by_system_user) {
    return "run this as the user that the agent runs as (sudo -u " + settings.mysql.user +
           " ringagent check); if the account is missing: ringagent setup";
  }
  return "if the account is missing: ringagent setup; else compare its password with [mysql] password_file";
}

void look_at_server(const Settings& settings, const RingView& ring, std::vector<Placed>& findings) {
  if (settings.ring.role == Role::witness) return;
  const PollAnswer answer = survey(settings);
  if (!answer.result) {
    const SqlError& error = answer.result.error();
    add(findings, "server", Severity::error, "server_not_reached",
        "the local server cannot be asked: " + error.text + " (" + to_string(error.kind) + ")",
        mend_of(error, settings));
    return;
  }
  for (auto& finding : preconditions(*answer.result, ring)) findings.push_back({"server", std::move(finding)});
}

// What the agent that runs knows; null if none does.
Json running_status(const std::string& socket, std::vector<Placed>& findings) {
  const auto answer = ApiClient(socket).get("/status");
  if (answer && answer->status == 200) {
    Json json = Json::parse(answer->body, nullptr, false);
    if (json.is_object()) return json;
  }
  add(findings, "ring", Severity::warning, "agent_not_running",
      "the ring cannot be looked at: " + (answer ? "the agent answers with nothing yet" : answer.error().text),
      "start the agent: systemctl start ringagent");
  return Json(nullptr);
}

RingView ring_view(const Settings& settings, const Json& status) {
  RingView ring;
  ring.ring_size = settings.ring.initial.size();
  if (!status.is_object()) return ring;
  for (const auto& node : json_read::list(status, "nodes")) {
    const auto id = json_read::number(node, "server_id").value_or(0);
    if (json_read::str(node, "name") == settings.node || id == 0) continue;
    ring.peer_server_ids.push_back(static_cast<std::uint32_t>(id));
  }
  ring.ring_size = std::max(ring.ring_size, json_read::list(status, "nodes").size());
  return ring;
}

// The agent's problems, without those that the look at the server has found already.
void add_problems(const Settings& settings, const Json& status, std::vector<Placed>& findings) {
  if (!status.is_object()) return;
  for (const auto& problem : json_read::list(status, "problems")) {
    const std::string code = json_read::str(problem, "code");
    const bool own = json_read::str(problem, "node") == settings.node;
    const bool known =
        own && std::any_of(findings.begin(), findings.end(), [&](const Placed& p) { return p.finding.code == code; });
    if (known) continue;
    const bool warning = json_read::str(problem, "severity") == "warning";
    add(findings, "ring", warning ? Severity::warning : Severity::error, code, json_read::str(problem, "text"));
  }
}

const char* word(Severity severity) {
  return severity == Severity::warning ? "warning" : "error";
}

std::string as_json(const std::vector<Placed>& findings) {
  Json list = Json::array();
  for (const auto& [where, f] : findings) {
    list.push_back({{"severity", word(f.severity)},
                    {"where", where},
                    {"code", f.code},
                    {"hazard", f.hazard.empty() ? Json(nullptr) : Json(f.hazard)},
                    {"text", f.text},
                    {"mend", f.mend.empty() ? Json(nullptr) : Json(f.mend)}});
  }
  const Json json = {{"format", 1}, {"findings", list}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_text(const std::vector<Placed>& findings, TableStyle style) {
  if (findings.empty()) return "nothing found: config, server and ring are as they should be\n";
  std::string out;
  std::size_t errors = 0;
  for (const auto& [where, f] : findings) {
    const bool error = f.severity == Severity::error;
    errors += error ? 1 : 0;
    const std::string head = std::string(word(f.severity)) + " " + (f.hazard.empty() ? "" : f.hazard + " ") + f.code;
    out += painted(error ? Paint::red : Paint::yellow, head, style.colour) + " (" + where + ")\n";
    out += "  " + wrapped(printable(f.text), style.width - 2, 2) + "\n";
    if (!f.mend.empty()) out += "  " + wrapped("mend: " + printable(f.mend), style.width - 2, 2) + "\n";
  }
  return out + "\n" + std::to_string(errors) + " errors, " + std::to_string(findings.size() - errors) + " warnings\n";
}

int exit_code(const std::vector<Placed>& findings) {
  int code = kExitOk;
  for (const auto& placed : findings) {
    code = std::max<int>(code, placed.finding.severity == Severity::error ? kExitCritical : kExitRefused);
  }
  return code;
}

}  // namespace

int check_command(const AgentChoice& agent, bool json, Console console) {
  std::vector<Placed> findings;
  const std::string path = agent.config.empty() ? kDefaultConfig : agent.config;
  const auto settings = load_settings(path);
  if (settings) {
    if (const auto keys = read_keys(*settings); !keys)
      add(findings, "config", Severity::error, "config", keys.error().text);
    const Json status = running_status(agent.socket.empty() ? settings->socket : agent.socket, findings);
    look_at_server(*settings, ring_view(*settings, status), findings);
    add_problems(*settings, status, findings);
  } else {
    for (const auto& fault : settings.error()) {
      add(findings, "config", Severity::error, "config", fault_text(path, fault));
    }
  }
  std::stable_sort(findings.begin(), findings.end(), [](const Placed& a, const Placed& b) {
    return a.finding.severity == Severity::error && b.finding.severity != Severity::error;
  });
  console.out << (json ? as_json(findings) : as_text(findings, stdout_style()));
  return exit_code(findings);
}

}  // namespace ringagent
