#include "tests/sim/explorer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "tests/sim/explorer_history.h"
#include "tests/sim/explorer_text.h"

namespace ringagent::explore {
namespace {

constexpr std::size_t kAskEvery = 1024;

struct State {
  std::array<Index, kNodes> nodes{};
  Index history = 0;
  std::uint16_t ticks = 0;
  std::uint16_t crashes = 0;
  bool operator==(const State&) const = default;
};

// How a state was first reached.
struct Origin {
  Index from = 0;
  Action action;
};

// The states by number, each once: open addressing over the numbers.
class Visited {
 public:
  std::size_t size() const { return states_.size(); }
  const State& operator[](std::size_t at) const { return states_[at]; }

  // False if it is known.
  bool insert(const State& state) {
    if (states_.size() * 2 >= slots_.size()) grow();
    std::uint32_t& slot = slot_of(state);
    if (slot != kFree) return false;
    slot = static_cast<std::uint32_t>(states_.size());
    states_.push_back(state);
    return true;
  }

 private:
  static constexpr std::uint32_t kFree = ~std::uint32_t{0};

  static std::size_t hash(const State& state) {
    std::uint64_t out = std::uint64_t{state.ticks} << 16 | state.crashes;
    for (const Index part : {state.nodes[0], state.nodes[1], state.nodes[2], state.history})
      out = (out ^ part ^ out >> 29) * 0x9e3779b97f4a7c15;
    return out ^ out >> 32;
  }
  std::uint32_t& slot_of(const State& state) {
    std::size_t at = hash(state) & (slots_.size() - 1);
    while (slots_[at] != kFree && states_[slots_[at]] != state) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  void grow() {
    slots_.assign(std::max<std::size_t>(1024, slots_.size() * 2), kFree);
    for (std::size_t i = 0; i < states_.size(); ++i) slot_of(states_[i]) = static_cast<std::uint32_t>(i);
  }

  std::vector<State> states_;
  std::vector<std::uint32_t> slots_;
};

class Search {
 public:
  explicit Search(const Options& options) : options_(options), steps_(options.breakage), histories_(steps_) {
    State first;
    for (std::size_t who = 0; who < kNodes; ++who) first.nodes[who] = steps_.start(who);
    first.history = histories_.none();
    states_.insert(first);
    origins_.emplace_back();
  }

  Result run();

 private:
  bool enough();
  void expand(Index at);
  bool attempt(Index at, Action action);
  void attempt_cut_short(Index at, Action action, const Outcome& outcome);
  void visit(const State& state, const Origin& origin, const Outcome& outcome);
  std::string judge(const State& state);
  Violation violation(std::string complaint, Origin last);

