#include <algorithm>

#include "agent/evidence.h"
#include "agent/node_impl.h"
#include "agent/standing.h"
#include "agent/writer.h"

// The part of Node that changes the ring: campaigns, canvasses, commands.
namespace ringagent {
namespace {

constexpr Duration kPortFresh = 1s;
constexpr Duration kPortSoon = 100ms;
constexpr Duration kCanvassResend = 60ms;
constexpr Duration kCanvassPatience = 100ms;  // for the slower opinions, when time is not what matters
constexpr Duration kCanvassLimit = 500ms;     // then ask anew
constexpr Duration kJudgeLimit = 1200ms;      // a voter that must ask a port first
constexpr Duration kPingLimit = 250ms;
constexpr Duration kAskedEvery = SwimSettings{}.probe_period;  // a neighbour
constexpr Duration kObjectionMax = 10s;
constexpr Duration kCommandLimit = 5s;
constexpr Duration kLookFresh = 3s;
constexpr Duration kLookPeriod = 600s;  // to know that a port did answer once; each is a login
constexpr Duration kLookRetry = 5s;     // where the last one failed
constexpr Duration kAges = Duration::max() / 4;

bool names_self(const std::vector<CanvassItem>& items, Evidence evidence) {
  return !items.empty() && items.front().evidence == evidence;
}

}  // namespace

// ---------------------------------------------------------------- what this agent sees

LinkSays Node::Impl::link_says() const {
  const Link* link = server_.link();
  if (link == nullptr || !server_.up() || server_.unanswered_for(now_) >= settings.silence / 2)
    return LinkSays::nothing;
  if (server_.link_lost_by_itself()) return LinkSays::broken;
  if (link->io == IoState::stopped || (!link->sql_running && link->sql_errno == 0)) return LinkSays::nothing;
  if (link->io == IoState::connecting && link->io_errno != 0) return LinkSays::nothing;
  return server_.link_quiet_for(now_) < settings.silence / 2 ? LinkSays::alive : LinkSays::quiet;
}

View Node::Impl::view() const {
  View v;
  v.config = chain.head();
  v.self = self();
  v.confirmed = chain.confirmed() && chain.broken().empty();
  v.up_for = now_ - up_since_;
  v.silence = settings.silence;
  v.hung_after = settings.hung_after;
  v.grace = settings.grace;
  v.replay_stranded = settings.replay_stranded;
  v.replay_max_age = settings.replay_max_age;
  v.link = link_says();
  v.link_quiet_for = server_.link_quiet_for(now_);
  v.link_heard_for = server_.link_heard_for(now_);
  add_applicants(v);
  v.rerouted_for = rerouted_at_ ? now_ - *rerouted_at_ : kAges;
  v.bypass_stuck = settings.bypass_stuck;
  v.one_writer = settings.one_writer;
  v.writers_agree = true;
  for (const Member& member : v.config->members) {
    if (server_.link() != nullptr && server_.link()->source == member.mysql) v.link_source = member.id;
    PeerView p;
    p.record = facts_.find(member.id);
    p.position = facts_.last_position(member.id);
    const Standing& standing = standing_.at(member.id);
    p.unmoved_for = now_ - standing.since;
    p.absent_for = now_ - standing.absent_since;
    if (member.id == self()) {
      p.liveness = Liveness::alive;
      if (const auto own = seen_.find(self()); own != seen_.end()) p.health_age = now_ - own->second.health_since;
      v.peers.emplace(member.id, p);
      continue;
    }
    p.liveness = swim_.liveness(member.id);
    if (agent_answers(p) && (p.record == nullptr || p.record->one_writer != settings.one_writer))
      v.writers_agree = false;
    const auto answer = swim_.last_answer(member.id);
    const auto missed = swim_.unanswered_since(member.id, now_);
    p.ping_unanswered = !answer || missed;
    p.silent_for = answer ? now_ - *answer : kAges;
    // A neighbour is asked all the time. Others may not have been asked for long before they were found silent.
    p.unanswered_for = !answer ? kAges : missed ? now_ - std::max(*answer, *missed - kAskedEvery) : Duration{0};
    p.lives_twice = lives_twice(member.id);
    if (const auto at = facts_.received_at(member.id)) p.record_age = now_ - *at;
    if (const auto seen = seen_.find(member.id); seen != seen_.end()) {
      p.health_age = now_ - seen->second.health_since;
      // A silent port takes a second to say so, and has said so again after kPortSoon: one that answers does at once.
      const bool waits = seen->second.port_open && now_ - seen->second.port_asked >= kPortSoon;
      const bool fresh = !seen->second.port_open && now_ - seen->second.port_at <= kPortFresh;
      if (waits || fresh) p.port = seen->second.port;
      p.port_answered_before = seen->second.answered_before;
      if (seen->second.heard_at) p.heard_for = now_ - *seen->second.heard_at;
      if (seen->second.looked && now_ - seen->second.looked_at <= kLookFresh)
        p.looked_read_only = seen->second.looked->read_only;
    }
    v.peers.emplace(member.id, p);
  }
  return v;
}

void Node::Impl::probe(const NodeId& id) {
  Seen& seen = seen_[id];
  const Member* member = chain.head()->find(id);
  if (member == nullptr || id == self() || seen.port_open ||
      (seen.port != EdgeState::unknown && now_ - seen.port_at < kPortFresh / 2))
    return;
  if (now_ - seen.port_at > kPortFresh) seen.port = EdgeState::unknown;
  seen.port_open = true;
  seen.port_asked = now_;
  fx_->ports.push_back({id, member->mysql, 1s});
}

void Node::Impl::look(const NodeId& id, Duration period) {
  Seen& seen = seen_[id];
  const Member* member = chain.head()->find(id);
  if (member == nullptr || member->role == Role::witness || id == self() || seen.look_open) return;
  if (seen.looked_at != Time{0} && now_ - seen.looked_at < period) return;
  seen.look_open = true;
  fx_->sql.push_back(LookRequest{id, member->mysql});
}

// Logs in to every other server now and then: so that this agent knows that the port did answer it once, and that the
// replication account works there before it is needed.
void Node::Impl::look_around() {
  if (settings.role == Role::witness || now_ - up_since_ < 2s) return;
  const bool often = tests_edges();
  for (const Member& member : chain.head()->members) {
    const NodeRecord* record = facts_.find(member.id);
    if (member.id != self() && record != nullptr && record->health == MysqlHealth::up &&
        swim_.liveness(member.id) == Liveness::alive) {
      look(member.id, seen_[member.id].looked && !often ? kLookPeriod : kLookRetry);
    }
  }
}

// Somebody looks for a way around a bad edge, or is out because of one.
bool Node::Impl::tests_edges() const {
  const auto& members = chain.head()->members;
  return std::any_of(members.begin(), members.end(), [&](const Member& m) {
    const NodeRecord* record = facts_.find(m.id);
    return (!m.in && m.out_class == to_string(Evidence::link)) || (record != nullptr && !record->starved.empty());
  });
}

// ---------------------------------------------------------------- campaigns: wish, canvass, Paxos

// Since when the same other votes have been wanted. Who cannot ask a majority wants nothing: what it missed meanwhile is
// no reason to change anything the moment it is back.
void Node::Impl::note_votes(const View& v) {
  if (!v.confirmed) {
    votes_epoch_ = 0;
    return votes_differ_since_.reset();
  }
  std::vector<NodeId> healthy = healthy_agents(v);
  if (healthy == voters_healthy_ && v.config->epoch == votes_epoch_) return;
  voters_healthy_ = std::move(healthy);
  votes_epoch_ = v.config->epoch;
  Config wanted = *v.config;
  assign_votes(wanted, voters_healthy_);
  std::vector<NodeId> now_wanted = voters(wanted);
  if (now_wanted == voters(*v.config)) {
    votes_differ_since_.reset();
  } else if (!votes_differ_since_ || now_wanted != votes_wanted_) {
    votes_differ_since_ = now_;
  }
  votes_wanted_ = std::move(now_wanted);
}

void Node::Impl::run_campaign() {
  ring_due_ = Time::max();
  if (chain.proposing() || chain.promised_forced()) return;
  View v = view();
  note_votes(v);
  if (votes_differ_since_) v.votes_differ_for = now_ - *votes_differ_since_;
  Decision decision = decide(v);
  for (const NodeId& id : decision.probe) {
    probe(id);
    ring_due_ = std::min(ring_due_, now_ + 50ms);
  }
  if (decision.look_again) ring_due_ = std::min(ring_due_, now_ + std::max<Duration>(*decision.look_again, 1ms));
  if (!decision.wish) {
    campaign_.reset();
    return;
  }
  Wish& wish = *decision.wish;
  if (!campaign_ || campaign_->wish.items != wish.items) {
    campaign_ = Campaign{};
    campaign_->first_seen = now_;
    if (wish.items != objected_items_) objection_backoff_ = Duration{0}, objection_until_ = now_;
  }
  campaign_->wish = std::move(wish);
  Duration rtt{0};
  for (const Member& member : v.config->members) rtt = std::max(rtt, swim_.rtt(member.id));
  const Duration per_rank = std::max<Duration>(10ms, 3 * rtt + 4ms);
  const Time start = std::max(
      {campaign_->first_seen + campaign_->wish.rank * per_rank, now_ + campaign_->wish.wait, objection_until_});
  if (!campaign_->canvassing && now_ < start) {
    ring_due_ = std::min(ring_due_, start);
    return;
  }
  if (!campaign_->canvassing || now_ - campaign_->canvass_began > kCanvassLimit) start_canvass();
  judge_canvass();
}

void Node::Impl::start_canvass() {
  Campaign& c = *campaign_;
  c.canvassing = true;
  c.nonce = ++nonce_;
  c.canvass_began = now_;
  c.resend_due = now_;
  c.needed = must_concur(view(), c.wish);
  c.answers.clear();
}

void Node::Impl::judge_canvass() {
  Campaign& c = *campaign_;
  const Config& head = *chain.head();
  const View v = view();
  if (head.find(self()) != nullptr && head.find(self())->vote) {
    CanvassAnswer mine{c.nonce, Opinion::concur, ""};
    for (const CanvassItem& item : c.wish.items) {
      const Judgement judgement = judge(v, item);
      if (judgement.probe) probe(item.node);
      if (judgement.opinion != Opinion::concur && mine.opinion != Opinion::object)
        mine.opinion = judgement.opinion, mine.why = judgement.why;
    }
    c.answers[self()] = mine;
  }
  if (now_ >= c.resend_due) {
    c.resend_due = now_ + kCanvassResend;
    Facts about;  // so that nobody objects only because the news has not come to him yet
    for (const CanvassItem& item : c.wish.items) {
      if (const NodeRecord* record = facts_.find(item.node)) about.records.push_back(*record);
    }
    const Instance instance{head.generation, head.epoch, chain.head_id().hash};
    std::vector<NodeId> asked = voters(head);
    if (c.needed && std::find(asked.begin(), asked.end(), *c.needed) == asked.end()) asked.push_back(*c.needed);
    for (const NodeId& voter : asked) {
      if (voter == self() || c.answers.count(voter) > 0) continue;
      Facts news = about;  // but nobody needs to be told what it says itself
      std::erase_if(news.records, [&voter](const NodeRecord& record) { return record.node == voter; });
      if (!news.records.empty()) send(voter, std::move(news));
      send(voter, Canvass{c.nonce, instance, c.wish.items});
    }
  }
  ring_due_ = std::min({ring_due_, c.resend_due, c.canvass_began + kCanvassPatience + 1us});

  std::size_t concur = 0;
  for (const auto& [id, answer] : c.answers) {
    if (answer.opinion == Opinion::concur && head.find(id)->vote) ++concur;
    if (answer.opinion != Opinion::object) continue;
    objection_ = name_of(id) + " objects: " + answer.why;
    log(LogLevel::info, "not proposed: " + c.wish.next.reason + ": " + objection_);
    objected_items_ = c.wish.items;
    objection_backoff_ = std::clamp<Duration>(objection_backoff_ * 2, settings.silence / 2, kObjectionMax);
    objection_until_ = now_ + objection_backoff_ + Duration(static_cast<std::int64_t>(random_() % 200'000));
    ring_due_ = std::min(ring_due_, objection_until_);
    campaign_->canvassing = false;
    return;
  }
  // Where a member is only believed dead because nothing is heard of it, every voter that lives is given its say.
  const bool hearsay = names_self(c.wish.items, Evidence::silent) || names_self(c.wish.items, Evidence::refused);
  if (concur < majority(head)) return;
  if (c.needed && (c.answers.count(*c.needed) == 0 || c.answers[*c.needed].opinion != Opinion::concur)) return;
  if (hearsay && c.answers.size() < voters(head).size() && now_ - c.canvass_began < kCanvassPatience) return;
  std::vector<NodeId> answered;
  for (const auto& [id, answer] : c.answers) answered.push_back(id);
  if (!names_self(c.wish.items, Evidence::votes)) assign_wish_votes(v, answered, c.wish);
  settle_writer(v, c.wish.next);
  ChainOut out = chain_out();
  chain.propose(c.wish.next, now_, out);
  campaign_.reset();
  take(std::move(out));
}

void Node::Impl::on_canvass_answer(const NodeId& from, const CanvassAnswer& answer) {
  if (forcing_ && answer.nonce == forcing_->nonce) forcing_->answers[from] = answer;
  if (!campaign_ || !campaign_->canvassing || answer.nonce != campaign_->nonce) return;
  const Member* member = chain.head()->find(from);
  if (member != nullptr && (member->vote || campaign_->needed == from)) campaign_->answers[from] = answer;
}

void Node::Impl::on_canvass(const NodeId& from, const Canvass& canvass) {
  if (names_self(canvass.items, Evidence::forced)) return send(from, watch_lost(canvass));
  for (PendingCanvass& pending : canvasses_) {
    if (pending.from != from) continue;
    if (pending.canvass.nonce != canvass.nonce) pending = {from, canvass, now_};
    return;
  }
  if (canvasses_.size() < kMembersMax) canvasses_.push_back({from, canvass, now_});
}

// A voter answers from what it has seen itself; where that takes a fresh look, it looks first.
void Node::Impl::answer_canvasses() {
  if (canvasses_.empty()) return;
  const View v = view();
  std::deque<PendingCanvass> later;
  for (PendingCanvass& pending : canvasses_) {
    const Instance here{v.config->generation, v.config->epoch, chain.head_id().hash};
    CanvassAnswer answer{pending.canvass.nonce, Opinion::concur, ""};
    bool wait = false;
    if (pending.canvass.instance != here) {
      answer.opinion = Opinion::abstain;
      answer.why = "another epoch is my head";
    }
    for (const CanvassItem& item : pending.canvass.items) {
      if (answer.opinion == Opinion::abstain) break;
      const Judgement judgement = judge(v, item);
      if (judgement.probe) probe(item.node), wait = true;
      const bool about_agent = item.evidence == Evidence::refused || item.evidence == Evidence::silent ||
                               item.evidence == Evidence::headless;
      if (about_agent && item.node != self()) {
        // The question is whether a ping is unanswered *now*: ask one.
        if (pending.received == now_) swim_.probe_now(item.node, now_, fx_->send);
        const auto answered = swim_.last_answer(item.node);
        wait = wait || (!v.peers.at(item.node).ping_unanswered && (!answered || *answered < pending.received) &&
                        now_ - pending.received < kPingLimit);
      }
      if (judgement.opinion == Opinion::concur || answer.opinion == Opinion::object) continue;
      answer.opinion = judgement.opinion;
      answer.why = judgement.why;
    }
    if (wait && now_ - pending.received < kJudgeLimit) {
      later.push_back(pending);
      ring_due_ = std::min(ring_due_, now_ + 20ms);
      continue;
    }
    send(pending.from, answer);
  }
  canvasses_ = std::move(later);
}

// ---------------------------------------------------------------- commands

void Node::Impl::handle(const Command& command) {
  if (command.name == "leaving") {
    leaving_ = true;
    if (chain.head() != nullptr) swim_.leave(fx_->send);
    fx_->replies.push_back({command.id, true, ""});
    return;
  }
  if (command.name == "force-quorum") return start_forcing(command);
  if (command.name == "init" || command.name == "join") return start_founding(command);
  if (command.name.starts_with("key-")) return start_key_command(command);
  if (!is_command(command.name)) {
    fx_->replies.push_back({command.id, false, "this agent does not know the command " + command.name});
    return;
  }
  if (chain.head() == nullptr) {
    fx_->replies.push_back({command.id, false, "no ring has been formed yet"});
    return;
  }
  if (own_member() == nullptr && command.name != "leave") {
    fx_->replies.push_back({command.id, false,
                            settings.name + " is no member of the ring any more: ask an agent of one that is; "
                                            "`ringagent join` makes this one a member again"});
    return;
  }
  // Later, when the ring has decided, that it is no member any more is the answer that was hoped for.
  if (command.name == "remove" && chain.head()->find(std::string_view(argument(command, "node"))) == nullptr) {
    fx_->replies.push_back({command.id, false, no_such_member(*chain.head(), argument(command, "node"))});
    return;
  }
  if (command.name == "resume" && !foreign_.empty()) {
    // What was changed by hand may be put right again.
    set_marker("link", "");
    foreign_.clear();
    foreign_since_.reset();
    log(LogLevel::info, "resumed: the link is put back as the ring wants it");
  }
  commands_.push_back({command, now_ + kCommandLimit});
}

void Node::Impl::run_commands() {
  const Config& head = *chain.head();
  if (head.paused.on && paused_since_ && head.paused.for_ms > 0 && commands_.empty() &&
      now_ - *paused_since_ > std::chrono::milliseconds(head.paused.for_ms)) {
    // The pause is over; every node counts for itself, the first that proposes ends it.
    commands_.push_back({{0, "resume", {{"over", "1"}}}, now_ + kCommandLimit});
  }
  while (!commands_.empty()) {
    const PendingCommand& pending = commands_.front();
    const auto answer = [&](bool ok, std::string text) {
      if (pending.command.id != 0) fx_->replies.push_back({pending.command.id, ok, std::move(text)});
      commands_.pop_front();
    };
    const View v = view();
    CommandStep step = command_step(pending.command, v, settings.name);
    if (step.over) {
      answer(step.ok, std::move(step.text));
      continue;
    }
    if (now_ >= pending.deadline) {
      answer(false, "outcome unknown: no majority of the voters answered within 5 s; it may still take effect");
      continue;
    }
    ring_due_ = std::min(ring_due_, now_ + 50ms);
    if (chain.proposing() || !chain.confirmed()) return;
    settle_writer(v, *step.next);
    ChainOut out = chain_out();
    chain.propose(std::move(*step.next), now_, out);
    take(std::move(out));
    return;
  }
}

}  // namespace ringagent
