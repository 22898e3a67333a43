#include "mysql/preconditions.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>

namespace ringagent {
namespace {

using Severity = Finding::Severity;

bool is(const std::string* value, std::initializer_list<std::string_view> words) {
  if (!value) return false;
  for (const auto word : words)
    if (std::equal(value->begin(), value->end(), word.begin(), word.end(),
                   [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; }))
      return true;
  return false;
}
bool on(const std::string* value) {
  return is(value, {"ON", "1", "YES"});
}
bool off(const std::string* value) {
  return is(value, {"OFF", "0", "NO"});
}

double number(const std::string* value) {
  return value ? std::strtod(value->c_str(), nullptr) : 0;
}

// One pass over one server; the rules are in groups by what they are about.
class Inspector {
 public:
  Inspector(const ServerState& state, const RingView& ring) : state_(state), ring_(ring) {}
  std::vector<Finding> run() {
    logging();
    if (mariadb())
      mariadb_gtid();
    else
      mysql_gtid();
    identity();
    applier();
    semi_sync();
    durability();
    start();
    writes();
    for (const Link& link : state_.links) inspect(link);
    return std::move(findings_);
  }

 private:
  bool mariadb() const { return state_.version.flavor == Flavor::mariadb; }
  const std::string* var(std::string_view name) const { return state_.variable(name); }
  // The new name, else the old one.
  const std::string* var(std::string_view name, std::string_view old) const {
    const std::string* value = var(name);
    return value ? value : var(old);
  }
  void add(Severity severity, std::string code, std::string hazard, std::string text, std::string mend) {
    findings_.push_back({severity, std::move(code), std::move(hazard), std::move(text), std::move(mend)});
  }
  void error(std::string code, std::string hazard, std::string text, std::string mend) {
    add(Severity::error, std::move(code), std::move(hazard), std::move(text), std::move(mend));
  }
  void warn(std::string code, std::string hazard, std::string text, std::string mend) {
    add(Severity::warning, std::move(code), std::move(hazard), std::move(text), std::move(mend));
  }

  void logging();
  void mariadb_gtid();
  void mysql_gtid();
  void identity();
  void applier();
  void semi_sync();
  void durability();
  void start();
  void writes();
  void inspect(const Link& link);
  void inspect_timing(const Link& link, const std::string& which);

