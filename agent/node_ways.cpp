#include <algorithm>

#include "agent/joining.h"
#include "agent/node_impl.h"
#include "agent/positions.h"
#include "agent/standing.h"

// The part of Node that follows the own server on its way back into the ring, and on a planned way out of it.
namespace ringagent {
namespace {

constexpr Duration kCaughtUpFresh = 2s;

}  // namespace

// ---------------------------------------------------------------- the way back into the ring

// By the word of its agent, or of the server itself where no agent has told anybody.
std::optional<std::string> Node::Impl::position_of(const NodeId& id) {
  if (const NodeRecord* record = facts_.find(id)) return record->executed;
  look(id, kLookUrgent);
  const Seen& seen = seen_[id];
  return seen.looked ? std::optional(seen.looked->executed) : std::nullopt;
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
  if (follows_ != up) return back_to(Phase::following);  // another one gives what that one no longer can
  const Link* link = server_.link();
  const bool writes_as_wanted = server_.state()->read_only || writes_while_out(*me);
  const bool running =
      up && link != nullptr && plan_.link_fits && link->io == IoState::running && link->sql_running && writes_as_wanted;
  const std::optional<std::string> there = up && running ? position_of(*up) : std::nullopt;
  if (!there) return back_to(Phase::following);
  // Caught up: everything that the upstream had when we last set ourselves this target, not long ago. Then the next one is set.
  const auto set_target = [&] {
    catch_up_source_ = *up;
    catch_up_target_ = *there;
    target_set_at_ = now_;
  };
  const std::uint8_t flavor = static_cast<std::uint8_t>(server_.state()->version.flavor);
  if (catch_up_target_.empty() || catch_up_source_ != *up) set_target();  // another has other things
  const bool reached = contains_all(flavor, server_.state()->executed, catch_up_target_);
  const bool caught_up = reached && now_ - target_set_at_ <= kCaughtUpFresh;
  if (reached) set_target();
  if (caught_up)
    caught_up_at_ = now_;
  else if (!settling_since_ || now_ - caught_up_at_ > kCaughtUpFresh)
    return back_to(Phase::following);
  if (!settling_since_) settling_since_ = now_;
  const bool settled = now_ - *settling_since_ >= settle_time(settings.settle, me->flaps);
  const bool starves = !stuck_now().empty();  // all that would be behind it
  phase_ = settled && !starves && repair_.link_verified() ? Phase::ready : Phase::settling;
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
  poll_due_ = copied_at_ = now_;
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

}  // namespace ringagent
