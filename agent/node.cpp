#include "agent/node.h"

#include <algorithm>

#include "agent/node_impl.h"

namespace ringagent {
namespace {

constexpr Duration kLongPause = 2s;  // after that, what this agent believes of the others is old
constexpr Duration kIdleTick = 500ms;
constexpr Duration kLivesTwice = 10s;
constexpr Duration kAskVotersAgain = 500ms;

SwimSettings swim_settings(const NodeSettings& settings) {
  SwimSettings out;
  out.silence = settings.silence;
  return out;
}

ChainSettings chain_settings(const NodeSettings& settings) {
  return {settings.cluster, settings.name, settings.initial};
}

}  // namespace

// ---------------------------------------------------------------- the door

Node::Node(NodeSettings settings, const DurableState& state, std::uint64_t seed, Time now)
    : impl_(std::make_unique<Impl>(std::move(settings), state, seed, now)) {}
Node::~Node() = default;
Node::Node(Node&&) noexcept = default;
Effects Node::step(Event event, Time now) {
  return impl_->step(std::move(event), now);
}
Time Node::next_due() const {
  return impl_->next_due();
}
const DurableState& Node::durable() const {
  return impl_->chain.state();
}
ClusterId Node::cluster_id() const {
  return impl_->chain.head() ? impl_->chain.head()->cluster_id : ClusterId{};
}
Snapshot Node::snapshot(Time now) const {
  return impl_->snapshot(now);
}
void Node::reload(NodeSettings settings) {
  impl_->reload(std::move(settings));
}

// ---------------------------------------------------------------- one step

Node::Impl::Impl(NodeSettings s, const DurableState& state, std::uint64_t seed, Time now)
    : settings(std::move(s)),
      chain(state, chain_settings(settings), seed),
      swim_(state.self, state.boot, seed + 1, swim_settings(settings)),
      facts_(state.self, state.boot, seed + 2),
      server_(settings.hung_after),
      random_(seed + 3),
      now_(now),
      up_since_(now),
      key_book_(std::exchange(settings.key_book, {})),
      key_ring_(ring_of(key_book_, settings.key_file)),
      lease_(state.boot),
      born_(now) {
  chain.unconfirm(now);
  if (chain.head() != nullptr) {
    Effects ignored;
    fx_ = &ignored;  // nobody asked yet: the head is old news
    keep_decided_role();
    on_adopted(*chain.head());
    ignored = {};
    fx_ = nullptr;
    epochs_ = 0;
  }
}

// What a member is was decided when it joined: a config that says otherwise must not leave a server unwatched.
void Node::Impl::keep_decided_role() {
  const Member* me = own_member();
  if (me == nullptr || me->role == settings.role) return;
  role_note_ = std::string("[ring] role = \"") + to_string(settings.role) + "\" changes nothing: " + me->name +
               " joined this ring as " + to_string(me->role) + "; to change that, `ringagent leave`, then join with " +
               "the other role and an empty state directory";
  settings.role = me->role;
}

void Node::Impl::reload(NodeSettings changed) {
  settings = std::move(changed);
  keep_decided_role();
  swim_.set_silence(settings.silence);
  server_.set_hung_after(settings.hung_after);
}

Effects Node::Impl::step(Event event, Time now) {
  Effects fx;
  fx_ = &fx;
  now_ = std::max(now_, now);
  const bool unformed = chain.head() == nullptr;
  by_name_ = unformed;
  if (!role_note_.empty()) log(LogLevel::warning, std::exchange(role_note_, {}));
  fx.quiet = changes_nothing(event);
  std::visit([this](const auto& e) { handle(e); }, event);
  const std::size_t answers = fx.send.size();  // to a packet that may have been bound to the name only
  for (Outgoing& outgoing : fx.send) outgoing.by_name = by_name_;
  if (fx.quiet)
    tick_gossip(), poll_if_due();
  else if (!leaving_)
    settle_step();
  for (std::size_t i = answers; i < fx.send.size(); ++i) fx.send[i].by_name = unformed;
  finish_sends();
  fx_ = nullptr;
  return fx;
}

// Most events are the ticks for pings and polls, pings and their answers, and looks at a server that find it as it was. While
// everybody answers and nothing else is due, no decision can follow from them.
bool Node::Impl::changes_nothing(const Event& event) const {
  if (leaving_ || chain.head() == nullptr || now_ >= settled_until_ || !swim_.at_ease(now_)) return false;
  if (std::holds_alternative<Tick>(event)) return true;
  if (const auto* polled = std::get_if<Polled>(&event)) return shows_nothing_new(*polled);
  const auto* packet = std::get_if<Packet>(&event);
  return packet != nullptr && says_nothing_new(*packet);
}

// Nobody waits for this look either.
bool Node::Impl::shows_nothing_new(const Polled& polled) const {
  const Member* own = own_member();
  const bool waited_for = repair_.hurry() || now_ < hurry_until_ || !asked_by_.empty() || !canvasses_.empty() ||
                          campaign_ || chain.head()->one_writer || phase_ != Phase::none || own == nullptr ||
                          !own->in || own->absence != Absence::none;
  return !waited_for && polled.result && server_.is_as(*polled.result);
}

bool Node::Impl::says_nothing_new(const Packet& packet) const {
  const auto lives = lives_.find(packet.from);
  if (packet.by_name || lives == lives_.end() || lives->second.boot != packet.boot || lives->second.older_heard ||
      !canvasses_.empty() || !lost_watch_.empty() || packet.message.head != HeadMark(chain.head_id()) ||
      swim_.liveness(packet.from) != Liveness::alive)
    return false;
  const auto alike = [&](const auto& question) {
    return question.rumours.empty() && question.facts_mark == facts_mark(facts_.checksum(), question.seq);
  };
  if (const auto* ping = std::get_if<Ping>(&packet.message.body)) return alike(*ping);
  if (const auto* turn = std::get_if<Turn>(&packet.message.body)) return alike(*turn);
  const auto* ack = std::get_if<Ack>(&packet.message.body);
  return ack != nullptr && ack->rumours.empty();
}

void Node::Impl::tick_gossip() {
  swim_.carry(facts_.checksum());
  swim_.tick(now_, fx_->send);
  facts_.tick(now_, fx_->send);
}

void Node::Impl::settle_step() {
  settle_keys();
  ChainOut out = chain_out();
  chain.tick(now_, out);
  take(std::move(out));
  if (chain.head() != nullptr) {
    tick_gossip();
    for (const LivenessChange& change : swim_.take_changes()) {
      if (change.to == Liveness::alive && change.from != Liveness::alive)
        log(LogLevel::info, "the agent of " + name_of(change.node) + " answers");
      if (change.to == Liveness::dead)
        log(LogLevel::warning, "the agent of " + name_of(change.node) + " does not answer");
    }
    watch_quorum();
    watch_clones();
    keep_lease();
  }
  if (server_.tick(now_)) log(LogLevel::warning, "this MySQL hangs: " + server_.why());
  if (Seen& own = seen_[self()]; own.health != server_.health()) own.health = server_.health(), own.health_since = now_;
  note_start();
  lint();
  check_start();
  follow_tenure();
  note_closed();
  plan_repair();
  note_starving();
  follow_way_back();
  follow_way_out();
  publish();
  answer_asks();
  run_founding();
  if (chain.head() == nullptr) {
    chain.set_candidate(own_candidate());  // a promise may be asked for before the next hello
    say_hello();
    try_to_form();
  } else {
    const Head planned_for = chain.head_id();
    look_around();
    answer_canvasses();
    run_commands();
    run_forcing();
    run_key_commands();
    spread_keys();
    run_campaign();
    if (chain.head_id() != planned_for) plan_repair();  // a lone voter decides on the spot
    run_repair();
  }
  poll_if_due();
  settled_until_ = std::min({now_ + kIdleTick, chain.next_due(), server_.next_due(), repair_.next_due(now_),
                             lease_.next_due(now_), ring_due_});
  if (!key_commands_.empty() || !key_news_due_.empty()) settled_until_ = std::min(settled_until_, keys_due_);
  if (chain.head() == nullptr) settled_until_ = std::min(settled_until_, hello_due_);
}

// Sends leave with the head as it is after the step, which is durable by then.
void Node::Impl::finish_sends() {
  auto& all = fx_->send;
  for (Outgoing& outgoing : all) {
    outgoing.message.head = chain.head_id();
    if (fx_->keys) outgoing.brief = false;  // made before another key was taken
    if (outgoing.address.empty()) outgoing.address = address_of(outgoing.to);
  }
  all.erase(std::remove_if(all.begin(), all.end(), [](const Outgoing& o) { return o.address.empty(); }), all.end());
}

Address Node::Impl::address_of(const NodeId& id) const {
  if (const NodeRecord* record = facts_.find(id); record != nullptr && !record->gossip.empty()) return record->gossip;
  if (chain.head() != nullptr) {
    if (const Member* member = chain.head()->find(id)) return member->gossip;
  }
  for (const auto& [name, seen] : hellos_) {
    if (seen.hello.candidate.id == id || formation_acceptor(settings.cluster, name) == id)
      return seen.hello.candidate.gossip;
  }
  return {};
}

std::string Node::Impl::name_of(const NodeId& id) const {
  const Member* member = chain.head() ? chain.head()->find(id) : nullptr;
  return member ? member->name : id.str();
}

void Node::Impl::send(const NodeId& to, Body body) {
  Outgoing outgoing;
  outgoing.to = to;
  outgoing.message.body = std::move(body);
  fx_->send.push_back(std::move(outgoing));
}

void Node::Impl::log(LogLevel level, std::string text) {
  if (fx_ == nullptr || text == last_log_) return;  // a person at 3 a.m. wants each thing once
  last_log_ = text;
  fx_->log.push_back({level, std::move(text)});
}

void Node::Impl::set_marker(const std::string& key, const std::string& value) {
  ChainOut out = chain_out();
  chain.set_marker(key, value, out);
  take(std::move(out));
}

// ---------------------------------------------------------------- the chain

// However many changes a step makes, it persists once.
ChainOut Node::Impl::chain_out() const {
  ChainOut out;
  out.persist = fx_->persist;
  return out;
}

void Node::Impl::take(ChainOut out) {
  fx_->persist = fx_->persist || out.persist;
  for (Outgoing& outgoing : out.send) fx_->send.push_back(std::move(outgoing));
  for (std::string& line : out.log) log(LogLevel::warning, std::move(line));
  for (const Config& config : out.adopted) on_adopted(config);
}

void Node::Impl::on_adopted(const Config& config) {
  const bool forming = config.epoch == 1;
  const bool stranger = !std::exchange(knows_ring_, true);  // until now this agent had no ring
  std::vector<NodeId> ids;
  std::vector<NodeId> neighbours;
  std::vector<SwimPeer> peers;
  const auto up = upstream(config, self());
  const std::vector<NodeId> followers = downstream(config, self());
  for (const Member& member : config.members) {
    ids.push_back(member.id);
    const bool neighbour =
        (up && *up == member.id) || std::find(followers.begin(), followers.end(), member.id) != followers.end();
    peers.push_back({member.id, neighbour});
    if (neighbour) neighbours.push_back(member.id);
    const auto [known, fresh] = standing_.try_emplace(member.id);
    Standing& standing = known->second;
    if (fresh || standing.in != member.in) standing.in = member.in, standing.since = now_;
    if (fresh || standing.absence != member.absence || standing.absence_ms != member.absence_ms) {
      standing.absence = member.absence;
      standing.absence_ms = member.absence_ms;
      standing.absent_since = now_;
    }
    if (member.id == self()) continue;
    seen_[member.id];
  }
  std::erase_if(standing_, [&](const auto& entry) { return config.find(entry.first) == nullptr; });
  facts_.set_members(ids, neighbours);
  swim_.set_members(peers, now_);
  campaign_.reset();
  drain_target_.reset();
  adopted_at_ = now_;
  objection_backoff_ = Duration{0};
  objection_until_ = now_;
  denied_since_.reset();
  votes_differ_since_.reset();
  const Member* me = config.find(self());
  const bool copying = me != nullptr && !me->in && me->absence == Absence::copying;
  if (!copying && !chain.marker("copying").empty()) copy_ended();
  if (copying && chain.marker("copying").empty()) set_marker("copying", "1");
  if (me != nullptr) set_marker("closed_for_good", "");
  if (me != nullptr) settings.role = me->role;
  if (config.evidence_class == to_string(Evidence::link)) rerouted_at_ = now_;
  if (paused_ != config.paused) {
    paused_ = config.paused;
    paused_since_ = config.paused.on ? std::optional<Time>(now_) : std::nullopt;
  }
  if (settling_since_ && own_member() && own_member()->in) settling_since_.reset();
  ++epochs_;

  if (stranger && server_.up() && server_.link() != nullptr && server_.link()->io != IoState::stopped) {
    // Adoption: this server was in a running ring before anybody asked us, or before we lost our memory of it. Nothing is to
    // be done to it.
    adopted_ = true;
    start_checked_ = forming;
    if (forming) set_marker("checked", std::to_string(server_.started_unix_s()));
    set_marker("adopted", std::to_string(server_.started_unix_s()));
    // Who is out, or not the one writer, is read_only by its agent, the one that it was.
    const bool closed =
        own_member() != nullptr && (!own_member()->in || (config.one_writer && config.writer != self()));
    const bool ours = !forming && closed && server_.state()->read_only;
    set_marker("read_only", ours ? std::to_string(server_.started_unix_s()) : "");
  }
  HistoryEntry entry;
  entry.kind = "epoch";
  entry.generation = config.generation;
  entry.epoch = config.epoch;
  entry.what = config.reason;
  entry.why = config.evidence_class;
  entry.who = config.proposer;
  fx_->history.push_back(std::move(entry));
  log(LogLevel::info, "epoch " + std::to_string(config.epoch) + ": " + config.reason + "; ring: " + ring_text(config));
}

std::string Node::Impl::ring_text(const Config& config) {
  std::string names;
  for (const NodeId& id : ring(config)) names += (names.empty() ? "" : " -> ") + config.find(id)->name;
  return names;
}

bool Node::Impl::agent_lives(const NodeId& member) const {
  if (member == self()) return true;
  const Liveness liveness = swim_.liveness(member);
  return liveness == Liveness::alive || liveness == Liveness::suspect;
}

// Others may vouch for a voter for as long as they like: to whom nobody has answered for so long, it does not count; nor does
// one that has never answered yet and has been given time to.
bool Node::Impl::counts_as_reachable(const NodeId& id) const {
  if (id == self()) return true;
  if (!agent_lives(id)) return false;
  const auto unanswered = swim_.unanswered_since(id, now_);
  if (!unanswered) return true;
  return swim_.answered_since_start(id) && now_ - *unanswered < 2 * settings.silence;
}

// One voter does not answer: perhaps nobody does, and of those who are no neighbours it would be known late.
void Node::Impl::ask_voters(const std::vector<NodeId>& all) {
  if (std::none_of(all.begin(), all.end(),
                   [&](const NodeId& id) { return agent_lives(id) && swim_.unanswered_since(id, now_); }))
    return;
  for (const NodeId& id : all)
    if (agent_lives(id) && !swim_.unanswered_since(id, now_)) swim_.probe_now(id, now_, fx_->send, kAskVotersAgain);
}

// A node that loses the majority acts on nothing new until the majority has confirmed what it knows.
void Node::Impl::watch_quorum() {
  const Config& head = *chain.head();
  const std::vector<NodeId> all = voters(head);
  ask_voters(all);
  const auto reachable = static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [this](const NodeId& id) { return counts_as_reachable(id); }));
  const bool held = reachable >= majority(head);
  if (quorum_ && !held) {
    log(LogLevel::error, "quorum lost: " + std::to_string(reachable) + " of " + std::to_string(voters(head).size()) +
                             " voters answer, " + std::to_string(majority(head)) +
                             " are needed; replication goes on as it is");
    chain.unconfirm(now_);
    quorum_lost_since_ = now_;
  }
  if (!quorum_ && held) {
    quorum_lost_since_.reset();
    log(LogLevel::info, "quorum held");
  }
  quorum_ = held;
}

