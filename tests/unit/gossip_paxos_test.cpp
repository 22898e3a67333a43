#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "gossip/paxos.h"

using namespace ringagent;

namespace {

NodeId node(std::uint8_t number) {
  NodeId id;
  id.bytes[15] = number;
  return id;
}
Ballot ballot(std::uint64_t round, std::uint8_t by = 1) {
  return {round, node(by)};
}
const Instance kInstance{0, 7, {}};

Promise promised(const Ballot& b, std::uint8_t by, Ballot accepted = {}, std::string value = "") {
  return {kInstance, b, node(by), accepted, std::move(value), std::nullopt, {}};
}
Accepted acceptance(const Ballot& b, std::uint8_t by) {
  return {kInstance, b, node(by), {}};
}

Proposer proposer(const Ballot& b) {
  return {kInstance, b, {node(1), node(2), node(3)}, 2};
}

}  // namespace

TEST_CASE("an acceptor promises to the highest ballot, and to the same one again") {
  AcceptorState a;
  CHECK(promise(a, ballot(3)));
  CHECK(a.promised == ballot(3));
  CHECK(promise(a, ballot(3)));  // the answer was lost: it is given again
  CHECK_FALSE(promise(a, ballot(2)));
  CHECK(a.promised == ballot(3));
  CHECK(promise(a, ballot(3, 2)));  // equal rounds: the node decides
  CHECK_FALSE(promise(a, ballot(3, 1)));
}

TEST_CASE("accepting raises the promise") {
  AcceptorState a;
  CHECK(accept(a, ballot(5), "red"));
  CHECK(a.promised == ballot(5));
  CHECK_FALSE(promise(a, ballot(4)));
  CHECK_FALSE(accept(a, ballot(4), "blue"));
  CHECK(a.value == "red");
  CHECK(accept(a, ballot(5), "red"));
  CHECK(accept(a, ballot(6), "blue"));
  CHECK(a.accepted == ballot(6));
}

TEST_CASE("one ballot carries one value") {
  AcceptorState a;
  CHECK(accept(a, ballot(5), "red"));
  CHECK_FALSE(accept(a, ballot(5), "blue"));
  CHECK(a.value == "red");
}

TEST_CASE("a proposer with a majority of promises and nothing accepted may choose") {
  Proposer p = proposer(ballot(1));
  CHECK(p.missing().size() == 3);
  CHECK_FALSE(p.on_promise(promised(ballot(1), 1)));
  CHECK_FALSE(p.on_promise(promised(ballot(1), 1)));  // doubled
  CHECK(p.missing() == std::vector<NodeId>{node(2), node(3)});
  CHECK(p.on_promise(promised(ballot(1), 3)));
  CHECK_FALSE(p.inherited());
  CHECK_FALSE(p.on_promise(promised(ballot(1), 2)));  // the quorum was complete already
  p.start_accepting("red");
  CHECK(p.missing().size() == 3);
  CHECK_FALSE(p.on_accepted(acceptance(ballot(1), 2)));
  CHECK_FALSE(p.on_accepted(acceptance(ballot(1), 2)));
  CHECK(p.on_accepted(acceptance(ballot(1), 1)));
  CHECK(p.phase() == Proposer::Phase::chosen);
}

TEST_CASE("what may have been chosen is proposed again: the value of the highest accepted ballot") {
  Proposer p = proposer(ballot(9));
  CHECK_FALSE(p.on_promise(promised(ballot(9), 1, ballot(4), "red")));
  CHECK(p.on_promise(promised(ballot(9), 2, ballot(6), "blue")));
  REQUIRE(p.inherited());
  CHECK(*p.inherited() == "blue");
}

TEST_CASE("answers that are not for this ballot, instance or electorate do not count") {
  Proposer p = proposer(ballot(2));
  CHECK_FALSE(p.on_promise(promised(ballot(1), 1)));
  CHECK_FALSE(p.on_promise(promised(ballot(2), 4)));  // no voter
  Promise other = promised(ballot(2), 1);
  other.instance.epoch = 8;
  CHECK_FALSE(p.on_promise(other));
  CHECK_FALSE(p.on_accepted(acceptance(ballot(2), 1)));  // not asked yet
  CHECK(p.missing().size() == 3);
}

// ---------------------------------------------------------------- any order, any loss, crashes

