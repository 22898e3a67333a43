#include "agent/reconcile.h"

#include <algorithm>

#include "agent/positions.h"
#include "mysql/copy.h"
#include "mysql/gtid.h"

namespace ringagent {
namespace {

Plan blocked(std::string why) {
  Plan plan;
  plan.blocked = true;
  plan.why = std::move(why);
  return plan;
}

Plan deed(Deed what, std::vector<Statement> statements, std::string why) {
  Plan plan;
  plan.deed = what;
  plan.statements = std::move(statements);
  plan.why = std::move(why);
  return plan;
}

std::string name_at(const Config& config, const Address& address) {
  for (const Member& member : config.members) {
    if (member.mysql == address) return member.name;
  }
  return address.str();
}

bool stopped_without_error(const Link& link) {
  return (link.io == IoState::stopped && link.io_errno == 0) || (!link.sql_running && link.sql_errno == 0);
}

// What a person did to the link since this agent last finished with it, or "".
std::string foreign_change(const Situation& s, const Link& link, const std::optional<Address>& wanted) {
  const bool ours =
      !s.intent.source.empty() && !s.intent.working && s.intent.started_unix_s == s.server->started_unix_s;
  if (!ours) return {};
  if (link.source != s.intent.source && (!wanted || link.source != *wanted)) {
    return "the link was pointed at " + link.source.str() + " by hand; `ringagent resume` puts it back";
  }
  if (stopped_without_error(link)) {
    const char* what = link.io == IoState::stopped ? (link.sql_running ? "receiving" : "replication") : "applying";
    return std::string(what) + " was stopped by hand; `ringagent resume` starts it again";
  }
  return {};
}

std::string sql_error_text(const Link& link) {
  return "the applier stopped on error " + std::to_string(link.sql_errno) +
         (link.sql_transaction.empty() ? "" : " at transaction " + link.sql_transaction) + ": " + link.sql_error +
         " (never skipped by RingAgent: mend the row, then START the replica)";
}

// Why this server must not be touched at all, or "".
std::string unfit(const Situation& s, const Link* link) {
  if (s.server->links.size() > 1)
    return "the server has more than one replication channel: RingAgent keeps rings of one";
  if (link == nullptr) return {};
  if (!link->uses_gtid)
    return "the link does not use GTIDs (it says " + link->gtid_mode_text +
           "): change it by hand, see `ringagent check`";
  if (!link->ignore_server_ids.empty())
    return "the link ignores the events of some server_ids: clear IGNORE_SERVER_IDS by hand";
  return {};
}

// All that this server will have when its applier is through.
std::string with_received(const ServerState& server) {
  const Link* link = server.link();
  return link == nullptr || link->received.empty() ? server.executed
         : server.executed.empty()                 ? link->received
                                                   : server.executed + "," + link->received;
}

// May the wanted source serve this server?
std::optional<Plan> source_unfit(const Situation& s, const Member& source) {
  if (s.source == nullptr)
    return blocked("waiting for " + source.name + ": neither its agent nor its server has answered yet");
  if (can_give(*s.source, *s.server)) return std::nullopt;
  if (!s.may_give.empty())
    return blocked("waiting for " + s.may_give + ": " + source.name +
                   " has purged transactions that this server lacks");
  Plan plan = blocked(
      kNeedsReseed + source.name + " has purged transactions that this server lacks: " +
      missing_text(static_cast<std::uint8_t>(s.server->version.flavor), with_received(*s.server), s.source->purged));
  plan.needs_reseed = plan.why;
  return plan;
}

// Stops receiving from whoever the link points at, once everything received is applied. The definition stays.
Plan stop_following(const Situation& s, const Dialect& dialect, const Link& link) {
  Plan plan = deed(Deed::stop_link, dialect.stop_receiving(),
                   "stop following " + name_at(*s.config, link.source) + ": it is out of the ring and not checked");
  plan.drain = dialect.version().flavor == Flavor::mariadb && link.sql_running;
  plan.source = link.source;
  return plan;
}

bool points_at_one_who_is_out(const Situation& s, const Link& link) {
  return std::any_of(s.config->members.begin(), s.config->members.end(),
                     [&](const Member& m) { return m.mysql == link.source && !m.in; });
}

// Why it is not the upstream of the own place, where it is not.
std::string instead_of(const Situation& s) {
  const auto place = upstream(*s.config, s.self);
  if (!place || place == s.upstream) return {};
  return ", since " + s.config->find(*place)->name + " can no longer give all that this server lacks";
}

Plan repoint_plan(const Situation& s, const Dialect& dialect, const Link& link, const Member& source) {
  if (!link.sql_running && link.sql_errno != 0) return blocked(sql_error_text(link));
  if (auto no = source_unfit(s, source)) {
    // A server that comes back while its follower has nowhere to go would be followed before anyone has checked it.
    if (link.io != IoState::stopped && points_at_one_who_is_out(s, link)) return stop_following(s, dialect, link);
    return *no;
  }
  auto statements = dialect.repoint(link, source.mysql);
  if (!statements) return blocked(statements.error().text);
  Plan plan = deed(Deed::repoint, std::move(*statements),
                   "repoint from " + name_at(*s.config, link.source) + " to " + source.name + instead_of(s));
  plan.source = source.mysql;
  // MariaDB throws the relay log away at a repoint; MySQL keeps it, and its applier goes on all the while.
  plan.drain = dialect.version().flavor == Flavor::mariadb && !s.old_source_well && link.sql_running;
  return plan;
}

// The link points where it should: does it run?
Plan running_plan(const Situation& s, const Dialect& dialect, const Link& link, const Member& source) {
  Plan plan;
  plan.why = "follows " + source.name;
  if (link.sql_errno != 0 && !link.sql_running) {
    // What is received meanwhile is kept; nothing is decided over the head of a person.
    plan = blocked(sql_error_text(link));
    return plan;
  }
  if (link.io != IoState::stopped && link.sql_running) {
    plan.link_fits = true;
    if (link.io == IoState::connecting && link.io_errno != 0) {
      plan.why = "connecting to " + source.name + ": error " + std::to_string(link.io_errno) + ": " + link.io_error;
    }
    return plan;
  }
  if (auto no = source_unfit(s, source)) return *no;
  // The source itself says so, before its agent has told everybody what was purged. A node that is in goes on trying: its
  // neighbours hang on it, and what its source purged is known for certain within a minute.
  const bool purged =
      (link.io_errno == 1236 || link.io_errno == 13114) && link.io_error.find("purged") != std::string::npos;
  if (purged && !s.config->find(s.self)->in && s.may_give.empty()) {
    plan = blocked(kNeedsReseed + source.name + " has purged transactions that this server lacks (error " +
                   std::to_string(link.io_errno) + ": " + link.io_error + ")");
    plan.needs_reseed = plan.why;
    return plan;
  }
  plan = link.sql_running
             ? deed(Deed::start_receiver, dialect.start_receiver(), "start receiving from " + source.name + " again")
             : deed(Deed::start_link, dialect.start_link(), "start following " + source.name);
  if (link.io_errno != 0)
    plan.why += " (stopped by error " + std::to_string(link.io_errno) + ": " + link.io_error + ")";
  plan.source = source.mysql;
  return plan;
}

Plan without_upstream(const Situation& s, const Dialect& dialect, const Link* link) {
  const bool mariadb = dialect.version().flavor == Flavor::mariadb;
  if (link == nullptr || (link->io == IoState::stopped && !(mariadb && link->sql_running))) {
    Plan plan;
    plan.link_fits = true;
    plan.why = "there is nobody to follow";
    return plan;
  }
  return stop_following(s, dialect, *link);
}

Plan link_plan(const Situation& s, const Dialect& dialect) {
  const Link* link = s.server->link();
  if (const std::string no = unfit(s, link); !no.empty()) return blocked(no);
  const Member* source = s.upstream ? s.config->find(*s.upstream) : nullptr;
  if (link != nullptr) {
    const std::string by_hand = foreign_change(s, *link, source ? std::optional<Address>(source->mysql) : std::nullopt);
    if (!by_hand.empty()) {
      Plan plan = blocked(by_hand);
      plan.foreign = by_hand;
      return plan;
    }
  }
  if (!s.unfit.empty()) return blocked(s.unfit);
  if (!s.start_checked) return blocked("this start of mysqld has not been checked against the others yet");
  if (source == nullptr) return without_upstream(s, dialect, link);
  if (link != nullptr && link->source == source->mysql) return running_plan(s, dialect, *link, *source);
  if (link != nullptr) return repoint_plan(s, dialect, *link, *source);
  if (auto no = source_unfit(s, *source)) return *no;
  auto statements = dialect.create_link(source->mysql, s.link_settings);
  if (!statements) return blocked(statements.error().text);
  auto all = begin_position(*s.server, s.source->purged);
  all.insert(all.end(), statements->begin(), statements->end());
  Plan plan = deed(Deed::create_link, std::move(all), "follow " + source->name + instead_of(s));
  plan.source = source->mysql;
  return plan;
}

// An out node takes no writes, nor one that is being drained; an unsafe or unchecked one never does.
bool wants_read_only(const Situation& s, const Member& self) {
  if (is_copied_onto(self)) return true;
  if (s.config->one_writer && !s.may_write) return true;
  if (!s.unsafe.empty() || s.fence_without_quorum) return true;
  if (!s.start_checked) return !s.adopted;
  return self.in ? self.absence != Absence::none : !writes_while_out(self);
}

std::string why_read_only(const Situation& s, const Member& self) {
  if (!s.unsafe.empty()) return s.unsafe;
  if (!s.config->one_writer || s.may_write || !self.in) return "out of the ring: no writes";
  if (s.config->writer == s.self) return "the one writer, but it has no lease or must wait for another: no writes";
  const Member* writer = s.config->find(s.config->writer);
  return writer == nullptr ? "there is no writer: no writes" : writer->name + " is the one writer: no writes here";
}

// In gtid_binlog_state, "domain-server-sequence,..."; asked at every step, so it is not parsed.
bool knows_own_domain(const ServerState& server) {
  return ("," + server.executed).find("," + std::to_string(server.domain_id) + "-") != std::string::npos;
}

}  // namespace

const char* to_string(Deed deed) {
  switch (deed) {
    case Deed::none:
      return "nothing";
    case Deed::set_read_only:
      return "set read_only";
    case Deed::stop_link:
      return "stop link";
    case Deed::create_link:
      return "create link";
    case Deed::repoint:
      return "repoint";
    case Deed::start_link:
      return "start link";
    case Deed::start_receiver:
      return "start receiving";
    case Deed::prime:
      return "prime domain";
    case Deed::lift_read_only:
      return "lift read_only";
  }
  return "?";
}

bool touches_link(Deed deed) {
  return deed == Deed::create_link || deed == Deed::repoint || deed == Deed::start_link ||
         deed == Deed::start_receiver || deed == Deed::stop_link;
}

std::string Intent::text() const {
  return source.empty() ? ""
                        : source.str() + "|" + (working ? "working" : "done") + "|" + std::to_string(started_unix_s);
}

Intent Intent::parse(const std::string& text) {
  Intent intent;
  const std::size_t a = text.find('|');
  const std::size_t b = text.rfind('|');
  if (a == std::string::npos || b <= a) return intent;
  if (auto address = Address::parse(text.substr(0, a))) intent.source = *address;
  intent.working = text.substr(a + 1, b - a - 1) == "working";
  intent.started_unix_s = std::strtoll(text.c_str() + b + 1, nullptr, 10);
  return intent;
}

bool writes_while_out(const Member& member) {
  return member.absence == Absence::none &&
         (member.out_class == to_string(Evidence::link) || member.out_class == to_string(Evidence::stuck));
}

bool is_copied_onto(const Member& member) {
  return !member.in && member.absence == Absence::copying;
}

bool can_give(const NodeRecord& source, const ServerState& server) {
  return contains_all(static_cast<std::uint8_t>(server.version.flavor), with_received(server), source.purged);
}

Plan reconcile(const Situation& s) {
  const Member* self = s.config->find(s.self);
  auto dialect = Dialect::for_server(s.server->version);
  if (!dialect) return blocked(dialect.error().text);
  if (self == nullptr) {
    if (!s.server->read_only && !s.closed_for_good)
      return deed(Deed::set_read_only, dialect->set_read_only(),
                  "no member of the ring any more: what is written here would reach nobody");
    const Link* link = s.server->link();
    if (link == nullptr || (link->io == IoState::stopped && !link->sql_running))
      return blocked("this node is no member of the ring any more");
    return deed(Deed::stop_link, dialect->stop_link(), "no member of the ring any more: it follows nobody");
  }
  if (self->role == Role::witness) return {};

  const bool want_read_only = wants_read_only(s, *self);
  if (want_read_only && !s.server->read_only) {
    Plan plan = deed(Deed::set_read_only, dialect->set_read_only(), why_read_only(s, *self));
    plan.urgent = s.config->one_writer;
    return plan;
  }
  const Link* link = s.server->link();
  const std::string alone = is_copied_onto(*self) ? "its data is made anew from a copy" : s.unsafe;
  if (!alone.empty()) {
    if (link != nullptr && (link->io != IoState::stopped || link->sql_running))
      return deed(Deed::stop_link, dialect->stop_link(), alone);
    return blocked(alone);
  }
  Plan plan = link_plan(s, *dialect);
  if (plan.deed != Deed::none || plan.blocked || !plan.link_fits) return plan;
  // Not before it is in: what it writes while it is out is stranded.
  if (s.server->version.flavor == Flavor::mariadb && self->in && !knows_own_domain(*s.server)) {
    return deed(Deed::prime, dialect->prime(), "make this server's GTID domain known to all");
  }
  const bool linked = s.link_verified || !s.upstream;
  const bool lasts = !s.config->one_writer || s.may_open;
  if (!want_read_only && s.server->read_only && s.read_only_is_ours && linked && lasts) {
    Plan lift = deed(Deed::lift_read_only, dialect->lift_read_only(),
                     s.config->one_writer ? "the one writer: writes may begin" : "in the ring: writes may go on");
    lift.link_fits = true;
    return lift;
  }
  return plan;
}

}  // namespace ringagent
