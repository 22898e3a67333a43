#include <algorithm>
#include <cstdlib>

#include "agent/joining.h"
#include "agent/node_impl.h"
#include "agent/positions.h"
#include "mysql/preconditions.h"

// The part of Node that watches and changes the own server.
namespace ringagent {
namespace {

constexpr std::int64_t kStartTolerance_s = 2;  // the server's clock minus whole seconds of uptime wobbles
constexpr Duration kRecheck = 1s;
constexpr Duration kLintPeriod = 1s;
constexpr Duration kAskAgain = 100ms;
constexpr Duration kCaughtUpFresh = 2s;
constexpr Duration kForeignSettled = 500ms;  // a shutdown looks like a STOP for a moment
constexpr Duration kLookUrgent = 500ms;
constexpr Duration kLookFresh = 3s;
constexpr Duration kEdgeFresh = 10s;
constexpr std::size_t kMilestones = 64;

TlsMode tls_of(const std::string& text) {
  if (text == "required") return TlsMode::required;
  return text == "verify_ca" ? TlsMode::verify_ca : TlsMode::off;
}

}  // namespace

bool Node::Impl::same_start(const std::string& marker) const {
  if (marker.empty() || !server_.state()) return false;
  return std::abs(std::strtoll(marker.c_str(), nullptr, 10) - server_.started_unix_s()) <= kStartTolerance_s;
}

// Names this start of mysqld beyond the life of the agent. Two starts within two seconds differ in the pid at least.
std::string Node::Impl::start_name() const {
  return std::to_string(server_.started_unix_s()) + " pid " + std::to_string(server_.state()->pid);
}

void Node::Impl::poll_if_due() {
  if (settings.role == Role::witness || server_.poll_open()) return;
  // While somebody may have to testify or a plan is under way, every event counts.
  const auto up = chain.head() ? upstream(*chain.head(), self()) : std::nullopt;
  const bool doubt = up && swim_.unanswered_since(*up, now_).has_value();
  if (repair_.hurry() || now_ < hurry_until_)
    poll_due_ = std::min(poll_due_, now_ + 5ms);
  else if (doubt)
    poll_due_ = std::min(poll_due_, now_ + 50ms);
  if (now_ >= poll_due_) {
    server_.asked(now_);
    const Member* me = own_member();
    fx_->sql.push_back(PollRequest{me == nullptr || !me->in});
  }
  if (server_.ask_port() && !seen_[self()].port_open) {
    seen_[self()].port_open = true;
    fx_->ports.push_back({self(), settings.mysql, 1s});
  }
}

// ---------------------------------------------------------------- a start of mysqld and its check

void Node::Impl::note_start() {
  if (!server_.up() || server_.starts_seen() == starts_noted_) return;
  starts_noted_ = server_.starts_seen();
  const ServerState& state = *server_.state();
  const std::string marker = chain.marker("start");
  const std::size_t pid = marker.find(" pid ");
  const bool first_look = starts_noted_ == 1;  // by this agent: it may have been away while mysqld went on
  const bool other_pid = state.pid != 0 && pid != std::string::npos && marker.substr(pid) != " pid 0" &&
                         marker.substr(pid) != " pid " + std::to_string(state.pid);
  const bool known = first_look && same_start(marker) && !other_pid;
  start_checked_ = known && same_start(chain.marker("checked"));
  adopted_ = known && same_start(chain.marker("adopted"));
  unsafe_ = known ? chain.marker("unsafe") : "";
  settling_since_.reset();
  catch_up_target_.clear();
  repair_.link_unverified();
  sealed_since_start_ = false;
  lease_.drop();  // what was asked for an earlier start opens no other
  lift_sent_.reset();
  read_only_since_.reset();
  drain_target_.reset();
  accusers_.clear();
  check_since_.reset();
  lint_due_ = now_;  // what was found of the last start says nothing of this one
  if (known) return;
  set_marker("start", start_name());
  // Nothing that was noted of an earlier start holds for this one, however short ago that was.
  for (const char* of_a_start : {"unsafe", "checked", "adopted", "link"}) set_marker(of_a_start, "");
  const bool running = state.link() != nullptr && state.link()->io != IoState::stopped;
  // A server that runs in a ring before there is one for us: whatever its read_only is, it is not ours.
  const bool before_us = chain.head() == nullptr && running;
  set_marker("read_only", state.read_only && !before_us ? std::to_string(state.started_unix_s) : "");
  // Nor can an agent that has lost its state tell who wrote before it.
  sealed_since_start_ = state.read_only && !before_us && !marker.empty();
  log(LogLevel::info, "this MySQL is up: " + state.version.text + ", server_id " + std::to_string(state.server_id));
}

// From now on clients write: the position at the start says nothing any more.
void Node::Impl::lifted_read_only() {
  lift_sent_.reset();
  set_marker("read_only", "");
  sealed_since_start_ = false;
}

// What the others have, asked for after this start was seen: what they have of this server can have come since their last
// word. Where an agent does not answer, its server is looked at (`looked` keeps what that shows): it may live, and have got
// more since. True once all have answered, or `silence` has passed, no look is under way and a majority of the voters is known.
bool Node::Impl::heard_afresh(std::vector<const NodeRecord*>& others, std::deque<NodeRecord>& looked) {
  if (!check_since_) check_since_ = now_, ask_again_ = now_;
  std::size_t voters_known = 0;
  bool all_answered = true;
  bool looking = false;
  for (const Member& member : chain.head()->members) {
    const bool mine = member.id == self();
    const NodeRecord* record = mine ? nullptr : facts_.last_position(member.id);
    const bool known = member.role == Role::witness ? facts_.find(member.id) != nullptr : record != nullptr;
    if (member.vote && (mine || known)) ++voters_known;
    // Whose data has been made anew asks nobody whose data is to be: before it was, that counted no more (against_copying).
    const bool counts_no_more = is_copied_onto(member) && own_member()->out_class == kCopied;
    if (record != nullptr && !counts_no_more) others.push_back(record);
    if (mine || member.role == Role::witness || counts_no_more) continue;
    const Liveness life = swim_.liveness(member.id);
    const bool gone = life == Liveness::dead || life == Liveness::left;
    const bool mute = now_ - *check_since_ >= settings.silence / 2 && swim_.unanswered_since(member.id, now_);
    if (!start_checked_ && (gone || mute)) {
      const Seen& seen = seen_[member.id];
      if (seen.looked_at < *check_since_) {
        look(member.id, kLookUrgent);
        looking = true;
      } else if (seen.looked) {
        looked.push_back(record == nullptr ? NodeRecord{} : *record);
        looked.back().flavor = static_cast<std::uint8_t>(seen.looked->version.flavor);
        looked.back().executed = seen.looked->executed;
        others.push_back(&looked.back());
      }
    }
    if (life == Liveness::dead) continue;  // one that was stopped in order may be back within `silence`
    // An agent that has not seen its server since its own start knows nothing yet.
    const NodeRecord* newest = facts_.find(member.id);
    if (newest != nullptr && newest->server_id != 0 && seen_[member.id].told_at >= *check_since_) continue;
    all_answered = false;
    if (now_ >= ask_again_) send(member.id, AskRecord{});
  }
  if (now_ >= ask_again_) ask_again_ = now_ + kAskAgain;
  if (looking || voters_known < majority(*chain.head())) return false;
  return all_answered || now_ - *check_since_ >= settings.silence;
}

// Has this start of mysqld lost transactions of its own that others hold (hazard H5)?
void Node::Impl::check_start() {
  const Member* me = own_member();
  if (me == nullptr || !server_.up() || !unsafe_.empty() || me->role == Role::witness || is_copied_onto(*me)) return;
  if (start_checked_ && (me->in || now_ < recheck_due_)) return;
  if (!chain.confirmed()) return;
  std::vector<const NodeRecord*> others;
  std::deque<NodeRecord> looked;
  if (!heard_afresh(others, looked)) return;
  const ServerState& state = *server_.state();
  // read_only since the start: nothing can have been added, so the position at the start is what counts. Otherwise new
  // writes may already hide the hole, and may already be known to others: then only the present position is fair, as it
  // was seen after the others' word had come.
  const bool exact = sealed_since_start_ && state.read_only && !state.at_start.empty();
  std::int64_t lost = own_lost(own_record(), exact ? state.at_start : state.executed, others);
  if (lost != 0 && !exact) {
    if (accusers_.empty()) {
      for (const NodeRecord* record : others) accusers_.push_back(*record);
      accused_at_ = now_;
      poll_due_ = now_;
    }
    if (server_.state_at() <= accused_at_) return;
    others.clear();
    for (const NodeRecord& record : accusers_) others.push_back(&record);
    lost = own_lost(own_record(), state.executed, others);
  }
  accusers_.clear();
  recheck_due_ = now_ + kRecheck;
  check_since_.reset();
  if (lost == 0) {
    if (!start_checked_) set_marker("checked", std::to_string(state.started_unix_s));
    start_checked_ = true;
    return;
  }
  start_checked_ = true;
  unsafe_ = "lost tail: " + std::to_string(lost) +
            " transactions that this server once wrote stand on other members but not here; needs reseed";
  set_marker("unsafe", unsafe_);
  log(LogLevel::error, unsafe_);
}

// ---------------------------------------------------------------- reconcile and repair

bool Node::Impl::member_well(const NodeId& id) const {
  const Member* member = chain.head()->find(id);
  const NodeRecord* record = facts_.find(id);
  return member != nullptr && member->in && record != nullptr && record->health == MysqlHealth::up &&
         record->unsafe.empty() && swim_.liveness(id) == Liveness::alive &&
         !swim_.unanswered_since(id, now_).has_value();
}

// The newest word about the wanted upstream, if it can be followed: its own record, or, if only its agent is gone, `looked`,
// which is filled with what a login there showed.
const NodeRecord* Node::Impl::wanted_source(NodeRecord& looked) const {
  const auto up = upstream(*chain.head(), self());
  if (!up) return nullptr;
  const NodeRecord* record = facts_.find(*up);
  const bool agent = swim_.liveness(*up) == Liveness::alive && !swim_.unanswered_since(*up, now_).has_value();
  if (agent) return record != nullptr && record->health == MysqlHealth::up && record->unsafe.empty() ? record : nullptr;
  const auto seen = seen_.find(*up);
  if (seen == seen_.end() || !seen->second.looked || now_ - seen->second.looked_at > kLookFresh) return nullptr;
  looked = record == nullptr ? NodeRecord{} : *record;
  looked.executed = seen->second.looked->executed;
  if (!seen->second.looked->purged.empty())
    looked.purged = seen->second.looked->purged;  // not every account may ask for it
  return &looked;
}

bool Node::Impl::fence_without_quorum() const {
  return settings.read_only_without_quorum && quorum_lost_since_ && now_ - *quorum_lost_since_ > settings.silence;
}

Situation Node::Impl::situation() const {
  Situation s;
  s.config = chain.head();
  s.self = self();
  s.server = &*server_.state();
  s.intent = Intent::parse(chain.marker("link"));
  if (same_start(std::to_string(s.intent.started_unix_s))) s.intent.started_unix_s = server_.started_unix_s();
  if (const Link* link = server_.link()) {
    for (const Member& member : s.config->members) {
      if (member.mysql == link->source) s.old_source_well = member_well(member.id);
    }
  }
  s.start_checked = start_checked_;
  s.adopted = adopted_;
  s.unsafe = unsafe_;
  s.unfit = unfit_;
  s.read_only_is_ours = same_start(chain.marker("read_only"));
  s.link_verified = repair_.link_verified();
  s.fence_without_quorum = fence_without_quorum();
  s.may_write = may_write();
  s.may_open = may_open();
  s.link_settings = {settings.replication_user,
                     settings.replication_password,
                     tls_of(settings.replication_tls),
                     settings.replication_ca,
                     static_cast<std::uint32_t>(settings.heartbeat_period.count() / 1000),
                     static_cast<std::uint32_t>(std::max<std::int64_t>(1, settings.connect_retry.count() / 1'000'000))};
  return s;
}

// A server of this ring that has been seen to be up.
bool Node::Impl::has_server() const {
  return chain.head() != nullptr && server_.state() && settings.role != Role::witness;
}

void Node::Impl::plan_repair() {
  if (!has_server()) return;
  if (!server_.up()) {
    repair_.link_unverified();
    return;
  }
  Situation s = situation();
  NodeRecord looked;
  s.source = wanted_source(looked);
  plan_ = reconcile(s);
  // It was made writable by hand, or never was made read_only: the next read_only is not ours.
  if (!s.server->read_only && plan_.deed != Deed::set_read_only && repair_.at_rest(now_)) set_marker("read_only", "");
  if (!plan_.needs_reseed.empty() && own_member() != nullptr && own_member()->in && unsafe_.empty()) {
    unsafe_ = plan_.needs_reseed;
    set_marker("unsafe", unsafe_);
    log(LogLevel::error, unsafe_);
  }
  if (const auto up = upstream(*chain.head(), self()); up && s.source == nullptr && !plan_.link_fits)
    look(*up, kLookUrgent);

  if (plan_.foreign.empty()) {
    foreign_since_.reset();
    foreign_.clear();
  } else {
    if (!foreign_since_) foreign_since_ = now_;
    if (now_ - *foreign_since_ >= kForeignSettled) foreign_ = plan_.foreign;
    if (!foreign_.empty()) log(LogLevel::warning, "foreign change: " + foreign_);
  }
  const Link* link = server_.link();
  if (plan_.link_fits && !repair_.busy() && link != nullptr && link->io == IoState::running &&
      !repair_.link_verified()) {
    // It runs already, as it should: an adopted ring, or this agent was away for a moment.
    repair_.link_is_verified();
    set_marker("link", Intent{link->source, false, server_.started_unix_s()}.text());
  }
  if (repair_.link_verified() && plan_.link_fits) acted_epoch_ = chain.head()->epoch;
}

// May a statement of such a plan leave now? Answers that confirmed the head may be older than the loss of the quorum.
bool Node::Impl::permits(Deed deed) const {
  if (deed == Deed::stop_link) return true;
  if (deed == Deed::set_read_only && (!unsafe_.empty() || fence_without_quorum() || chain.head()->one_writer))
    return true;
  if (deed == Deed::lift_read_only && may_open()) return true;
  const bool pausing = chain.head()->paused.on || std::any_of(commands_.begin(), commands_.end(),
                                                              [](const auto& c) { return c.command.name == "pause"; });
  return quorum_ && chain.confirmed() && chain.broken().empty() && !pausing;
}

// Carries the plan out, with the head as it is at the end of the step: what is sent to the server leaves after it.
void Node::Impl::run_repair() {
  if (!has_server() || !server_.up()) return;
  RepairOut out;
  repair_.advance(plan_, server_, chain.head_id(), permits(plan_.deed), now_, out);
  if (out.intent) set_marker("link", out.intent->text());
  if (out.lifts_read_only) sealed_since_start_ = false, lift_sent_ = now_;
  if (out.makes_read_only) set_marker("read_only", std::to_string(server_.started_unix_s()));
  if (out.lifted_read_only) lifted_read_only();
  for (RunRequest& run : out.run) fx_->sql.push_back(std::move(run));
  for (HistoryEntry& entry : out.history) {
    if (entry.ok && entry.what == to_string(Deed::repoint)) ++repoints_;
    fx_->history.push_back(std::move(entry));
  }
  for (LogLine& line : out.log) log(line.level, std::move(line.text));
  if (out.look) poll_due_ = now_;
}

// ---------------------------------------------------------------- the way back into the ring

// By the word of its agent, or of the server itself where no agent has told anybody.
std::optional<std::string> Node::Impl::position_of(const NodeId& id) {
  if (const NodeRecord* record = facts_.find(id)) return record->executed;
  look(id, kLookUrgent);
  const Seen& seen = seen_[id];
  return seen.looked ? std::optional(seen.looked->executed) : std::nullopt;
}

// MariaDB: the upstream has never seen a domain of which this server has something, and refuses it for that. It gets nothing
// before the others have got that from it.
bool Node::Impl::gives_before_it_takes(const Link& link, const NodeId& up) {
  if (server_.state()->version.flavor != Flavor::mariadb || link.source != chain.head()->find(up)->mysql) return false;
  if (link.io != IoState::stopped || link.io_errno != 1236 || !link.sql_running) return false;
  const auto there = position_of(up);
  return there && has_unknown_domain(server_.state()->executed, *there);
}

void Node::Impl::follow_way_back() {
  const Member* me = own_member();
  copy_waits_for_.clear();
  if (me != nullptr && is_copied_onto(*me) && server_.up()) {
    copy_waits_for_ = against_copying(view(), *server_.state());
    phase_ = copy_waits_for_.empty() ? Phase::copying : Phase::checking;
    return;
  }
  if (me == nullptr || me->in || (me->role != Role::ring && me->role != Role::spare) || !server_.up()) {
    phase_ = Phase::none;
    settling_since_.reset();
    catch_up_target_.clear();
    return;
  }
  const auto back_to = [&](Phase phase) {
    phase_ = phase;
    settling_since_.reset();
  };
  if (!unsafe_.empty() || !unfit_.empty() || !plan_.needs_reseed.empty()) return back_to(Phase::refused);
  if (!start_checked_) return back_to(Phase::checking);
  const auto up = upstream(*chain.head(), self());
  const Link* link = server_.link();
  const bool writes_as_wanted = server_.state()->read_only || writes_while_out(*me);
  if (up && link != nullptr && writes_as_wanted && gives_before_it_takes(*link, *up)) {
    catch_up_target_.clear();
    if (!settling_since_) settling_since_ = now_;
    phase_ = now_ - *settling_since_ >= settle_time(settings.settle, me->flaps) ? Phase::ready : Phase::settling;
    return;
  }
  const bool running =
      up && link != nullptr && plan_.link_fits && link->io == IoState::running && link->sql_running && writes_as_wanted;
  const std::optional<std::string> there = up && running ? position_of(*up) : std::nullopt;
  if (!there) return back_to(Phase::following);
  // Caught up: everything that the upstream had when we last set ourselves this target. Then the next target is set.
  const std::uint8_t flavor = static_cast<std::uint8_t>(server_.state()->version.flavor);
  if (catch_up_target_.empty() || catch_up_source_ != *up) catch_up_target_ = *there;  // another has other things
  catch_up_source_ = *up;
  if (contains_all(flavor, server_.state()->executed, catch_up_target_)) {
    caught_up_at_ = now_;
    catch_up_target_ = *there;
  } else if (!settling_since_ || now_ - caught_up_at_ > kCaughtUpFresh) {
    return back_to(Phase::following);
  }
  if (!settling_since_) settling_since_ = now_;
  const bool settled = now_ - *settling_since_ >= settle_time(settings.settle, me->flaps);
  phase_ = settled && repair_.link_verified() ? Phase::ready : Phase::settling;
}

// The data is another now: nothing that was found of the old one holds, not even where mysqld went on running.
void Node::Impl::copy_ended() {
  for (const char* of_the_old : {"copying", "unsafe", "checked", "adopted", "link"}) set_marker(of_the_old, "");
  unsafe_.clear();
  start_checked_ = adopted_ = sealed_since_start_ = false;
  check_since_.reset();
  accusers_.clear();
  settling_since_.reset();
  catch_up_target_.clear();
  foreign_.clear();
  foreign_since_.reset();
  repair_.link_unverified();
  poll_due_ = now_;
}

// ---------------------------------------------------------------- the way out

// A planned absence begins with a server that takes no writes and has given away all it had.
void Node::Impl::follow_way_out() {
  const Member* me = own_member();
  if (me == nullptr || !me->in || me->absence == Absence::none || !server_.up()) return;
  phase_ = drained() ? Phase::drained : Phase::draining;
}

// All that was here when writes had ended, and when whoever went before was gone, is at the next one; of one that goes for
// good, at all in the ring whose agents live: nothing that it wrote shall depend on one other server. The look that counts
// was begun after read_only had been seen: nothing can have been committed since.
bool Node::Impl::drained() {
  const auto followers = downstream(*chain.head(), self());
  if (!server_.state()->read_only || !read_only_since_ || followers.empty()) return false;
  if (!drain_target_ && server_.state_at() > std::max(*read_only_since_, adopted_at_))
    drain_target_ = server_.state()->executed;
  if (!drain_target_) return false;
  const auto has_all = [this](const NodeId& id) {
    const NodeRecord* record = facts_.find(id);
    return record != nullptr &&
           contains_all(static_cast<std::uint8_t>(server_.state()->version.flavor), record->executed, *drain_target_);
  };
  if (!has_all(followers.front())) return false;
  if (own_member()->absence != Absence::leaving) return true;
  const std::vector<NodeId> in = ring(*chain.head());
  return std::all_of(in.begin(), in.end(),
                     [&](const NodeId& id) { return id == self() || !agent_lives(id) || has_all(id); });
}

// ---------------------------------------------------------------- starving

// What of the own link starves all behind it, or "".
std::string Node::Impl::stuck_now() const {
  const Member* me = own_member();
  const Link* link = server_.link();
  if (me == nullptr || !server_.up() || link == nullptr || !foreign_.empty()) return {};
  if (!link->sql_running && link->sql_errno != 0)
    return "the applier stopped on error " + std::to_string(link->sql_errno) + ": " + link->sql_error;
  const auto up = upstream(*chain.head(), self());
  const auto lag = up && settings.max_lag > Duration{0} ? lag_of(self(), *up, now_) : std::nullopt;
  if (lag && *lag > settings.max_lag.count() / 1000) return "it lags by more than max_lag";
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

void Node::Impl::note_starving() {
  if (chain.head() == nullptr) return;
  const auto note = [this](std::optional<Time>& since, bool is) {
    if (!is)
      since.reset();
    else if (!since)
      since = now_;
  };
  note(stuck_since_, !stuck_now().empty());
  note(starved_since_, !starved_now().empty());
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
    r.read_only_by_agent = state.read_only && same_start(chain.marker("read_only"));
    for (const Link& link : state.links) r.links.push_back(link_fact(link));
    if (server_.relay_log_ahead()) r.received = server_.link()->io_position;
  }
  if (chain.head() != nullptr && tests_edges()) {
    for (const auto& [id, seen] : seen_) {
      if (id != self() && seen.looked && now_ - seen.looked_at <= kEdgeFresh) r.edges.push_back({id, EdgeState::ok});
    }
  }
  if (stuck_since_ && now_ - *stuck_since_ >= settings.link_grace) r.stuck = stuck_now();
  if (starved_since_ && now_ - *starved_since_ >= settings.link_grace) r.starved = starved_now();
  if (server_.up() && chain.head() != nullptr) {
    const std::string& trouble = repair_.trouble();
    r.blocked = plan_.blocked && foreign_.empty() ? plan_.why : trouble;
    if (own_member() != nullptr && is_copied_onto(*own_member()))
      r.blocked = copy_waits_for_.empty() ? "" : "its data is not replaced yet: " + copy_waits_for_;
    else if (phase_ != Phase::refused && phase_ != Phase::checking && !start_checked_)
      r.blocked.clear();
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
