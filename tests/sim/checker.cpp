#include "tests/sim/checker.h"

#include <algorithm>

namespace ringagent::sim {
namespace {

std::string number_of(const Config& config) {
  return std::to_string(config.generation) + "." + std::to_string(config.epoch);
}

bool touches_link(const std::string& sql) {
  return sql.starts_with("CHANGE ") || sql.starts_with("START ");
}

}  // namespace

std::optional<NodeId> source_of(const Config& config, const NodeId& id) {
  std::optional<NodeId> last_before;
  std::optional<NodeId> last;
  bool passed = false;
  for (const Member& member : config.members) {
    passed = passed || member.id == id;
    if (!member.in || member.id == id) continue;
    last = member.id;
    if (!passed) last_before = member.id;
  }
  return last_before ? last_before : last;
}

// ---------------------------------------------------------------- what is durable

std::vector<Config> Checker::persisted(const std::string& host, const DurableState& before, const DurableState& after,
                                       Time now) {
  check_no_way_back(host, before, after);
  note_vote(before, after, now);
  std::vector<Config> fresh;
  check_chain(host, after, fresh);
  return fresh;
}

void Checker::check_no_way_back(const std::string& host, const DurableState& before, const DurableState& after) const {
  const auto back = [&](const char* what) { complain_("C3: " + std::string(what) + " of " + host + " went back"); };
  if (wiped_.count(after.self) > 0) back("the memory (it was wiped, and the id is used again)");
  if (after.boot < before.boot) back("the boot counter");
  if (after.seq <= before.seq) back("the store sequence");
  if (after.own_round < before.own_round) back("the own round");
  if (after.promised_instance == before.promised_instance && after.promised < before.promised) back("the promise");
  // A promise to a forced generation is void when the head has moved without it.
  const bool binds = before.chain.empty() || before.promised_instance.parent == hash_bytes(before.chain.back());
  if (binds && after.promised_instance < before.promised_instance && after.chain == before.chain)
    back("the promise's instance");
  if (after.accepted_instance == before.accepted_instance && after.accepted < before.accepted)
    back("the accepted ballot");
  const auto generation = [](const DurableState& state) {
    return state.chain.empty() ? 0 : parse_config(state.chain.back())->generation;
  };
  if (after.chain != before.chain && generation(after) != generation(before)) return;  // forced, or given up
  if (!before.chain.empty() && (after.chain.empty() || (after.chain != before.chain &&
                                                        std::find(after.chain.begin(), after.chain.end(),
                                                                  before.chain.back()) == after.chain.end() &&
                                                        after.chain.size() < kChainKept)))
    back("the chain");
}

Time Checker::first_vote(const std::string& value) const {
  const auto found = first_votes_.find(value);
  return found == first_votes_.end() ? Time::max() : found->second;
}

void Checker::note_vote(const DurableState& before, const DurableState& after, Time now) {
  if (after.accepted.round == 0) return;
  if (after.accepted_instance == before.accepted_instance && after.accepted == before.accepted) return;
  Vote& vote = votes_[after.accepted_instance][after.accepted];
  if (!vote.acceptors.empty() && vote.value != after.accepted_value) {
    complain_("C1: ballot " + std::to_string(after.accepted.round) + " was used with two values");
  }
  first_votes_.emplace(after.accepted_value, now);
  vote.value = after.accepted_value;
  vote.acceptors.insert(after.self);
}

void Checker::check_chain(const std::string& host, const DurableState& after, std::vector<Config>& fresh) {
  host_of_[after.self] = host;
  if (after.chain.empty() || chain_seen_[host] == after.chain.back()) return;
  std::size_t from = after.chain.size();
  while (from > 0 && after.chain[from - 1] != chain_seen_[host]) --from;
  chain_seen_[host] = after.chain.back();
  for (std::size_t i = from; i < after.chain.size(); ++i) {
    auto config = parse_config(after.chain[i]);
    if (!config) return complain_("C6: " + host + " holds a config that is not valid: " + config.error().text);
    if (!check_one_value(*config, after.chain[i], host)) continue;
    check_majority(*config, after.chain[i], after);
    check_change(*config);
    fresh.push_back(*config);
    configs_.emplace(hash_bytes(after.chain[i]), DecidedConfig{after.chain[i], std::move(*config)});
  }
}

// C1. False if this value has been seen before.
bool Checker::check_one_value(const Config& config, const std::string& bytes, const std::string& host) {
  const Hash hash = hash_bytes(bytes);
  if (configs_.count(hash) > 0) return false;
  const auto [known, first] = decided_.emplace(Number{config.generation, config.epoch}, hash);
  if (first || (forced_twice_ && config.generation > 0)) return true;
  complain_("C1: two values of epoch " + number_of(config) + ", one at " + host);
  return false;
}

const Checker::DecidedConfig* Checker::parent_of(const Config& config) const {
  const auto found = configs_.find(config.parent);
  return found == configs_.end() ? nullptr : &found->second;
}

// C4. The one who decides may vote and decide in one write: it counts itself.
void Checker::check_majority(const Config& config, const std::string& bytes, const DurableState& decider) const {
  std::vector<NodeId> asked;
  std::size_t needed = 0;
  const DecidedConfig* parent = parent_of(config);
  if (parent != nullptr && parent->config.generation < config.generation) {  // forced: everybody who was not lost
    for (const Member& member : config.members) {
      if (member.out_class != "lost" || member.out_epoch != config.epoch) asked.push_back(member.id);
    }
    needed = asked.size();
  } else if (parent != nullptr) {
    asked = voters(parent->config);
    needed = asked.size() / 2 + 1;  // not by majority(): the code under test must not be its own judge
  } else if (config.epoch == 1) {   // formation: everybody
    for (const Member& member : config.members) asked.push_back(member.id);
    needed = asked.size();
  } else {
    return complain_("C2: epoch " + number_of(config) + " does not name the hash of a parent that was decided");
  }
  // Instance (generation, epoch, parent) decides what follows it; a forced one has the new generation already.
  const auto instance = votes_.find({config.generation, config.epoch - 1, config.parent});
  std::size_t most = 0;
  const auto count = [&](const std::set<NodeId>& accepted) {
    std::size_t votes = 0;
    for (const NodeId& id : asked) {
      // At formation a name votes, under whatever id: one that was wiped meanwhile has forgotten a promise, but no value is
      // chosen without all the others.
      const auto same_host = [&](const NodeId& voter) {
        const auto there = host_of_.find(voter);
        const auto wanted = host_of_.find(id);
        return parent == nullptr && there != host_of_.end() && wanted != host_of_.end() &&
               there->second == wanted->second;
      };
      const bool voted = accepted.count(id) > 0 || id == decider.self || same_host(decider.self) ||
                         std::any_of(accepted.begin(), accepted.end(), same_host);
      votes += voted ? 1 : 0;
    }
    most = std::max(most, votes);
  };
  count({});
  if (instance != votes_.end()) {
    for (const auto& [ballot, vote] : instance->second) {
      if (vote.value == bytes) count(vote.acceptors);
    }
  }
  if (most < needed) {
    complain_("C4: epoch " + number_of(config) + " was decided by " + std::to_string(most) + " of " +
              std::to_string(asked.size()) + " voters, " + std::to_string(needed) + " are needed");
  }
}

// C6: those who stay in keep their circle: one who is moved is out meanwhile, so no epoch swaps several links. By name, for one
// that lost its state comes back under another id.
bool Checker::same_circle(const Config& before, const Config& after) {
  const auto ring_without = [](const Config& config, const Config& other) {
    std::vector<std::string> out;
    for (const Member& member : config.members) {
      const auto same = [&](const Member& m) { return m.in && m.name == member.name; };
      if (member.in && std::any_of(other.members.begin(), other.members.end(), same)) out.push_back(member.name);
    }
    return out;
  };
  std::vector<std::string> was = ring_without(before, after);
  const std::vector<std::string> is = ring_without(after, before);
  if (!is.empty()) std::rotate(was.begin(), std::find(was.begin(), was.end(), is.front()), was.end());
  return was == is;
}

// C2, and C6: what may differ between a config and the one before it.
void Checker::check_change(const Config& config) const {
  const DecidedConfig* parent = parent_of(config);
  if (parent == nullptr) return;
  if (config.epoch != parent->config.epoch + 1)
    complain_("C2: epoch " + number_of(config) + " does not follow its parent");
  if (ring(config).empty()) complain_("C6: epoch " + number_of(config) + " has an empty ring");
  std::size_t let_in = 0;
  for (const Member& member : config.members) {
    const Member* before = parent->config.find(member.id);
    let_in += member.in && (before == nullptr || !before->in) ? 1 : 0;
  }
  if (!same_circle(parent->config, config))
    complain_("C6: epoch " + number_of(config) + " changes the order of nodes that are in: several links at once");
  if (let_in > 1)
    complain_("C6: epoch " + number_of(config) + " lets in " + std::to_string(let_in) +
              " nodes at once: one node an epoch, each splice verified");
}

// ---------------------------------------------------------------- what is done to servers

namespace {

// Who is out may follow another one that is in, while its upstream has purged what it lacks.
bool may_point(const Config& head, const NodeId& self, const std::string& sql,
               const std::function<bool(const Member& upstream)>& gives) {
  const auto points_at = [&](const Member& m) { return sql.find("_HOST='" + m.mysql.host + "'") != sql.npos; };
  const auto up = source_of(head, self);
  if (!up) return false;
  if (sql.find("_HOST=") == sql.npos || points_at(*head.find(*up))) return true;
  const bool at_one_in = std::any_of(head.members.begin(), head.members.end(),
                                     [&](const Member& m) { return m.in && m.id != self && points_at(m); });
  return at_one_in && !head.find(self)->in && !gives(*head.find(*up));
}

}  // namespace

void Checker::dispatched(const std::string& host, const DurableState& disk, const Statement& statement, Time now,
                         Duration patience, const std::function<bool(const Member& upstream)>& gives) {
  if (!touches_link(statement.sql)) return;
  const auto known = disk.chain.empty() ? configs_.end() : configs_.find(hash_bytes(disk.chain.back()));
  if (known == configs_.end())
    return complain_("C5: " + host + " issues " + statement.shown + " without a durable head");
  const Config& head = known->second.config;
  if (!may_point(head, disk.self, statement.sql, gives)) {
    const auto up = source_of(head, disk.self);
    complain_("C5: " + host + " issues " + statement.shown + " but its upstream is " +
              (up ? head.find(*up)->name : "nobody"));
  }
  std::size_t reachable = 0;
  for (const NodeId& voter : voters(head)) {
    const auto heard = heard_[host].find(voter);
    reachable += voter == disk.self || (heard != heard_[host].end() && now - heard->second <= patience) ? 1 : 0;
  }
  if (reachable < voters(head).size() / 2 + 1) {
    complain_("C7: " + host + " issues " + statement.shown + " and hears only " + std::to_string(reachable) + " of " +
              std::to_string(voters(head).size()) + " voters");
  }
}

void Checker::answered(const std::string& host, const CanvassAnswer& answer, Time now, Duration silence) {
  static const std::string kLately = " answered me lately";
  if (answer.opinion != Opinion::object || !answer.why.ends_with(kLately)) return;
  const Member* member =
      newest() == nullptr ? nullptr : newest()->find(answer.why.substr(0, answer.why.size() - kLately.size()));
  if (member == nullptr) return;
  const auto heard = heard_[host].find(member->id);
  if (heard == heard_[host].end() || now - heard->second > silence)
    complain_("C11: " + host + " says that " + member->name + " answered it lately, and has got nothing from it");
}

}  // namespace ringagent::sim
