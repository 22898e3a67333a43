#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "agent/admin.h"
#include "config/types.h"

// What the commands do, once the command line has been understood. Each returns the exit code (agent/cli.h).
namespace ringagent {

struct Console {
  std::ostream& out;
  std::ostream& err;
};

// How an agent is chosen: --socket, else the `socket` of --config or of the config where it usually is.
struct AgentChoice {
  std::string socket;
  std::string config;
};

// ---------------------------------------------------------------- asking the agent (agent/commands.cpp)

struct HistoryOptions {
  std::size_t count = 20;
  bool json = false;
  bool follow = false;
};
int status_command(const AgentChoice& agent, bool json, Console console);
int watch_command(const AgentChoice& agent, Duration period, Console console);
int plan_command(const AgentChoice& agent, bool json, Console console);
int history_command(const AgentChoice& agent, const HistoryOptions& options, Console console);
// `for_text`: "" or a duration.
int pause_command(const AgentChoice& agent, const std::string& for_text, const std::string& reason, Console console);
int resume_command(const AgentChoice& agent, Console console);

// What people plan. Each returns when the change is decided; with `wait` it tells how far it is until it is carried out.
struct MaintenanceOptions {
  std::string node;
  std::string state;     // on | off
  std::string for_text;  // "" or a duration
  std::string reason;
  bool wait = true;
};
int maintenance_command(const AgentChoice& agent, const MaintenanceOptions& options, Console console);
int leave_command(const AgentChoice& agent, bool wait, Console console);
int remove_command(const AgentChoice& agent, const std::string& node, Console console);
int order_command(const AgentChoice& agent, const std::vector<std::string>& nodes, bool wait, Console console);
// `yes`: a person has made sure that the old one is down.
int writer_command(const AgentChoice& agent, const std::string& node, bool yes, bool wait, Console console);
struct ForceOptions {
  std::vector<std::string> lost;
  bool yes = false;
  bool yield = false;
};
int force_quorum_command(const AgentChoice& agent, const ForceOptions& options, Console console);

// Gossip keys. `file`: as keygen writes it, one key; "-" is standard input. The key itself is shown nowhere.
int key_install_command(const AgentChoice& agent, const std::string& file, Console console);
int key_use_command(const AgentChoice& agent, const std::string& fingerprint, Console console);
int key_remove_command(const AgentChoice& agent, const std::string& fingerprint, bool force, Console console);
int key_list_command(const AgentChoice& agent, Console console);

// ---------------------------------------------------------------- without one

int keygen_command(const std::string& file, Console console);
int version_command(Console console);
int run_command(const std::string& config, Console console);

// agent/check.cpp: config, local server and ring against the hazards; changes nothing. 0, 1 or 2 by the worst
// finding.
int check_command(const AgentChoice& agent, bool json, Console console);

// agent/join_commands.cpp: the first node; a further one, with a copy of the ring's data; the data made anew.
struct CopyOptions {
  AdminOptions admin;
  std::string donor;                // default: the nearest member before this one that is well
  std::string donor_user;           // default: [replication] user
  std::string donor_password_file;  // default: that of [replication]
  std::string method = "auto";      // auto | clone | dump
};
struct JoinOptions {
  std::string address;
  std::string role;  // default: [ring] role
  std::string after;
  std::string data = "auto";  // auto | none
  CopyOptions copy;
};
int init_command(const AgentChoice& agent, bool abandon, Console console);
int join_command(const AgentChoice& agent, const JoinOptions& options, Console console);
struct ReseedOptions {
  bool yes = false;
  CopyOptions copy;
};
int reseed_command(const AgentChoice& agent, const ReseedOptions& options, Console console);

// agent/setup.cpp
struct SetupOptions {
  std::string config;
  bool print = false;
  AdminOptions admin;
  std::string server_version;   // with print, where the server cannot be asked
  std::uint32_t server_id = 0;  // 0: the server's own, or the place in [ring] initial
  std::string replication_host = "%";
  std::string snippet_file;  // default: the server's conf.d
  bool force = false;        // replace a snippet that differs
};
int setup_command(const SetupOptions& options, Console console);

}  // namespace ringagent
