#include <cstdlib>

#include "agent/joining.h"
#include "agent/node_impl.h"
#include "agent/positions.h"

// The part of Node that checks every start of mysqld: has it lost what others hold (hazard H5)?
namespace ringagent {
namespace {

constexpr Duration kRecheck = 1s;
constexpr Duration kAskAgain = 100ms;
// MySQL sends a transaction to its replicas before it counts it as executed itself (binary log group commit: flush and sync come
// before commit): a server that is written to may lack for a moment what others have.
constexpr Duration kCommitting = 1s;
// What a server has written for longer than that is on its disk, whatever its settings (Linux writes back after 30 s).
constexpr Duration kUnsynced = 60s;
constexpr Duration kSeesAll = 1s;  // two looks, and the word of them

// Its settings do not have it write every commit to the disk.
bool may_lose_its_tail(const ServerState& state) {
  const auto is_one = [&](const char* name) {
    const std::string* value = state.variable(name);
    return value != nullptr && *value == "1";
  };
  return !is_one("sync_binlog") || !is_one("innodb_flush_log_at_trx_commit");
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
  check_waits_for_.clear();
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
  lifted_at_ = now_;
  lift_sent_.reset();
  set_marker("read_only", "");
  sealed_since_start_ = false;
}

// A server that went when the own one did, or up to a minute before, and has not been seen since: what it got in its last moments
// nobody has told.
bool Node::Impl::end_unseen(const NodeId& id) const {
  const auto seen = seen_.find(id);
  const NodeRecord* record = facts_.find(id);
  if (ran_until_ == Time{0} || seen == seen_.end() || record == nullptr) return false;
  const Liveness life = swim_.liveness(id);
  const bool gone = life == Liveness::dead || life == Liveness::left;
  if (!gone && record->health == MysqlHealth::up) return false;
  const Time last =
      record->health == MysqlHealth::up ? seen->second.heard_at.value_or(Time{0}) : seen->second.health_since;
  return last > ran_until_ - kUnsynced && last < ran_until_ + kSeesAll;
}

// What the others have, asked for after this start was seen: what they have of this server can have come since their last
// word. Where an agent does not answer, its server is looked at (`looked` keeps what that shows): it may live, and have got
// more since. True once all have answered, or `silence` has passed, no look is under way and enough is known: of a majority of
// the voters, or of everybody.
bool Node::Impl::heard_afresh(std::vector<const NodeRecord*>& others, std::deque<NodeRecord>& looked) {
  if (!check_since_) check_since_ = now_, ask_again_ = now_;
  std::size_t voters_known = 0;
  std::string unknown;
  bool all_answered = true;
  bool looking = false;
  for (const Member& member : chain.head()->members) {
    const bool mine = member.id == self();
    const NodeRecord* record = mine ? nullptr : facts_.last_position(member.id);
    const bool known = member.role == Role::witness ? facts_.find(member.id) != nullptr : record != nullptr;
    if (member.vote && (mine || known)) ++voters_known;
    // Whose data has been made anew asks nobody whose data is to be: before it was, that counted no more (against_copying).
    const bool counts_no_more = is_copied_onto(member) && own_member()->out_class == kCopied;
    const bool shown = !mine && seen_[member.id].looked && seen_[member.id].looked_at >= *check_since_;
    const bool has_data = member.role != Role::witness && !is_copied_onto(member) && member.out_class != kLost;
    const bool unseen = !mine && may_lose_its_tail(*server_.state()) && end_unseen(member.id);
    if (!mine && has_data && (!known || unseen) && !shown) unknown += (unknown.empty() ? "" : ", ") + member.name;
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
  // A majority knows what the others said last, unless all agents have started anew, as after a power failure: a server that
  // may have lost its tail in it needs to know of everybody. After a forced quorum one vote may be the majority.
  const bool forced = chain.head()->evidence_class == to_string(Evidence::forced);
  const bool everybody = !start_checked_ && (forced || may_lose_its_tail(*server_.state()));
  const bool enough = voters_known >= majority(*chain.head()) && (!everybody || unknown.empty());
  const bool waited = now_ - *check_since_ >= settings.silence;
  check_waits_for_ = !enough && waited ? unknown : "";
  return !looking && enough && (all_answered || waited);
}

// Those who are out and answer: they may come back with more of this server than it has itself.
std::vector<const NodeRecord*> Node::Impl::those_who_return() const {
  std::vector<const NodeRecord*> out;
  for (const Member& member : chain.head()->members) {
    if (member.in || member.id == self() || is_copied_onto(member) || !agent_lives(member.id)) continue;
    if (const NodeRecord* record = facts_.last_position(member.id)) out.push_back(record);
  }
  return out;
}

// Has this start of mysqld lost transactions of its own that others hold (hazard H5)? Asked before it takes part, and again
// while anybody is out: what was lost with a member is seen when that one comes back.
void Node::Impl::check_start() {
  const Member* me = own_member();
  if (me == nullptr || !server_.up() || !unsafe_.empty() || me->role == Role::witness || is_copied_onto(*me)) return;
  if (start_checked_) ran_until_ = now_;
  if (start_checked_ && now_ < recheck_due_) return;
  if (!chain.confirmed() || server_.state_at() <= copied_at_) return;
  std::vector<const NodeRecord*> others;
  std::deque<NodeRecord> looked;
  const bool takes_part = start_checked_ && me->in;
  if (takes_part) {
    others = those_who_return();
  } else if (!heard_afresh(others, looked)) {
    return;
  }
  const ServerState& state = *server_.state();
  // read_only since the start: nothing can have been added, so the position at the start is what counts. Otherwise new
  // writes may already hide the hole, and may already be known to others: then only the present position is fair, as it
  // was seen after the others' word had come. So for who takes part: read_only or not, a person may have written there.
  const bool exact = !takes_part && sealed_since_start_ && state.read_only && !state.at_start.empty();
  std::int64_t lost = own_lost(own_record(), exact ? state.at_start : state.executed, others);
  if (lost != 0 && !exact) {
    if (accusers_.empty()) {
      for (const NodeRecord* record : others) accusers_.push_back(*record);
      accused_at_ = now_;
      poll_due_ = now_;
    }
    const bool commits = !state.read_only && state.version.flavor == Flavor::mysql;
    if (server_.state_at() <= accused_at_ + (commits ? kCommitting : Duration{0})) return;
    others.clear();
    for (const NodeRecord& record : accusers_) others.push_back(&record);
    lost = own_lost(own_record(), state.executed, others);
  }
  accusers_.clear();
  recheck_due_ = now_ + kRecheck;
  check_since_.reset();
  check_waits_for_.clear();
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

}  // namespace ringagent
