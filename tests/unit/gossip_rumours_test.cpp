#include <doctest/doctest.h>

#include "gossip/rumours.h"
#include "tests/unit/gossip_net.h"

using namespace ringagent;

namespace {

Rumour rumour(std::size_t about, Liveness state, std::uint32_t refutation, std::size_t from) {
  return Rumour{node_id(about), state, Incarnation{1, refutation}, node_id(from)};
}

std::vector<Rumour> packet_for(RumourQueue& queue, std::size_t to, std::size_t members = 1000) {
  std::vector<Rumour> packet;
  queue.take(node_id(to), members, packet);
  return packet;
}

}  // namespace

TEST_CASE("rumours: each is said about 3 log2(n + 1) times, then no more") {
  CHECK(RumourQueue::repeats(4) == 9);
  CHECK(RumourQueue::repeats(1000) == 30);
  RumourQueue queue;
  queue.add(rumour(1, Liveness::suspect, 0, 2));
  int said = 0;
  while (!packet_for(queue, 3, 4).empty()) ++said;
  CHECK(said == 9);
  CHECK(queue.size() == 0);
}

TEST_CASE("rumours: a packet takes at most eight, and what was said least often goes first") {
  RumourQueue queue;
  for (std::size_t about = 10; about < 22; ++about) queue.add(rumour(about, Liveness::suspect, 0, 2));
  const auto first = packet_for(queue, 3);
  CHECK(first.size() == kRumoursMax);
  const auto second = packet_for(queue, 3);
  std::size_t unsaid = 0;
  for (const Rumour& later : second) unsaid += std::find(first.begin(), first.end(), later) == first.end();
  CHECK(unsaid == 4);
  queue.add(rumour(30, Liveness::suspect, 0, 2));
  CHECK(packet_for(queue, 3).front().about == node_id(30));
}

TEST_CASE("rumours: a newer incarnation or a stronger state replaces what was said before") {
  RumourQueue queue;
  CHECK(queue.add(rumour(1, Liveness::suspect, 0, 2)));
  CHECK_FALSE(queue.add(rumour(1, Liveness::alive, 0, 1)));
  CHECK(queue.add(rumour(1, Liveness::alive, 1, 1)));
  CHECK(queue.size() == 1);
  CHECK_FALSE(queue.add(rumour(1, Liveness::suspect, 0, 3)));
  CHECK(queue.add(rumour(1, Liveness::dead, 1, 3)));
  CHECK_FALSE(queue.add(rumour(1, Liveness::suspect, 1, 3)));
  CHECK_FALSE(queue.add(rumour(1, Liveness::dead, 1, 4)));
  CHECK(packet_for(queue, 9) == std::vector<Rumour>{rumour(1, Liveness::dead, 1, 3)});
}

TEST_CASE("rumours: three independent voices of a suspicion are passed on, no more and none twice") {
  RumourQueue queue;
  for (std::size_t from = 2; from < 7; ++from) queue.add(rumour(1, Liveness::suspect, 0, from));
  CHECK(queue.size() == kVoicesMax);
  CHECK_FALSE(queue.add(rumour(1, Liveness::suspect, 0, 2)));
}

TEST_CASE("rumours: nobody is told that it lives, but it is told what it is accused of") {
  RumourQueue queue;
  queue.add(rumour(1, Liveness::alive, 4, 1));
  queue.add(rumour(2, Liveness::suspect, 0, 3));
  CHECK(packet_for(queue, 1) == std::vector<Rumour>{rumour(2, Liveness::suspect, 0, 3)});
  CHECK(packet_for(queue, 2).size() == 2);
}

TEST_CASE("rumours: the queue is bounded and who is no member is forgotten") {
  RumourQueue queue;
  for (std::size_t about = 0; about < 3000; ++about) queue.add(rumour(about, Liveness::suspect, 0, 4000));
  CHECK(queue.size() == RumourQueue::kQueueMax);
  queue.forget(node_id(2999));
  CHECK(queue.size() == RumourQueue::kQueueMax - 1);
}
