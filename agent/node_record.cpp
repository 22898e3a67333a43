#include "agent/node_impl.h"
#include "agent/standing.h"
#include "mysql/preconditions.h"

// The part of Node that says what all shall know of the own server: the record, what starves there, what is unfit.
namespace ringagent {
namespace {

constexpr Duration kLintPeriod = 1s;
constexpr Duration kEdgeFresh = 10s;
constexpr std::size_t kMilestones = 64;
constexpr Duration kLagSeen = 3s;  // positions are seen about once a second: whether it gets nearer shows in so long

}  // namespace

// In ms, where that is more than max_lag.
std::optional<std::int64_t> Node::Impl::lags_by() const {
  const auto up = upstream(*chain.head(), self());
  const auto lag = up && settings.max_lag > Duration{0} ? lag_of(self(), *up, now_) : std::nullopt;
  return lag && *lag > settings.max_lag.count() / 1000 ? lag : std::nullopt;
}

// What of the own link starves all behind it, or "".
std::string Node::Impl::stuck_now() const {
  const Member* me = own_member();
  const Link* link = server_.link();
  if (me == nullptr || !server_.up() || link == nullptr || !foreign_.empty()) return {};
  if (!link->sql_running && link->sql_errno != 0)
    return "the applier stopped on error " + std::to_string(link->sql_errno) + ": " + link->sql_error;
  if (lags_by()) return "it lags by more than max_lag";
  if (!plan_.link_fits && !repair_.trouble().empty() && !repair_.hurry()) return repair_.trouble();
  return {};
}

// Why nothing comes from a source that is said to be well, or "".
std::string Node::Impl::starved_now() const {
  const Member* me = own_member();
  const Link* link = server_.link();
  const auto up = me == nullptr ? std::nullopt : upstream(*chain.head(), self());
  if (!up || !me->in || link == nullptr || !server_.up() || !foreign_.empty() || !member_well(*up)) return {};
  if (link->source != chain.head()->find(*up)->mysql || link->io == IoState::stopped) return {};
  if (link->io == IoState::connecting && link->io_errno != 0)
    return "error " + std::to_string(link->io_errno) + ": " + link->io_error;
  return server_.link_quiet_for(now_) > settings.silence ? "nothing is heard from it" : "";
}

Duration Node::Impl::stuck_grace() const {
  return lagged_by_ ? std::max(settings.link_grace, kLagSeen) : settings.link_grace;
}

void Node::Impl::note_starving() {
  if (chain.head() == nullptr) return;
  const auto note = [this](std::optional<Time>& since, bool is) {
    if (!is)
      since.reset();
    else if (!since)
      since = now_;
  };
  note(starved_since_, !starved_now().empty());
  note(stuck_since_, !stuck_now().empty());
  // One that lags behind what the one before it brought back is no better gone around: those behind it would have to take the same.
  // As long as it gets nearer by half of the time that passes it is not stuck.
  const auto lag = stuck_since_ ? lags_by() : std::nullopt;
  if (lag && lagged_by_) {
    const Duration passed = now_ - *stuck_since_;
    if (passed < stuck_grace() || *lag + passed.count() / 2000 > *lagged_by_) return;
    stuck_since_ = now_;
  }
  lagged_by_ = lag;
}

// ---------------------------------------------------------------- the own record

LinkFact Node::Impl::link_fact(const Link& link) const {
  LinkFact fact;
  fact.address = link.source;
  if (chain.head() != nullptr) {
    for (const Member& member : chain.head()->members) {
      if (member.mysql == link.source) fact.source = member.id;
    }
  }
  fact.io = static_cast<std::uint8_t>(link.io);
  fact.sql = link.sql_running;
  fact.error_number = link.io_errno != 0 ? link.io_errno : link.sql_errno;
  fact.error = link.io_errno != 0 ? link.io_error : link.sql_error;
  fact.transaction = link.sql_transaction;
  const Duration quiet = server_.link_quiet_for(now_);
  if (link.io != IoState::stopped && quiet >= settings.silence / 2)
    fact.heard_ms = static_cast<std::uint32_t>(quiet.count() / 100'000 * 100);
  fact.verified = repair_.link_verified();
  return fact;
}

std::vector<ProblemFact> Node::Impl::own_problems() const {
  std::vector<ProblemFact> out;
  for (const Finding& finding : findings_) {
    if (out.size() == kProblemsMax) break;
    out.push_back({static_cast<std::uint8_t>(finding.severity == Finding::Severity::error ? 1 : 0), finding.code,
                   finding.text + ": " + finding.mend});
  }
  if (chain.head() != nullptr) {
    for (const auto& [id, seen] : seen_) {
      if (!seen.look_error.empty() && out.size() < kProblemsMax && chain.head()->find(id) != nullptr) {
        out.push_back({0, "replication_account",
                       "the replication account is refused by " + name_of(id) + ": " + seen.look_error});
      }
    }
  }
  return out;
}

NodeRecord Node::Impl::own_record() const {
  NodeRecord r;
  r.node = self();
  r.name = settings.name;
  r.agent_version = settings.agent_version;
  r.leaving = leaving_;
  r.head = chain.head_id();
  r.config_fingerprint = settings.fingerprint;
  r.one_writer = settings.one_writer;
  r.mysql = settings.mysql;
  r.gossip = settings.gossip;
  r.keys = key_names(key_ring_);
  if (settings.role == Role::witness) {
    r.health = MysqlHealth::none;
    return r;
  }
  r.health = server_.health();
  r.health_why = server_.why();
  r.unsafe = unsafe_;
  r.problems = own_problems();
  if (server_.state()) {
    const ServerState& state = *server_.state();
    r.started_unix_s = state.started_unix_s;
    r.flavor = static_cast<std::uint8_t>(state.version.flavor);
    r.mysql_version = state.version.text;
    r.server_id = state.server_id;
    r.server_uuid = state.server_uuid;
    r.domain_id = state.domain_id;
    r.executed = state.executed;
    r.purged = state.purged;
    r.binlog_file = state.binlog_file;
    r.binlog_pos = state.binlog_pos;
    r.read_only = state.read_only;
    r.read_only_by_agent =
        state.read_only && (same_start(chain.marker("read_only")) || server_.state_at() <= lifted_at_);
    for (const Link& link : state.links) r.links.push_back(link_fact(link));
    if (server_.relay_log_ahead()) r.received = server_.link()->io_position;
  }
  if (chain.head() != nullptr && tests_edges()) {
    for (const auto& [id, seen] : seen_) {
      if (id != self() && seen.looked && now_ - seen.looked_at <= kEdgeFresh) r.edges.push_back({id, EdgeState::ok});
    }
  }
  if (stuck_since_ && now_ - *stuck_since_ >= stuck_grace()) r.stuck = stuck_now();
  if (starved_since_ && now_ - *starved_since_ >= settings.link_grace) r.starved = starved_now();
  if (server_.up() && chain.head() != nullptr) {
    const std::string& trouble = repair_.trouble();
    r.blocked = plan_.blocked && foreign_.empty() ? plan_.why : trouble;
    if (own_member() != nullptr && is_copied_onto(*own_member()))
      r.blocked = copy_waits_for_.empty() ? "" : "its data is not replaced yet: " + copy_waits_for_;
    else if (phase_ != Phase::refused && phase_ != Phase::checking && !start_checked_)
      r.blocked.clear();
    if (!check_waits_for_.empty()) {
      r.blocked = "its last start cannot be checked, since it is not known what " + check_waits_for_ +
                  " has: start that server, or stop its agent and `ringagent remove` it";
    }
    if (r.blocked.empty()) r.blocked = writer_waits_;
    r.closed_epoch = closed_epoch_;
    r.foreign = foreign_;
    r.acted_epoch = acted_epoch_;
    r.phase = phase_;
    if (phase_ == Phase::settling && settling_since_ && own_member() != nullptr) {
      const Duration left = settle_time(settings.settle, own_member()->flaps) - (now_ - *settling_since_);
      r.rejoin_in_ms = left > Duration{0} ? static_cast<std::uint64_t>(left.count() / 1000) : 0;
    }
  }
  return r;
}

void Node::Impl::lint() {
  if (!server_.up() || now_ < lint_due_) return;
  lint_due_ = now_ + kLintPeriod;
  RingView ring;
  if (chain.head() != nullptr) {
    for (const Member& member : chain.head()->members) {
      const NodeRecord* record = member.id == self() ? nullptr : facts_.find(member.id);
      if (member.role == Role::ring || member.role == Role::spare) ++ring.ring_size;
      if (record == nullptr) continue;
      if (record->domain_id != 0) ring.peer_domains.push_back(record->domain_id);
      if (record->server_id != 0) ring.peer_server_ids.push_back(record->server_id);
    }
  }
  findings_ = preconditions(*server_.state(), ring);
  unfit_.clear();
  for (const Finding& finding : findings_) {
    if (finding.severity == Finding::Severity::error)
      unfit_ += (unfit_.empty() ? "" : "; ") + finding.text + ": " + finding.mend;
  }
}

void Node::Impl::publish() {
  if (own_member() != nullptr) facts_.offer(own_record(), now_, fx_->send);
}

void Node::Impl::answer_asks() {
  if (asked_by_.empty() || chain.head() == nullptr || (server_.up() && server_.state_at() < asked_at_)) return;
  facts_.publish(own_record(), now_);
  for (const NodeId& id : asked_by_) send(id, facts_.push());
  asked_by_.clear();
}

void Node::Impl::note_milestone(const NodeId& id, const std::string& executed) {
  auto& line = milestones_[id];
  if (!line.empty() && (line.back().executed == executed || now_ - line.back().at < 100ms)) return;
  line.push_back({now_, executed});
  if (line.size() > kMilestones) line.pop_front();
}

}  // namespace ringagent
