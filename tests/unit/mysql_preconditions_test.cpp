#include <doctest/doctest.h>

#include <algorithm>

#include "mysql/dialect.h"
#include "mysql/preconditions.h"

namespace ringagent {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

// Servers with nothing wrong about them.
ServerState good_mariadb() {
  ServerState state;
  state.version = parse_version("10.11.19-MariaDB");
  state.server_id = 2;
  state.domain_id = 2;
  state.variables = {{"auto_increment_increment", "16"},
                     {"auto_increment_offset", "2"},
                     {"binlog_expire_logs_seconds", "0"},
                     {"binlog_format", "ROW"},
                     {"event_scheduler", "OFF"},
                     {"expire_logs_days", "0.000000"},
                     {"gtid_ignore_duplicates", "ON"},
                     {"gtid_strict_mode", "ON"},
                     {"innodb_flush_log_at_trx_commit", "1"},
                     {"log_bin", "ON"},
                     {"log_slave_updates", "ON"},
                     {"relay_log_recovery", "ON"},
                     {"rpl_semi_sync_master_enabled", "OFF"},
                     {"rpl_semi_sync_slave_enabled", "OFF"},
                     {"slave_exec_mode", "STRICT"},
                     {"slave_net_timeout", "10"},
                     {"slave_skip_errors", "OFF"},
                     {"slave_type_conversions", "ALL_NON_LOSSY"},
                     {"sync_binlog", "1"},
                     {"wsrep_on", "OFF"}};
  Link link;
  link.source = {"db1", 3306};
  link.uses_gtid = true;
  link.gtid_mode_text = "Slave_Pos";
  link.heartbeat_period_ms = 500;
  state.links = {link};
  return state;
}

ServerState good_mysql() {
  ServerState state = good_mariadb();
  state.version = parse_version("9.7.4");
  state.domain_id = 0;
  state.links[0].gtid_mode_text = "1";
  state.variables = {{"auto_increment_increment", "16"},
                     {"auto_increment_offset", "2"},
                     {"binlog_expire_logs_seconds", "2592000"},
                     {"binlog_format", "ROW"},
                     {"enforce_gtid_consistency", "ON"},
                     {"event_scheduler", "ON"},
                     {"gtid_mode", "ON"},
                     {"innodb_flush_log_at_trx_commit", "1"},
                     {"log_bin", "ON"},
                     {"log_replica_updates", "ON"},
                     {"performance_schema", "ON"},
                     {"relay_log_recovery", "ON"},
                     {"replica_exec_mode", "STRICT"},
                     {"replica_net_timeout", "10"},
                     {"replica_parallel_workers", "4"},
                     {"replica_preserve_commit_order", "ON"},
                     {"replica_skip_errors", "OFF"},
                     {"replica_type_conversions", "ALL_NON_LOSSY"},
                     {"skip_replica_start", "ON"},
                     {"sync_binlog", "1"}};
  return state;
}

const RingView kRing = {{1, 3, 4}, {1, 3, 4}, 4};

void set(ServerState& state, const std::string& name, const std::string& value) {
  for (auto& [key, old] : state.variables)
    if (key == name) {
      old = value;
      return;
    }
  state.variables.emplace_back(name, value);
}

std::vector<std::string> codes(const ServerState& state, const RingView& ring = kRing) {
  std::vector<std::string> out;
  for (const Finding& finding : preconditions(state, ring)) {
    CHECK(!finding.text.empty());
    CHECK(!finding.mend.empty());
    CHECK(finding.text.back() == '.');
    out.push_back((finding.severity == Finding::Severity::error ? "error " : "warning ") + finding.code);
  }
  return out;
}

using Codes = std::vector<std::string>;

}  // namespace

TEST_CASE("mysql/preconditions: a server set up as it should be has no findings") {
  CHECK(codes(good_mariadb()) == Codes{});
  CHECK(codes(good_mysql()) == Codes{});
  ServerState fresh = good_mariadb();
  fresh.links.clear();
  CHECK(codes(fresh) == Codes{});
}

TEST_CASE("mysql/preconditions: each setting that would lose, double or loop data is an error, by itself") {
  struct Case {
    ServerState state;
    const char* variable;
    const char* value;
    const char* code;
  };
  for (const Case& one : {Case{good_mariadb(), "log_bin", "OFF", "error log_bin_off"},
                          Case{good_mariadb(), "log_slave_updates", "OFF", "error log_slave_updates_off"},
                          Case{good_mariadb(), "gtid_strict_mode", "OFF", "error gtid_strict_mode_off"},
                          Case{good_mariadb(), "gtid_ignore_duplicates", "OFF", "error gtid_ignore_duplicates_off"},
                          Case{good_mariadb(), "slave_skip_errors", "1062", "error slave_skip_errors"},
                          Case{good_mariadb(), "slave_exec_mode", "IDEMPOTENT", "error slave_exec_mode_idempotent"},
                          Case{good_mariadb(), "wsrep_on", "ON", "error galera"},
                          Case{good_mariadb(), "replicate_same_server_id", "ON", "error replicate_same_server_id"},
                          Case{good_mysql(), "log_replica_updates", "OFF", "error log_slave_updates_off"},
                          Case{good_mysql(), "gtid_mode", "ON_PERMISSIVE", "error gtid_mode_off"},
                          Case{good_mysql(), "enforce_gtid_consistency", "WARN", "error gtid_consistency_off"},
                          Case{good_mysql(), "performance_schema", "OFF", "error performance_schema_off"},
                          Case{good_mysql(), "replica_skip_errors", "all", "error slave_skip_errors"},
                          Case{good_mysql(), "replica_exec_mode", "IDEMPOTENT", "error slave_exec_mode_idempotent"}}) {
    ServerState state = one.state;
    set(state, one.variable, one.value);
    CHECK(codes(state) == Codes{one.code});
  }
}

