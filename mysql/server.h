#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/types.h"

// What an agent knows of a database server, and what it may ask of it: plain values, no connection and no
// clock. `mysql/dialect` makes them from result rows and turns wishes into SQL; `mysql/worker` carries them
// to and fro; `agent/reconcile` decides on them.
namespace ringagent {

enum class Flavor : std::uint8_t { unknown = 0, mariadb = 1, mysql = 2 };
const char* to_string(Flavor flavor);

// 10.11.19 is 101119, 9.7.4 is 90704, 5.7.44 is 50744.
struct Version {
  Flavor flavor = Flavor::unknown;
  std::uint32_t number = 0;
  std::string text;  // as the server says it, with the flavour: "10.11.19-MariaDB"
  bool operator==(const Version&) const = default;
};

enum class IoState : std::uint8_t { stopped = 0, connecting = 1, running = 2 };
const char* to_string(IoState state);

// One replication link of this server, as SHOW ALL SLAVES STATUS / SHOW REPLICA STATUS tells it.
struct Link {
  std::string channel;  // connection name or channel; "" is the one that RingAgent uses
  Address source;
  std::string user;
  IoState io = IoState::stopped;
  bool sql_running = false;
  unsigned io_errno = 0;
  std::string io_error;
  unsigned sql_errno = 0;
  std::string sql_error;
  std::string sql_transaction;  // the GTID that the applier stands on, where the server tells
  std::string sql_state;        // Slave_SQL_Running_State
  std::string io_state;         // Slave_IO_State
  bool uses_gtid = false;       // MariaDB: Using_Gtid=Slave_Pos; MySQL: Auto_Position=1
  std::string gtid_mode_text;   // as the server says it: Slave_Pos, Current_Pos, No, 1, 0
  std::vector<std::uint32_t> ignore_server_ids;
  std::string filters;  // replicate-do-db and its like, joined; "" for none
  std::string tls;      // what must survive a repoint: allowed, CA, cert, key, verify, joined canonically
  std::uint32_t heartbeat_period_ms = 0;
  std::uint32_t connect_retry_s = 0;
  std::uint32_t delay_s = 0;
  std::int64_t seconds_behind = -1;  // -1: NULL
  std::string received;              // MySQL: RECEIVED_TRANSACTION_SET, which outlives a repoint
  std::string io_position;           // what has come into the relay log, applied or not (MariaDB: Gtid_IO_Pos)
  // Changes whenever anything at all (event or heartbeat) arrived from the source.
  std::string progress;
  std::string relay_file;  // where the applier stands in the relay log
  std::uint64_t relay_pos = 0;
  // Changes whenever the applier got on. Together with `drained` it bounds the wait for a drain.
  std::string applied;
  // All that was received is applied, as far as this one look can tell (mariadb.md 00: Exec=Read in the same
  // file).
  bool drained_exact = false;
  bool drained_idle = false;  // the applier says "has read all relay log": believe it in 3 looks in a row
  bool operator==(const Link&) const = default;
};

// The state of this server at one moment.
struct ServerState {
  Version version;
  std::uint32_t server_id = 0;
  std::string server_uuid;      // MySQL
  std::uint32_t domain_id = 0;  // MariaDB
  std::uint32_t port = 0;
  std::uint64_t pid = 0;  // of mysqld where the kernel tells (unix socket peer); 0: not known
  std::uint64_t uptime_s = 0;
  // The server's own clock minus its uptime, taken once for each connection: names this start of mysqld, +-1
  // s.
  std::int64_t started_unix_s = 0;
  bool read_only = false;
  bool super_read_only = false;
  // What it has. MariaDB: gtid_binlog_state ("dom-server-seq,..."); MySQL: gtid_executed.
  std::string executed;
  // What it can no longer give. MariaDB: the Gtid_list at the head of its oldest binlog; MySQL: gtid_purged.
  std::string purged;
  // What it had when this start of mysqld opened its binlog (Gtid_list / Previous_gtids at that file's head).
  std::string at_start;
  std::string slave_pos;  // MariaDB: gtid_slave_pos
  std::string binlog_file;
  std::uint64_t binlog_pos = 0;
  std::vector<Link> links;
  // Settings that the preconditions and `check` look at, by the server's own names; absent ones are not
  // there.
  std::vector<std::pair<std::string, std::string>> variables;
  const std::string* variable(std::string_view name) const;
  const Link* link() const;  // the one with channel ""
  bool operator==(const ServerState&) const = default;
};

// Whether one start of mysqld was looked at twice. Its uptime is its clock minus the time of its start, so both move when the
// clock is set, and only their difference names the start. Two starts closer than the tolerance are told apart by the pid, and
// where that is the same (a container) by an uptime of seconds that has begun anew at another second. It is below zero as long
// as the clock is behind the start, and comes as 2^64 more then.
inline constexpr std::int64_t kStartTolerance_s = 2;  // whole seconds of two clocks
bool same_start(const ServerState& before, const ServerState& after);

// How a call to a server failed. The kind is what decisions are made on; number and text are for people.
enum class SqlErrorKind : std::uint8_t {
  refused,      // nobody listens: ECONNREFUSED (2002, 2003 with that errno)
  missing,      // no socket file (ENOENT): proves nothing about the process, somebody may have removed the file
  unreachable,  // any other way in which no connection came about: time-out, no route, name not found
  lost,         // the connection broke (2006, 2013)
  timeout,      // our own deadline passed; the statement may still take effect
  denied,       // the server answered and does not let us in or does not allow it (1045, 1040, 1227, 1142 ...)
  server,       // the server answered with another error
};
const char* to_string(SqlErrorKind kind);
struct SqlError {
  SqlErrorKind kind = SqlErrorKind::server;
  unsigned number = 0;
  std::string text;
};
template <class T>
using SqlResult = tl::expected<T, SqlError>;

// One statement that changes something, with its own deadline. `label` is what the history calls the step.
struct Statement {
  std::string sql;
  std::string shown;  // the SQL with passwords struck out: the only form that is logged or shown
  std::string label;
  Duration deadline{2'000'000};
  bool operator==(const Statement&) const = default;
};

// Something that is wrong with a server's settings, with the hazard of hazards.md and the mend in words.
struct Finding {
  enum class Severity : std::uint8_t { warning, error };
  Severity severity = Severity::error;
  std::string code;    // stable word: log_slave_updates_off
  std::string hazard;  // "H10"
  std::string text;    // what is wrong, one sentence
  std::string mend;    // what to do, exact
};

}  // namespace ringagent
