#include <unistd.h>

#include <iostream>
#include <ostream>

#include "agent/api.h"
#include "agent/asking.h"
#include "agent/cli.h"
#include "agent/config_file.h"
#include "agent/copy.h"
#include "agent/donor.h"
#include "agent/settings_map.h"
#include "agent/terminal.h"

// `ringagent init`, `join` and `reseed`: the agents agree on who may be overwritten and when, this program does it as
// an administrator. Each can be run again at any time, and goes on from where the agent and the mark of the copy say
// that it is.
namespace ringagent {
namespace {

using json_read::Json;

// The exit code of a step that failed, after it has been said why; or what it gives.
template <class T>
using Step = tl::expected<T, int>;

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i) out += (i ? ", " : "") + printable(names[i]);
  return names.size() > kNamed ? out + " and " + std::to_string(names.size() - kNamed) + " more" : out;
}

std::string arrows(const Json& status) {
  std::string out;
  for (const std::string& name : json_read::names(status, "ring")) out += (out.empty() ? "" : " -> ") + name;
  return out;
}

// In the ring, and not on its way out of it; or, for who has no place in it, following it.
bool arrived(const Json& node) {
  if (json_read::flag(node, "in")) return json_read::str(node, "reason").empty();
  if (json_read::str(node, "role") == "ring") return false;
  for (const auto& link : json_read::list(node, "upstreams")) {
    if (link.is_object() && json_read::flag(link, "desired") && json_read::str(link, "io") == "running" &&
        json_read::str(link, "sql") == "running")
      return true;
  }
  return false;
}

// What a node that is not there yet waits for, in its agent's words.
std::string standing(const Json& node, const std::string& name) {
  std::string out = name;
  const std::string phase = json_read::str(node, "phase");
  if (!phase.empty()) out += " is " + phase;
  for (const char* key : {"reason", "blocked"}) {
    const std::string text = json_read::str(node, key);
    if (!text.empty()) out += (out == name ? ": " : "; ") + text;
  }
  return out == name ? name + " is not in the ring yet" : out;
}

// The ring waits for a copy of its data.
bool awaited(const Json& status, const std::string& self) {
  return json_read::str(node_in(status, self), "reason") == "copying";
}

// ... and the data may be overwritten.
bool copying(const Json& status, const std::string& self) {
  return json_read::str(node_in(status, self), "phase") == "copying";
}

class Copying {
 public:
  Copying(const AgentChoice& agent, const CopyOptions& options, Console console, std::string again)
      : agent_(agent), options_(options), console_(console), again_(std::move(again)) {}

  // Reads the config and logs in.
  Step<void> begin() {
    const std::string path = agent_.config.empty() ? kDefaultConfig : agent_.config;
    auto settings = load_settings(path);
    if (!settings) {
      print_faults(console_.err, path, settings.error());
      return tl::unexpected<int>(kExitConfig);
    }
    settings_ = std::move(*settings);
    if (agent_.socket.empty()) agent_.socket = settings_.socket;
    auto admin = admin_connection(options_.admin, settings_);
    if (!admin) return refuse(admin.error().text);
    admin_ = std::move(*admin);
    donor_account_ = remote_connection(settings_);
    if (!options_.donor_user.empty()) {
      donor_account_.user = options_.donor_user;
      donor_account_.password.clear();
    }
    if (!options_.donor_password_file.empty()) {
      auto password = first_line(options_.donor_password_file);
      if (!password) return refuse(password.error().text);
      donor_account_.password = std::move(*password);
    }
    return look();
  }

  // What is on the server now.
  Step<void> look() {
    auto local = look_at_local(admin_);
    if (!local) return refuse(local.error().text);
    auto state = copy_state(*local, settings_.state_dir);
    if (!state) return refuse(state.error().text);
    auto schemas = schemas_of(local->client);
    if (!schemas) return refuse(schemas.error().text);
    state_ = *state;
    data_ = std::move(schemas->data);
    return {};
  }

  CopyState state() const { return state_; }
  // Schemas that are somebody's data, and not a copy that was begun here.
  std::vector<std::string> data() const { return state_ == CopyState::none ? data_ : std::vector<std::string>(); }
  const std::string& self() const { return settings_.node; }
  const AgentChoice& agent() const { return agent_; }
  Console console() const { return console_; }

  Step<Json> status() const {
    int code = kExitOk;
    auto status = ask_status(agent_, console_, code);
    if (!status) return tl::unexpected(code);
    return std::move(*status);
  }

  Step<Donor> donor(const Json& status) const {
    auto donor = choose_donor(status, self(), options_.donor);
    if (!donor) return refuse(donor.error().text);
    return std::move(*donor);
  }

