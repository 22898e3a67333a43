#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What an agent knows at one moment, in the words of `ringagent status`: plain, immutable values that any thread may
// read. `agent/node` makes them, `agent/status` renders them as JSON, table, picture and metrics (contract.md).
namespace ringagent {

struct ProblemView {
  std::string severity;  // warning | critical
  std::string code;      // stable word
  std::string node;      // "" if it concerns no single node
  std::string text;      // what it means and what to do
};

struct UpstreamView {
  std::string node;  // member name, or the address if it belongs to none
  std::string io;    // running | connecting | stopped
  std::string sql;   // running | stopped
  std::optional<std::int64_t> lag_ms;
  unsigned error_number = 0;
  std::string error;     // "" if none
  bool desired = false;  // it is what the head asks for
};

struct NodeView {
  std::string name;
  std::string id;  // the member's UUID
  std::string role;
  bool in = false;
  bool vote = false;
  std::string reason;  // why it is out, or on its way out; else ""
  std::string agent;   // alive | suspect | dead | left
  std::string agent_version;
  std::string mysql;  // up | down | hung | denied | unknown
  std::string mysql_why;
  std::string mysql_version;
  std::uint32_t server_id = 0;
  std::string address;
  std::string gossip_address;
  std::optional<bool> read_only;
  std::vector<UpstreamView> upstreams;
  std::string position_mode;  // gtid
  std::string position;
  std::int64_t stranded = 0;  // own transactions that no other member has, as far as is known
  std::string stranded_set;   // which ones (agent/positions.h); "" if there are none
  bool replay = false;        // a person has decided that they go out when it comes back
  std::optional<std::int64_t> rejoin_in_ms;
  std::string phase;
  std::string blocked;
  std::string foreign;
  std::vector<std::string> keys;  // fingerprints of the gossip keys that it can read; the first is the one that it uses
};

struct Snapshot {
  std::string cluster;
  std::string node;
  std::string version;
  std::uint32_t generation = 0;
  std::uint64_t epoch = 0;  // 0: no ring formed yet
  std::string head_hash;
  std::string health = "critical";  // ok | degraded | critical
  std::vector<ProblemView> problems;
  std::vector<std::string> voters;
  std::size_t quorum_needed = 0;
  std::size_t quorum_reachable = 0;
  bool quorum_held = false;
  bool paused = false;
  std::string paused_why;
  std::vector<std::string> ring;  // names, in order
  bool one_writer = false;        // [ring] writers = "one"
  std::string writer;             // then: who it is, "" while there is none
  std::vector<NodeView> nodes;    // in home order
  bool confirmed = false;

  // The local node, for /health, /writable and /readable.
  bool self_in = false;
  bool self_up = false;
  bool self_writable = false;
  std::optional<std::int64_t> self_lag_ms;
  std::string self_why;  // why not healthy

  // The dry run of `ringagent plan`: the statements that the agent would issue now, or why none.
  std::vector<std::string> plan;
  std::string plan_why;

  // Counters since the agent's start.
  std::uint64_t epochs_seen = 0;
  std::uint64_t repoints_done = 0;
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t packets_refused = 0;
};

// One line of `ringagent history`. The daemon adds the wall clock when it writes it down.
struct HistoryEntry {
  std::string kind;  // epoch | action | note
  std::uint32_t generation = 0;
  std::uint64_t epoch = 0;
  std::string what;  // "db3 out", "repoint db4 from db3 to db2"
  std::string why;
  std::string who;  // proposer, or the operator's command
  struct Step {
    std::string name;
    std::int64_t took_us = 0;
  };
  std::vector<Step> steps;
  std::int64_t took_us = 0;
  bool ok = true;
};

}  // namespace ringagent
