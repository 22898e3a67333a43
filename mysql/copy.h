#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/types.h"
#include "mysql/dialect.h"
#include "mysql/gtid.h"

// A server's data made anew from another one's, in statements and in what their answers mean. Pure: `agent/copy` runs
// the programs and talks to the servers.
//
// Intuition: a copy is three things: the data, the accounts, and the name of the place in the stream of transactions at
// which both were taken. From that place the link goes on. If the three do not fit together, the copy is a silent fork.
//
//  - MariaDB: a dump in one transaction (no lock is taken: the server tells the binlog position of its snapshot), the
//    rows of the account tables, and the position as gtid_slave_pos and gtid_binlog_state (mariadb.md 5). The accounts
//    lie in tables without transactions: they are read before the snapshot and after it, and must be the same.
//  - MySQL from 8.0.17: CLONE, which brings all three. Older ones: a dump with GTID_PURGED in it.
//
// Nothing here may reach a binary log: all statements are for a session with sql_log_bin = 0.
namespace ringagent {

enum class CopyMethod : std::uint8_t { dump, clone };
const char* to_string(CopyMethod method);
CopyMethod usual_method(const Version& version);

// A back-quoted name.
std::string identifier(std::string_view name);

// ---- what is there

// Answers name, things (tables, views and routines in it) and bytes, a row for each schema that is not the server's own.
std::string schemas_query();
struct Schemas {
  std::vector<std::string> all;   // in the order of their names; without the marker's
  std::vector<std::string> data;  // those that hold anything, or were made by somebody: never overwritten unasked
  std::uint64_t bytes = 0;        // of rows, as the server estimates them
};
Schemas read_schemas(const Rows& rows);

// MariaDB: a schema of this name says that what is beside it is a copy that was begun here.
inline constexpr std::string_view kCopySchema = "ringagent_copy";
std::vector<std::string> begin_mark(std::string_view donor);
std::string complete_mark();
std::string clear_mark();
std::string mark_query();  // answers complete (0 or 1) and donor; an error if there is no mark

// ---- what the donor's account needs

std::vector<std::string> copy_privileges(const Version& version, CopyMethod method);
// Those that the answer of SHOW GRANTS lacks on *.*. A missing one is not always an error later: without TRIGGER a dump
// comes without triggers.
std::vector<std::string> missing_privileges(const Version& version, CopyMethod method, const Rows& grants);

// ---- by dump

// Programs to try, best first; options after the one that names the account; the file that names the account.
std::vector<std::string> dump_programs(const Version& version);
std::vector<std::string> client_programs(const Version& version);
Result<std::vector<std::string>> dump_options(const Version& version, const std::vector<std::string>& schemas);
struct CopyAccount {
  std::string socket;  // this, or address
  Address address;
  std::string user;
  std::string password;
  TlsMode tls = TlsMode::off;
  std::string ca_file;
};
std::string options_file(const Version& version, const CopyAccount& account);

// Before the dump is played in: nothing of the former data, nothing in the binlog.
std::vector<std::string> drop_schemas(const std::vector<std::string>& schemas);
std::vector<std::string> forget_transactions(const Version& version);
// What the program that plays it in is told first.
std::string import_preamble();

// Reads a dump as it passes, in pieces of any size.
class DumpReader {
 public:
  void feed(std::string_view piece);
  bool snapshot_taken() const { return snapshot_taken_; }    // the position is fixed: it stands in what was read
  bool complete() const { return complete_; }                // its last line has been read
  const std::string& position() const { return position_; }  // MariaDB: gtid_slave_pos at the snapshot; the last one

 private:
  void line();
  std::string line_;  // the head of the line that is being read
  bool snapshot_taken_ = false;
  bool complete_ = false;
  std::string position_;
};

// MariaDB: where replication goes on, as the two variables want it. `position`: of the dump; `state_before`: the donor's
// gtid_binlog_state before it began, which knows all servers that ever wrote in a domain; `own`: the highest number that
// any survivor has of this server's own transactions, so that none is named twice (hazards H4 and H5).
struct GtidSeed {
  std::string slave_pos;
  std::string binlog_state;
};
Result<GtidSeed> gtid_seed(std::string_view position, std::string_view state_before, std::uint32_t domain,
                           std::uint32_t server_id, std::uint64_t own);
// For data that somebody brought: the domains in which others have transactions and that the position does not name. A
// server that follows from such a position applies all of such a domain once more.
std::vector<std::uint32_t> domains_unnamed(std::string_view position, const std::vector<std::string>& others,
                                           std::uint32_t own_domain);
std::vector<std::string> adopt_position(const GtidSeed& seed);

// MariaDB: a server that has written or was copied, and follows somebody for the first time, asks for all that is not in
// its gtid_slave_pos, its own transactions included; a source that is a copy of it has not got them in its binlog
// (1236). What is in the own binlog is not to be asked for: before the link is made, while none runs. `purged`: what the source
// cannot give any more. Empty if nothing is to be done: a source that has everything, and has not heard yet of what only this
// server has written, would refuse to be asked for what follows that.
std::vector<Statement> begin_position(const ServerState& server, const std::string& purged);

// ---- accounts (MariaDB)

// The accounts that stay as they are: whoever works here, the agent's and the system's.
struct KeptAccount {
  std::string user;
  std::string host;  // "": from everywhere
};
const std::vector<std::string>& account_tables();
std::string account_query(std::string_view table, const std::vector<KeptAccount>& kept);
std::string account_delete(std::string_view table, const std::vector<KeptAccount>& kept);
std::vector<std::string> account_inserts(std::string_view table, const Rows& rows);

// ---- events: each runs on one node (H15), where it ran before

std::string events_query();

// The events of a server (schema, name) before its data were replaced, and whether they ran there. A server writes its own id
// into an event that it puts to sleep, so that afterwards nothing in the event tells who made it.
using EventsBefore = std::map<std::pair<std::string, std::string>, bool>;
EventsBefore read_events(const Rows& rows);

struct EventChanges {
  std::vector<std::string> statements;
  std::vector<std::string> doubtful;  // asleep, unknown before, and perhaps its own: may run nowhere now
};
EventChanges event_changes(const Rows& rows, const EventsBefore& before, std::uint32_t server_id);

// ---- by clone

std::vector<std::string> allow_donor(const Address& donor);
Statement clone_statement(const Address& donor, const std::string& user, const std::string& password, TlsMode tls);
std::string clone_status_query();
struct CloneStatus {
  enum class State : std::uint8_t { none, running, completed, failed };
  State state = State::none;
  std::string source;
  unsigned number = 0;
  std::string error;
  std::int64_t begun_unix = 0;
  bool alive = false;  // the statement is being carried out now
};
CloneStatus read_clone_status(const Rows& rows);
std::string clone_progress_query();  // answers done and total, in bytes
std::vector<std::string> forget_link(const Version& version);

// What a person can do about an error of a donor; "" if nothing special comes to mind.
std::string copy_advice(std::string_view error, std::string_view donor);

}  // namespace ringagent