  // A copy that was completed, and that the ring does not wait for any more: what is there is data like any other.
  Step<void> forget_what_is_over(const Json& status) {
    return state_ == CopyState::complete && !awaited(status, self()) ? forget_mark() : Step<void>();
  }

  Step<void> forget_mark() {
    auto local = look_at_local(admin_);
    if (!local) return refuse(local.error().text);
    if (auto cleared = clear_mark_of(*local, settings_.state_dir); !cleared) return refuse(cleared.error().text);
    state_ = CopyState::none;
    return {};
  }

  // The data are there already, says a person.
  Step<void> take_what_was_brought() {
    const auto now = status();
    if (!now) return tl::unexpected(now.error());
    auto local = look_at_local(admin_);
    if (!local) return refuse(local.error().text);
    if (const auto settled = settle_brought(*local, positions_of_others(*now, self()), data().empty(), console_.out);
        !settled)
      return refuse(settled.error().text + "; to go on: " + again_ + " --data none");
    return {};
  }

  // The agent says that the data may be overwritten. `asked`: and a person has said so.
  Step<void> make(bool asked) {
    if (auto looked = look(); !looked) return looked;
    if (!asked && !data().empty()) return refuse(not_empty());
    const auto now = status();
    if (!now) return tl::unexpected(now.error());
    const auto from = donor(*now);
    if (!from) return tl::unexpected(from.error());
    const Interrupt interrupt;
    const CopyScreen screen{console_.out, stdout_is_terminal(), stdout_style().width};
    if (auto done = copy_data(job(*now, *from), screen, interrupt); !done)
      return refuse(done.error().text + "; to go on: " + again_);
    return {};
  }

  int copied() {
    // CLONE has restarted the server, and its agent may not have seen it yet.
    const int seen = watch_until(agent_, console_, [&](const Json& status) {
      return json_read::str(node_in(status, self()), "mysql") == "up"
                 ? std::string()
                 : "its agent does not see that the server is up yet";
    });
    if (seen != kExitOk) return seen;
    if (const int code = run_agent_command(agent_, "copied", {}, console_); code != kExitOk) return code;
    if (const auto forgotten = forget_mark(); !forgotten) return forgotten.error();
    return kExitOk;
  }

  int await_ring() const {
    return watch_until(agent_, console_, [&](const Json& status) -> std::string {
      const auto node = node_in(status, self());
      if (!node.is_object()) return self() + " is no member of the ring yet";
      if (!arrived(node)) return standing(node, self());
      const bool in = json_read::flag(node, "in");
      console_.out << self() << (in ? " is in the ring: " + arrows(status) : " follows the ring") << "\n";
      return "";
    });
  }

  std::string half_copied() const {
    return "what is on the server of " + self() + " is half a copy: " + again_ +
           " goes on with it. If it has been replaced by hand since: DROP DATABASE " + std::string(kCopySchema) +
           " there (MySQL: remove " + settings_.state_dir + "/copy.json)";
  }

  std::string not_empty() const {
    return "the server of " + self() + " is not empty: " + listed(data()) + (data().size() == 1 ? " is" : " are") +
           " there. If that is a copy of the ring's data already: ringagent join --data none; if it may be "
           "overwritten, "
           "drop it first";
  }

  tl::unexpected<int> refuse(const std::string& line) const {
    return tl::unexpected<int>(complain(console_, line, kExitRefused));
  }

 private:
  CopyJob job(const Json& status, const Donor& from) const {
    CopyJob job;
    job.local = admin_;
    job.donor = donor_account_;
    job.donor.address = from.address;
    job.donor_name = from.name;
    if (options_.method == "clone") job.method = CopyMethod::clone;
    if (options_.method == "dump") job.method = CopyMethod::dump;
    job.positions = positions_of_others(status, self());
    job.agent = local_connection(settings_);
    job.accounts = account_settings(settings_);
    job.state_dir = settings_.state_dir;
    return job;
  }

  AgentChoice agent_;
  CopyOptions options_;
  Console console_;
  std::string again_;  // what to type to go on
  Settings settings_;
  ConnectSettings admin_;
  ConnectSettings donor_account_;
  CopyState state_ = CopyState::none;
  std::vector<std::string> data_;
};

// Waits until the data may be overwritten, makes the copy, and tells the agent.
int copy_and_come_in(Copying& copy, const std::function<Step<void>()>& make) {
  const std::string& self = copy.self();
  const int code = watch_until(copy.agent(), copy.console(), [&](const Json& status) -> std::string {
    const auto node = node_in(status, self);
    if (!node.is_object()) return self + " is no member of the ring yet";
    if (copying(status, self) || !awaited(status, self)) return "";
    return standing(node, self);
  });
  if (code != kExitOk) return code;
  const auto status = copy.status();
  if (!status) return status.error();
  if (copying(*status, self)) {
    if (const auto made = make(); !made) return made.error();
    if (const int told = copy.copied(); told != kExitOk) return told;
  }
  return copy.await_ring();
}

