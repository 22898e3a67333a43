#include "agent/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <ostream>

#include "agent/commands.h"
#include "config/duration.h"

namespace ringagent {
namespace {

// Named in contract.md, but not built yet.
constexpr std::array kLater = {"init", "join", "reseed", "stranded", "key"};

// What the command line said.
struct Words {
  AgentChoice agent;
  bool json = false;
  std::string interval = "1s";
  HistoryOptions history;
  std::string for_text;
  std::string reason;
  std::string out_file;
  SetupOptions setup;
  bool no_wait = false;
  std::string node;
  std::vector<std::string> nodes;
  MaintenanceOptions maintenance;
  ForceOptions force;
  bool old_one_down = false;
};

using Action = std::function<int(Console)>;

class CommandLine {
 public:
  CommandLine() : app_("Agents that keep a MySQL or MariaDB replication ring whole.", "ringagent") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--socket", words_.agent.socket, "the agent's unix socket");
    app_.add_option("--config", words_.agent.config,
                    std::string("the agent's config (default: ") + kDefaultConfig + ")");
    app_.footer("ringagent COMMAND --help tells more. Example: ringagent status");
    add_agent_commands();
    add_other_commands();
  }

  int run(std::vector<std::string> arguments, Console console) {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    const std::string first = first_word(arguments);
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::Success& help) {
      app_.exit(help, console.out, console.err);
      return kExitOk;
    } catch (const CLI::ParseError& error) {
      console.err << "ringagent: " << complaint(first, error) << "\n";
      return kExitUsage;
    }
    return actions_.at(app_.get_subcommands().front()->get_name())(console);
  }

 private:
  CLI::App* add(const std::string& name, const std::string& what, const std::string& example, Action action) {
    CLI::App* sub = app_.add_subcommand(name, what);
    sub->footer("--socket PATH or --config FILE choose the agent. Example: ringagent " + example);
    actions_[name] = std::move(action);
    return sub;
  }

  void add_agent_commands() {
    Words& w = words_;
    auto* status = add("status", "ring, nodes, links, lag, problems; exit 0 ok, 1 degraded, 2 critical, 3 no agent",
                       "status --json", [&w](Console c) { return status_command(w.agent, w.json, c); });
    status->add_flag("--json", w.json, "for programs");
    auto* watch = add("watch", "status, live, redrawn in place", "watch --interval 2s", [&w](Console c) {
      const auto period = parse_duration(w.interval);
      return period ? watch_command(w.agent, *period, c) : usage("--interval: " + period.error().text, c);
    });
    watch->add_option("--interval", w.interval, "time between two looks (default: 1s)");
    auto* plan = add("plan", "what the agent would do to its MySQL now: the SQL, or why nothing", "plan",
                     [&w](Console c) { return plan_command(w.agent, w.json, c); });
    plan->add_flag("--json", w.json, "for programs");
    auto* history = add("history", "decided epochs and actions: when, what, why, who, how long",
                        "history -n 50 --follow", [&w](Console c) {
                          w.history.json = w.json;
                          return history_command(w.agent, w.history, c);
                        });
    history->add_option("-n", w.history.count, "how many of the newest (default: 20)");
    history->add_flag("--json", w.json, "a JSON array; with --follow one object a line");
    history->add_flag("--follow", w.history.follow, "go on with what happens");
    auto* pause =
        add("pause", "no automatic change anywhere in the ring until resumed", "pause --for 30m --reason disks",
            [&w](Console c) { return pause_command(w.agent, w.for_text, w.reason, c); });
    pause->add_option("--for", w.for_text, "resume by itself after this time, such as 30m");
    pause->add_option("--reason", w.reason, "shown to everybody");
    add("resume", "end a pause; put a link right that was changed by hand", "resume",
        [&w](Console c) { return resume_command(w.agent, c); });
    add_planning_commands();
  }

