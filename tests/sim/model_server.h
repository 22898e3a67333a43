#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mysql/server.h"

// A small model of a MariaDB or MySQL server in a replication ring: good enough to lose, double, strand or loop a
// transaction, small enough to read.
//
// What it has: a binlog of transactions, each named by its origin and its number there; one link with a receiving and
// an applying thread and a relay log between them; read_only; the statements of mysql/dialect.cpp, understood by their
// text. What it does not have: tables, time-outs of locks, more than one link, a domain that two servers share.
//
// Rules taken from mariadb.md and mysql.md; tests/real/stories_model.py asks real servers about those of the links:
//  - MariaDB asks for what follows gtid_slave_pos and drops duplicates by number (gtid_ignore_duplicates); what
//    the source has purged is 1236; a domain that the source has never seen is served, and is 1236 once the source
//    gets it from a lower number on; CHANGE MASTER and a start of both threads throw the relay log away.
//  - MySQL asks for what is neither executed nor received and keeps its relay log; purged or "more GTIDs than the
//    source" is 13114.
//  - A broken connection is noticed at once if the kernel of the source can still say so, else after 10 s of silence
//    (slave_net_timeout); an idle source sends a heartbeat every heartbeat period.
//  - kill -9 loses the relay log (relay_log_recovery) and nothing else; a lost tail is made by `lose_tail`.
//  - gtid_slave_pos: strict mode refuses one behind the own binlog (1947) or without its domain (1948).
//  - What a link ignores is passed over for ever.
//  - LOCK TABLES holds up the applier, STOP behind it, and read_only for as long as lock_wait_timeout.
//  - A server starts read_only and with its link stopped, as `setup` configures it.
// Where it differs: MariaDB's Gtid_IO_Pos stays after a CHANGE until the next start, the model's is empty.
namespace ringagent::sim {

class ModelServer;

// By origin, the highest number that is there.
using Positions = std::map<std::uint32_t, std::uint64_t>;

struct Transaction {
  std::uint32_t origin = 0;
  std::uint64_t number = 0;
  std::uint64_t content = 0;  // what was written: never the same twice, unlike a number after a lost tail
};

// What a server needs of the world around it.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual Time now() const = 0;
  virtual void after(Duration wait, std::function<void()> then) = 0;
  virtual Duration between(Duration least, Duration most) = 0;
  virtual ModelServer* server_at(const Address& address) const = 0;
  // Whether packets get through between the hosts of two servers, databases' traffic only.
  virtual bool path(const ModelServer& from, const ModelServer& to) = 0;
  virtual std::vector<ModelServer*> servers() = 0;
  virtual void note(const ModelServer& server, const std::string& what) = 0;  // for the trace
  virtual void ran(const ModelServer& server, const std::string& sql) = 0;    // a statement of the agent
  virtual void violation(const std::string& what) = 0;
  // Transactions that were received, not applied, and are now dropped.
  virtual void thrown_away(const ModelServer& server, const std::vector<Transaction>& received) = 0;
};

class ModelServer {
 public:
  enum class Process { stopped, starting, up, stopping };

  ModelServer(Surroundings& world, std::string name, Address address, std::uint32_t server_id, Flavor flavor);
  const std::string& name() const { return name_; }
  const Address& address() const { return address_; }

  // ---- what happens to its process
  void start(Duration takes = 300ms);
  void kill(bool kernel_tells = true);  // false: the whole host is gone
  void shut_down();
  void hang();
  void wake();
  Process process() const { return process_; }
  bool listening() const { return process_ == Process::up; }
  bool hung() const { return hung_; }
  bool locked() const { return locked_; }
  bool socket_file() const { return socket_file_; }
  std::uint64_t starts() const { return starts_; }
  // Calls back when the process of this start is gone; `process` is false if only connections were closed.
  std::function<void(bool process)> on_gone;

  // ---- what clients do
  ServerState state() const;
  // Runs one statement; `done` is called when it has taken effect, or never if the process ends before.
  void execute(const std::string& sql, std::function<void(std::optional<SqlError>)> done);
  bool write(std::uint64_t content);  // one transaction of an application; false: refused
  void when_awake(std::function<void()> then);

  // ---- accidents and people
  std::optional<SqlError> operate(const std::string& sql);  // at the server's own prompt
  // What lose_tail would take: up to so many own ones, with those of others between them; the newest first.
  std::vector<std::uint64_t> tail(std::size_t transactions) const;
  void lose_tail(std::size_t transactions);  // a power failure with sync_binlog=0; the process must be stopped
  void copy_from(const ModelServer& donor);  // its data is made anew, as `ringagent reseed` leaves it
  void purge();                              // what nobody is still being sent is in no binlog file any more
  void poison() { poisoned_ = true; }        // the applier stops on error 1062 at the next transaction
  void move_to(const Address& address) { address_ = address; }
  void stall(bool on);  // the applier waits for a lock, as long as it is on
  void lock(bool on);   // LOCK TABLES in a session of its own: the applier, writes, STOP and read_only wait for it
  void set_clock(Duration by) { clock_ += by; }  // the machine's clock is set; forward, or back
  void set_variable(const std::string& name, const std::string& value);
  bool syncs_commits() const;  // as its settings say; a disk may lie
  // MySQL: how long its own transactions stand in its binlog, and go to replicas, before it counts them as executed.
  void commit_for(Duration takes) { commit_takes_ = takes; }

