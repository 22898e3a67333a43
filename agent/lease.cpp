#include "agent/lease.h"

#include <algorithm>

namespace ringagent {
namespace {

constexpr std::size_t kAsksKept = 16;
constexpr Duration kToSetReadOnly = 2s;

}  // namespace

bool grants_lease(const DurableState& voter, const Config& head, const Instance& here, const NodeId& from,
                  const Instance& asked) {
  if (asked != here || !head.one_writer || head.writer != from) return false;
  // An instance that follows this head names its hash, that of a forced generation, too.
  const auto gave = [&](const Ballot& vote, const Instance& in) { return vote.round != 0 && in.parent == here.parent; };
  return !gave(voter.promised, voter.promised_instance) && !gave(voter.accepted, voter.accepted_instance);
}

Duration lease_over(std::uint64_t lease_ms) {
  const Duration lease = std::chrono::milliseconds(lease_ms);
  return lease + lease / 10 + kToSetReadOnly;
}

void Lease::hold(const Instance& config, std::vector<NodeId> voters, Duration length) {
  length_ = length;
  if (config == config_ && !voters_.empty()) return;
  config_ = config;
  voters_ = std::move(voters);
  sent_.clear();
  granted_.clear();
  ask_due_ = Time{0};
}

void Lease::drop() {
  Lease fresh(0);
  fresh.seq_ = seq_;  // an answer to an old question must not be taken for one to a new question
  *this = std::move(fresh);
}

std::uint64_t Lease::ask(Time now) {
  ask_due_ = now + length_ / kLeaseAsks;
  sent_[++seq_] = now;
  if (sent_.size() > kAsksKept) sent_.erase(sent_.begin());
  return seq_;
}

bool Lease::on_answer(const NodeId& voter, const LeaseGrant& answer) {
  if (answer.instance != config_ || std::find(voters_.begin(), voters_.end(), voter) == voters_.end()) return false;
  const auto question = sent_.find(answer.seq);
  if (question == sent_.end()) return false;
  if (!answer.granted) return true;
  Time& newest = granted_[voter];
  newest = std::max(newest, question->second);
  // The newest time at or after which a majority was asked and said yes.
  const std::size_t majority = voters_.size() / 2 + 1;
  if (granted_.size() < majority) return false;
  std::vector<Time> times;
  for (const auto& [id, at] : granted_) times.push_back(at);
  std::sort(times.rbegin(), times.rend());
  until_ = std::max(until_, times[majority - 1] + length_);
  return false;
}

Time Lease::next_due(Time now) const {
  if (voters_.empty()) return Time::max();
  return until_ > now ? std::min(ask_due_, until_) : ask_due_;
}

}  // namespace ringagent
