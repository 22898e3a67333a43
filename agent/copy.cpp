#include "agent/copy.h"

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "agent/copy_parts.h"
#include "mysql/gtid.h"

namespace ringagent {
namespace copying {

Time now() {
  return std::chrono::duration_cast<Time>(std::chrono::steady_clock::now().time_since_epoch());
}

Result<void> run_all(Client& client, const std::vector<std::string>& statements, Duration deadline,
                     const std::string& what) {
  for (const auto& sql : statements) {
    if (auto done = client.query(sql, deadline); !done)
      return fail("the server refused " + (what.empty() ? "`" + sql + "`" : what) + ": " + done.error().text);
  }
  return {};
}

Result<Rows> question(Client& client, const std::string& sql, const std::string& who) {
  auto rows = client.query(sql, kQuick);
  if (rows) return std::move(*rows);
  return fail(who + " does not answer `" + sql.substr(0, 60) + "`: " + rows.error().text);
}

Result<void> run_with_writes(CopyTarget& local, const std::vector<std::string>& statements, const std::string& what) {
  if (local.version.flavor == Flavor::mariadb) return run_all(local.client, statements, kLong, what);
  const auto before = question(local.client, "SELECT @@global.super_read_only AS super", "the server");
  if (!before) return tl::unexpected(before.error());
  const std::string* super = before->at(0, "super");
  if (super != nullptr && *super == "0") return run_all(local.client, statements, kLong, what);
  if (auto lifted = run_all(local.client, {"SET GLOBAL super_read_only = 0"}, kQuick); !lifted) return lifted;
  auto done = run_all(local.client, statements, kLong, what);
  if (!local.client.usable()) return done;
  auto shut = run_all(local.client, {"SET GLOBAL super_read_only = 1"}, kQuick);
  return done ? shut : done;
}

Result<void> settle_events(CopyTarget& local, const Rows& events, const EventsBefore& before, std::ostream& out) {
  const EventChanges changes = event_changes(events, before, local.server_id);
  for (const std::string& event : changes.doubtful)
    out << "the event " << event << " is asleep here; if no other node runs it: ALTER EVENT " << event << " ENABLE\n";
  return changes.statements.empty() ? Result<void>() : run_with_writes(local, changes.statements);
}

Result<void> settle_agent_account(CopyTarget& local, const CopyJob& job) {
  const auto agent = Client::connect(job.agent, kConnect);
  if (agent || agent.error().kind != SqlErrorKind::denied) return {};
  const auto all = account_statements(local.version, job.accounts);
  if (!all) return tl::unexpected(all.error());
  std::vector<std::string> own;
  for (const auto& statement : *all) {
    if (statement.label == "session" || statement.shown.find(quote(job.accounts.user) + "@") != std::string::npos)
      own.push_back(statement.sql);
  }
  return run_with_writes(local, own, "the agent's account");
}

Result<Client> connect_donor(const CopyJob& job, const Interrupt& interrupt) {
  auto client = Client::connect(job.donor, kConnect, interrupt.fd());
  if (client) return std::move(*client);
  const std::string where = job.donor_name + " (" + job.donor.address.str() + ")";
  const bool denied = client.error().kind == SqlErrorKind::denied;
  return fail("cannot log in to the donor " + where + " as " + job.donor.user + ": " + client.error().text +
              (denied ? "; run `ringagent setup` there again, or name another account: --donor-user" : ""));
}

Result<void> check_privileges(Client& donor, const CopyJob& job, const Version& version, CopyMethod method) {
  const auto grants = question(donor, "SHOW GRANTS", job.donor_name);
  if (!grants) return tl::unexpected(grants.error());
  std::string missing;
  for (const auto& privilege : missing_privileges(version, method, *grants))
    missing += (missing.empty() ? "" : ", ") + privilege;
  if (missing.empty()) return {};
  return fail("the account " + job.donor.user + " of " + job.donor_name + " lacks " + missing +
              ", which a copy needs: run `ringagent setup` there again, or name another account: --donor-user");
}

}  // namespace copying

using namespace copying;

Result<CopyTarget> look_at_local(const ConnectSettings& admin) {
  auto client = Client::connect(admin, kConnect);
  if (!client) {
    const std::string where = admin.socket.empty() ? admin.address.str() : admin.socket;
    return fail("cannot log in to the server at " + where + " as " + admin.user + ": " + client.error().text +
                "; --user, --password-file and --mysql-socket choose");
  }
  CopyTarget local{std::move(*client), {}, 0, 0, "", ""};
  local.version = parse_version(local.client.server_version());
  if (const auto known = Dialect::for_server(local.version); !known) return tl::unexpected(known.error());
  const bool mariadb = local.version.flavor == Flavor::mariadb;
  const auto rows = question(local.client,
                             std::string("SELECT CURRENT_USER() AS account, @@global.server_id AS id, ") +
                                 (mariadb ? "@@global.gtid_domain_id AS domain" : "@@global.server_uuid AS uuid"),
                             "the server");
  if (!rows) return tl::unexpected(rows.error());
  const auto number = [&](const char* column) {
    return static_cast<std::uint32_t>(std::strtoul(rows->text(0, {column}).c_str(), nullptr, 10));
  };
  local.account = rows->text(0, {"account"});
  local.server_id = number("id");
  if (mariadb) local.domain_id = number("domain");
  if (!mariadb) local.server_uuid = rows->text(0, {"uuid"});
  if (auto quiet = run_all(local.client, {"SET SESSION sql_log_bin = 0"}, kQuick); !quiet)
    return tl::unexpected(quiet.error());
  return local;
}

namespace {

// "binlog.000007  1234  1-1-50,2-2-7": where mariadb-backup says that its data end; "" if it says nothing.
std::string end_of_backup(const std::string& datadir) {
  for (const char* name : {"mariadb_backup_binlog_info", "xtrabackup_binlog_info"}) {
    std::ifstream file(datadir + "/" + name);
    std::string log, offset, position;
    if (file >> log >> offset >> position && GtidSet::parse(Flavor::mariadb, position)) return position;
  }
  return {};
}

}  // namespace

Result<void> settle_brought(CopyTarget& local, const std::vector<std::string>& others, bool empty, std::ostream& out) {
  const auto events = question(local.client, events_query(), "the server");
  if (!events) return tl::unexpected(events.error());
  if (auto done = settle_events(local, *events, {}, out); !done) return done;
  if (local.version.flavor != Flavor::mariadb) return {};
  const auto rows = question(local.client,
                             "SELECT @@global.gtid_slave_pos AS position, @@global.gtid_binlog_state AS state,"
                             " @@global.datadir AS datadir",
                             "the server");
  if (!rows) return tl::unexpected(rows.error());
  if (!rows->text(0, {"state"}).empty()) return {};
  const std::string backup = end_of_backup(rows->text(0, {"datadir"}));
  const std::string position = backup.empty() ? rows->text(0, {"position"}) : backup;
  if (position.empty() && empty) return {};
  if (const auto domains = domains_unnamed(position, others, local.domain_id); !domains.empty())
    return fail("where its data end is not known: its gtid_slave_pos (" + (position.empty() ? "empty" : position) +
                ") names no transaction of domain " + std::to_string(domains.front()) +
                ", of which the ring has some. SET GLOBAL gtid_slave_pos there to the position that came with the "
                "backup (xtrabackup_binlog_info or mariadb_backup_binlog_info)");
  return run_all(local.client, adopt_position({position, position}), kLong);
}

Result<Schemas> schemas_of(Client& client) {
  const auto rows = question(client, schemas_query(), "the server");
  if (!rows) return tl::unexpected(rows.error());
  return read_schemas(*rows);
}

Result<void> copy_data(const CopyJob& job, const CopyScreen& screen, const Interrupt& interrupt) {
  auto local = look_at_local(job.local);
  if (!local) return tl::unexpected(local.error());
  const auto state = copy_state(*local, job.state_dir);
  if (!state) return tl::unexpected(state.error());
  if (*state == CopyState::complete) return {};
  if (*state == CopyState::none) {  // else the server may have none of them any more
    if (auto kept = keep_events(*local, job.state_dir); !kept) return kept;
  }
  const CopyMethod method = job.method.value_or(usual_method(local->version));
  if (method == CopyMethod::clone && usual_method(local->version) != CopyMethod::clone)
    return fail("this server (" + local->version.text + ") has no CLONE: MySQL has it from 8.0.17 on; --method dump");
  auto copied = method == CopyMethod::clone ? copy_by_clone(job, *local, screen, interrupt)
                                            : copy_by_dump(job, *local, screen, interrupt);
  if (!copied && interrupt.raised()) return fail(kInterrupted);
  return copied;
}

}  // namespace ringagent