TEST_CASE("mysql/preconditions: what makes a server less safe is a warning") {
  struct Case {
    ServerState state;
    const char* variable;
    const char* value;
    const char* code;
  };
  for (const Case& one : {Case{good_mariadb(), "binlog_format", "MIXED", "warning binlog_format"},
                          Case{good_mariadb(), "expire_logs_days", "1.5", "warning binlog_expiry_short"},
                          Case{good_mysql(), "binlog_expire_logs_seconds", "3600", "warning binlog_expiry_short"},
                          Case{good_mariadb(), "sync_binlog", "0", "warning sync_binlog"},
                          Case{good_mariadb(), "innodb_flush_log_at_trx_commit", "2", "warning innodb_flush"},
                          Case{good_mariadb(), "relay_log_recovery", "OFF", "warning relay_log_recovery_off"},
                          Case{good_mariadb(), "slave_net_timeout", "60", "warning slave_net_timeout"},
                          Case{good_mariadb(), "slave_type_conversions", "", "warning slave_type_conversions"},
                          Case{good_mariadb(), "event_scheduler", "ON", "warning event_scheduler"},
                          Case{good_mariadb(), "auto_increment_increment", "3", "warning auto_increment_increment"},
                          Case{good_mariadb(), "auto_increment_offset", "17", "warning auto_increment_offset"},
                          Case{good_mysql(), "skip_replica_start", "OFF", "warning replica_starts_at_boot"},
                          Case{good_mysql(), "replica_preserve_commit_order", "OFF", "warning commit_order_off"}}) {
    ServerState state = one.state;
    set(state, one.variable, one.value);
    CHECK(codes(state) == Codes{one.code});
  }
}

TEST_CASE("mysql/preconditions: a number is told as the server tells it, whatever it is") {
  ServerState state = good_mysql();
  set(state, "replica_preserve_commit_order", "OFF");
  for (const char* workers : {"4", "1e300", "inf"}) {
    set(state, "replica_parallel_workers", workers);
    const auto found = preconditions(state, RingView{});
    REQUIRE(found.size() == 1);
    CHECK(found[0].text.find(std::string(" with ") + workers + " workers") != std::string::npos);
  }
}

TEST_CASE("mysql/preconditions: a domain and an id of its own") {
  ServerState state = good_mariadb();
  state.domain_id = 0;
  CHECK(codes(state) == Codes{"error gtid_domain_zero"});
  state.domain_id = 3;
  CHECK(codes(state) == Codes{"error gtid_domain_shared"});
  state = good_mariadb();
  state.server_id = 4;
  CHECK(codes(state) == Codes{"error server_id_shared"});
  state = good_mysql();  // MySQL has no domains
  state.server_id = 0;
  CHECK(codes(state) == Codes{"error server_id_zero"});
}

TEST_CASE("mysql/preconditions: what is wrong with a link") {
  ServerState state = good_mariadb();
  state.links[0].uses_gtid = false;
  state.links[0].gtid_mode_text = "Current_Pos";
  CHECK(codes(state) == Codes{"error link_without_gtid"});
  state = good_mariadb();
  state.links[0].ignore_server_ids = {3};
  CHECK(codes(state) == Codes{"error ignore_server_ids"});
  state = good_mariadb();
  state.links[0].filters = "Replicate_Do_DB=shop";
  CHECK(codes(state) == Codes{"warning replication_filters"});
  state = good_mariadb();
  state.links[0].delay_s = 60;
  CHECK(codes(state) == Codes{"warning delayed"});
  state = good_mariadb();
  state.links[0].heartbeat_period_ms = 0;
  CHECK(codes(state) == Codes{"warning heartbeat_off"});
  state.links[0].heartbeat_period_ms = 10'000;
  CHECK(codes(state) == Codes{"warning heartbeat_slow"});
  state = good_mariadb();
  state.links[0].channel = "reports";
  CHECK(codes(state) == Codes{"warning extra_channel"});
}

TEST_CASE("mysql/preconditions: semi-sync is an error on the versions that let events circle") {
  for (const auto& known :
       {std::pair{"10.5.16-MariaDB", true}, std::pair{"10.5.17-MariaDB", false}, std::pair{"10.6.8-MariaDB", true},
        std::pair{"10.6.9-MariaDB", false}, std::pair{"10.11.19-MariaDB", false}}) {
    ServerState state = good_mariadb();
    state.version = parse_version(known.first);
    set(state, "rpl_semi_sync_slave_enabled", "ON");
    CHECK_MESSAGE((codes(state) == Codes{"error semi_sync_orbits"}) == known.second, known.first);
  }
}

TEST_CASE("mysql/preconditions: every finding names its hazard") {
  ServerState state = good_mariadb();
  set(state, "log_slave_updates", "OFF");
  state.links[0].ignore_server_ids = {3};
  const auto findings = preconditions(state, kRing);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].hazard == "H10");
  CHECK(findings[1].hazard == "H3");
}

}  // namespace ringagent
