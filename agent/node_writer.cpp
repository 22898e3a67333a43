#include <algorithm>

#include "agent/evidence.h"
#include "agent/node_impl.h"
#include "agent/writer.h"

// The part of Node for [ring] writers = "one": the lease as writer and as voter, the beginning of a tenure, and the word that
// the own server takes no writes.
namespace ringagent {
namespace {

constexpr Duration kAskAgain = 100ms;
// An agent that was started anew asks before it stops the writes of a tenure that it had begun: it takes a round trip, and
// while it was away nobody would have stopped them either.
constexpr Duration kPatience = 300ms;
constexpr Duration kLateLift = 10s;  // a lift that was not answered may take effect so late

}  // namespace

bool Node::Impl::is_writer() const {
  return chain.head() != nullptr && chain.head()->one_writer && chain.head()->writer == self();
}

// ---------------------------------------------------------------- the lease

void Node::Impl::keep_lease() {
  if (!is_writer() || !chain.broken().empty()) {
    lease_.drop();
    return denied_since_.reset();
  }
  const Config& head = *chain.head();
  const Instance here{head.generation, head.epoch, chain.head_id().hash};
  lease_.hold(here, voters(head), std::chrono::milliseconds(head.lease_ms));
  if (lease_.ask_due(now_)) {
    const LeaseAsk question{here, lease_.ask(now_)};
    // The neighbours, too: they must know whether this agent was there when its server fell silent (agent/writer.h).
    std::vector<NodeId> asked = lease_.voters();
    for (const NodeId& id : downstream(head, self())) asked.push_back(id);
    std::sort(asked.begin(), asked.end());
    asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
    for (const NodeId& id : asked) {
      if (id == self())
        on_lease_answer(id, {here, question.seq, grants_lease(chain.state(), head, here, id, here)});
      else
        send(id, question);
    }
  }
  // Somebody began to vote on what follows this config and did not finish; until it is decided nobody grants anything.
  const bool stuck = denied_since_ && now_ - *denied_since_ > lease_.length() / 2;
  if (!stuck || chain.proposing() || chain.promised_forced() || chain.outdated()) return;
  denied_since_ = now_;
  Config next = next_epoch(head);
  next.reason = "a vote that was begun is finished, so that " + settings.name + " keeps its lease as the writer";
  next.evidence_class = to_string(Evidence::writer);
  next.proposer = settings.name;
  ChainOut out = chain_out();
  chain.propose(std::move(next), now_, out);
  take(std::move(out));
}

void Node::Impl::on_lease_ask(const NodeId& from, const LeaseAsk& ask) {
  const Config& head = *chain.head();
  const Member* me = own_member();
  if (me == nullptr || !me->vote) return;
  const Instance here{head.generation, head.epoch, chain.head_id().hash};
  const bool granted = chain.broken().empty() && grants_lease(chain.state(), head, here, from, ask.instance);
  send(from, LeaseGrant{ask.instance, ask.seq, granted});
}

void Node::Impl::on_lease_answer(const NodeId& from, const LeaseGrant& answer) {
  const Time before = lease_.until();
  const bool refused = lease_.on_answer(from, answer);
  if (lease_.until() > before)
    denied_since_.reset();
  else if (refused && !denied_since_)
    denied_since_ = now_;
}

// ---------------------------------------------------------------- a tenure begins

// Names the present tenure of the writer beyond the life of its agent.
std::string Node::Impl::tenure() const {
  return std::to_string(chain.head()->generation) + "." + std::to_string(chain.head()->writer_since);
}

// The old ones are known to write no more, and all that the living had received was here: durable, for it stays so.
bool Node::Impl::tenure_begun() const {
  return is_writer() && chain.marker("writer") == tenure();
}

bool Node::Impl::may_write() const {
  return tenure_begun() && chain.broken().empty() && (lease_.held(now_) || now_ - born_ < kPatience);
}

// The statement takes a moment, and must not come when the lease has ended meanwhile.
bool Node::Impl::may_open() const {
  return may_write() && lease_.until() - now_ >= lease_.length() / 2;
}

void Node::Impl::follow_tenure() {
  if (!is_writer()) {
    tenure_.clear();
    writer_waits_.clear();
    return;
  }
  if (tenure_ != tenure()) {
    tenure_ = tenure();
    tenure_learnt_ = now_;
    all_closed_since_.reset();
  }
  writer_waits_ = tenure_begun() ? "" : why_not_begun();
  if (!writer_waits_.empty() || tenure_begun()) return;
  set_marker("writer", tenure_);
  log(LogLevel::info,
      settings.name + " is the one writer: nobody else takes writes, and all that was received is applied");
}

std::string Node::Impl::why_not_begun() {
  if (!server_.up()) return "its own server is not up";
  const View v = view();
  std::string why = still_writing(v, now_ - tenure_learnt_);
  if (!why.empty()) {
    all_closed_since_.reset();
    for (const OldWriter& old : v.config->old_writers) {
      if (!closed(v, old.id)) look(old.id, kLookUrgent);
    }
    ring_due_ = std::min(ring_due_, now_ + kAskAgain);
    return why;
  }
  if (!all_closed_since_) all_closed_since_ = now_, ask_positions_due_ = now_;
  if (!positions_told()) return "the others are asked what they have";
  return still_missing(v, own_record());
}

// All living members of the ring have told what they have since the last of the old writers was known to have stopped.
bool Node::Impl::positions_told() {
  bool all = true;
  const bool ask = now_ >= ask_positions_due_;
  for (const NodeId& id : ring(*chain.head())) {
    if (id == self() || !member_well(id) || seen_[id].told_at > *all_closed_since_) continue;
    all = false;
    if (ask) send(id, AskRecord{});
  }
  if (ask) ask_positions_due_ = now_ + kAskAgain;
  if (!all) ring_due_ = std::min(ring_due_, ask_positions_due_);
  return all;
}

// ---------------------------------------------------------------- and one ends

// Another one is the writer: from a look that was begun when the server was read_only already, nothing of its own is added.
void Node::Impl::note_closed() {
  closed_epoch_ = 0;
  const Config* head = chain.head();
  if (head == nullptr || !head->one_writer || head->writer == self() || !server_.up() || !server_.state()->read_only)
    return;
  const bool seen = read_only_since_ && server_.state_at() > std::max(*read_only_since_, adopted_at_);
  if (!seen) {
    hurry_until_ = std::max(hurry_until_, now_ + 50ms);
    return;
  }
  // One that hung may still carry out what it was asked before.
  const bool late = lift_sent_ && now_ - std::max(*lift_sent_, seen_[self()].health_since) <= kLateLift;
  if (!late) closed_epoch_ = head->epoch;
}

}  // namespace ringagent