// ---------------------------------------------------------------- packets

void Node::Impl::handle(const Packet& packet) {
  by_name_ = by_name_ || packet.by_name;
  if (packet.from == self()) return;
  if (const auto* hello = std::get_if<Hello>(&packet.message.body)) {
    if (packet.by_name) on_hello(packet, *hello);
    return;
  }
  const bool member = chain.head() != nullptr && chain.head()->find(packet.from) != nullptr;
  const bool forming = packet.by_name && (chain.head() == nullptr || packet.message.head.epoch == 0);
  ChainOut out = chain_out();
  if (const auto* refusal = std::get_if<CanvassAnswer>(&packet.message.body); refusal != nullptr && forming)
    return on_refusal(*refusal);
  if (const auto* ring = std::get_if<Decided>(&packet.message.body); ring != nullptr && forming)
    on_ring_of_others(*ring);
  if (!member && !forming) {
    // One that was removed while it was away believes in an older ring and asks its members: let it know.
    if (chain.head() == nullptr || packet.by_name || !asks(packet.message.body)) return;
    chain.on_message(packet.from, Pull{Head{packet.message.head.generation, packet.message.head.epoch, {}}}, now_, out);
    for (Outgoing& answer : out.send) answer.address = packet.address;
    return take(std::move(out));
  }
  chain.on_message(packet.from, packet.message.body, now_, out);
  // After the message: a decision that brings the new head along need not be asked for.
  if (chain.head() == nullptr || !packet.by_name) chain.on_head(packet.from, packet.message.head, now_, out);
  take(std::move(out));
  if (!member || packet.by_name) return;

  note_life(packet);
  seen_[packet.from].heard_at = now_;
  const Body& body = packet.message.body;
  auto& send_to = fx_->send;
  const std::size_t before = send_to.size();
  if (const auto* m = std::get_if<Ping>(&body)) {
    swim_.on_ping(packet.from, packet.boot, *m, packet.brief, now_, send_to);
    facts_.on_mark(packet.from, m->seq, m->facts_mark, now_, send_to);
  } else if (const auto* a = std::get_if<Ack>(&body)) {
    swim_.on_ack(packet.from, packet.boot, *a, now_, send_to);
  } else if (const auto* t = std::get_if<Turn>(&body)) {
    swim_.on_turn(packet.from, packet.boot, *t, packet.brief, now_, send_to);
    facts_.on_mark(packet.from, t->seq, t->facts_mark, now_, send_to);
  } else if (const auto* r = std::get_if<PingReq>(&body)) {
    swim_.on_ping_req(packet.from, packet.boot, *r, now_, send_to);
  } else if (const auto* n = std::get_if<PingReqAnswer>(&body)) {
    swim_.on_ping_req_answer(packet.from, packet.boot, *n, now_, send_to);
  } else if (const auto* f = std::get_if<Facts>(&body)) {
    for (const NodeRecord& record : f->records) {
      if (record.node == packet.from) seen_[packet.from].told_at = now_;
    }
    for (const NodeId& id : facts_.on_facts(packet.from, *f, now_, send_to)) {
      const NodeRecord& record = *facts_.find(id);
      note_milestone(id, record.executed);
      Seen& seen = seen_[id];
      if (seen.health == record.health) continue;
      seen.health = record.health;
      seen.health_since = now_;
      // My own link may be the one that has to testify.
      if (server_.link() != nullptr && server_.link()->source == record.mysql) {
        hurry_until_ = now_ + 2s;
        poll_due_ = now_;
      }
    }
  } else if (std::holds_alternative<AskRecord>(body)) {
    asked_by_.insert(packet.from);
    asked_at_ = poll_due_ = now_;
  } else if (const auto* c = std::get_if<Canvass>(&body)) {
    on_canvass(packet.from, *c);
  } else if (const auto* ca = std::get_if<CanvassAnswer>(&body)) {
    on_canvass_answer(packet.from, *ca);
  } else if (const auto* book = std::get_if<KeyBook>(&body)) {
    hear_of_keys(*book);
  } else if (const auto* la = std::get_if<LeaseAsk>(&body)) {
    on_lease_ask(packet.from, *la);
  } else if (const auto* lg = std::get_if<LeaseGrant>(&body)) {
    on_lease_answer(packet.from, *lg);
  }
  // It may have come back at an address that nobody knows yet: answer where it asks from, too.
  const bool elsewhere = asks(body) && !packet.address.empty() && packet.address != address_of(packet.from);
  for (std::size_t i = before, end = send_to.size(); elsewhere && i < end; ++i) {
    if (send_to[i].to != packet.from) continue;
    Outgoing copy = send_to[i];
    copy.address = packet.address;
    send_to.push_back(std::move(copy));
  }
}

