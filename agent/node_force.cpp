#include <algorithm>

#include "agent/node_impl.h"

// The part of Node that forces a quorum when the majority is lost for good (protocol.md section 6): a person names the lost,
// every survivor looks for a while whether one of them still answers it, and all survivors decide a new generation.
namespace ringagent {
namespace {

constexpr Duration kLostFor = 10s;  // a member that is to be declared lost must not answer for so long
constexpr Duration kForcingLimit = 25s;
constexpr Duration kForcingAsk = 500ms;
constexpr const char* kNobodyGoesOn = "no survivor has a server that is up";

}  // namespace

// Of a generation that was forced twice.
bool Node::Impl::other_side_answers() const {
  const Config& head = *chain.head();
  return std::any_of(head.members.begin(), head.members.end(), [&](const Member& member) {
    const NodeRecord* record = facts_.find(member.id);
    return member.id != self() && record != nullptr && agent_lives(member.id) &&
           !swim_.unanswered_since(member.id, now_) && record->head.generation == head.generation &&
           !chain.holds(record->head.hash);
  });
}

// What stands on a server that its agent has not seen yet, nobody knows: another one that has lost its tail might write the same
// numbers again.
bool Node::Impl::has_seen_its_server(const Member& member) const {
  if (member.role == Role::witness || is_copied_onto(member)) return true;
  if (member.id == self()) return server_.state().has_value();
  const NodeRecord* record = facts_.find(member.id);
  return record != nullptr && record->server_id != 0;
}

void Node::Impl::start_forcing(const Command& command) {
  const auto refuse = [&](std::string why) { fx_->replies.push_back({command.id, false, std::move(why)}); };
  if (chain.head() == nullptr) return refuse("no ring has been formed yet");
  if (!argument(command, "yield").empty()) {
    // Given up is given up: were the other side lost, or to give way too, nobody could go on.
    if (chain.split() && !other_side_answers())
      return refuse("no agent that has the other ring answers: give way while one does, and on one side only");
    ChainOut out = chain_out();
    if (!chain.yield(out)) return refuse("there is nothing to yield: this agent knows of one ring only");
    take(std::move(out));
    log(LogLevel::warning, "this agent has given up its side of a ring that was forced twice, and takes the other one");
    fx_->replies.push_back(
        {command.id, true, "given up; this agent takes the other side's ring as soon as it hears of it"});
    return;
  }
  const Config& head = *chain.head();
  if (forcing_) return refuse("a forced quorum is under way already");
  if (quorum_ && !chain.promised_forced()) return refuse("there is a quorum: nothing needs to be forced");
  if (own_member() == nullptr) return refuse(settings.name + " is no member of the ring any more");
  Forcing f;
  f.command = command;
  for (const std::string& name : arguments(command, "lost")) {
    const Member* member = head.find(std::string_view(name));
    if (member == nullptr) return refuse("there is no member \"" + name + "\"");
    if (member->id == self()) return refuse("this is " + name + " itself: run it on a node that is left");
    f.lost.push_back(member->id);
  }
  for (const Member& member : head.members) {
    if (std::find(f.lost.begin(), f.lost.end(), member.id) != f.lost.end()) continue;
    f.survivors.push_back(member.id);
    const Liveness liveness = member.id == self() ? Liveness::alive : swim_.liveness(member.id);
    if (liveness == Liveness::dead || liveness == Liveness::left)
      return refuse(member.name + " does not answer either: every lost member must be named");
    if (!has_seen_its_server(member)) {
      return refuse("the agent of " + member.name +
                    " has not seen its server since it started, so nobody can say what " +
                    "stands there: start that server, or stop that agent and name " + member.name + ", too");
    }
  }
  if (argument(command, "yes").empty()) {
    const auto next = forced_config(view(), f.lost, f.survivors);
    return refuse(next ? "say --yes-i-verified-they-are-down once you have: nobody else can know. It would be: " +
                             next->reason + "; ring: " + ring_text(*next)
                       : kNobodyGoesOn);
  }
  f.nonce = ++nonce_;
  f.epoch = head.epoch;
  f.began = f.ask_due = now_;
  forcing_ = std::move(f);
}

// Asked by somebody who wants to force the quorum: does one of these still answer me?
CanvassAnswer Node::Impl::watch_lost(const Canvass& canvass) {
  CanvassAnswer answer{canvass.nonce, Opinion::concur, ""};
  if (canvass.instance != Instance{chain.head()->generation, chain.head()->epoch, chain.head_id().hash})
    return {canvass.nonce, Opinion::abstain, "another epoch is my head"};
  for (const CanvassItem& item : canvass.items) {
    LostWatch& watch = lost_watch_[item.node];
    if (watch.asked == Time{0} || now_ - watch.asked > 3 * kForcingAsk) watch = {now_, now_, ""};
    watch.asked = now_;
    swim_.probe_now(item.node, now_, fx_->send);
    probe(item.node);
    const Seen& seen = seen_[item.node];
    if (const auto at = swim_.last_answer(item.node); at && *at > watch.since) watch.answered = "its agent answers";
    if (seen.port_at > watch.since && seen.port == EdgeState::ok) watch.answered = "its MySQL port answers";
    if (!watch.answered.empty())
      return {canvass.nonce, Opinion::object, name_of(item.node) + " is not lost: " + watch.answered};
    if (now_ - watch.since < kLostFor) answer = {canvass.nonce, Opinion::abstain, "still looking"};
  }
  return answer;
}

void Node::Impl::run_forcing() {
  if (!forcing_) return;
  Forcing& f = *forcing_;
  const auto over = [&](bool ok, std::string text) {
    fx_->replies.push_back({f.command.id, ok, std::move(text)});
    forcing_.reset();
  };
  const Config& head = *chain.head();
  if (head.epoch != f.epoch) {
    if (head.evidence_class == to_string(Evidence::forced))
      return over(true, "generation " + std::to_string(head.generation) + ": " + head.reason);
    return over(false, "the ring has changed meanwhile: look at `ringagent status`");
  }
  if (f.proposed && chain.proposing()) return;
  const Instance here{head.generation, head.epoch, chain.head_id().hash};
  if (now_ >= f.ask_due) {
    f.ask_due = now_ + kForcingAsk;
    Canvass canvass{f.nonce, here, {}};
    for (const NodeId& id : f.lost) canvass.items.push_back({id, Evidence::forced});
    for (const NodeId& id : f.survivors) {
      if (id == self())
        f.answers[id] = watch_lost(canvass);
      else
        send(id, canvass);
    }
  }
  ring_due_ = std::min(ring_due_, f.ask_due);
  std::string missing;
  for (const NodeId& id : f.survivors) {
    const auto answer = f.answers.find(id);
    if (answer != f.answers.end() && answer->second.opinion == Opinion::object)
      return over(false, name_of(id) + " objects: " + answer->second.why);
    if (answer == f.answers.end() || answer->second.opinion != Opinion::concur)
      missing += (missing.empty() ? "" : ", ") + name_of(id);
  }
  if (now_ - f.began > kForcingLimit)
    return over(false, (f.proposed ? "outcome unknown, it may still be decided: not every survivor answered in time: "
                                   : "not every survivor agreed in time: ") +
                           (missing.empty() ? "some" : missing));
  if (!missing.empty()) return;
  auto next = forced_config(view(), f.lost, f.survivors);
  if (!next) return over(false, kNobodyGoesOn);
  f.proposed = true;
  ChainOut out = chain_out();
  chain.propose_forced(std::move(*next), f.survivors, now_, out);
  take(std::move(out));
}

}  // namespace ringagent