bool said_yes(const std::string& question, Console console) {
  console.out << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int wrong(const std::string& line, Console console) {
  return complain(console, line, kExitUsage);
}

std::string method_fault(const std::string& method) {
  const bool known = method == "auto" || method == "clone" || method == "dump";
  return known ? "" : "--method " + method + ": auto, clone or dump";
}

}  // namespace

int init_command(const AgentChoice& agent, bool abandon, Console console) {
  if (abandon) return run_agent_command(agent, "init", {{"abandon", "1"}}, console);
  if (const int code = run_agent_command(agent, "init", {}, console); code != kExitOk) return code;
  return watch_until(agent, console, [&](const Json& status) -> std::string {
    const std::string self = json_read::str(status, "node");
    const auto node = node_in(status, self);
    if (!node.is_object()) return "the ring is being formed";
    if (!json_read::flag(node, "in")) return standing(node, self);
    console.out << "the next node joins with: ringagent join " << json_read::str(node, "gossip_address") << "\n";
    return "";
  });
}

int join_command(const AgentChoice& agent, const JoinOptions& options, Console console) {
  if (const auto address = Address::parse(options.address); !address)
    return wrong(address.error().text + ": the gossip address of a member, such as 10.0.0.1:7946", console);
  if (!options.role.empty() && options.role != "ring" && options.role != "leaf" && options.role != "spare")
    return wrong("--role " + options.role + ": ring, leaf or spare", console);
  if (options.data != "auto" && options.data != "none")
    return wrong("--data " + options.data + ": auto or none", console);
  if (const auto fault = method_fault(options.copy.method); !fault.empty()) return wrong(fault, console);
  Copying copy(agent, options.copy, console, "ringagent join " + options.address);
  if (const auto begun = copy.begin(); !begun) return begun.error();
  const auto status = copy.status();
  if (!status) return status.error();
  if (const auto forgotten = copy.forget_what_is_over(*status); !forgotten) return forgotten.error();
  const bool wanted = options.data == "auto";
  // A member that has data and is not being copied is on its way in already.
  const bool underway =
      node_in(*status, copy.self()).is_object() && !awaited(*status, copy.self()) && !copy.data().empty();
  if (wanted && !underway && !copy.data().empty()) return complain(console, copy.not_empty(), kExitRefused);
  if (!wanted && copy.state() == CopyState::begun) return complain(console, copy.half_copied(), kExitRefused);
  std::vector<std::pair<std::string, std::string>> arguments = {{"address", options.address}};
  if (!options.role.empty()) arguments.emplace_back("role", options.role);
  if (!options.after.empty()) arguments.emplace_back("after", options.after);
  if (const int code = run_agent_command(copy.agent(), "join", arguments, console); code != kExitOk) return code;
  if (underway) return copy.await_ring();
  return copy_and_come_in(copy, [&] { return wanted ? copy.make(false) : copy.take_what_was_brought(); });
}

int reseed_command(const AgentChoice& agent, const ReseedOptions& options, Console console) {
  if (const auto fault = method_fault(options.copy.method); !fault.empty()) return wrong(fault, console);
  Copying copy(agent, options.copy, console, "ringagent reseed --yes");
  if (const auto begun = copy.begin(); !begun) return begun.error();
  const auto status = copy.status();
  if (!status) return status.error();
  if (!node_in(*status, copy.self()).is_object())
    return complain(console, copy.self() + " is no member of a ring: ringagent join HOST:PORT", kExitRefused);
  if (const auto forgotten = copy.forget_what_is_over(*status); !forgotten) return forgotten.error();
  const auto donor = copy.donor(*status);
  if (!donor) return donor.error();
  if (!copy.data().empty() && !options.yes) {
    const std::string what =
        "overwrite all data of " + copy.self() + " (" + listed(copy.data()) + ") with a copy of " + donor->name + "?";
    if (::isatty(STDIN_FILENO) != 1) return complain(console, what + " Say so with --yes", kExitRefused);
    if (!said_yes(what, console)) return complain(console, "nothing was changed", kExitRefused);
  }
  if (const int code = run_agent_command(copy.agent(), "reseed", {}, console); code != kExitOk) return code;
  return copy_and_come_in(copy, [&] { return copy.make(true); });
}

}  // namespace ringagent
