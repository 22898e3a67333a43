#include <doctest/doctest.h>

#include "agent/lease.h"

using namespace ringagent;

namespace {

NodeId id_of(std::uint8_t n) {
  NodeId id;
  id.bytes[15] = n;
  return id;
}

Instance instance(std::uint64_t epoch) {
  Instance out;
  out.epoch = epoch;
  out.parent[0] = static_cast<std::uint8_t>(epoch);
  return out;
}

const std::vector<NodeId> kVoters = {id_of(1), id_of(2), id_of(3)};

Config head_of(std::uint8_t writer) {
  Config config;
  config.epoch = 5;
  config.one_writer = true;
  config.writer = id_of(writer);
  return config;
}

}  // namespace

TEST_CASE("lease: it counts from when a majority was asked, not from the answers") {
  Lease lease(1);
  lease.hold(instance(5), kVoters, 2500ms);
  CHECK(lease.ask_due(100s));
  const auto first = lease.ask(100s);
  CHECK_FALSE(lease.ask_due(100s + 499ms));
  CHECK(lease.ask_due(100s + 500ms));
  lease.on_answer(id_of(1), {instance(5), first, true});
  CHECK_FALSE(lease.held(100s));  // one of three is no majority
  lease.on_answer(id_of(1), {instance(5), first, true});
  CHECK_FALSE(lease.held(100s));
  lease.on_answer(id_of(2), {instance(5), first, true});
  CHECK(lease.until() == 102500ms);
  CHECK(lease.held(102499ms));
  CHECK_FALSE(lease.held(102500ms));
  CHECK(lease.next_due(100s) == 100500ms);

  const auto second = lease.ask(101s);
  lease.on_answer(id_of(3), {instance(5), second, true});  // two were asked at 100 s, one at 101 s
  CHECK(lease.until() == 102500ms);
  lease.on_answer(id_of(1), {instance(5), second, true});
  CHECK(lease.until() == 103500ms);
}

TEST_CASE("lease: answers that do not count") {
  Lease lease(1);
  lease.hold(instance(5), kVoters, 2500ms);
  const auto seq = lease.ask(100s);
  CHECK(lease.on_answer(id_of(1), {instance(5), seq, false}));
  CHECK_FALSE(lease.on_answer(id_of(9), {instance(5), seq, true}));  // no voter
  lease.on_answer(id_of(2), {instance(4), seq, true});               // of another config
  lease.on_answer(id_of(2), {instance(5), seq + 1, true});           // never asked
  lease.on_answer(id_of(3), {instance(5), seq, true});
  CHECK_FALSE(lease.held(100s));

  // An answer to a question of an earlier life, or of before the lease was dropped, is none to a new question.
  Lease later(2);
  later.hold(instance(5), kVoters, 2500ms);
  CHECK(later.ask(200s) != seq);
  lease.drop();
  lease.hold(instance(5), kVoters, 2500ms);
  CHECK(lease.ask(200s) != seq);
}

TEST_CASE("lease: what a config has granted runs on in the next, and no longer") {
  Lease lease(1);
  lease.hold(instance(5), kVoters, 2500ms);
  const auto seq = lease.ask(100s);
  for (const NodeId& id : kVoters) lease.on_answer(id, {instance(5), seq, true});
  lease.hold(instance(6), {id_of(1), id_of(4), id_of(5)}, 2500ms);
  CHECK(lease.held(102s));
  CHECK(lease.ask_due(100s));
  const auto again = lease.ask(101s);
  lease.on_answer(id_of(2), {instance(5), seq, true});
  lease.on_answer(id_of(1), {instance(6), again, true});
  CHECK(lease.until() == 102500ms);
  lease.drop();
  CHECK_FALSE(lease.held(101s));
  CHECK(lease.next_due(101s) == Time::max());
}

TEST_CASE("lease: a voter grants under its head only, and nothing after it has voted on what follows") {
  const Config head = head_of(1);
  DurableState voter;
  voter.self = id_of(2);
  CHECK(grants_lease(voter, head, instance(5), id_of(1), instance(5)));
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(1), instance(4)));
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(1), instance(6)));
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(3), instance(5)));  // it is not the writer
  CHECK_FALSE(grants_lease(voter, head_of(3), instance(5), id_of(1), instance(5)));

  voter.promised = {3, id_of(2)};
  voter.promised_instance = instance(4);  // long decided
  CHECK(grants_lease(voter, head, instance(5), id_of(1), instance(5)));
  voter.promised_instance = instance(5);
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(1), instance(5)));
  voter.promised_instance.generation = 1;  // forced: it follows the same head
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(1), instance(5)));
  voter.promised = {};
  voter.accepted = {3, id_of(2)};
  voter.accepted_instance = instance(5);
  CHECK_FALSE(grants_lease(voter, head, instance(5), id_of(1), instance(5)));
}

TEST_CASE("lease: who waits for it to end waits for a slow clock and a slow statement, too") {
  CHECK(lease_over(2500) == 4750ms);
}
