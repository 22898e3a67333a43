#include "agent/repair.h"

#include <algorithm>

namespace ringagent {
namespace {

constexpr Duration kBackoffMin = 100ms;
constexpr Duration kBackoffMax = 10s;
constexpr Duration kLookAgain = 300ms;  // a 1236 can arrive after the IO thread has said Yes (mariadb.md 00)
constexpr Duration kVerifyLimit = 10s;
constexpr int kIdleLooks = 3;
constexpr Duration kUrgentAgain = 200ms;

bool starts_link(Deed deed) {
  return touches_link(deed) && deed != Deed::stop_link;
}

std::int64_t us(Duration d) {
  return d.count();
}

}  // namespace

bool Repair::drained(const LocalServer& server) const {
  const Link* link = server.link();
  if (link == nullptr || server.state_at() < began_) return false;
  // An applier that has stopped without an error has not: it may be a shutdown, and a repoint would throw the rest away.
  const bool failed = !link->sql_running && link->sql_errno != 0;
  return link->drained_exact || failed || server.idle_looks() - idle_looks_then_ >= kIdleLooks;
}

void Repair::begin(const Plan& plan, const LocalServer& server, const Head& head, Time now, RepairOut& out) {
  plan_ = plan;
  head_ = head;
  began_ = now;
  overtaken_ = false;
  next_ = 0;
  steps_.clear();
  trouble_.clear();
  idle_looks_then_ = server.idle_looks();
  if (touches_link(plan.deed)) {
    out.intent = Intent{plan.source, true, server.started_unix_s()};
    link_verified_ = false;
  }
  out.makes_read_only = plan.deed == Deed::set_read_only;
  out.lifts_read_only = plan.deed == Deed::lift_read_only;
  out.log.push_back({LogLevel::info, plan.why});
  if (!plan.drain) {
    run_next(server, now, out);
    return;
  }
  state_ = State::draining;
  out.look = true;
}

void Repair::run_next(const LocalServer& server, Time now, RepairOut& out) {
  if (next_ == plan_.statements.size()) {
    finish(server, now, out);
    return;
  }
  state_ = State::running;
  touched_at_ = now;
  out.run.push_back({++ticket_, plan_.statements[next_]});
}

void Repair::on_ran(const Ran& ran, const LocalServer& server, const Head& head, bool permitted, Time now,
                    RepairOut& out) {
  if (state_ != State::running || ran.ticket != ticket_) return;
  overtaken_ = overtaken_ || head != head_ || !permitted;
  touched_at_ = now;
  steps_.push_back({plan_.statements[next_].label, us(ran.took)});
  if (ran.error) {
    std::string what = plan_.statements[next_].shown + ": " + ran.error->text;
    if (ran.error->kind == SqlErrorKind::timeout) what += " (it may still take effect: looking again)";
    give_up(std::move(what), now, out);
    return;
  }
  ++next_;
  if (overtaken_) {  // the next look says what is left to do
    state_ = State::idle;
    out.look = true;
    return;
  }
  run_next(server, now, out);
}

void Repair::finish(const LocalServer& server, Time now, RepairOut& out) {
  out.look = true;
  if (plan_.deed == Deed::lift_read_only) out.lifted_read_only = true;
  if (!starts_link(plan_.deed)) {
    done(now, out);
    return;
  }
  state_ = State::verifying;
  ready_at_ = now;
  const Link* link = server.link();
  progress_then_ = link == nullptr ? "" : link->progress;
}

// A repoint is done when the link runs, has been looked at again after a moment, and something has arrived.
void Repair::verify(const LocalServer& server, Time now, RepairOut& out) {
  const Link* link = server.link();
  if (server.state_at() < ready_at_) {
    out.look = true;
    return;
  }
  if (link == nullptr || link->source != plan_.source) {
    give_up("the link does not point at " + plan_.source.str() + " after the statements were answered", now, out);
    return;
  }
  if (link->io == IoState::stopped) {
    const std::string why =
        link->io_errno == 0 ? "" : " with error " + std::to_string(link->io_errno) + ": " + link->io_error;
    give_up("the link to " + plan_.source.str() + " stopped" + why, now, out);
    return;
  }
  const bool arrived = link->progress != progress_then_ && link->io == IoState::running;
  if (arrived && link->sql_running && now - ready_at_ >= kLookAgain) {
    link_verified_ = true;
    steps_.push_back({"verify", us(now - ready_at_)});
    out.intent = Intent{plan_.source, false, server.started_unix_s()};
    done(now, out);
    return;
  }
  if (now - ready_at_ > kVerifyLimit) {
    give_up("nothing has arrived from " + plan_.source.str() + " for " +
                std::to_string(us(now - ready_at_) / 1'000'000) + " s since the link was started",
            now, out);
  }
}

void Repair::done(Time now, RepairOut& out) {
  HistoryEntry entry;
  entry.kind = "action";
  entry.generation = head_.generation;
  entry.epoch = head_.epoch;
  entry.what = to_string(plan_.deed);
  entry.why = plan_.why;
  entry.steps = steps_;
  entry.took_us = us((starts_link(plan_.deed) ? ready_at_ : now) - began_);
  out.history.push_back(std::move(entry));
  state_ = State::idle;
  trouble_.clear();
  backoff_ = Duration{0};
  not_before_ = Time{0};
}

void Repair::give_up(std::string why, Time now, RepairOut& out) {
  const bool news = why != trouble_;
  trouble_ = std::move(why);
  backoff_ = std::clamp(backoff_ * 2, kBackoffMin, kBackoffMax);
  not_before_ = now + backoff_;
  state_ = State::idle;
  out.look = true;
  if (!news) return;
  out.log.push_back({LogLevel::warning, std::string(to_string(plan_.deed)) + " failed: " + trouble_});
  HistoryEntry entry;
  entry.kind = "action";
  entry.generation = head_.generation;
  entry.epoch = head_.epoch;
  entry.what = to_string(plan_.deed);
  entry.why = plan_.why + "; failed: " + trouble_;
  entry.steps = steps_;
  entry.took_us = us(now - began_);
  entry.ok = false;
  out.history.push_back(std::move(entry));
}

void Repair::advance(const Plan& plan, const LocalServer& server, const Head& head, bool permitted, Time now,
                     RepairOut& out) {
  const bool stale = head != head_ || !permitted;
  switch (state_) {
    case State::running:
      overtaken_ = overtaken_ || stale;
      return;  // the statement under way comes back first
    case State::draining:
      if (stale || plan.deed != plan_.deed || plan.source != plan_.source) {
        state_ = State::idle;
        break;
      }
      if (!drained(server)) {
        trouble_ = now - began_ < 1s ? "" : "waiting until everything received is applied";
        return;
      }
      steps_.push_back({"drain", us(now - began_)});
      trouble_.clear();
      run_next(server, now, out);
      return;
    case State::verifying:
      if (stale || plan.urgent) {
        state_ = State::idle;
        break;
      }
      verify(server, now, out);
      return;
    case State::idle:
      break;
  }
  if (plan.deed == Deed::none) {
    if (plan.link_fits) trouble_.clear();
    return;
  }
  // Only a look taken after the last deed may start another one.
  const bool waits = now < not_before_ && !(plan.urgent && now - touched_at_ >= kUrgentAgain);
  if (!permitted || waits || !is_news(server.state_at())) return;
  begin(plan, server, head, now, out);
}

// Drains and verifications are driven by the looks that `hurry` asks for; only the end of a back-off needs a timer.
Time Repair::next_due(Time now) const {
  return state_ == State::idle && not_before_ > now ? not_before_ : Time::max();
}

}  // namespace ringagent
