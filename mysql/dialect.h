#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "mysql/server.h"

// What to say to a server of a given flavour and version, and what its answers mean. Pure: no connection, no
// clock.
//
// Purpose: the rest of RingAgent thinks in ServerState, Link and plans; only this file and `mysql/setup` know
// SQL.
//
// Versions: MariaDB from 10.5, MySQL 5.7 to 9.x. Anything else is refused by `for_server`, in one line.
//
// What the plans rest on (each line an outage that somebody had):
//  - MariaDB: both threads are stopped in one statement, never the IO thread alone (hazard H25); CHANGE
//  MASTER names
//    host and port only, so that account, TLS, delay and GTID mode stay (H22). CHANGE MASTER throws the relay
//    log away: a plan away from a dead source is begun only after the drain (Link::drained_exact,
//    drained_idle).
//  - MySQL: only the receiver is stopped, so that the applier goes on and the relay log stays.
//  SOURCE_AUTO_POSITION
//    must not be named (error 3081). With the applier stopped as well, the same CHANGE would throw the relay
//    log away: `repoint` refuses.
//  - No statement here writes to the binlog except `prime` (mysql.md B: errant GTIDs).
namespace ringagent {

// A result set as it came: column names and values, nullopt for NULL.
struct Rows {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  // Column names compare without regard to case. Missing column, missing row or NULL: nullptr.
  const std::string* at(std::size_t row, std::string_view column) const;
  // The first of several names that the versions use for one thing.
  std::string text(std::size_t row, std::initializer_list<std::string_view> columns) const;
};

// "10.11.19-MariaDB-0+deb12u1-log" or "8.0.36-28" as the server sends it (SELECT VERSION() or the greeting).
Version parse_version(std::string_view text);

// How a connection is protected: a link between two servers, or the agent's own.
enum class TlsMode : std::uint8_t { off, required, verify_ca };

// What a link that the agent creates gets ([replication] in ringagent.toml).
struct LinkSettings {
  std::string user;
  std::string password;
  TlsMode tls = TlsMode::off;
  std::string ca_file;  // as the *server* sees the path; needed for verify_ca
  std::uint32_t heartbeat_period_ms = 500;
  std::uint32_t connect_retry_s = 1;
};

// One question of a poll. `what` says how `absorb` reads the answer.
struct Query {
  enum class What : std::uint8_t {
    links,     // SHOW ALL SLAVES STATUS / SHOW REPLICA STATUS
    sets,      // GTID sets, read_only; MySQL: also what the receivers heard
    binlog,    // SHOW MASTER STATUS / SHOW BINARY LOG STATUS
    identity,  // version, server_id, uuid, port, uptime
    variables,
    purged,    // MariaDB: the head of the oldest binlog file; MySQL: @@gtid_purged
    at_start,  // the head of the newest binlog file
    glance,    // identity and sets, as seen by the replication account
    applier,   // on which transaction an applier stands (MySQL, only while one stands)
  };
  What what = What::links;
  std::string sql;
  bool may_fail = false;  // the poll is worth something without it
  bool operator==(const Query&) const = default;
};

// One option of CHANGE MASTER / CHANGE REPLICATION SOURCE, under its new name without SOURCE_: HOST, SSL_CA,
// ...
struct Option {
  std::string name;
  std::string value;  // a literal
  bool secret = false;
};

class Dialect {
 public:
  // One line why not, for a server that is neither MariaDB >= 10.5 nor MySQL 5.7 .. 9.x.
  static Result<Dialect> for_server(const Version& version);
  const Version& version() const { return version_; }

  // ---- observing
  // Each poll asks `poll`, in this order: two statements, less than a millisecond. Once a second `binlog` and
  // `glance_purged` come after it; on a new connection and every 60 s `binlog` and `survey`. `follow_up` then says
  // what the answers make necessary. What is not asked for keeps its former value in `state`.
  std::vector<Query> poll() const;
  Query binlog() const;
  std::vector<Query> survey() const;
  std::vector<Query> follow_up(const ServerState& state, bool surveyed) const;
  // Reads one answer into `state`. Fails on an answer that lacks a column it cannot do without.
  Result<void> absorb(const Query& query, const Rows& rows, ServerState& state) const;

  // What a look at another node's server asks for as the replication account: `glance` needs no privilege;
  // `glance_purged` needs BINLOG MONITOR on MariaDB and may be denied.
  Query glance() const;
  Query glance_purged() const;

  // ---- plans: statements to run in this order on one connection; the first failure ends the plan
  // Point the existing link at another source and start it. The link must be one by GTID; see above for the
  // drain. MySQL: an applier that is stopped without an error is started first, one stopped by an error is a
  // refusal.
  Result<std::vector<Statement>> repoint(const Link& link, const Address& source) const;
  // Define the link and start it. For a server that has none: a former definition's delay or filters would
  // stay.
  Result<std::vector<Statement>> create_link(const Address& source, const LinkSettings& settings) const;
  // Bring the account, TLS and timing of an existing link in line with the settings (a change of the config);
  // host and port stay. Starts it again. MariaDB: throws the relay log away, so only towards a living source.
  Result<std::vector<Statement>> adjust_link(const Link& link, const LinkSettings& settings) const;
  std::vector<Statement> start_link() const;      // both threads
  std::vector<Statement> start_receiver() const;  // the IO thread alone: after 1236, 13114 and their like
  std::vector<Statement> stop_link() const;       // both threads
  // Nothing more comes in; what was received is still applied. MariaDB cannot do that safely (H25): both
  // stop, so drain first.
  std::vector<Statement> stop_receiving() const;
  std::vector<Statement> set_read_only() const;  // bounded by lock_wait_timeout = 2 s behind LOCK TABLES: then 1205
  std::vector<Statement> lift_read_only() const;
  // One logged statement that changes no data, in this server's own domain: MariaDB sources refuse (1236) a
  // replica that knows a domain which they have never seen. Empty on MySQL.
  std::vector<Statement> prime() const;

 private:
  explicit Dialect(Version version) : version_(std::move(version)) {}
  const char* replica() const { return says_replica() ? "REPLICA" : "SLAVE"; }
  Query applier_query() const;
  Statement change(std::string label, const std::vector<Option>& options) const;
  std::vector<Option> account_options(const LinkSettings& settings) const;
  bool mariadb() const { return version_.flavor == Flavor::mariadb; }
  bool says_replica() const { return !mariadb() && version_.number >= 80022; }  // REPLICA instead of SLAVE
  bool says_source() const { return !mariadb() && version_.number >= 80023; }   // SOURCE instead of MASTER
  Version version_;
};

// A string literal. Every connection of `mysql/client` sets its own sql_mode, so that a backslash is an
// escape whatever the server's default says; statements printed for a person begin with the same SET.
std::string quote(std::string_view text);
inline constexpr std::string_view kSessionSetup = "SET SESSION sql_mode='', autocommit=1";

}  // namespace ringagent
