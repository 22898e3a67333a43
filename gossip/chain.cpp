#include "gossip/chain.h"

#include <algorithm>

#include "gossip/codec.h"

namespace ringagent {
namespace {

constexpr Duration kResend = 40ms;       // several round trips and fsyncs on a LAN; a lost datagram costs one of these
constexpr Duration kProposalLimit = 3s;  // then policy looks again whether it still wants this
constexpr Duration kFinishAfter = 2s;    // an accepted, undecided value must not lie in wait for weeks
constexpr Duration kFinishPerRank = 500ms;
constexpr Duration kBackoffMin = 50ms;
constexpr Duration kBackoffMax = 2s;
constexpr Duration kPullAgain = 200ms;
constexpr Duration kPullOutdated = 5s;  // most likely it could not be read again
constexpr Duration kConfirmAgain = 200ms;

Instance instance_of(const Config& head, const Hash& hash) {
  return {head.generation, head.epoch, hash};
}

Duration jitter(std::mt19937_64& random, Duration most) {
  return Duration(std::uniform_int_distribution<std::int64_t>(0, most.count())(random));
}

}  // namespace

std::vector<NodeId> survivors_of(const Config& forced) {
  std::vector<NodeId> out;
  for (const Member& member : forced.members) {
    const bool lost = member.out_class == kLost && member.out_epoch == forced.epoch;
    if (!lost) out.push_back(member.id);
  }
  return out;
}

NodeId formation_acceptor(std::string_view cluster, std::string_view name) {
  const Hash hash = hash_bytes("formation acceptor\n" + std::string(cluster) + "\n" + std::string(name));
  NodeId id;
  std::copy_n(hash.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

Chain::Chain(DurableState state, ChainSettings settings, std::uint64_t seed)
    : state_(std::move(state)), settings_(std::move(settings)), random_(seed) {
  if (!state_.chain.empty()) {
    auto config = parse_config(state_.chain.back());
    if (!config) std::abort();  // the store's checksum was right: we wrote this ourselves
    set_head(std::move(*config), state_.chain.back());
  }
}

void Chain::set_head(Config config, const std::string& bytes) {
  head_ = std::move(config);
  head_id_ = {head_->generation, head_->epoch, hash_bytes(bytes)};
  outdated_ = false;
}

std::vector<Config> Chain::history() const {
  std::vector<Config> out;
  for (const std::string& bytes : state_.chain) {
    if (auto config = parse_config(bytes)) out.push_back(std::move(*config));
  }
  return out;
}

void Chain::persist(ChainOut& out) {
  if (!out.persist) ++state_.seq;
  out.persist = true;
}

// ---------------------------------------------------------------- who votes on what comes next

Instance Chain::instance() const {
  if (head_) return instance_of(*head_, head_id_.hash);
  std::string list = settings_.cluster;
  for (const std::string& name : settings_.initial) list += "\n" + name;
  return {0, 0, hash_bytes("formation\n" + list)};
}

// The survivors of a lost majority decide here.
Instance Chain::forced_instance() const {
  return {head_id_.generation + 1, head_id_.epoch, head_id_.hash};
}

std::vector<NodeId> Chain::acceptors() const {
  if (head_) return voters(*head_);
  std::vector<NodeId> out;
  for (const std::string& name : settings_.initial) out.push_back(formation_acceptor(settings_.cluster, name));
  return out;
}

// At formation nobody knows yet who may be missed: all must agree.
std::size_t Chain::quorum() const {
  return head_ ? majority(*head_) : settings_.initial.size();
}

std::vector<NodeId> Chain::asked() const {
  return proposal_ && !proposal_->survivors.empty() ? proposal_->survivors : acceptors();
}

std::optional<NodeId> Chain::own_acceptor(const Instance& which) const {
  if (head_ && which == forced_instance())
    return head_->find(state_.self) != nullptr ? std::optional(state_.self) : std::nullopt;
  if (head_) {
    const Member* me = head_->find(state_.self);
    return me != nullptr && me->vote ? std::optional(state_.self) : std::nullopt;
  }
  const NodeId id = formation_acceptor(settings_.cluster, settings_.name);
  const std::vector<NodeId> all = acceptors();
  if (std::find(all.begin(), all.end(), id) == all.end()) return std::nullopt;
  return id;
}

AcceptorState Chain::acceptor_state(const Instance& which) const {
  AcceptorState out;
  if (state_.promised_instance == which) out.promised = state_.promised;
  if (state_.accepted_instance == which) {
    out.accepted = state_.accepted;
    out.value = state_.accepted_value;
  }
  return out;
}

// What this acceptor's votes now belong to.
Instance Chain::voted_instance() const {
  return head_ && state_.promised_instance == forced_instance() ? forced_instance() : instance();
}

void Chain::store_acceptor(const Instance& which, const AcceptorState& acceptor, ChainOut& out) {
  if (acceptor == acceptor_state(which)) return;  // a resend: the answer is durable already
  state_.promised_instance = which;
  state_.promised = acceptor.promised;
  if (acceptor.accepted.round != 0) {
    state_.accepted_instance = which;
    state_.accepted = acceptor.accepted;
    state_.accepted_value = acceptor.value;
  }
  if (!head_) {
    state_.formation_parent = which.parent;
    state_.formation_initial = settings_.initial;
  }
  persist(out);
}

std::string Chain::formation_conflict() const {
  if (head_ || state_.formation_initial.empty() || state_.formation_initial == settings_.initial) return {};
  std::string old;
  for (const std::string& name : state_.formation_initial) old += (old.empty() ? "" : ", ") + name;
  return "[ring] initial was changed after this node had voted on forming the ring from: " + old +
         "; restore that list, or run `ringagent init --abandon-formation` on every node";
}

void Chain::abandon_formation(ChainOut& out) {
  if (head_ || state_.formation_initial.empty()) return;
  state_.promised_instance = state_.accepted_instance = {};
  state_.promised = state_.accepted = {};
  state_.accepted_value.clear();
  state_.formation_parent = {};
  state_.formation_initial.clear();
  proposal_.reset();
  persist(out);
}

// A peer whose store went back in time (a restored snapshot) may have forgotten a promise, or a ballot that it has used:
// its votes are not counted, and nobody votes for it.
bool Chain::fresh(const NodeId& acceptor, const StoreVersion& version, ChainOut& out) {
  for (auto& [id, seen] : state_.peers_seen) {
    if (id != acceptor) continue;
    if (version.boot < seen.boot || version.seq < seen.seq) {
      if (version.boot < seen.boot || version.seq + 16 < seen.seq) {
        out.log.push_back("not counting a vote of " + acceptor.str() +
                          ": its state directory is older than one it has voted with before (restored from a copy?)");
      }
      return false;
    }
    seen = version;
    return true;
  }
  state_.peers_seen.emplace_back(acceptor, version);
  return true;
}

// ---------------------------------------------------------------- proposing

void Chain::propose(Config next, Time now, ChainOut& out) {
  if (!proposal_) propose_next(std::move(next), {}, now, out);
}

void Chain::propose_forced(Config next, std::vector<NodeId> survivors, Time now, ChainOut& out) {
  propose_next(std::move(next), std::move(survivors), now, out);
}

// `survivors`: of a forced generation; empty where the voters decide.
void Chain::propose_next(Config next, std::vector<NodeId> survivors, Time now, ChainOut& out) {
  if (!head_ || !broken_.empty()) return;
  next.cluster_id = head_->cluster_id;
  next.cluster = head_->cluster;
  next.generation = head_->generation + (survivors.empty() ? 0 : 1);
  next.epoch = head_->epoch + 1;
  next.parent = head_id_.hash;
  if (auto wrong = validate(next)) {
    out.log.push_back("refusing to propose an invalid config: " + wrong->text);
    return;
  }
  proposal_ = Proposal{};
  proposal_->next = std::move(next);
  proposal_->survivors = std::move(survivors);
  proposal_->started = now;
  start_ballot(now, out);
}

void Chain::propose_formation(std::vector<std::string> home_order, const ClusterId& cluster_id, std::string reason,
                              Time now, ChainOut& out) {
  if (proposal_ || head_ || !formation_conflict().empty()) return;
  proposal_ = Proposal{};
  proposal_->formation = true;
  proposal_->home_order = std::move(home_order);
  proposal_->next.cluster_id = cluster_id;
  proposal_->next.reason = std::move(reason);
  proposal_->started = now;
  start_ballot(now, out);
}

void Chain::start_ballot(Time now, ChainOut& out) {
  Proposal& proposal = *proposal_;
  const bool forced = !proposal.survivors.empty();
  const Instance which = forced ? forced_instance() : instance();
  const AcceptorState own = acceptor_state(which);
  state_.own_round = std::max(state_.own_round, own.promised.round) + 1;
  persist(out);
  proposal.proposer.emplace(which, Ballot{state_.own_round, state_.self}, asked(),
                            forced ? proposal.survivors.size() : quorum());
  send_round(asked(), now, out);
}

// Sends the present phase's question to `to`; the question to ourselves is answered on the spot.
void Chain::send_round(const std::vector<NodeId>& to, Time now, ChainOut& out) {
  const auto self = own_acceptor(proposal_->proposer->instance());
  Proposer& proposer = *proposal_->proposer;
  const StoreVersion store{state_.boot, state_.seq};
  proposal_->due = now + kResend;
  bool ask_self = false;
  for (const NodeId& voter : to) {
    if (self && voter == *self) {
      ask_self = true;
      continue;
    }
    Outgoing outgoing;
    outgoing.to = voter;
    if (proposer.phase() == Proposer::Phase::preparing) {
      outgoing.message.body = Prepare{proposer.instance(), proposer.ballot(), store};
    } else {
      outgoing.message.body = Accept{proposer.instance(), proposer.ballot(), proposer.value(), store};
    }
    out.send.push_back(std::move(outgoing));
  }
  if (!ask_self) return;
  // `proposer` may be gone after these calls: a lone voter decides at once.
  if (proposer.phase() == Proposer::Phase::preparing) {
    handle(state_.self, Prepare{proposer.instance(), proposer.ballot(), store}, now, out);
  } else {
    handle(state_.self, Accept{proposer.instance(), proposer.ballot(), proposer.value(), store}, now, out);
  }
}

void Chain::choose_value(Time now, ChainOut& out) {
  Proposer& proposer = *proposal_->proposer;
  std::string value;
  if (proposer.inherited()) {
    value = *proposer.inherited();
  } else if (proposal_->formation) {
    auto config = formation_value(out);
    if (!config) {
      proposal_.reset();
      return;
    }
    value = canonical_bytes(*config);
  } else {
    value = canonical_bytes(proposal_->next);
  }
  proposer.start_accepting(std::move(value));
  send_round(asked(), now, out);
}

std::optional<Config> Chain::formation_value(ChainOut& out) const {
  Config config;
  config.cluster_id = proposal_->next.cluster_id;
  config.cluster = settings_.cluster;
  config.epoch = 1;
  config.parent = instance().parent;
  config.reason = proposal_->next.reason;
  config.evidence_class = to_string(Evidence::formation);
  config.proposer = settings_.name;
  const std::vector<Candidate> candidates = proposal_->proposer->candidates();
  std::vector<NodeId> all;
  for (const std::string& name : proposal_->home_order) {
    const auto found =
        std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) { return c.name == name; });
    if (found == candidates.end()) {
      out.log.push_back("formation: no promise of " + name + " carries its identity; trying again");
      return std::nullopt;
    }
    if (found->role != Role::witness && found->server_id == 0) {
      out.log.push_back("formation: when " + name + " promised, its MySQL had not been seen yet; trying again");
      return std::nullopt;
    }
    Member member;
    member.id = found->id;
    member.name = found->name;
    member.gossip = found->gossip;
    member.mysql = found->mysql;
    member.server_id = found->server_id;
    member.server_uuid = found->server_uuid;
    member.role = found->role;
    member.in = found->role == Role::ring;
    all.push_back(member.id);
    config.members.push_back(std::move(member));
  }
  assign_votes(config, all);
  if (lease_ms_ != 0) choose_first_writer(config, lease_ms_);
  if (auto wrong = validate(config)) {
    out.log.push_back("formation: " + wrong->text);
    return std::nullopt;
  }
  return config;
}

void Chain::chosen(Time now, ChainOut& out) {
  const std::string value = proposal_->proposer->value();
  const std::optional<Config> before = head_;
  proposal_.reset();
  if (!adopt(value, out)) return;
  // A majority of the voters has just answered at this head: it is confirmed as well as can be.
  confirmed_ = true;
  confirm_due_ = now;
  broadcast_head(before ? *before : *head_, out);
}

void Chain::broadcast_head(const Config& before, ChainOut& out) {
  std::set<NodeId> everybody;
  for (const Member& member : before.members) everybody.insert(member.id);
  for (const Member& member : head_->members) everybody.insert(member.id);
  everybody.erase(state_.self);
  for (const NodeId& id : everybody) {
    Outgoing outgoing;
    outgoing.to = id;
    outgoing.message.body = Decided{{state_.chain.back()}};
    out.send.push_back(std::move(outgoing));
  }
}

// ---------------------------------------------------------------- the acceptor

// Is this an instance that this acceptor may vote in now? Otherwise it is answered from the chain, or not at all.
bool Chain::serves(const NodeId& from, const Instance& asked, Time now, ChainOut& out) {
  const bool forced = head_ && asked == forced_instance();
  if (!forced && answer_from_chain(from, asked, now, out)) return false;
  // Who has given up a generation may have voted in it, and has forgotten how: it votes again when it has learnt another.
  const bool forgot = !marker("yielded").empty();
  if (!own_acceptor(asked) || !broken_.empty() || forgot || !formation_conflict().empty()) return false;
  return forced || voted_instance() == asked;
}

bool Chain::answer_from_chain(const NodeId& from, const Instance& asked, Time now, ChainOut& out) {
  const Instance own = instance();
  if (asked == own) return false;
  if (behind(Head{asked.generation, asked.epoch, {}}, head_id_)) {
    handle(from, Pull{Head{asked.generation, asked.epoch, asked.parent}}, now, out);
  } else if (behind(head_id_, Head{asked.generation, asked.epoch, {}})) {
    on_head(from, Head{asked.generation, asked.epoch, asked.parent}, now, out);
  } else if (head_) {
    found_split("two different configs carry the number " + std::to_string(own.generation) + "." +
                std::to_string(own.epoch));
  } else {
    out.log.push_back("formation: " + from.str() + " was given another [ring] initial list or cluster name");
  }
  return true;
}

void Chain::handle(const NodeId& from, const Prepare& m, Time now, ChainOut& out) {
  if (!serves(from, m.instance, now, out)) return;
  if (from != state_.self && !fresh(m.ballot.node, m.store, out)) return;
  const auto self = own_acceptor(m.instance);
  AcceptorState acceptor = acceptor_state(m.instance);
  Outgoing answer;
  answer.to = from;
  if (!promise(acceptor, m.ballot)) {
    answer.message.body = Reject{m.instance, m.ballot, acceptor.promised};
    if (from != state_.self) out.send.push_back(std::move(answer));
    return;
  }
  store_acceptor(m.instance, acceptor, out);
  Promise say{m.instance, m.ballot, *self, acceptor.accepted, acceptor.value, std::nullopt, {state_.boot, state_.seq}};
  if (!head_) say.candidate = candidate_;
  if (from == state_.self) {
    handle(from, say, now, out);
    return;
  }
  answer.message.body = std::move(say);
  out.send.push_back(std::move(answer));
}

void Chain::handle(const NodeId& from, const Accept& m, Time now, ChainOut& out) {
  if (!serves(from, m.instance, now, out)) return;
  if (from != state_.self && !fresh(m.ballot.node, m.store, out)) return;
  const auto self = own_acceptor(m.instance);
  AcceptorState acceptor = acceptor_state(m.instance);
  Outgoing answer;
  answer.to = from;
  if (!accept(acceptor, m.ballot, m.value)) {
    answer.message.body = Reject{m.instance, m.ballot, acceptor.promised};
    if (from != state_.self) out.send.push_back(std::move(answer));
    return;
  }
  store_acceptor(m.instance, acceptor, out);
  if (!accepted_since_) accepted_since_ = now;
  const Accepted say{m.instance, m.ballot, *self, {state_.boot, state_.seq}};
  if (from == state_.self) {
    handle(from, say, now, out);
    return;
  }
  answer.message.body = say;
  out.send.push_back(std::move(answer));
}

// ---------------------------------------------------------------- the proposer's answers

void Chain::handle(const NodeId& from, const Promise& m, Time now, ChainOut& out) {
  if (!proposal_ || !proposal_->proposer) return;
  if (from != state_.self && !fresh(m.acceptor, m.store, out)) return;
  if (proposal_->proposer->on_promise(m)) choose_value(now, out);
}

void Chain::handle(const NodeId& from, const Accepted& m, Time now, ChainOut& out) {
  if (!proposal_ || !proposal_->proposer) return;
  if (from != state_.self && !fresh(m.acceptor, m.store, out)) return;
  if (proposal_->proposer->on_accepted(m)) chosen(now, out);
}

void Chain::handle(const NodeId&, const Reject& m, Time now, ChainOut&) {
  if (!proposal_ || !proposal_->proposer || m.ballot != proposal_->proposer->ballot()) return;
  state_.own_round = std::max(state_.own_round, m.promised.round);  // durable with the ballot that uses it
  Proposal& proposal = *proposal_;
  proposal.proposer.reset();
  proposal.backoff = std::clamp(proposal.backoff * 2, kBackoffMin, kBackoffMax);
  proposal.due = now + jitter(random_, proposal.backoff);
}

// ---------------------------------------------------------------- learning

bool Chain::fits(const Config& config, ChainOut& out) const {
  if (config.cluster != settings_.cluster || (head_ && config.cluster_id != head_->cluster_id)) {
    out.log.push_back("ignoring a config of another cluster: " + config.cluster);
    return false;
  }
  if (head_ || config.find(state_.self) != nullptr) return true;
  out.log.push_back("the cluster exists already and this node is not a member of it (its state directory is new?)");
  return false;
}

// Appends one decided config. False if it does not follow head.
bool Chain::adopt(const std::string& bytes, ChainOut& out) {
  auto config = parse_config(bytes);
  if (!config) {
    out.log.push_back("ignoring a decided config that cannot be read: " + config.error().text);
    return false;
  }
  const Head next{config->generation, config->epoch, hash_bytes(bytes)};
  if (head_ && !behind(head_id_, next)) {
    if (next.generation == head_id_.generation && next.epoch == head_id_.epoch && next.hash != head_id_.hash) {
      found_split("two different configs carry the number " + std::to_string(next.generation) + "." +
                  std::to_string(next.epoch));
    }
    return false;
  }
  if (!fits(*config, out)) return false;
  const bool forced = head_ && next.generation > head_id_.generation && drop_to_parent(*config);
  const bool follows = forced || (head_ && next.generation == head_id_.generation && next.epoch == head_id_.epoch + 1);
  if (follows && !forced && config->parent != head_id_.hash) {
    found_split("config " + std::to_string(next.epoch) + " does not follow ours: its parent is " +
                short_hex(config->parent) + ", our head is " + short_hex(head_id_.hash));
    return false;
  }
  if (head_ && !follows)
    out.log.push_back("the links between config " + std::to_string(head_id_.epoch) + " and " +
                      std::to_string(next.epoch) + " are no longer kept by anybody: taking the newest");
  state_.chain.push_back(bytes);
  if (state_.chain.size() > kChainKept) state_.chain.erase(state_.chain.begin());
  if (head_ && next.generation > head_id_.generation) set_marker("yielded", "", out);
  set_head(std::move(*config), bytes);
  state_.accepted_value.clear();
  state_.accepted_instance = {};
  state_.accepted = {};
  accepted_since_.reset();
  if (proposal_) proposal_.reset();
  confirmed_by_.clear();
  persist(out);
  out.adopted.push_back(*head_);
  return true;
}

bool Chain::holds(const Hash& hash) const {
  return std::any_of(state_.chain.begin(), state_.chain.end(),
                     [&](const std::string& bytes) { return hash_bytes(bytes) == hash; });
}

// As far as four bytes tell.
bool Chain::holds_mark(std::uint32_t mark) const {
  return std::any_of(state_.chain.begin(), state_.chain.end(), [&](const std::string& bytes) {
    return HeadMark(Head{0, 0, hash_bytes(bytes)}).mark == mark;
  });
}

// The survivors went on from an older head than ours: what we had decided since is void. False: from none that we know.
bool Chain::drop_to_parent(const Config& config) {
  if (!holds(config.parent)) return false;
  while (hash_bytes(state_.chain.back()) != config.parent) state_.chain.pop_back();
  return true;
}

void Chain::found_split(std::string why) {
  broken_ = std::move(why);
  split_ = true;
}

bool Chain::yield(ChainOut& out) {
  if (!head_ || !split_ || head_->generation == 0) return false;
  std::vector<std::string> kept = state_.chain;
  std::string dropped;
  while (!kept.empty() && parse_config(kept.back())->generation == head_->generation) {
    dropped = kept.back();
    kept.pop_back();
  }
  if (kept.empty()) return false;
  state_.chain = std::move(kept);
  set_head(*parse_config(state_.chain.back()), state_.chain.back());
  proposal_.reset();
  confirmed_ = false;
  confirmed_by_.clear();
  broken_.clear();
  split_ = false;
  set_marker("yielded", short_hex(hash_bytes(dropped)), out);
  persist(out);
  out.adopted.push_back(*head_);
  return true;
}

void Chain::declare_broken(const std::string& why) {
  if (broken_.empty()) broken_ = why;
  proposal_.reset();
}

void Chain::handle(const NodeId&, const Decided& m, Time now, ChainOut& out) {
  const std::string yielded = marker("yielded");
  const bool given_up = !yielded.empty() &&
                        std::any_of(m.configs.begin(), m.configs.end(),
                                    [&](const std::string& bytes) { return short_hex(hash_bytes(bytes)) == yielded; });
  if (given_up) return;
  // A gap in front of the first is a peer that keeps less than we lack: only then may links be jumped.
  for (std::size_t i = 0; i < m.configs.size(); ++i) {
    const auto config = parse_config(m.configs[i]);
    if (!config && of_newer_version(m.configs[i])) outdated_ = true;
    if (!config) continue;
    const bool before_my_time = !head_ && config->find(state_.self) == nullptr && i + 1 < m.configs.size();
    if (before_my_time) continue;
    const bool gap = head_ && (config->generation == head_id_.generation
                                   ? config->epoch > head_id_.epoch + 1
                                   : config->generation > head_id_.generation && !holds(config->parent));
    if (gap && m.configs.size() < 2) {
      pull_due_ =
          std::min(pull_due_, now);  // a lone decision that we cannot place: the next packet's head pulls the rest
      return;
    }
    adopt(m.configs[i], out);
  }
}

void Chain::handle(const NodeId& from, const Pull& m, Time, ChainOut& out) {
  if (!head_ || !behind(m.head, head_id_)) return;
  Decided say;
  for (const std::string& bytes : state_.chain) {
    const auto config = parse_config(bytes);
    if (config && behind(m.head, Head{config->generation, config->epoch, {}})) say.configs.push_back(bytes);
  }
  Outgoing outgoing;
  outgoing.to = from;
  outgoing.message.body = std::move(say);
  out.send.push_back(std::move(outgoing));
}

void Chain::on_head(const NodeId& from, const HeadMark& head, Time now, ChainOut& out) {
  if (head.epoch == 0) return;
  const HeadMark own = head_id_;
  if (head_ && head.generation == own.generation && head.epoch == own.epoch && head.mark != own.mark) {
    found_split("config " + std::to_string(head.epoch) + " differs between this node and " + from.str());
    return;
  }
  // Two generations that were forced apart may have grown to different lengths.
  const bool forced =
      head_ && head.generation == head_id_.generation && head.generation > 0 && head.epoch < head_id_.epoch;
  if (forced && head.epoch + state_.chain.size() > head_id_.epoch && !holds_mark(head.mark)) {
    found_split("generation " + std::to_string(head.generation) + " was forced twice: " + from.str() +
                " has another one");
    return;
  }
  if (!behind(head_id_, head) || now < pull_due_) return;
  pull_due_ = now + (outdated_ ? kPullOutdated : kPullAgain);
  Outgoing outgoing;
  outgoing.to = from;
  outgoing.message.body = Pull{head_id_};
  out.send.push_back(std::move(outgoing));
}

// ---------------------------------------------------------------- confirming

void Chain::unconfirm(Time now) {
  confirmed_ = false;
  confirmed_by_.clear();
  confirm_due_ = now;
  ++confirm_nonce_;
}

void Chain::check_confirmed(Time now, ChainOut& out) {
  if (confirmed_ || !head_ || now < confirm_due_) return;
  confirm_due_ = now + kConfirmAgain;
  for (const NodeId& voter : voters(*head_)) {
    if (voter == state_.self) {
      confirmed_by_.insert(voter);
    } else if (confirmed_by_.count(voter) == 0) {
      Outgoing outgoing;
      outgoing.to = voter;
      outgoing.message.body = ConfirmHead{confirm_nonce_, head_id_};
      out.send.push_back(std::move(outgoing));
    }
  }
  confirmed_ = confirmed_by_.size() >= majority(*head_);
}

void Chain::handle(const NodeId& from, const ConfirmHead& m, Time now, ChainOut& out) {
  on_head(from, m.head, now, out);
  if (!head_) return;
  Outgoing outgoing;
  outgoing.to = from;
  outgoing.message.body = HeadConfirmed{m.nonce, head_id_};
  out.send.push_back(std::move(outgoing));
}

void Chain::handle(const NodeId& from, const HeadConfirmed& m, Time now, ChainOut& out) {
  on_head(from, m.head, now, out);
  if (confirmed_ || !head_ || m.nonce != confirm_nonce_ || m.head != head_id_) return;
  const Member* member = head_->find(from);
  if (member == nullptr || !member->vote) return;
  confirmed_by_.insert(from);
  confirmed_ = confirmed_by_.size() >= majority(*head_);
}

// ---------------------------------------------------------------- time

void Chain::on_message(const NodeId& from, const Body& body, Time now, ChainOut& out) {
  std::visit([&](const auto& m) { handle(from, m, now, out); }, body);
}

void Chain::tick(Time now, ChainOut& out) {
  check_confirmed(now, out);
  if (proposal_ && now >= proposal_->due) {
    if (now - proposal_->started > kProposalLimit) {
      proposal_.reset();
    } else if (!proposal_->proposer) {
      start_ballot(now, out);
    } else {
      send_round(proposal_->proposer->missing(), now, out);
    }
  }
  const Instance voted = voted_instance();
  const AcceptorState own = acceptor_state(voted);
  if (!accepted_since_ && head_ && own.accepted.round != 0) accepted_since_ = now;  // after a restart
  if (now < finish_due()) return;
  accepted_since_ = now;
  auto value = parse_config(own.value);
  if (!value) return;  // only a newer version can finish it
  proposal_ = Proposal{};
  proposal_->next = std::move(*value);
  if (head_ && voted == forced_instance()) proposal_->survivors = survivors_of(proposal_->next);
  proposal_->finishing = true;
  proposal_->started = now;
  start_ballot(now, out);
}

// When it is this voter's turn to finish what it has accepted.
Time Chain::finish_due() const {
  if (proposal_ || !head_ || !accepted_since_) return Time::max();
  const Instance voted = voted_instance();
  const auto self = own_acceptor(voted);
  if (!self || acceptor_state(voted).accepted.round == 0) return Time::max();
  const std::vector<NodeId> all = voted == instance() ? acceptors() : home_order(*head_);
  const auto rank = std::find(all.begin(), all.end(), *self) - all.begin();
  return *accepted_since_ + kFinishAfter + rank * kFinishPerRank;
}

Time Chain::next_due() const {
  Time due = Time::max();
  if (head_ && !confirmed_) due = std::min(due, confirm_due_);
  if (proposal_) due = std::min(due, proposal_->due);
  return std::min(due, finish_due());
}

void Chain::set_marker(const std::string& key, const std::string& value, ChainOut& out) {
  for (auto it = state_.markers.begin(); it != state_.markers.end(); ++it) {
    if (it->first != key) continue;
    if (it->second == value) return;
    if (value.empty()) {
      state_.markers.erase(it);
    } else {
      it->second = value;
    }
    persist(out);
    return;
  }
  if (value.empty()) return;
  state_.markers.emplace_back(key, value);
  persist(out);
}

std::string Chain::marker(const std::string& key) const {
  for (const auto& [name, value] : state_.markers) {
    if (name == key) return value;
  }
  return {};
}

std::string Chain::fingerprint(Time now) const {
  std::string out = encode(state_);
  const auto add = [&out](std::string_view part) { (out += std::to_string(part.size()) + ":") += part; };
  const auto add_ids = [&add](const auto& ids) {
    add(std::to_string(ids.size()));
    for (const NodeId& id : ids) add(id.str());
  };
  add(broken_);
  for (const bool is : {confirmed_, outdated_, accepted_since_.has_value(), now < pull_due_}) add(is ? "yes" : "no");
  add(std::to_string(confirm_nonce_));
  add_ids(confirmed_by_);
  if (!proposal_) return out;
  add(canonical_bytes(proposal_->next));
  if (!proposal_->proposer) return out;
  const Proposer& proposer = *proposal_->proposer;
  add(std::to_string(static_cast<int>(proposer.phase())));
  add(encode(Message{{}, Accept{proposer.instance(), proposer.ballot(), proposer.value(), {}}}));
  add(encode(
      Message{{}, Accept{proposer.instance(), proposer.inherited_ballot(), proposer.inherited().value_or(""), {}}}));
  add_ids(proposer.missing());
  return out;
}

}  // namespace ringagent