// Two agents under one id: the older one is told that it has been outlived, and stops.
void Node::Impl::note_life(const Packet& packet) {
  Lives& lives = lives_[packet.from];
  if (packet.boot > lives.boot) {
    lives.boot = packet.boot;
    lives.since = now_;
  }
  if (packet.boot >= lives.boot || now_ - lives.since < settings.silence) return;  // late packets are no life
  if (!lives_twice(packet.from))
    log(LogLevel::error,
        "two agents live under the id of " + name_of(packet.from) + ", one of them at " + packet.address.str());
  lives.older_heard = now_;
  lives.older_at = packet.address;
  const NodeRecord* record = facts_.find(packet.from);
  if (record == nullptr || !asks(packet.message.body)) return;
  Outgoing outgoing;
  outgoing.to = packet.from;
  outgoing.address = packet.address;
  outgoing.message.body = Facts{{*record}, {}, false};
  fx_->send.push_back(std::move(outgoing));
}

bool Node::Impl::lives_twice(const NodeId& id) const {
  const auto lives = lives_.find(id);
  return lives != lives_.end() && lives->second.older_heard && now_ - *lives->second.older_heard < kLivesTwice;
}

void Node::Impl::watch_clones() {
  if (!chain.broken().empty() || (!facts_.cloned() && !swim_.outlived_by())) return;
  const std::string why =
      "another agent lives under the id of this one: its state directory was copied or restored. Stop one of the two "
      "and wipe its state directory";
  chain.declare_broken(why);
  log(LogLevel::error, why);
}

