#include "tests/sim/explorer_text.h"

#include <algorithm>
#include <map>

namespace ringagent::explore {
namespace {

std::string told(const Ballot& ballot) {
  return std::to_string(ballot.round) + "." + name_of(ballot.node);
}

std::string told(const Prepare& m) {
  return "Prepare " + told(m.ballot);
}
std::string told(const Promise& m) {
  if (m.accepted_ballot.round == 0) return "Promise " + told(m.ballot);
  return "Promise " + told(m.ballot) + " (has accepted " + reason_of(m.accepted_value) + " at " +
         told(m.accepted_ballot) + ")";
}
std::string told(const Accept& m) {
  return "Accept " + told(m.ballot) + " of " + reason_of(m.value);
}
std::string told(const Accepted& m) {
  return "Accepted " + told(m.ballot);
}
std::string told(const Reject& m) {
  return "Reject " + told(m.ballot) + " (has promised " + told(m.promised) + ")";
}
std::string told(const Decided& m) {
  std::string out = "Decided";
  for (const std::string& bytes : m.configs) out += " " + reason_of(bytes);
  return out;
}
std::string told(const Pull& m) {
  return "Pull after config " + std::to_string(m.head.epoch);
}
template <class Other>
std::string told(const Other&) {
  return "something else";
}

std::string told(const Message& message) {
  return std::visit([](const auto& m) { return told(m); }, message.body);
}

}  // namespace

std::string reason_of(const std::string& config_bytes) {
  const auto config = parse_config(config_bytes);
  return config ? "\"" + config->reason + "\"" : "what cannot be read";
}

std::string Teller::tell(Index node, const Action& action) {
  const Outcome& outcome = *steps_.step(node, action);
  std::string out = happens(action) + comes_of(node, outcome) + says(outcome, action.who);
  if (action.end == Action::End::unsent) out += "; writes it, and crashes before it sends anything";
  if (action.end == Action::End::unwritten) out += "; crashes before it writes that";
  return out;
}

std::string Teller::happens(const Action& action) const {
  const std::string who = name_of(action.who);
  switch (action.kind) {
    case Action::Kind::propose:
      return who + " proposes";
    case Action::Kind::tick:
      return who + ": its timer runs out";
    case Action::Kind::crash:
      return who + " crashes and starts again";
    case Action::Kind::deliver:
      break;
  }
  const Letter& letter = steps_.letter(action.letter);
  return who + " gets " + told(letter.message) + " from " + name_of(letter.from);
}

std::string Teller::comes_of(Index node, const Outcome& outcome) {
  std::string out;
  for (const Index mark : outcome.marks) {
    if (!is_vote(mark) || !told_votes_.insert(mark).second) continue;
    const Vote& vote = steps_.vote(mark);
    out += "; accepts " + reason_of(vote.value) + " at " + told(vote.ballot);
  }
  const std::vector<Index>& before = steps_.links_of(node);
  for (const Index at : steps_.links_of(outcome.node)) {
    if (std::find(before.begin(), before.end(), at) == before.end())
      out += "; holds config " + std::to_string(steps_.link(at).instance.epoch + 1) + " " +
             reason_of(steps_.link(at).value) + " as decided";
  }
  return out;
}

std::string Teller::says(const Outcome& outcome, std::size_t who) const {
  std::map<std::string, std::string> heard_by;
  for (const Index mark : outcome.marks) {
    if (is_vote(mark)) continue;
    const Letter& letter = steps_.letter(mark);
    const std::string forged = letter.from == who ? "" : "in the name of " + name_of(letter.from) + ": ";
    std::string& names = heard_by[forged + told(letter.message)];
    names += (names.empty() ? "" : ", ") + name_of(letter.to);
  }
  std::string out;
  for (const auto& [what, names] : heard_by) out += "; " + what + " -> " + names;
  return out;
}

}  // namespace ringagent::explore
