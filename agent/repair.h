#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/local_server.h"
#include "agent/reconcile.h"

// Carries out one plan at a time: drain, statements one after another, then a look whether it really worked.
//
// Intuition: reconcile says what is wanted at every look; this machine sees it through and gives up at once when
// something else is wanted. A statement that does not come back in time may still take effect, so after any failure the
// next look decides what is left to do.
//
// Invariants: one statement under way at most; no statement of a plan after the head has moved or the permission has gone; a drain waits as long as
// it takes, with the link left as it is (mariadb.md 00); the intent is durable before the first statement that touches
// the link. Pure.
namespace ringagent {

struct RepairOut {
  std::vector<RunRequest> run;
  std::optional<Intent> intent;  // make it durable before `run`
  bool makes_read_only = false;  // remember whose read_only it is, durably, before `run`: it may take effect unanswered
  bool lifts_read_only = false;  // from now on clients may write: it may take effect unanswered
  bool lifted_read_only = false;
  bool look = false;  // poll the server at once
  std::vector<HistoryEntry> history;
  std::vector<LogLine> log;
};

class Repair {
 public:
  // Call with every new look at the server and every tick. `permitted`: a majority stands behind the head and nothing
  // forbids acting; of on_ran: for the plan under way (`deed`), which may have waited long for a server that hung.
  void advance(const Plan& plan, const LocalServer& server, const Head& head, bool permitted, Time now, RepairOut& out);
  void on_ran(const Ran& ran, const LocalServer& server, const Head& head, bool permitted, Time now, RepairOut& out);

  Deed deed() const { return plan_.deed; }
  bool busy() const { return state_ != State::idle; }
  // Every event or heartbeat counts now: poll as often as is sensible.
  bool hurry() const { return state_ == State::draining || state_ == State::verifying; }
  // Since the last plan that touched the link something has arrived from the source (or there was no such plan).
  bool link_verified() const { return link_verified_; }
  void link_is_verified() { link_verified_ = true; }
  void link_unverified() { link_verified_ = false; }
  // A look that was begun then shows what the last statement left.
  bool is_news(Time looked_at) const { return looked_at >= touched_at_; }
  // Nothing that this agent asked for can still take effect.
  bool at_rest(Time now) const { return state_ == State::idle && now - touched_at_ > kLateEffect; }
  // Why the present plan does not get on, for status; "" if it does.
  const std::string& trouble() const { return trouble_; }
  Time next_due(Time now) const;

 private:
  static constexpr Duration kLateEffect{10'000'000};  // well beyond lock_wait_timeout and the deadline of a statement
  enum class State { idle, draining, running, verifying };

  void begin(const Plan& plan, const LocalServer& server, const Head& head, Time now, RepairOut& out);
  void run_next(const LocalServer& server, Time now, RepairOut& out);
  void finish(const LocalServer& server, Time now, RepairOut& out);
  void verify(const LocalServer& server, Time now, RepairOut& out);
  void give_up(std::string why, Time now, RepairOut& out);
  void done(Time now, RepairOut& out);
  bool drained(const LocalServer& server) const;

  State state_ = State::idle;
  Plan plan_;
  Head head_;
  Time began_{0};
  Time touched_at_{0};      // a statement was sent or answered: older looks do not count
  bool overtaken_ = false;  // the head moved, or the permission went, while a statement was under way
  Time ready_at_{0};        // statements done: verification began
  std::string progress_then_;
  int idle_looks_then_ = 0;
  std::size_t next_ = 0;
  std::uint64_t ticket_ = 0;
  std::vector<HistoryEntry::Step> steps_;
  std::string trouble_;
  Duration backoff_{0};
  Time not_before_{0};
  bool link_verified_ = false;
};

}  // namespace ringagent