  // ---- for checks
  const std::vector<Transaction>& binlog() const { return binlog_; }
  std::uint32_t server_id() const { return server_id_; }
  const Positions& purged() const { return purged_; }
  Time ended_at() const { return ended_at_; }  // when its process was last seen to end
  const Positions& executed() const { return executed_; }
  bool read_only() const { return read_only_; }
  bool linked() const { return defined_; }
  bool ignores_nobody() const { return ignored_.empty(); }
  const Address& source() const { return source_; }
  IoState io() const { return io_; }
  bool sql_running() const { return sql_running_; }
  unsigned sql_errno() const { return sql_errno_; }
  Flavor flavor() const { return flavor_; }
  std::size_t holds(std::uint64_t content) const { return contents_.count(content); }
  bool has(std::uint64_t content) const;  // applied, or received
  std::size_t size() const { return contents_.size(); }
  const std::multiset<std::uint64_t>& contents() const { return contents_; }

  // ---- what other servers say to it
  void source_appended(const ModelServer& source);
  void source_closed(const ModelServer& source);

 private:
  bool mariadb() const { return flavor_ == Flavor::mariadb; }
  // Something this start of the process does later; waits while it hangs, is forgotten when it ends.
  void later(Duration wait, std::function<void()> then);
  void drop_volatile();
  void close_connections(bool kernel_tells);

  bool waits(const std::string& sql) const;
  void run_or_wait(const std::string& sql, std::function<void(std::optional<SqlError>)> done);
  void run_those_who_waited();
  Time clock() const { return world_.now() + clock_; }

  std::optional<SqlError> run(const std::string& sql);
  std::optional<SqlError> change(const std::string& sql);
  std::optional<SqlError> start_threads(bool io, bool sql);
  void stop_threads(bool io, bool sql);
  std::optional<SqlError> set_position(const std::string& value);

  void connect();
  std::string refusal(const ModelServer& source) const;
  void connected(ModelServer& source);
  void refused(const std::string& why);
  void stopped_by_source(const std::string& why);
  void lost(unsigned number, const std::string& why, Duration retry);
  void receive();
  void keep_alive(std::uint64_t life);
  void apply_soon();
  void apply();
  void append(const Transaction& transaction);
  std::string gtid(std::uint32_t origin, std::uint64_t number) const;
  Positions committed() const;  // what it counts as executed
  std::string text(const Positions& positions) const;
  Positions asked() const;

  Surroundings& world_;
  const std::string name_;
  Address address_;
  const std::uint32_t server_id_;
  const Flavor flavor_;

  // On disk.
  std::vector<Transaction> binlog_;
  Positions executed_;
  Positions purged_;
  Positions slave_pos_;
  std::multiset<std::uint64_t> contents_;
  std::map<std::string, std::string> variables_;
  bool defined_ = false;
  Address source_;
  std::string user_;
  std::set<std::uint32_t> ignored_;  // IGNORE_SERVER_IDS
  Duration heartbeat_{500'000};
  Duration retry_{1'000'000};
  bool socket_file_ = false;
  Duration clock_{0};  // how far it is from the world's

  // Of this start.
  Process process_ = Process::stopped;
  bool hung_ = false;
  std::uint64_t starts_ = 0;
  std::uint64_t resets_ = 0;  // its binlog was thrown away, and with it the connections of those who read it
  Time started_at_{0};        // by its own clock
  Time ended_at_{0};
  Positions at_start_;
  bool read_only_ = false;
  std::vector<std::function<void()>> frozen_;

  IoState io_ = IoState::stopped;
  std::uint64_t io_life_ = 0;  // counts up at every start, stop and loss of the connection
  unsigned io_errno_ = 0;
  std::string io_error_;
  Time waiting_since_{0};
  std::uint64_t source_start_ = 0;
  std::size_t source_index_ = 0;
  Positions unproven_;  // MariaDB: asked of a source that had nothing of that domain
  Time heard_{0};
  std::uint64_t heartbeats_ = 0;
  Positions received_;
  std::vector<Transaction> relay_;
  std::size_t relay_applied_ = 0;
  bool sql_running_ = false;
  unsigned sql_errno_ = 0;
  std::string sql_error_;
  std::string sql_transaction_;
  bool applying_ = false;
  bool stalled_ = false;
  bool locked_ = false;
  Duration commit_takes_{0};
  std::deque<Time> committing_;  // when each of its newest own transactions counts as executed
  struct Waiting {
    std::string sql;
    std::uint64_t ticket = 0;
    std::function<void(std::optional<SqlError>)> done;
  };
  std::deque<Waiting> waiting_;  // for the lock, in this order
  std::uint64_t tickets_ = 0;
  bool poisoned_ = false;
  bool stopped_by_hand_ = false;  // MariaDB gives up the relay log then, whatever is started first (observed on 10.11)
  std::uint64_t executed_log_entries_ = 0;
};

}  // namespace ringagent::sim
