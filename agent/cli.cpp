#include "agent/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <ostream>

#include "agent/commands.h"
#include "agent/stranded_command.h"
#include "config/duration.h"

namespace ringagent {
namespace {

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
  JoinOptions join;
  ReseedOptions reseed;
  CopyOptions copy;
  bool no_wait = false;
  bool abandon_formation = false;
  std::string node;
  std::vector<std::string> nodes;
  MaintenanceOptions maintenance;
  ForceOptions force;
  std::string key_file;
  std::string fingerprint;
  bool key_force = false;
  StrandedOptions stranded;
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
    // As other programs have it.
    if (arguments.size() == 1 && arguments.front() == "--version") arguments = {"version"};
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
    if (const std::string empty = given_empty(app_); !empty.empty()) {
      console.err << "ringagent: " << empty << " is given with nothing in it: is a shell variable not set?\n";
      return kExitUsage;
    }
    return actions_.at(app_.get_subcommands().front()->get_name())(console);
  }

 private:
  // The name of an option or argument that was given an empty value; empty if there is none. Nowhere is that a value; where
  // it meant the default, a script with a variable that is not set would pause a ring for ever.
  static std::string given_empty(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& value : option->results()) {
        if (value.empty()) return option->get_name();
      }
    }
    for (const CLI::App* sub : app.get_subcommands()) {
      if (std::string name = given_empty(*sub); !name.empty()) return name;
    }
    return {};
  }

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
    add_copying_commands();
    add_planning_commands();
    add_key_commands();
    add_stranded();
  }

  void add_stranded() {
    Words& w = words_;
    auto* stranded =
        add("stranded", "transactions that never left a node that was out: look at them, replay them, or give them up",
            "stranded show db3", [&w](Console c) {
              const std::string& first = w.nodes.front();
              const bool action = first == "show" || first == "replay" || first == "discard";
              if (!action && w.nodes.size() > 1) return usage("stranded: say show, replay or discard, not " + first, c);
              if (action && w.nodes.size() < 2) return usage("stranded " + first + ": of which node?", c);
              if (action) w.stranded.action = first;
              w.stranded.node = w.nodes.back();
              w.stranded.json = w.json;
              w.stranded.wait = !w.no_wait;
              w.stranded.out_file = w.out_file;
              return stranded_command(w.agent, w.stranded, c);
            });
    stranded->add_option("what", w.nodes, "show (when left out), replay or discard; and which node")
        ->required()
        ->expected(1, 2);
    stranded->add_flag("--json", w.json, "show: for programs");
    stranded->add_flag("--yes", w.stranded.yes, "replay, discard: do not ask");
    stranded->add_flag("--no-wait", w.no_wait, "replay: return when it is decided, not when the node is back");
    stranded->add_option("--out", w.out_file,
                         "discard: a file that does not exist yet (default: in the state directory)");
    stranded->add_option("--binlog-tool", w.stranded.binlog_tool,
                         "the mysqlbinlog or mariadb-binlog to use (default: $RINGAGENT_BINLOG_TOOL, else from $PATH)");
  }

  void add_copying_commands() {
    Words& w = words_;
    auto* init = add("init", "the first node of a new ring: this one alone, with the data that it has", "init",
                     [&w](Console c) { return init_command(w.agent, w.abandon_formation, c); });
    init->add_flag("--abandon-formation", w.abandon_formation,
                   "instead: forget what this node has voted on forming a ring from an older [ring] initial; "
                   "on every node of that list, or two rings may come of it");
    auto* join = add("join", "a further node: a member of the ring, with a copy of its data",
                     "join 10.0.0.1:7946 --after db2", [&w](Console c) {
                       w.join.copy = w.copy;
                       return join_command(w.agent, w.join, c);
                     });
    join->add_option("address", w.join.address, "the gossip address of any member")->required();
    join->add_option("--role", w.join.role, "ring, leaf or spare (default: [ring] role)");
    join->add_option("--after", w.join.after, "the node that it follows (default: the last one)");
    join->add_option("--data", w.join.data,
                     "auto: copy from a donor into this server, which must be empty; none: it has the ring's data "
                     "already, from mariadb-backup or a snapshot (default: auto)");
    add_copy_options(join);
    auto* reseed = add("reseed", "make this node's data anew from a donor; asks before it overwrites any",
                       "reseed --donor db2 --yes", [&w](Console c) {
                         w.reseed.copy = w.copy;
                         return reseed_command(w.agent, w.reseed, c);
                       });
    reseed->add_flag("--yes", w.reseed.yes, "do not ask");
    add_copy_options(reseed);
  }

  void add_copy_options(CLI::App* sub) {
    Words& w = words_;
    sub->add_option("--donor", w.copy.donor, "whose data (default: the nearest member before this one that is well)");
    sub->add_option("--donor-user", w.copy.donor_user, "who may copy there (default: [replication] user)");
    sub->add_option("--donor-password-file", w.copy.donor_password_file, "and the password (default: [replication])");
    sub->add_option("--method", w.copy.method,
                    "clone: MySQL from 8.0.17; dump: the flavour's dump program (default: auto); for a physical "
                    "backup see `ringagent join --data none`");
    sub->add_option("--user", w.copy.admin.user, "the administrator of this server (default: root)");
    sub->add_option("--password-file", w.copy.admin.password_file, "the administrator's password (default: none)");
    sub->add_option("--mysql-socket", w.copy.admin.mysql_socket, "this server's socket (default: as in the config)");
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
    force->add_flag("--yes-i-verified-they-are-down", w.force.yes,
                    "their servers and agents are down and stay down; without it: what would be decided");
    force->add_flag("--yield", w.force.yield, "this side gives way, where two sides were forced");
  }

  void add_key_commands() {
    Words& w = words_;
    auto* key = add("key", "change the gossip key while the ring runs: install, use, then remove the old one",
                    "key list", [this](Console c) { return key_actions_.at(chosen("key"))(c); });
    key->require_subcommand(1);
    const auto one = [&](const std::string& name, const std::string& what, const std::string& example, Action action) {
      CLI::App* sub = key->add_subcommand(name, what);
      sub->footer("Example: ringagent key " + example);
      key_actions_[name] = std::move(action);
      return sub;
    };
    one("list", "who has which keys, and which one is in use", "list",
        [&w](Console c) { return key_list_command(w.agent, c); });
    auto* install = one("install", "give all members a further key, which is not used yet", "install new.key",
                        [&w](Console c) { return key_install_command(w.agent, w.key_file, c); });
    install->add_option("file", w.key_file, "as `ringagent keygen` writes it; - is standard input")->required();
    auto* use = one("use", "all members seal with this key from now on; refused until every member has it",
                    "use 1f0c9a3e", [&w](Console c) { return key_use_command(w.agent, w.fingerprint, c); });
    use->add_option("fingerprint", w.fingerprint, "as `ringagent key list` shows it")->required();
    auto* remove = one("remove", "all members forget this key; refused while anybody needs it", "remove 6b27d1f4",
                       [&w](Console c) { return key_remove_command(w.agent, w.fingerprint, w.key_force, c); });
    remove->add_option("fingerprint", w.fingerprint, "as `ringagent key list` shows it")->required();
    remove->add_flag("--force", w.key_force, "though a member that is down may need it");
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
    setup->add_option("--user", w.setup.admin.user, "the administrator (default: root)");
    setup->add_option("--password-file", w.setup.admin.password_file, "the administrator's password (default: none)");
    setup->add_option("--mysql-socket", w.setup.admin.mysql_socket, "the server's socket (default: as in the config)");
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

  std::string chosen(const std::string& command) const {
    return app_.get_subcommand(command)->get_subcommands().front()->get_name();
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

  static std::string known(const CLI::App& app) {
    std::string out;
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
      out += (out.empty() ? "" : ", ") + sub->get_name();
    }
    return out;
  }

  std::string complaint(const std::string& first, const CLI::ParseError& error) const {
    const bool none = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    const std::string known = CommandLine::known(app_);
    if (first.empty() && none) return "which command? There are: " + known;
    if (first.empty()) return std::string(error.what()) + " (see ringagent --help)";
    if (actions_.find(first) == actions_.end()) return "there is no command `" + first + "`; there are: " + known;
    const CLI::App& command = *app_.get_subcommand(first);
    const std::string parts = CommandLine::known(command);
    if (none && !parts.empty() && command.get_subcommands().empty())
      return "which one? `ringagent " + first + "` knows: " + parts;
    std::string text = error.what();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text + " (see ringagent " + first + " --help)";
  }

  Words words_;
  CLI::App app_;
  std::map<std::string, Action> actions_;
  std::map<std::string, Action> key_actions_;
};

}  // namespace

int run_cli(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
  return CommandLine().run(std::move(arguments), {out, err});
}

}  // namespace ringagent
