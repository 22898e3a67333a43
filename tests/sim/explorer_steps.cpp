#include "tests/sim/explorer_steps.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "gossip/codec.h"

namespace ringagent::explore {
namespace {

constexpr Time kStart = 10s;

constexpr std::pair<Breakage, const char*> kBreakages[] = {
    {Breakage::forgets_promises, "forgets_promises"}, {Breakage::forgets_votes, "forgets_votes"},
    {Breakage::speaks_first, "speaks_first"},         {Breakage::restores_copy, "restores_copy"},
    {Breakage::loses_links, "loses_links"},           {Breakage::phantom_votes, "phantom_votes"},
};

NodeId id_of(std::size_t who) {
  NodeId id;
  id.bytes[0] = 0xdb;
  id.bytes[15] = static_cast<std::uint8_t>(who + 1);
  return id;
}

std::size_t who_is(const NodeId& id) {
  return id.bytes[15] - 1U;
}

DurableState first_disk(std::size_t who) {
  DurableState disk;
  disk.self = id_of(who);
  disk.boot = 1;
  disk.chain.push_back(canonical_bytes(first_config()));
  return disk;
}

// db2 wants one voter only, the others want to strike out a neighbour or take it back in; in each life the words differ.
Config wish(const Chain& chain, std::size_t who) {
  Config next = *chain.head();
  next.reason = "wish " + std::to_string(chain.state().boot) + " of " + name_of(who);
  if (who == 1) {
    for (Member& member : next.members) member.vote = member.id == id_of(0);
  } else {
    Member& neighbour = next.members[(who + 2) % kNodes];
    neighbour.in = !neighbour.in;
  }
  return next;
}

auto promised_at(const DurableState& disk) {
  return std::tuple(disk.promised_instance.generation, disk.promised_instance.epoch, disk.promised);
}

// C2 and C3 for one disk.
std::string complaint_about(std::size_t who, const DurableState& before, const DurableState& after) {
  const std::string disk = "the disk of " + name_of(who);
  if (promised_at(after) < promised_at(before)) return "C3: the promise on " + disk + " went back";
  if (after.own_round < before.own_round) return "C3: the own round on " + disk + " went back";
  if (after.boot < before.boot) return "C3: the boot counter on " + disk + " went back";
  std::optional<Config> parent;
  for (const std::string& bytes : after.chain) {
    Config config = *parse_config(bytes);
    if (parent && config.parent != hash(*parent)) {
      return "C2: on " + disk + " config " + std::to_string(config.epoch) + " does not name the hash of config " +
             std::to_string(parent->epoch) + ", which is before it";
    }
    parent = std::move(config);
  }
  if (parent->epoch < parse_config(before.chain.back())->epoch) return "C3: the head on " + disk + " went back";
  return {};
}

template <class Map, class Key, class List, class Value>
Index number_of(Map& numbers, Key key, List& list, Value value) {
  const auto [at, is_new] = numbers.emplace(std::move(key), static_cast<Index>(list.size()));
  if (is_new) list.push_back(std::move(value));
  return at->second;
}

void sort_unique(std::vector<Index>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

std::optional<Breakage> parse_breakage(std::string_view text) {
  for (const auto& [breakage, name] : kBreakages) {
    if (text == name) return breakage;
  }
  return std::nullopt;
}

std::string breakages() {
  std::string out;
  for (const auto& [breakage, name] : kBreakages) (out += out.empty() ? "" : ", ") += name;
  return out;
}

Config first_config() {
  Config config;
  config.cluster_id.bytes[3] = 9;
  config.cluster = "shop";
  config.epoch = 1;
  config.reason = "formed";
  for (std::size_t who = 0; who < kNodes; ++who) {
    Member member;
    member.id = id_of(who);
    member.name = name_of(who);
    member.gossip = {"10.0.0." + std::to_string(who + 1), 7946};
    member.server_id = static_cast<std::uint32_t>(who + 1);
    member.in = true;
    member.vote = true;
    config.members.push_back(std::move(member));
  }
  return config;
}

std::string name_of(std::size_t who) {
  return "db" + std::to_string(who + 1);
}

std::string name_of(const NodeId& id) {
  return name_of(who_is(id));
}

Steps::Steps(Breakage breakage) : breakage_(breakage) {
  const Config first = first_config();
  configs_.emplace(hash(first), first);
}

Index Steps::start(std::size_t who) {
  return node_index(started(who, first_disk(who), kStart));
}

// A start of the agent, with the head confirmed by both peers at once: that steers policy, not the votes.
Steps::Node Steps::started(std::size_t who, DurableState disk, Time now) const {
  Node node{who, disk, Chain(std::move(disk), {"shop", name_of(who), {}}, 1), now, false, {}};
  ChainOut unsent;
  node.chain.tick(now, unsent);
  for (std::size_t peer = 0; peer < kNodes; ++peer)
    node.chain.on_message(id_of(peer), HeadConfirmed{0, node.chain.head_id()}, now, unsent);
  if (unsent.persist || !node.chain.confirmed()) std::abort();
  return node;
}

Steps::Node Steps::crashed(const Node& node) const {
  DurableState disk = breakage_ == Breakage::restores_copy ? first_disk(node.who) : node.disk;
  disk.boot = node.disk.boot + 1;
  return started(node.who, std::move(disk), node.now);
}

const Outcome* Steps::step(Index at, const Action& action) {
  const std::uint64_t key = std::uint64_t{at} << 32 | std::uint64_t{action.letter} << 4 |
                            static_cast<std::uint64_t>(action.kind) << 2 | static_cast<std::uint64_t>(action.end);
  if (const auto known = steps_.find(key); known != steps_.end()) return known->second ? &*known->second : nullptr;
  std::optional<Outcome>& slot = steps_[key];
  Node node = nodes_[at];
  const DurableState before = node.disk;
  ChainOut out;
  if (!run(node, action, out)) return nullptr;
  Outcome& outcome = slot.emplace();
  outcome.wrote = out.persist && action.end != Action::End::unwritten;
  if (outcome.wrote) node.disk = stored(before, node.chain.state());
  if (action.end != Action::End::unsent) post(node, out, outcome);
  if (action.end != Action::End::whole) node = crashed(node);
  const std::size_t links_before = nodes_[at].links.size();
  learn_links(node);
  if (outcome.wrote) count_votes(node, links_before, outcome);
  sort_unique(outcome.marks);
  outcome.complaint = complaint_about(node.who, before, node.disk);
  if (action.kind == Action::Kind::crash && behind(node.chain.head_id(), nodes_[at].chain.head_id()))
    outcome.complaint = "C3: " + name_of(node.who) + " has told of a head that it does not know after a restart";
  if (outcome.complaint.empty() && !node.chain.broken().empty())
    outcome.complaint = "C1: " + name_of(node.who) + " finds: " + node.chain.broken();
  outcome.node = node_index(std::move(node));
  return &outcome;
}

// False if there is nothing to do.
bool Steps::run(Node& node, const Action& action, ChainOut& out) const {
  switch (action.kind) {
    case Action::Kind::deliver: {
      const Letter& letter = letters_[action.letter];
      node.chain.on_head(id_of(letter.from), letter.message.head, node.now, out);
      node.chain.on_message(id_of(letter.from), letter.message.body, node.now, out);
      return true;
    }
    case Action::Kind::propose:
      if (node.proposed || node.chain.proposing()) return false;
      node.proposed = true;
      node.chain.propose(wish(node.chain, node.who), node.now, out);
      return true;
    case Action::Kind::tick:
      if (node.chain.next_due() == Time::max()) return false;
      node.now = std::max(node.now + kTickLeast, node.chain.next_due());
      node.chain.tick(node.now, out);
      return true;
    case Action::Kind::crash:
      node = crashed(node);
      return true;
  }
  std::abort();
}

DurableState Steps::stored(const DurableState& before, DurableState after) const {
  if (breakage_ == Breakage::forgets_promises) {
    after.promised_instance = before.promised_instance;
    after.promised = before.promised;
  }
  if (breakage_ == Breakage::forgets_votes) {
    after.accepted_instance = {};
    after.accepted = {};
    after.accepted_value.clear();
  }
  if (breakage_ == Breakage::loses_links && after.chain.size() > 2) after.chain.erase(after.chain.end() - 2);
  return after;
}

void Steps::post(const Node& node, const ChainOut& out, Outcome& outcome) {
  for (const Outgoing& outgoing : out.send) {
    Letter letter{node.who, who_is(outgoing.to), outgoing.message};
    letter.message.head = node.chain.head_id();
    Letter forged{letter.to, letter.from, {letter.message.head, {}}};
    if (const auto* prepare = std::get_if<Prepare>(&letter.message.body))
      forged.message.body = Promise{prepare->instance, prepare->ballot, outgoing.to, {}, "", std::nullopt, {1, 0}};
    if (const auto* accept = std::get_if<Accept>(&letter.message.body))
      forged.message.body = Accepted{accept->instance, accept->ballot, outgoing.to, {1, 0}};
    if (breakage_ == Breakage::phantom_votes && !std::holds_alternative<Ping>(forged.message.body))
      outcome.marks.push_back(letter_index(std::move(forged)));
    outcome.marks.push_back(letter_index(std::move(letter)));
  }
  outcome.said = !out.send.empty();
}

// C4's evidence: what the disk says now. A lone voter accepts and decides in one write, and only it can have decided.
void Steps::count_votes(const Node& node, std::size_t links_before, Outcome& outcome) {
  const DurableState& disk = node.disk;
  std::vector<Vote> votes;
  if (disk.accepted.round != 0)
    votes.push_back({disk.accepted_instance, disk.accepted, disk.accepted_value, disk.self});
  for (std::size_t i = links_before; i < node.links.size(); ++i) {
    const Link& link = links_[node.links[i]];
    if (voters(parent_of(link.instance)) == std::vector<NodeId>{disk.self})
      votes.push_back({link.instance, {disk.own_round, disk.self}, link.value, disk.self});
  }
  for (const Vote& vote : votes) outcome.marks.push_back(kVoteBit | number_of(vote_numbers_, vote, votes_, vote));
}

void Steps::learn_links(Node& node) {
  node.links.clear();
  for (std::size_t i = 1; i < node.disk.chain.size(); ++i) {
    const std::string& bytes = node.disk.chain[i];
    Config config = *parse_config(bytes);
    node.links.push_back(link_index({{config.generation, config.epoch - 1, config.parent}, bytes}));
    configs_.emplace(hash_bytes(bytes), std::move(config));
  }
}

Index Steps::link_index(const Link& link) {
  return number_of(link_numbers_, link, links_, link);
}

Index Steps::node_index(Node node) {
  std::string key = encode(node.disk);
  key += node.proposed ? "!" : ".";
  key += node.chain.fingerprint(node.now);
  return number_of(node_numbers_, std::move(key), nodes_, std::move(node));
}

Index Steps::letter_index(Letter letter) {
  std::string key = encode(letter.message);
  key += static_cast<char>('0' + letter.from);
  key += static_cast<char>('0' + letter.to);
  return number_of(letter_numbers_, std::move(key), letters_, std::move(letter));
}

}  // namespace ringagent::explore