  void add_planning_commands() {
    Words& w = words_;
    auto* maintenance =
        add("maintenance", "planned absence of a node: drained, then out, until off or the time is over",
            "maintenance db3 on --for 30m --reason disks", [&w](Console c) {
              w.maintenance.for_text = w.for_text;
              w.maintenance.reason = w.reason;
              w.maintenance.wait = !w.no_wait;
              return maintenance_command(w.agent, w.maintenance, c);
            });
    maintenance->add_option("node", w.maintenance.node, "which node")->required();
    maintenance->add_option("state", w.maintenance.state, "on or off")->required();
    maintenance->add_option("--for", w.for_text, "it ends by itself after this time, such as 30m");
    maintenance->add_option("--reason", w.reason, "shown to everybody");
    maintenance->add_flag("--no-wait", w.no_wait, "return when it is decided, not when it is done");
    auto* leave = add("leave", "this node leaves the ring for good: drained first, nothing is lost", "leave",
                      [&w](Console c) { return leave_command(w.agent, !w.no_wait, c); });
    leave->add_flag("--no-wait", w.no_wait, "return when it is decided, not when it is done");
    auto* remove = add("remove", "take a dead node out for good", "remove db3",
                       [&w](Console c) { return remove_command(w.agent, w.node, c); });
    remove->add_option("node", w.node, "which node")->required();
    auto* order = add("order", "decide a new ring order; nodes are moved one at a time", "order db1 db3 db2 db4",
                      [&w](Console c) { return order_command(w.agent, w.nodes, !w.no_wait, c); });
    order->add_option("nodes", w.nodes, "all nodes, each following the one before it")->required();
    order->add_flag("--no-wait", w.no_wait, "return when it is decided, not when it is done");
    auto* writer =
        add("writer", "move the one writer ([ring] writers = \"one\") to this node; no commit is lost", "writer db2",
            [&w](Console c) { return writer_command(w.agent, w.node, w.old_one_down, !w.no_wait, c); });
    writer->add_option("node", w.node, "which node is to take the writes")->required();
    writer->add_flag("--yes-the-old-one-is-down", w.old_one_down,
                     "you have made sure that the old writer's server is down: nobody else can know");
    writer->add_flag("--no-wait", w.no_wait, "return when it is decided, not when it takes writes");
    auto* force = add("force-quorum", "the majority is lost for good: the survivors go on without it",
                      "force-quorum --lost db1 db2 --yes-i-verified-they-are-down",
                      [&w](Console c) { return force_quorum_command(w.agent, w.force, c); });
    force->add_option("--lost", w.force.lost, "every member that is lost");
    force->add_flag("--yes-i-verified-they-are-down", w.force.yes, "their servers and agents are down and stay down");
    force->add_flag("--yield", w.force.yield, "this side gives way, where two sides were forced");
  }

  void add_other_commands() {
    Words& w = words_;
    add("run", "the agent, in the foreground (what systemd starts)", "run --config /etc/ringagent/ringagent.toml",
        [&w](Console c) { return run_command(config(w.agent), c); });
    auto* check = add("check", "lint config, server and ring; changes nothing; exit 0 clean, 1 warnings, 2 errors",
                      "check --json", [&w](Console c) { return check_command(w.agent, w.json, c); });
    check->add_flag("--json", w.json, "for programs");
    auto* setup =
        add("setup", "create the two MySQL accounts and the server's config snippet", "setup --print", [&w](Console c) {
          w.setup.config = config(w.agent);
          return setup_command(w.setup, c);
        });
    setup->add_flag("--print", w.setup.print, "show what would be done, with placeholders for passwords");
    setup->add_option("--user", w.setup.user, "the administrator (default: root)");
    setup->add_option("--password-file", w.setup.password_file, "the administrator's password (default: none)");
    setup->add_option("--mysql-socket", w.setup.mysql_socket, "the server's socket (default: as in the config)");
    setup->add_option("--server-version", w.setup.server_version,
                      "with --print: for a server of this version, such as 10.11.6-MariaDB, instead of asking one");
    setup->add_option("--server-id", w.setup.server_id, "default: the server's own, or its place in [ring] initial");
    setup->add_option("--replication-host", w.setup.replication_host, "from where the others come in (default: %)");
    setup->add_option("--snippet", w.setup.snippet_file,
                      "where the config snippet goes (default: the server's conf.d)");
    setup->add_flag("--force", w.setup.force, "replace a snippet that differs");
    auto* keygen =
        add("keygen", "a new gossip key, to standard output or into a file (0600)",
            "keygen --out /etc/ringagent/gossip.key", [&w](Console c) { return keygen_command(w.out_file, c); });
    keygen->add_option("--out", w.out_file, "a file that does not exist yet");
    add("version", "version, build, client library", "version", [](Console c) { return version_command(c); });
  }

  static std::string config(const AgentChoice& agent) { return agent.config.empty() ? kDefaultConfig : agent.config; }

  static int usage(const std::string& line, Console console) {
    console.err << "ringagent: " << line << "\n";
    return kExitUsage;
  }

  // The command that was meant: the first word that is neither an option nor the value of --socket or
  // --config.
  static std::string first_word(const std::vector<std::string>& reversed) {
    for (std::size_t i = reversed.size(); i-- > 0;) {
      const std::string& word = reversed[i];
      if (word == "--socket" || word == "--config") {
        if (i > 0) --i;
      } else if (!word.starts_with("-")) {
        return word;
      }
    }
    return {};
  }

  std::string known() const {
    std::string out;
    for (const auto* sub : app_.get_subcommands([](const CLI::App*) { return true; })) {
      out += (out.empty() ? "" : ", ") + sub->get_name();
    }
    return out;
  }

  std::string complaint(const std::string& first, const CLI::ParseError& error) const {
    const bool none = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    if (first.empty() && none) return "which command? There are: " + known();
    if (first.empty()) return std::string(error.what()) + " (see ringagent --help)";
    if (std::find(kLater.begin(), kLater.end(), first) != kLater.end()) {
      return "the command `" + first + "` comes in a later version; there are: " + known();
    }
    if (actions_.find(first) == actions_.end()) return "there is no command `" + first + "`; there are: " + known();
    std::string text = error.what();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text + " (see ringagent " + first + " --help)";
  }

  Words words_;
  CLI::App app_;
  std::map<std::string, Action> actions_;
};

}  // namespace

int run_cli(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
  return CommandLine().run(std::move(arguments), {out, err});
}

}  // namespace ringagent