// ---------------------------------------------------------------- the other events

void Node::Impl::handle(const Polled& polled) {
  const MysqlHealth before = server_.health();
  server_.on_poll(polled, now_);
  if (before != server_.health()) {
    log(server_.up() ? LogLevel::info : LogLevel::warning, std::string("this MySQL is ") + to_string(server_.health()) +
                                                               (server_.why().empty() ? "" : ": " + server_.why()));
  }
  if (polled.result) {
    note_milestone(self(), polled.result->executed);
    if (!polled.result->read_only)
      read_only_since_.reset(), drain_target_.reset();
    else if (!read_only_since_)
      read_only_since_ = now_;
  }
  const bool fast = repair_.hurry() || now_ < hurry_until_;
  const bool away = !server_.up();
  poll_due_ = fast ? now_ + 5ms : away ? now_ + 50ms : polled.asked + settings.poll_period;
}

void Node::Impl::handle(const ServerGone& gone) {
  if (server_.on_gone(gone, now_)) log(LogLevel::warning, "this MySQL is down: " + gone.why);
  poll_due_ = now_;
}

void Node::Impl::handle(const Ran& ran) {
  if (!has_server()) return;
  RepairOut out;
  repair_.on_ran(ran, server_, chain.head_id(), permits(repair_.deed()), now_, out);
  for (RunRequest& run : out.run) fx_->sql.push_back(std::move(run));
  for (HistoryEntry& entry : out.history) fx_->history.push_back(std::move(entry));
  for (LogLine& line : out.log) log(line.level, std::move(line.text));
  if (out.lifted_read_only) lifted_read_only();
  if (out.look) poll_due_ = now_;
}

