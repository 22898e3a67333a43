#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "agent/interrupt.h"
#include "agent/progress.h"
#include "config/types.h"
#include "mysql/client.h"
#include "mysql/copy.h"
#include "mysql/setup.h"

// The data of the own server made anew from another server's: the engine of `join` and `reseed`.
//
// It asks no agent and decides nothing: whoever calls has seen to it that nobody writes here, that this server follows
// nobody, that nobody follows it, and that all survivors agree on what it wrote (phase `copying`).
//
// Interrupted at any point, by Ctrl-C, a kill -9, the end of the donor, it can be run again. What it has begun is marked
// before the first statement that changes data, and the mark is taken away only when the ring has been told
// (`clear_mark_of`): so half a copy is never taken for somebody's data, and a whole one is not made twice. MariaDB has
// the mark as a schema beside the data. MySQL's CLONE replaces all schemas, so there it is a file in the state
// directory that names the server_uuid, which a clone keeps.
//
// No server is started or stopped. CLONE ends mysqld by itself where nothing restarts it; then it is waited for.
namespace ringagent {

enum class CopyState : std::uint8_t { none, begun, complete };

// What is on the own server now.
struct CopyTarget {
  Client client;
  Version version;
  std::uint32_t server_id = 0;
  std::uint32_t domain_id = 0;  // MariaDB
  std::string server_uuid;      // MySQL
  std::string account;          // whom we are logged in as: user@host
};
Result<CopyTarget> look_at_local(const ConnectSettings& admin);
// For data that a person has brought. Events are to run on one node only (hazard H15). A MariaDB that has no binary log yet
// is made to begin it where the data end, because a server is judged by its binary log: a file of mariadb-backup in the data
// directory says where, else gtid_slave_pos. That of the backed-up server is no help: it does not count what it wrote last.
// `others`: what the other members have. `empty`: there are no data, all of the ring's may still come.
Result<void> settle_brought(CopyTarget& local, const std::vector<std::string>& others, bool empty, std::ostream& out);
Result<Schemas> schemas_of(Client& client);
Result<CopyState> copy_state(CopyTarget& local, const std::string& state_dir);
Result<void> clear_mark_of(CopyTarget& local, const std::string& state_dir);

struct CopyJob {
  ConnectSettings local;  // as an administrator
  ConnectSettings donor;  // as the account that may copy
  std::string donor_name;
  std::optional<CopyMethod> method;    // default: what suits the version
  std::vector<std::string> positions;  // what each other member has, as its agent says
  ConnectSettings agent;               // how the agent logs in: it has to be able to afterwards
  AccountSettings accounts;
  std::string state_dir;
};

// Where it is told how far it is.
struct CopyScreen {
  std::ostream& out;
  bool terminal = false;
  std::size_t width = 80;
};

// Makes the copy, or goes on with one. One line why not.
Result<void> copy_data(const CopyJob& job, const CopyScreen& screen, const Interrupt& interrupt);

}  // namespace ringagent