  const Options& options_;
  Steps steps_;
  Histories histories_;
  Visited states_;
  std::vector<Origin> origins_;  // of states_
  std::set<Index> decided_;      // links
  std::size_t asked_ = 0;
  Result result_;
};

// Breadth first: the first violation found is one of the shortest.
Result Search::run() {
  std::size_t begin = 0;
  while (result_.depth < options_.depth && !enough()) {
    const std::size_t end = states_.size();
    for (std::size_t at = begin; at < end && !enough(); ++at) expand(static_cast<Index>(at));
    if (enough()) break;
    ++result_.depth;
    begin = end;
    result_.closed = states_.size() == end;
    if (result_.closed) break;
  }
  result_.states = states_.size();
  result_.local_states = steps_.nodes();
  result_.histories = histories_.size();
  for (const Index at : decided_) {
    const Config config = *parse_config(steps_.link(at).value);
    result_.epoch_max = std::max<std::size_t>(result_.epoch_max, config.epoch);
    if (config.epoch == 2) result_.decided.insert(config.reason);
  }
  return std::move(result_);
}

bool Search::enough() {
  if (result_.violation || !result_.stopped.empty()) return true;
  if (states_.size() >= options_.states_max) {
    result_.stopped = "limit of states";
  } else if (options_.go_on && asked_++ % kAskEvery == 0 && !options_.go_on()) {
    result_.stopped = "limit of time";
  }
  return !result_.stopped.empty();
}

void Search::expand(Index at) {
  const State state = states_[at];
  bool quiet = true;
  for (const Index letter : histories_[state.history].marks) {
    if (is_vote(letter)) break;  // they stand last
    const auto to = static_cast<std::uint8_t>(steps_.letter(letter).to);
    if (attempt(at, {Action::Kind::deliver, Action::End::whole, to, letter})) quiet = false;
  }
  for (std::uint8_t who = 0; who < options_.proposers; ++who)
    attempt(at, {Action::Kind::propose, Action::End::whole, who, 0});
  for (std::uint8_t who = 0; who < kNodes; ++who) {
    if (state.ticks < options_.ticks && (quiet || options_.lose))
      attempt(at, {Action::Kind::tick, Action::End::whole, who, 0});
    if (state.crashes < options_.crashes) attempt(at, {Action::Kind::crash, Action::End::whole, who, 0});
  }
}

// Whether the action changes anything, other than what is left to happen.
bool Search::attempt(Index at, Action action) {
  if (result_.violation) return true;
  State next = states_[at];
  const Outcome* outcome = steps_.step(next.nodes[action.who], action);
  if (outcome == nullptr) return false;
  const bool crashes = action.kind == Action::Kind::crash || action.end != Action::End::whole;
  next.nodes[action.who] = outcome->node;
  next.history = histories_.after(next.history, *outcome);
  if (next == states_[at]) return false;
  if (action.kind == Action::Kind::tick) ++next.ticks;
  if (crashes) ++next.crashes;
  ++result_.transitions;
  visit(next, {at, action}, *outcome);
  if (!crashes) attempt_cut_short(at, action, *outcome);
  return true;
}

// The same step, ended by a crash between its writing and its sending.
void Search::attempt_cut_short(Index at, Action action, const Outcome& outcome) {
  if (states_[at].crashes >= options_.crashes || !outcome.wrote || !outcome.said) return;
  action.end = options_.breakage == Breakage::speaks_first ? Action::End::unwritten : Action::End::unsent;
  attempt(at, action);
}

void Search::visit(const State& state, const Origin& origin, const Outcome& outcome) {
  if (!outcome.complaint.empty()) {
    result_.violation = violation(outcome.complaint, origin);
    return;
  }
  if (!states_.insert(state)) return;
  origins_.push_back(origin);
  if (auto complaint = judge(state); !complaint.empty()) result_.violation = violation(std::move(complaint), origin);
}

// C1 and C4, over all disks and all votes.
std::string Search::judge(const State& state) {
  const std::vector<Index>& chosen = histories_[state.history].chosen;
  std::map<Instance, Index> values;
  const auto contradicts = [&](Index link) {
    return values.emplace(steps_.link(link).instance, link).first->second != link;
  };
  const auto two_values = [&](Index link) {
    const Link& second = steps_.link(link);
    return "C1: two values follow config " + std::to_string(second.instance.epoch) + ": " +
           reason_of(steps_.link(values.at(second.instance)).value) + " and " + reason_of(second.value);
  };
  for (const Index link : chosen) {
    if (contradicts(link)) return two_values(link);
  }
  bool decided = false;
  for (std::size_t who = 0; who < kNodes; ++who) {
    for (const Index link : steps_.links_of(state.nodes[who])) {
      if (contradicts(link)) return two_values(link);
      if (!std::binary_search(chosen.begin(), chosen.end(), link)) {
        return "C4: " + name_of(who) + " holds " + reason_of(steps_.link(link).value) +
               " as decided, which no majority of the voters has accepted durably at one ballot";
      }
      decided_.insert(link);
      decided = true;
    }
  }
  if (decided) ++result_.decided_states;
  return {};
}

Violation Search::violation(std::string complaint, Origin last) {
  std::vector<Action> actions{last.action};
  for (Index at = last.from; at != 0; at = origins_[at].from) actions.push_back(origins_[at].action);
  Violation out{std::move(complaint), {}};
  Teller teller(steps_);
  std::array<Index, kNodes> nodes = states_[0].nodes;
  for (auto action = actions.rbegin(); action != actions.rend(); ++action) {
    Index& node = nodes[action->who];
    out.path.push_back(teller.tell(node, *action));
    node = steps_.step(node, *action)->node;
  }
  return out;
}

}  // namespace

Result explore(const Options& options) {
  return Search(options).run();
}

}  // namespace ringagent::explore