namespace {

enum class Mutant { none, quorum_minus_one, promise_without_persist };

// Three acceptors and two proposers in one instance. Messages are lost, doubled and overtaken; acceptors crash and come
// back with what they had made durable. Returns how many different values were chosen, as only somebody who sees all
// disks can tell: chosen is what a majority has accepted in one ballot.
class Schedule {
 public:
  Schedule(std::uint64_t seed, Mutant mutant) : random_(seed), mutant_(mutant) {}

  std::size_t run() {
    for (int step = 0; step < 120; ++step) {
      const auto dice = random_() % 20;
      if (dice < 3)
        propose(static_cast<std::uint8_t>(4 + random_() % 2));
      else if (dice < 5)
        crash(random_() % 3);
      else if (!wire_.empty())
        deliver();
    }
    return believed_.size();
  }

 private:
  struct Letter {
    std::uint8_t to = 0;  // 1..3 an acceptor, 4..5 a proposer
    Body body;
  };

  void propose(std::uint8_t who) {
    const Ballot b{++rounds_[who], node(who)};
    const std::size_t quorum = mutant_ == Mutant::quorum_minus_one ? 1 : 2;
    proposers_.insert_or_assign(who, Proposer(kInstance, b, {node(1), node(2), node(3)}, quorum));
    for (std::uint8_t a = 1; a <= 3; ++a) post(a, Prepare{kInstance, b, {}});
  }

  void crash(std::size_t acceptor) { memory_[acceptor] = disk_[acceptor]; }

  void post(std::uint8_t to, const Body& body) {
    for (int copies = random_() % 10 == 0 ? 2 : 1; copies > 0; --copies)
      if (random_() % 6 != 0) wire_.push_back({to, body});
  }

  void deliver() {
    const std::size_t i = random_() % wire_.size();
    const Letter letter = wire_[i];
    wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(i));
    if (letter.to <= 3)
      answer(letter);
    else
      learn(letter);
  }

  void answer(const Letter& letter) {
    AcceptorState& state = memory_[letter.to - 1U];
    AcceptorState& disk = disk_[letter.to - 1U];
    if (const auto* m = std::get_if<Prepare>(&letter.body)) {
      if (!promise(state, m->ballot)) return;
      if (mutant_ != Mutant::promise_without_persist) disk = state;
      post(m->ballot.node.bytes[15], promised(m->ballot, letter.to, state.accepted, state.value));
    } else if (const auto* a = std::get_if<Accept>(&letter.body)) {
      if (!accept(state, a->ballot, a->value)) return;
      disk = state;
      post(a->ballot.node.bytes[15], acceptance(a->ballot, letter.to));
    }
  }

  void learn(const Letter& letter) {
    const auto found = proposers_.find(letter.to);
    if (found == proposers_.end()) return;
    Proposer& p = found->second;
    if (const auto* m = std::get_if<Promise>(&letter.body)) {
      if (!p.on_promise(*m)) return;
      p.start_accepting(
          p.inherited().value_or("value of " + std::to_string(p.ballot().round) + "." + std::to_string(letter.to)));
      for (std::uint8_t a = 1; a <= 3; ++a) post(a, Accept{kInstance, p.ballot(), p.value(), {}});
    } else if (const auto* a = std::get_if<Accepted>(&letter.body)) {
      if (p.on_accepted(*a)) believed_.insert(p.value());
    }
  }

  std::mt19937_64 random_;
  Mutant mutant_;
  AcceptorState memory_[3];
  AcceptorState disk_[3];
  std::map<std::uint8_t, std::uint64_t> rounds_;
  std::map<std::uint8_t, Proposer> proposers_;
  std::vector<Letter> wire_;
  std::set<std::string> believed_;
};

std::size_t schedules_with_two_values(Mutant mutant, std::uint64_t seeds, std::size_t& decided) {
  std::size_t broken = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::size_t values = Schedule(seed, mutant).run();
    decided += values > 0;
    broken += values > 1;
  }
  return broken;
}

}  // namespace

TEST_CASE("one value, whatever is lost, doubled, overtaken or crashes") {
  std::size_t decided = 0;
  CHECK(schedules_with_two_values(Mutant::none, 3000, decided) == 0);
  CHECK(decided > 1000);  // the schedules are not so bad that nothing is ever decided
}

TEST_CASE("the check has teeth: a quorum that is too small, a promise that is forgotten") {
  std::size_t decided = 0;
  CHECK(schedules_with_two_values(Mutant::quorum_minus_one, 300, decided) > 0);
  CHECK(schedules_with_two_values(Mutant::promise_without_persist, 3000, decided) > 0);
}