  const ServerState& state_;
  const RingView& ring_;
  std::vector<Finding> findings_;
};

void Inspector::logging() {
  if (off(var("log_bin")))
    error("log_bin_off", "H10", "The binary log is off: nothing written here can reach the ring.",
          "Set log_bin = bin in the server's config and restart it.");
  if (off(var("log_replica_updates", "log_slave_updates")))
    error("log_slave_updates_off", "H10", "log_slave_updates is off: events of other nodes stop here after one hop.",
          "Set log_slave_updates = ON in the server's config and restart it.");
  const std::string* format = var("binlog_format");
  if (format && !is(format, {"ROW"}))
    warn("binlog_format", "H12", "binlog_format is " + *format + ": statements can have other effects on other nodes.",
         "Set binlog_format = ROW in the server's config, and SET GLOBAL binlog_format = 'ROW'.");
  const double days = number(var("expire_logs_days"));
  const double seconds = var("binlog_expire_logs_seconds") ? number(var("binlog_expire_logs_seconds")) : 0;
  const double kept_s = seconds > 0 ? seconds : days * 86400;
  if (kept_s > 0 && kept_s < 3 * 86400)
    warn("binlog_expiry_short", "H6",
         "Binary logs are deleted after " + std::to_string(static_cast<long>(kept_s / 3600)) +
             " hours: a node that is away for longer must be reseeded.",
         "SET GLOBAL binlog_expire_logs_seconds = 604800, and the same in the server's config.");
}

void Inspector::mariadb_gtid() {
  if (off(var("gtid_strict_mode")))
    error("gtid_strict_mode_off", "H6", "gtid_strict_mode is off: a rewound position would apply transactions twice.",
          "SET GLOBAL gtid_strict_mode = 1, and gtid_strict_mode = ON in the server's config.");
  if (off(var("gtid_ignore_duplicates")))
    error("gtid_ignore_duplicates_off", "H6",
          "gtid_ignore_duplicates is off: a source that is behind this node in one domain refuses to serve "
          "it (1236).",
          "STOP SLAVE; SET GLOBAL gtid_ignore_duplicates = 1; START SLAVE, and gtid_ignore_duplicates = ON "
          "in the "
          "server's config.");
  const std::string domain = std::to_string(state_.domain_id);
  const std::string mend =
      "Give every node a gtid_domain_id of its own, the server_id for instance: SET GLOBAL "
      "gtid_domain_id = " +
      std::to_string(state_.server_id) + ", the same in the server's config, and let the applications connect anew.";
  if (state_.domain_id == 0)
    error("gtid_domain_zero", "H7", "gtid_domain_id is 0, the default that every server shares.", mend);
  else if (std::count(ring_.peer_domains.begin(), ring_.peer_domains.end(), state_.domain_id) > 0)
    error("gtid_domain_shared", "H7",
          "gtid_domain_id " + domain + " is used by another member too: transactions would be lost silently.", mend);
}

void Inspector::mysql_gtid() {
  if (var("gtid_mode") && !on(var("gtid_mode")))
    error("gtid_mode_off", "H21", "gtid_mode is " + *var("gtid_mode") + ": positions cannot be compared.",
          "Set gtid_mode = ON and enforce_gtid_consistency = ON in the server's config and restart it (or "
          "switch "
          "online, step by step, as the manual says).");
  if (var("enforce_gtid_consistency") && !on(var("enforce_gtid_consistency")))
    error("gtid_consistency_off", "H21",
          "enforce_gtid_consistency is off: statements that GTIDs cannot carry are accepted.",
          "SET GLOBAL enforce_gtid_consistency = ON, and the same in the server's config.");
  if (off(var("performance_schema")))
    error("performance_schema_off", "H16", "performance_schema is off: heartbeats of the link cannot be seen.",
          "Set performance_schema = ON in the server's config and restart it.");
}

void Inspector::identity() {
  if (state_.server_id == 0)
    error("server_id_zero", "H24", "server_id is 0: replication is not possible.",
          "Set a server_id of its own in the server's config and restart it.");
  else if (std::count(ring_.peer_server_ids.begin(), ring_.peer_server_ids.end(), state_.server_id) > 0)
    error("server_id_shared", "H24",
          "server_id " + std::to_string(state_.server_id) +
              " is used by another member too: each would throw away the other's writes.",
          "Give this server a server_id of its own (and on MySQL remove auto.cnf from a copied data "
          "directory).");
  if (on(var("replicate_same_server_id")))
    error("replicate_same_server_id", "H9", "replicate_same_server_id is on: the server's own writes come back to it.",
          "Remove replicate_same_server_id from the server's config and restart it.");
  if (on(var("wsrep_on")))
    error("galera", "", "This server is a Galera node: its replication is not RingAgent's to manage.",
          "Use a server without wsrep_on.");
}

void Inspector::applier() {
  const std::string* skip = var("replica_skip_errors", "slave_skip_errors");
  if (skip && !skip->empty() && !off(skip))
    error("slave_skip_errors", "H14", "slave_skip_errors = " + *skip + " hides that nodes drift apart.",
          "Remove slave_skip_errors from the server's config and restart it.");
  const std::string* mode = var("replica_exec_mode", "slave_exec_mode");
  if (mode && is(mode, {"IDEMPOTENT"}))
    error("slave_exec_mode_idempotent", "H14", "slave_exec_mode is IDEMPOTENT: conflicts vanish without a trace.",
          "SET GLOBAL slave_exec_mode = 'STRICT', and the same in the server's config.");
  const std::string* workers = var("replica_parallel_workers", "slave_parallel_workers");
  const std::string* order = var("replica_preserve_commit_order", "slave_preserve_commit_order");
  if (!mariadb() && number(workers) > 1 && off(order))
    warn("commit_order_off", "H12",
         "replica_preserve_commit_order is off with " + *workers + " workers: readers see an order that never was.",
         "STOP REPLICA SQL_THREAD; SET GLOBAL replica_preserve_commit_order = ON; START REPLICA SQL_THREAD, "
         "and the "
         "same in the server's config.");
  const std::string* types = var("replica_type_conversions", "slave_type_conversions");
  if (types && types->empty())
    warn("slave_type_conversions", "H13",
         "slave_type_conversions is empty: rows on their way during an ALTER TABLE stop the applier.",
         "SET GLOBAL slave_type_conversions = 'ALL_NON_LOSSY', and the same in the server's config.");
}

// MDEV-27760 and MDEV-28609: mended in 10.5.17, 10.6.9, 10.7.5, 10.8.4 and 10.9.2.
bool semi_sync_orbits(const Version& version) {
  const std::uint32_t series = version.number / 100;
  const std::uint32_t patch = version.number % 100;
  switch (series) {
    case 1005:
      return patch < 17;
    case 1006:
      return patch < 9;
    case 1007:
      return patch < 5;
    case 1008:
      return patch < 4;
    case 1009:
      return patch < 2;
    default:
      return false;
  }
}

void Inspector::semi_sync() {
  const bool enabled = on(var("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")) ||
                       on(var("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled"));
  if (enabled && mariadb() && semi_sync_orbits(state_.version))
    error("semi_sync_orbits", "H8",
          "Semi-synchronous replication is on, and with " + state_.version.text + " events can circle in a ring.",
          "SET GLOBAL rpl_semi_sync_master_enabled = 0, rpl_semi_sync_slave_enabled = 0 and the same in the "
          "server's "
          "config, or upgrade to the newest release of the series.");
}

void Inspector::durability() {
  const std::string mend =
      "SET GLOBAL sync_binlog = 1; SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in "
      "the server's config.";
  if (var("sync_binlog") && number(var("sync_binlog")) != 1)
    warn("sync_binlog", "H5",
         "sync_binlog is " + *var("sync_binlog") +
             ": after a power failure this node can lack transactions that others have, and must be reseeded.",
         mend);
  if (var("innodb_flush_log_at_trx_commit") && number(var("innodb_flush_log_at_trx_commit")) != 1)
    warn("innodb_flush", "H5",
         "innodb_flush_log_at_trx_commit is " + *var("innodb_flush_log_at_trx_commit") +
             ": after a power failure committed transactions can be missing.",
         mend);
  if (off(var("relay_log_recovery")))
    warn("relay_log_recovery_off", "H19", "relay_log_recovery is off: a crash can leave a torn relay log behind.",
         "Set relay_log_recovery = ON in the server's config; it takes effect at the next restart.");
}

// MariaDB has no variable for skip_slave_start: there the server's behaviour tells, and `setup` writes it.
void Inspector::start() {
  if (off(var("skip_replica_start", "skip_slave_start")))
    warn("replica_starts_at_boot", "H5",
         "Replication starts with the server, before anybody has checked it: a lost tail is detected, not "
         "prevented.",
         "Put skip_replica_start = ON and read_only = ON (MySQL: super_read_only = ON) into the server's "
         "config; "
         "`ringagent setup --print` shows the whole snippet.");
}

void Inspector::writes() {
  const double increment = number(var("auto_increment_increment"));
  const double offset = number(var("auto_increment_offset"));
  if (var("auto_increment_increment") && ring_.ring_size > 1 && increment < static_cast<double>(ring_.ring_size))
    warn("auto_increment_increment", "H11",
         "auto_increment_increment is " + *var("auto_increment_increment") + " in a ring of " +
             std::to_string(ring_.ring_size) + ": nodes will hand out the same numbers.",
         "Set auto_increment_increment to at least the largest ring ever wanted (16), the same on all nodes, "
         "and an "
         "auto_increment_offset of its own on each.");
  else if (var("auto_increment_offset") && increment > 1 && offset > increment)
    warn("auto_increment_offset", "H11",
         "auto_increment_offset is larger than auto_increment_increment: the server ignores it.",
         "Choose an auto_increment_offset from 1 to auto_increment_increment, another one on each node.");
  // MySQL 8 has the scheduler on by default, and who sees all events may change them: only MariaDB's says
  // something.
  if (mariadb() && on(var("event_scheduler")))
    warn("event_scheduler", "H15", "The event scheduler is on: an event that is enabled on several nodes runs on each.",
         "Check information_schema.EVENTS: ENABLED on one node only, SLAVESIDE_DISABLED on the others.");
}

void Inspector::inspect_timing(const Link& link, const std::string& which) {
  const std::string* timeout = var("replica_net_timeout", "slave_net_timeout");
  const double timeout_s = number(timeout);
  if (timeout && timeout_s > 10)
    warn("slave_net_timeout", "H16",
         "slave_net_timeout is " + *timeout + " s: for so long the server itself does not notice a silent source.",
         "SET GLOBAL slave_net_timeout = 10, and the same in the server's config.");
  if (link.heartbeat_period_ms == 0)
    warn("heartbeat_off", "H16", which + " has no heartbeat: an idle source and a dead one look the same.",
         "Stop the link, CHANGE its heartbeat period to 0.5, start it (MASTER_HEARTBEAT_PERIOD, "
         "SOURCE_HEARTBEAT_PERIOD).");
  else if (timeout && timeout_s > 0 && link.heartbeat_period_ms >= timeout_s * 1000)
    warn("heartbeat_slow", "H16",
         which + " has a heartbeat period of " + std::to_string(link.heartbeat_period_ms) +
             " ms, not below slave_net_timeout: it will reconnect for ever when idle.",
         "Choose a heartbeat period well below slave_net_timeout.");
}

void Inspector::inspect(const Link& link) {
  const std::string which = link.channel.empty() ? "The replication link" : "The replication channel " + link.channel;
  if (!link.channel.empty()) {
    warn("extra_channel", "H27", which + " is not RingAgent's: two ways for the same transactions can deadlock.",
         "Stop and remove the channel, or make sure that it brings nothing that the ring brings.");
    return;
  }
  if (!link.uses_gtid)
    error("link_without_gtid", "H21",
          which + (mariadb() ? " uses Using_Gtid = " : " uses Auto_Position = ") + link.gtid_mode_text +
              ": its position cannot be carried to another source.",
          mariadb() ? "Once gtid_slave_pos is right: STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = "
                      "slave_pos; START SLAVE."
                    : "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1; START REPLICA.");
  if (!link.ignore_server_ids.empty())
    error("ignore_server_ids", "H3",
          which + " ignores the server_id " + std::to_string(link.ignore_server_ids.front()) +
              ": that node's writes vanish here.",
          mariadb() ? "STOP SLAVE; CHANGE MASTER TO IGNORE_SERVER_IDS = (); START SLAVE."
                    : "STOP REPLICA; CHANGE REPLICATION SOURCE TO IGNORE_SERVER_IDS = (); START REPLICA.");
  if (!link.filters.empty())
    warn("replication_filters", "H18", which + " filters (" + link.filters + "): the ring is cut for what it drops.",
         "Remove the filters, or make them equal on all nodes.");
  if (link.delay_s > 0)
    warn("delayed", "H17", which + " is delayed by " + std::to_string(link.delay_s) + " s: so is every node behind it.",
         "Set the delay to 0, or make this node a leaf.");
  inspect_timing(link, which);
}

}  // namespace

std::vector<Finding> preconditions(const ServerState& state, const RingView& ring) {
  return Inspector(state, ring).run();
}

}  // namespace ringagent
