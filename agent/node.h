#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/snapshot.h"
#include "gossip/message.h"
#include "gossip/seal.h"
#include "gossip/state.h"
#include "mysql/server.h"

// The whole agent as one machine without I/O: events in, effects out. The daemon and the simulator run this very code.
//
// Intuition: everything that happens to an agent (a packet, a look at its server, the passing of time, a command) is an
// Event; everything that it wants done is in the Effects. Between two steps nothing happens, so what a person can
// reason about is one step.
//
// The caller's duties, in this order, after each step:
//  1. if `persist` is set: make `durable()` durable (abort on an error); nothing below starts before that is done. If
//     `keys` is set: make its book durable likewise, then seal and open with its key ring from here on;
//  2. send `send`, in order; packets may be lost, doubled and reordered;
//  3. start `sql`, `looks` and `ports`; each is answered by exactly one event, however late;
//  4. write `history` and `log`, answer `replies`;
//  5. call `step` with Tick no later than `next_due()`.
// The agent has three conversations with servers that never wait for each other: polls (one at a time), statements
// (one at a time) and looks at other members' servers.
namespace ringagent {

struct NodeSettings {
  std::string cluster;
  std::string name;
  std::string agent_version;
  Role role = Role::ring;
  std::vector<std::string> initial;
  Address gossip;                 // where others reach this agent
  Address mysql;                  // where others reach this server
  std::vector<Address> peers;     // gossip addresses to say Hello to before the ring is formed
  std::uint64_t fingerprint = 0;  // of the settings that must be equal on every node
  KeyRing key_file;               // what [gossip] key_file holds
  KeyBook key_book;               // what `ringagent key` has made of it, as it was kept; counts at the start only
  bool one_writer = false;        // [ring] writers

  Duration silence{2'500'000};
  Duration hung_after{3'000'000};
  Duration grace{0};
  Duration settle{1'000'000};
  Duration link_grace{5'000'000};
  bool bypass_stuck = false;
  Duration max_lag{0};  // 0: never
  Duration poll_period{200'000};
  bool read_only_without_quorum = false;
  bool replay_stranded = true;
  Duration replay_max_age{600'000'000};

  // For links that the agent creates.
  std::string replication_user;
  std::string replication_password;
  std::string replication_tls = "off";  // off | required | verify_ca
  std::string replication_ca;
  Duration heartbeat_period{500'000};
  Duration connect_retry{1'000'000};
};

// ---------------------------------------------------------------- events

struct Tick {};

struct Packet {
  NodeId from;
  std::uint32_t boot = 0;  // of the sender, authenticated
  Address address;         // where it came from
  bool by_name = false;    // bound to the cluster's name only
  bool brief = false;      // in the short envelope
  Message message;
};

// The answer to a PollRequest.
struct Polled {
  Time asked{0};
  SqlResult<ServerState> result;
};

// mysqld's process is gone (its pidfd became readable), or the connection that watches it broke.
struct ServerGone {
  bool process = false;
  std::string why;
};

// The answer to a RunRequest.
struct Ran {
  std::uint64_t ticket = 0;
  std::optional<SqlError> error;
  Duration took{0};
};

// The answer to a LookRequest.
struct Looked {
  NodeId target;
  SqlResult<ServerState> result;  // version, server_id, server_uuid, executed and purged only
};

// The answer to a PortRequest.
struct PortAnswered {
  NodeId target;
  EdgeState state = EdgeState::unknown;
};

// Somebody at this address seals with a key that is not known here, so nobody can tell who it is.
struct UnknownKey {
  Address from;
  KeyId key{};  // as it says
};

// The event loop noticed that it had not run for `gap` longer than it should.
struct LoopLagged {
  Duration gap{0};
};

// A command from the unix socket; answered by one Reply, at once or when its epoch is decided.
struct Command {
  std::uint64_t id = 0;
  std::string name;  // those of agent/command.h, and "leaving": this agent is being stopped
  std::vector<std::pair<std::string, std::string>> arguments;
};

using Event =
    std::variant<Tick, Packet, Polled, ServerGone, Ran, Looked, PortAnswered, LoopLagged, Command, UnknownKey>;

// ---------------------------------------------------------------- effects

struct PollRequest {
  // What is purged is asked, too, and not only when it is due: of a server that is out, whose binary log a copy may have begun
  // anew. Others ask it for nothing that it has not got any more.
  bool purged = false;
};
struct RunRequest {
  std::uint64_t ticket = 0;
  Statement statement;
};
struct LookRequest {
  NodeId target;
  Address address;
};
struct PortRequest {
  NodeId target;
  Address address;
  Duration timeout{1'000'000};
};
using SqlRequest = std::variant<PollRequest, RunRequest, LookRequest>;

struct LogLine {
  LogLevel level = LogLevel::info;
  std::string text;
};

struct Reply {
  std::uint64_t id = 0;  // of the Command
  bool ok = true;
  std::string text;
};

struct KeyChange {
  std::optional<KeyBook> book;  // to be kept; none: as it was
  KeyRing ring;                 // ring_of(book, key_file)
};

struct Effects {
  bool persist = false;
  std::optional<KeyChange> keys;
  std::vector<Outgoing> send;  // `address` is always filled in
  std::vector<SqlRequest> sql;
  std::vector<PortRequest> ports;
  std::vector<HistoryEntry> history;
  std::vector<LogLine> log;
  std::vector<Reply> replies;
  bool quiet = false;  // nothing was decided or learnt: a snapshot would show what the last one did, but for the time
};

class Node {
 public:
  // `state` is what the store held; its boot counter has been counted up and made durable by the caller.
  Node(NodeSettings settings, const DurableState& state, std::uint64_t seed, Time now);
  ~Node();
  Node(Node&&) noexcept;

  Effects step(Event event, Time now);
  Time next_due() const;

  const DurableState& durable() const;
  // What packets are bound to once there is a ring; nil before.
  ClusterId cluster_id() const;
  Snapshot snapshot(Time now) const;
  // Applied at once where that is possible (SIGHUP): time-outs, credentials of future links; the keys with the next step.
  void reload(NodeSettings settings);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringagent
