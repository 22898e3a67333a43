#pragma once

#include <optional>
#include <string>

#include "agent/node.h"

// What this agent knows of its own mysqld: is it up, since when, what does its link say.
//
// Intuition: a poll that is answered proves everything; a poll that is not answered proves nothing by itself. mysqld is
// `down` only if its process is gone or nobody listens any more, `hung` only if queries have gone unanswered for
// hung_after, and `denied` if it answers but does not let us in: then it is alive.
//
// Invariants: `state` is the newest answered look; health never goes to `down` on a time-out. Pure.
namespace ringagent {

class LocalServer {
 public:
  explicit LocalServer(Duration hung_after) : hung_after_(hung_after) {}

  // Each returns true if health changed or a new start of mysqld was seen: then everybody should know at once.
  bool on_poll(const Polled& polled, Time now);
  bool on_gone(const ServerGone& gone, Time now);
  bool on_port(EdgeState port, Time now);  // what our own advertised port says when the socket file is missing
  bool tick(Time now);
  // This process stood still for `gap` until now: until the next look, which tells, that time counts against nobody.
  void lagged(Duration gap, Time now);

  void asked(Time now);  // a poll was sent
  bool poll_open() const { return poll_open_; }
  void set_hung_after(Duration hung_after) { hung_after_ = hung_after; }

  MysqlHealth health() const { return health_; }
  const std::string& why() const { return why_; }
  bool up() const { return health_ == MysqlHealth::up; }
  // True if only the server's other door can tell whether it is there.
  bool ask_port() const { return ask_port_; }

  // The newest answer; empty before the first.
  const std::optional<ServerState>& state() const { return state_; }
  // It is up and was found like this before, but for its age.
  bool is_as(const ServerState& found) const;
  Time state_at() const { return state_at_; }
  const Link* link() const { return state_ ? state_->link() : nullptr; }

  // How long the link has shown no sign of life from its source. While a poll waits for its answer nobody can tell: that time
  // counts against this server and not against its source, until this one is known to hang.
  Duration link_quiet_for(Time now) const;
  // Since something last arrived from the source, as far as polls have shown.
  Duration link_heard_for(Time now) const { return now - heard_at_; }
  // How long the oldest poll has waited; zero if none does.
  Duration unanswered_for(Time now) const { return unanswered_since_ ? now - *unanswered_since_ : Duration{0}; }
  bool link_lost_by_itself() const;                          // 2003, 2013 and their like
  bool relay_log_ahead() const { return relay_log_ahead_; }  // it holds what is not executed yet and can still be
  // The number of looks in a row in which the applier said that it had read everything.
  int idle_looks() const { return idle_looks_; }
  Time applied_at() const { return applied_at_ + unseen_; }  // when the applier last got on

  // Names the present start of mysqld; counts up with each that this agent sees.
  std::int64_t started_unix_s() const { return state_ ? state_->started_unix_s : 0; }
  std::uint64_t starts_seen() const { return starts_seen_; }

  Time next_due() const;  // of hung

 private:
  bool set(MysqlHealth health, std::string why);
  bool answered(const ServerState& state, Time asked, Time now);

  Duration hung_after_;
  MysqlHealth health_ = MysqlHealth::unknown;
  std::string why_;
  bool ask_port_ = false;
  bool poll_open_ = false;
  std::optional<Time> unanswered_since_;  // the first poll asked since the last answer
  std::optional<ServerState> state_;
  Time state_at_{0};
  std::string progress_;
  Time heard_at_{0};
  std::string applied_;
  Time applied_at_{0};
  int idle_looks_ = 0;
  bool relay_log_ahead_ = false;
  Duration unseen_{0};  // how long this process has stood still since the newest answer
  std::uint64_t starts_seen_ = 0;
};

}  // namespace ringagent