void Node::Impl::handle(const Looked& looked) {
  Seen& seen = seen_[looked.target];
  seen.look_open = false;
  seen.looked_at = now_;
  if (looked.result) {
    seen.looked = *looked.result;
    seen.look_error.clear();
    seen.answered_before = true;
    return;
  }
  seen.looked.reset();
  const SqlError& error = looked.result.error();
  const bool answered = error.kind == SqlErrorKind::denied || error.kind == SqlErrorKind::server;
  if (answered) seen.answered_before = true;
  seen.look_error = answered ? error.text : "";
}

void Node::Impl::handle(const PortAnswered& answered) {
  if (answered.target == self()) {
    if (server_.on_port(answered.state, now_))
      log(LogLevel::warning, std::string("this MySQL is ") + to_string(server_.health()) + ": " + server_.why());
    seen_[self()].port_open = false;
    return;
  }
  Seen& seen = seen_[answered.target];
  seen.port_open = false;
  seen.port = answered.state;
  seen.port_at = now_;
  if (answered.state == EdgeState::ok) seen.answered_before = true;
}

void Node::Impl::handle(const LoopLagged& lagged) {
  swim_.loop_lagged(lagged.gap, now_);
  server_.lagged(lagged.gap, now_);
  chain.unconfirm(now_);
  campaign_.reset();
  if (lagged.gap >= kLongPause) up_since_ = now_;
  log(LogLevel::warning, "this agent stood still for " + std::to_string(lagged.gap.count() / 1000) + " ms");
}

Time Node::Impl::next_due() const {
  if (leaving_) return Time::max();
  Time due = settled_until_;
  if (!server_.poll_open() && settings.role != Role::witness) due = std::min(due, poll_due_);
  if (chain.head() != nullptr) due = std::min({due, swim_.next_due(), facts_.next_due()});
  return std::max(due, now_ + 1ms);
}

}  // namespace ringagent
