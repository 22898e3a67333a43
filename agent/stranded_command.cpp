#include "agent/stranded_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <ostream>
#include <utility>

#include "agent/asking.h"
#include "agent/binlog_tool.h"
#include "agent/cli.h"
#include "agent/config_file.h"
#include "agent/history.h"
#include "agent/stranded_source.h"
#include "agent/text.h"

namespace ringagent {
namespace {

using json_read::Json;

std::string members(const Json& status) {
  std::string out;
  for (const auto& node : json_read::list(status, "nodes"))
    out += (out.empty() ? "" : ", ") + json_read::str(node, "name");
  return out;
}

std::string position_of(const Json& node) {
  const auto position = node.find("position");
  return position != node.end() && position->is_object() ? json_read::str(*position, "value") : "";
}

// Of the members that are in and up: the asked agent's own, else the first.
Json witness(const Json& status, const std::string& node) {
  Json best;
  const std::string self = json_read::str(status, "node");
  for (const auto& other : json_read::list(status, "nodes")) {
    if (!other.is_object() || !json_read::flag(other, "in") || json_read::str(other, "mysql") != "up") continue;
    const std::string name = json_read::str(other, "name");
    if (name != node && (best.is_null() || name == self)) best = other;
  }
  return best;
}

class StrandedCommand {
 public:
  StrandedCommand(const AgentChoice& agent, const StrandedOptions& options, Console console)
      : agent_(agent), options_(options), console_(console) {}

  int run() {
    int code = kExitOk;
    const auto answer = ask(agent_, "/status", console_, code);
    if (!answer) return code;
    status_ = Json::parse(*answer, nullptr, false);
    if (!status_.is_object()) return complain("the agent's answer is not a JSON object", kExitNoAgent);
    node_ = node_in(status_, options_.node);
    if (!node_.is_object())
      return complain("there is no member \"" + options_.node + "\"; the members are " + members(status_));
    if (json_read::flag(node_, "in")) return complain(options_.node + " is in the ring: nothing is stranded on it");
    count_ = json_read::number(node_, "stranded").value_or(0);
    if (count_ == 0 && options_.action != "show") return complain("nothing is stranded on " + options_.node);
    if (options_.action == "replay") return replay();
    return options_.action == "discard" ? discard() : show();
  }

 private:
  int complain(const std::string& line, int code = kExitRefused) const {
    return ringagent::complain(console_, printable(line), code);
  }

  // The config with its passwords; or its faults are told.
  bool load() {
    const std::string path = agent_.config.empty() ? kDefaultConfig : agent_.config;
    auto settings = load_settings(path);
    if (!settings) print_faults(console_.err, path, settings.error());
    if (settings) settings_ = std::move(*settings);
    return settings.has_value();
  }

  Result<void> locate() {
    if (json_read::str(node_, "mysql") == "down") {
      return fail("the MySQL of " + options_.node +
                  " is down: it must run for its binary log to be read; start it, its agent keeps it read_only");
    }
    place_.flavor =
        json_read::str(node_, "mysql_version").find("MariaDB") != std::string::npos ? Flavor::mariadb : Flavor::mysql;
    place_.about.node = options_.node;
    place_.about.address = json_read::str(node_, "address");
    place_.about.set = json_read::str(node_, "stranded_set");
    place_.about.replication_user = settings_.replication.user;
    auto address = Address::parse(place_.about.address);
    auto stranded = GtidSet::parse(place_.flavor, place_.about.set);
    auto executed = GtidSet::parse(place_.flavor, position_of(node_));
    if (!address || !stranded || !executed || stranded->empty())
      return fail("the agent does not say which transactions are stranded on " + options_.node +
                  ": is it of this version?");
    place_.address = *address;
    place_.stranded = std::move(*stranded);
    place_.executed = std::move(*executed);
    const Json other = witness(status_, options_.node);
    if (!other.is_object()) return {};
    const auto ring_address = Address::parse(json_read::str(other, "address"));
    const auto ring_executed = GtidSet::parse(place_.flavor, position_of(other));
    if (!ring_address || !ring_executed) return {};
    place_.about.ring_node = json_read::str(other, "name");
    place_.ring_address = *ring_address;
    place_.ring_executed = *ring_executed;
    return {};
  }

  // Reads what is stranded into report_.
  Result<void> look() {
    if (auto located = locate(); !located) return located;
    auto tool = find_binlog_tool(place_.flavor, options_.binlog_tool);
    if (!tool) return tl::unexpected(tool.error());
    tool_ = *tool;
    auto report = read_stranded(place_, settings_, tool_);
    if (!report) return tl::unexpected(report.error());
    report_ = std::move(*report);
    return {};
  }

