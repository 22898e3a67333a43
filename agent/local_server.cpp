#include "agent/local_server.h"

#include <algorithm>

#include "agent/positions.h"

namespace ringagent {

bool LocalServer::set(MysqlHealth health, std::string why) {
  const bool changed = health != health_;
  health_ = health;
  if (changed || health != MysqlHealth::up) why_ = std::move(why);
  return changed;
}

void LocalServer::asked(Time now) {
  poll_open_ = true;
  if (!unanswered_since_) unanswered_since_ = now;
}

bool LocalServer::answered(const ServerState& state, Time asked, Time now) {
  const bool new_start = !state_ || !same_start(*state_, state);
  ServerState fresh = state;
  if (!new_start) fresh.started_unix_s = state_->started_unix_s;  // one name for one start
  state_ = std::move(fresh);
  state_at_ = asked;
  if (new_start) ++starts_seen_;
  unseen_ = Duration{0};
  const Link* link = state_->link();
  if (link == nullptr) {
    idle_looks_ = 0;
  } else {
    if (new_start || link->progress != progress_) heard_at_ = now;
    progress_ = link->progress;
    if (new_start || link->applied != applied_) applied_at_ = now;
    applied_ = link->applied;
    idle_looks_ = link->drained_idle ? idle_looks_ + 1 : 0;
  }
  // MariaDB throws it away when both threads start: if they were stopped, and not by an error that a person might mend by
  // hand, nothing in it will ever be executed.
  const bool kept = link != nullptr && (state_->version.flavor != Flavor::mariadb || link->io != IoState::stopped ||
                                        link->sql_running || link->sql_errno != 0);
  relay_log_ahead_ =
      kept && !contains_all(static_cast<std::uint8_t>(state_->version.flavor), state_->executed, link->io_position);
  return set(MysqlHealth::up, "") || new_start;
}

bool LocalServer::is_as(const ServerState& found) const {
  if (!up() || !state_ || !same_start(*state_, found)) return false;
  ServerState of_same_age = found;
  of_same_age.uptime_s = state_->uptime_s;
  of_same_age.started_unix_s = state_->started_unix_s;
  return of_same_age == *state_;
}

bool LocalServer::on_poll(const Polled& polled, Time now) {
  poll_open_ = false;
  ask_port_ = false;
  if (polled.result) {
    unanswered_since_.reset();
    return answered(*polled.result, polled.asked, now);
  }
  const SqlError& error = polled.result.error();
  switch (error.kind) {
    case SqlErrorKind::refused:
      unanswered_since_.reset();
      return set(MysqlHealth::down, error.text);
    case SqlErrorKind::denied:
    case SqlErrorKind::server:
      unanswered_since_.reset();
      return set(MysqlHealth::denied, error.text);
    case SqlErrorKind::missing:
      unanswered_since_.reset();
      ask_port_ = health_ != MysqlHealth::down;
      if (health_ == MysqlHealth::unknown) why_ = error.text;
      return false;
    case SqlErrorKind::unreachable:
    case SqlErrorKind::lost:
    case SqlErrorKind::timeout:
      if (health_ == MysqlHealth::unknown) why_ = error.text;
      return tick(now);
  }
  return false;
}

bool LocalServer::on_gone(const ServerGone& gone, Time) {
  if (!gone.process) return false;  // the next poll tells what it means
  unanswered_since_.reset();
  return set(MysqlHealth::down, gone.why);
}

bool LocalServer::on_port(EdgeState port, Time) {
  ask_port_ = false;
  if (port == EdgeState::refused)
    return set(MysqlHealth::down, "its socket file is missing and its port refuses connections");
  if (port == EdgeState::ok) return set(MysqlHealth::denied, "its socket file is missing, but its port answers");
  return false;
}

bool LocalServer::tick(Time now) {
  if (health_ == MysqlHealth::down || !unanswered_since_ || now - *unanswered_since_ < hung_after_) return false;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - *unanswered_since_).count();
  return set(MysqlHealth::hung, "no answer to a query for " + std::to_string(ms) + " ms");
}

void LocalServer::lagged(Duration gap, Time now) {
  unseen_ += gap;
  if (unanswered_since_) unanswered_since_ = std::min(*unanswered_since_ + gap, now);
}

Time LocalServer::next_due() const {
  if (!unanswered_since_ || health_ == MysqlHealth::down || health_ == MysqlHealth::hung) return Time::max();
  return *unanswered_since_ + hung_after_;
}

Duration LocalServer::link_quiet_for(Time now) const {
  const Time until = up() ? unanswered_since_.value_or(now) : now;
  return std::max(until - heard_at_ - unseen_, Duration{0});
}

bool LocalServer::link_lost_by_itself() const {
  const Link* l = link();
  if (l == nullptr || l->io == IoState::running) return false;
  return l->io_errno == 2002 || l->io_errno == 2003 || l->io_errno == 2005 || l->io_errno == 2006 ||
         l->io_errno == 2013;
}

}  // namespace ringagent
