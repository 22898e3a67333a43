#include <algorithm>

#include "agent/node_impl.h"

// The part of Node that looks at the own server and changes it: poll, reconcile, repair.
namespace ringagent {
namespace {

constexpr Duration kForeignSettled = 500ms;  // a shutdown looks like a STOP for a moment
constexpr Duration kLookFresh = 3s;

TlsMode tls_of(const std::string& text) {
  if (text == "required") return TlsMode::required;
  return text == "verify_ca" ? TlsMode::verify_ca : TlsMode::off;
}

}  // namespace

void Node::Impl::poll_if_due() {
  if (settings.role == Role::witness || server_.poll_open()) return;
  // While somebody may have to testify or a plan is under way, every event counts.
  const auto up = chain.head() ? upstream(*chain.head(), self()) : std::nullopt;
  const bool doubt = up && swim_.unanswered_since(*up, now_).has_value();
  if (repair_.hurry() || now_ < hurry_until_)
    poll_due_ = std::min(poll_due_, now_ + 5ms);
  else if (doubt)
    poll_due_ = std::min(poll_due_, now_ + 50ms);
  if (now_ >= poll_due_) {
    server_.asked(now_);
    const Member* me = own_member();
    fx_->sql.push_back(PollRequest{me == nullptr || !me->in});
  }
  if (server_.ask_port() && !seen_[self()].port_open) {
    seen_[self()].port_open = true;
    fx_->ports.push_back({self(), settings.mysql, 1s});
  }
}

bool Node::Impl::member_well(const NodeId& id) const {
  const Member* member = chain.head()->find(id);
  const NodeRecord* record = facts_.find(id);
  return member != nullptr && member->in && record != nullptr && record->health == MysqlHealth::up &&
         record->unsafe.empty() && swim_.liveness(id) == Liveness::alive &&
         !swim_.unanswered_since(id, now_).has_value();
}

// The newest word about a server that may be followed: its own record, or, if only its agent is gone, `looked`, which is filled
// with what a login there showed.
const NodeRecord* Node::Impl::word_of(const NodeId& source, NodeRecord& looked) const {
  const NodeRecord* record = facts_.find(source);
  const bool agent = swim_.liveness(source) == Liveness::alive && !swim_.unanswered_since(source, now_).has_value();
  if (agent) return record != nullptr && record->health == MysqlHealth::up && record->unsafe.empty() ? record : nullptr;
  const auto seen = seen_.find(source);
  if (seen == seen_.end() || !seen->second.looked || now_ - seen->second.looked_at > kLookFresh) return nullptr;
  looked = record == nullptr ? NodeRecord{} : *record;
  looked.executed = seen->second.looked->executed;
  if (!seen->second.looked->purged.empty())
    looked.purged = seen->second.looked->purged;  // not every account may ask for it
  return &looked;
}

// The upstream of the own place; but that may have got its data as a copy, or have purged its binary log, while the own server
// was out. Then any other in the ring will do that can still give all, until what is lacking then is what the upstream can give.
void Node::Impl::choose_source(Situation& s, std::deque<NodeRecord>& looked) {
  s.upstream = upstream(*s.config, s.self);
  if (!s.upstream) return;
  s.source = word_of(*s.upstream, looked.emplace_back());
  const Link* link = server_.link();
  const Address wanted = s.config->find(*s.upstream)->mysql;
  const bool runs = link != nullptr && link->source == wanted && link->io != IoState::stopped && link->sql_running;
  if (own_member()->in || s.source == nullptr || runs) return;
  const bool gives = can_give(*s.source, *s.server);
  if (gives && (link == nullptr || link->io_errno == 0)) return;
  std::vector<NodeId> others = ring(*s.config);
  std::stable_partition(others.begin(), others.end(), [&](const NodeId& id) {
    return link != nullptr && s.config->find(id)->mysql == link->source;  // no repoint that need not be
  });
  for (const NodeId& id : others) {
    if (id == *s.upstream || id == s.self) continue;
    const NodeRecord* word = word_of(id, looked.emplace_back());
    if (word != nullptr && !can_give(*word, *s.server)) continue;
    if (word == nullptr) look(id, kLookUrgent);
    if (word == nullptr || gives) {
      s.may_give += (s.may_give.empty() ? "" : ", ") + name_of(id);
      continue;
    }
    s.upstream = id;
    s.source = word;
    return s.may_give.clear();
  }
}

bool Node::Impl::fence_without_quorum() const {
  return settings.read_only_without_quorum && quorum_lost_since_ && now_ - *quorum_lost_since_ > settings.silence;
}

Situation Node::Impl::situation() const {
  Situation s;
  s.config = chain.head();
  s.self = self();
  s.server = &*server_.state();
  s.intent = Intent::parse(chain.marker("link"));
  if (same_start(std::to_string(s.intent.started_unix_s))) s.intent.started_unix_s = server_.started_unix_s();
  if (const Link* link = server_.link()) {
    for (const Member& member : s.config->members) {
      if (member.mysql == link->source) s.old_source_well = member_well(member.id);
    }
  }
  s.start_checked = start_checked_;
  s.adopted = adopted_;
  s.unsafe = unsafe_;
  s.unfit = unfit_;
  s.read_only_is_ours = same_start(chain.marker("read_only"));
  s.link_verified = repair_.link_verified();
  s.closed_for_good = !chain.marker("closed_for_good").empty();
  s.fence_without_quorum = fence_without_quorum();
  s.may_write = may_write();
  s.may_open = may_open();
  s.link_settings = {settings.replication_user,
                     settings.replication_password,
                     tls_of(settings.replication_tls),
                     settings.replication_ca,
                     static_cast<std::uint32_t>(settings.heartbeat_period.count() / 1000),
                     static_cast<std::uint32_t>(std::max<std::int64_t>(1, settings.connect_retry.count() / 1'000'000))};
  return s;
}

// A server of this ring that has been seen to be up.
bool Node::Impl::has_server() const {
  return chain.head() != nullptr && server_.state() && settings.role != Role::witness;
}

void Node::Impl::plan_repair() {
  if (!has_server()) return;
  if (!server_.up()) {
    repair_.link_unverified();
    foreign_since_.reset();
    return;
  }
  if (own_member() == nullptr && server_.state()->read_only) set_marker("closed_for_good", "1");
  Situation s = situation();
  std::deque<NodeRecord> looked;
  if (own_member() != nullptr) choose_source(s, looked);
  follows_ = s.upstream;
  const bool by_purge = unsafe_.starts_with(kNeedsReseed) && own_member() != nullptr && !own_member()->in;
  if (by_purge && s.source != nullptr && can_give(*s.source, *s.server)) {
    log(LogLevel::info, "it need not be reseeded: " + name_of(*s.upstream) + " can give all that this server lacks");
    s.unsafe.clear();
    unsafe_.clear();
    set_marker("unsafe", "");
  }
  plan_ = reconcile(s);
  if (s.upstream && s.source == nullptr && !plan_.link_fits) look(*s.upstream, kLookUrgent);
  // It was made writable by hand, or never was made read_only: the next read_only is not ours.
  if (!s.server->read_only && plan_.deed != Deed::set_read_only && repair_.at_rest(now_)) set_marker("read_only", "");
  if (!plan_.needs_reseed.empty() && own_member() != nullptr && own_member()->in && unsafe_.empty()) {
    unsafe_ = plan_.needs_reseed + "; once it is out, another one is looked for that can still give them";
    set_marker("unsafe", unsafe_);
    log(LogLevel::error, unsafe_);
  }
  if (plan_.foreign.empty()) {
    foreign_since_.reset();
    foreign_.clear();
  } else {
    // By another look, asked for so much later: this agent may have stood still meanwhile, or the server hung.
    if (!foreign_since_) foreign_since_ = now_;
    if (server_.state_at() - *foreign_since_ >= kForeignSettled) foreign_ = plan_.foreign;
    if (!foreign_.empty()) log(LogLevel::warning, "foreign change: " + foreign_);
  }
  const Link* link = server_.link();
  if (plan_.link_fits && !repair_.busy() && repair_.is_news(server_.state_at()) && link != nullptr &&
      link->io == IoState::running && !repair_.link_verified()) {
    // It runs already, as it should: an adopted ring, or this agent was away for a moment.
    repair_.link_is_verified();
    set_marker("link", Intent{link->source, false, server_.started_unix_s()}.text());
  }
  if (repair_.link_verified() && plan_.link_fits) acted_epoch_ = chain.head()->epoch;
}

// May a statement of such a plan leave now? Answers that confirmed the head may be older than the loss of the quorum.
bool Node::Impl::permits(Deed deed) const {
  if (deed == Deed::stop_link) return true;
  const bool must_close =
      !unsafe_.empty() || fence_without_quorum() || chain.head()->one_writer || own_member() == nullptr;
  if (deed == Deed::set_read_only && must_close) return true;
  if (deed == Deed::lift_read_only && may_open()) return true;
  const bool pausing = chain.head()->paused.on || std::any_of(commands_.begin(), commands_.end(),
                                                              [](const auto& c) { return c.command.name == "pause"; });
  // In a pause nothing is begun; what was begun is finished, and what the loss of the quorum has closed is opened again.
  const bool half_done = touches_link(deed) && Intent::parse(chain.marker("link")).working;
  const bool allowed = !pausing || half_done || (deed == Deed::lift_read_only && settings.read_only_without_quorum);
  return quorum_ && chain.confirmed() && chain.broken().empty() && allowed;
}

// Carries the plan out, with the head as it is at the end of the step: what is sent to the server leaves after it.
void Node::Impl::run_repair() {
  if (!has_server() || !server_.up()) return;
  RepairOut out;
  repair_.advance(plan_, server_, chain.head_id(), permits(plan_.deed), now_, out);
  if (out.intent) set_marker("link", out.intent->text());
  if (out.lifts_read_only) sealed_since_start_ = false, lift_sent_ = now_;
  if (plan_.deed == Deed::prime && !out.run.empty()) sealed_since_start_ = false;  // it writes, read_only or not
  if (out.makes_read_only) set_marker("read_only", std::to_string(server_.started_unix_s()));
  if (out.lifted_read_only) lifted_read_only();
  for (RunRequest& run : out.run) fx_->sql.push_back(std::move(run));
  for (HistoryEntry& entry : out.history) {
    if (entry.ok && entry.what == to_string(Deed::repoint)) ++repoints_;
    fx_->history.push_back(std::move(entry));
  }
  for (LogLine& line : out.log) log(line.level, std::move(line.text));
  if (out.look) poll_due_ = now_;
}

}  // namespace ringagent