  int show() {
    if (count_ == 0) {
      const StrandedAbout about{options_.node, json_read::str(node_, "address"), "", "", ""};
      console_.out << (options_.json ? stranded_json(about, {}) : "nothing is stranded on " + options_.node + "\n");
      return kExitOk;
    }
    if (!load()) return kExitConfig;
    if (const auto looked = look(); !looked) return complain(looked.error().text);
    console_.out << (options_.json ? stranded_json(place_.about, report_) : stranded_text(place_.about, report_));
    return kExitOk;
  }

  // A person says yes, or has said so on the command line; else why not.
  std::optional<std::string> refused(const std::string& question) const {
    if (options_.yes) return std::nullopt;
    if (::isatty(STDIN_FILENO) != 1) {
      return "nobody is there to be asked: add --yes to " + options_.action + " what is stranded on " + options_.node +
             " without a question";
    }
    console_.out << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    if (answer == "y" || answer == "Y" || answer == "yes") return std::nullopt;
    return "nothing was done";
  }

  int replay() {
    if (!json_read::flag(node_, "replay")) {
      if (!load()) return kExitConfig;
      if (const auto looked = look(); looked) {
        console_.out << stranded_text(place_.about, report_);
      } else if (!options_.yes) {
        return complain(looked.error().text + "; with --yes it is decided without a look");
      } else {
        console_.err << "ringagent: not looked at: " << printable(looked.error().text) << "\n";
      }
      const std::string all = std::to_string(count_) + " transactions";
      if (const auto why = refused("Replay these " + all + " to the whole ring?"); why) return complain(*why);
    }
    const int code = run_agent_command(agent_, "stranded", {{"node", options_.node}, {"action", "replay"}}, console_);
    if (code != kExitOk || !options_.wait) return code;
    return watch_until(agent_, console_, [&](const Json& status) -> std::string {
      const auto node = node_in(status, options_.node);
      if (!node.is_object()) return "";
      if (!json_read::flag(node, "in")) {
        const std::string phase = json_read::str(node, "phase");
        return options_.node + " is " + (phase.empty() || phase == "none" ? "out" : phase) + ", its MySQL " +
               json_read::str(node, "mysql") + "; not in the ring yet";
      }
      console_.out << options_.node << " is in the ring, and what was stranded on it goes out\n";
      return "";
    });
  }

  std::string out_file() const {
    if (!options_.out_file.empty()) return options_.out_file;
    std::string stamp = iso_time(std::chrono::system_clock::now());
    std::erase_if(stamp, [](char c) { return c == '-' || c == ':'; });
    const std::string name = "stranded-" + options_.node + "-" + stamp.substr(0, stamp.find('.')) + "Z.sql";
    return ::access(settings_.state_dir.c_str(), W_OK) == 0 ? settings_.state_dir + "/" + name : name;
  }

  int discard() {
    if (json_read::flag(node_, "replay"))
      return complain("a person has decided that what is stranded on " + options_.node + " is replayed");
    if (!load()) return kExitConfig;
    if (const auto looked = look(); !looked) return complain(looked.error().text);
    console_.out << stranded_text(place_.about, report_);
    const std::string file = out_file();
    if (const auto why = refused("Give these up, and keep them in " + file + "?"); why) return complain(*why);
    if (const auto written = write_stranded(place_, report_, settings_, tool_, file); !written)
      return complain(written.error().text);
    console_.out
        << "\nkept in " << file << ": " << report_.transactions.size() << " transactions\n"
        << options_.node
        << " still has them, so it stays out of the ring as it is. It must be given a fresh copy now; run there:\n"
        << "    ringagent reseed\n";
    if (!held()) {
      console_.out
          << "Until then it is not held back ([failure] stranded, replay_max_age) and could come back with them; this "
             "keeps it out:\n    ringagent maintenance "
          << options_.node << " on\n";
    }
    return kExitOk;
  }

  bool held() const {
    const auto& problems = json_read::list(status_, "problems");
    return std::any_of(problems.begin(), problems.end(), [&](const auto& p) {
      return p.is_object() && json_read::str(p, "code") == "stranded" && json_read::str(p, "node") == options_.node;
    });
  }

  const AgentChoice& agent_;
  const StrandedOptions& options_;
  const Console console_;
  Json status_;
  Json node_;
  std::int64_t count_ = 0;
  Settings settings_;
  StrandedPlace place_;
  std::string tool_;
  StrandedReport report_;
};

}  // namespace

int stranded_command(const AgentChoice& agent, const StrandedOptions& options, Console console) {
  return StrandedCommand(agent, options, console).run();
}

}  // namespace ringagent
