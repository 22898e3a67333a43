#include <doctest/doctest.h>

#include <algorithm>

#include "gossip/swim.h"
#include "tests/unit/gossip_net.h"

using namespace ringagent;

namespace {

// One machine held in the hand: the test plays everybody else.
struct Lone {
  explicit Lone(std::size_t n, SwimSettings settings = {}) : swim(node_id(0), 1, 7, settings) {
    swim.set_members(ring_peers(0, n), now);
  }

  template <class Kind>
  std::vector<Kind> sent_to(std::size_t i) const {
    std::vector<Kind> found;
    for (const Outgoing& packet : out)
      if (packet.to == node_id(i))
        if (const auto* body = std::get_if<Kind>(&packet.message.body)) found.push_back(*body);
    return found;
  }
  // Time passes; `answering` members acknowledge every ping at once, helpers in `nacking` answer that they
  // got none.
  void run(Duration span, const std::set<std::size_t>& answering, const std::set<std::size_t>& nacking = {}) {
    for (const Time end = now + span; now < end; now += 1ms) {
      if (swim.next_due() > now) continue;
      const std::size_t before = out.size();
      swim.tick(now, out);
      for (std::size_t i = before; i < out.size(); ++i) reply(Outgoing(out[i]), answering, nacking);
    }
  }
  void reply(const Outgoing& packet, const std::set<std::size_t>& answering, const std::set<std::size_t>& nacking) {
    const std::size_t to = packet.to.bytes[15];
    const auto* ping = std::get_if<Ping>(&packet.message.body);
    const auto* request = std::get_if<PingReq>(&packet.message.body);
    const auto* turn = std::get_if<Turn>(&packet.message.body);
    if (ping && answering.contains(to)) swim.on_ack(packet.to, 1, Ack{ping->seq, {}}, now, out);
    if (turn && answering.contains(to)) swim.on_ack(packet.to, 1, Ack{turn->seq + 1, {}}, now, out);
    if (request && nacking.contains(to))
      swim.on_ping_req_answer(packet.to, 1, PingReqAnswer{request->seq, request->target, false}, now, out);
  }
  void hear(std::size_t from, Rumour rumour) { swim.on_ping(node_id(from), 1, Ping{1, 0, {rumour}}, false, now, out); }
  Liveness view(std::size_t i) const { return swim.liveness(node_id(i)); }

  Time now = 1s;
  Swim swim;
  std::vector<Outgoing> out;
};

Rumour says(std::size_t from, std::size_t about, Liveness state, Incarnation incarnation = {1, 0}) {
  return Rumour{node_id(about), state, incarnation, node_id(from)};
}

Duration longest_gap(const std::vector<Time>& times) {
  Duration longest{};
  for (std::size_t i = 1; i < times.size(); ++i) longest = std::max(longest, times[i] - times[i - 1]);
  return longest;
}

}  // namespace

TEST_CASE("swim: four members at rest find each other at once and stay quiet") {
  Net net(4);
  CHECK(net.run_until([&] { return net.all_alive(); }, 100ms));
  net.run(2s);
  net.reset_counters();
  net.run(60s);
  CHECK(net.all_alive());
  CHECK(net.changes_to(Liveness::suspect) == 0);
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(static_cast<double>(net[i].packets) / 60 <= 6.5);
    CHECK(net[i].bytes / 60 <= 270);
    CHECK(longest_gap(net[i].pings[node_id((i + 1) % 4)]) <= 415ms);
    CHECK(longest_gap(net[i].pings[node_id((i + 3) % 4)]) <= 415ms);
    CHECK(longest_gap(net[i].pings[node_id((i + 2) % 4)]) <= 2s);
    CHECK(net[i].swim.awareness() == 0);
  }
}

TEST_CASE("swim: one more member every two seconds, in an order that is shuffled anew each turn") {
  Net net(12);
  CHECK(net.run_until([&] { return net.all_alive(); }, 1s));
  std::vector<NodeId> asked;
  net.watch = [&](std::size_t from, std::size_t to, const Body& body) {
    if (from == 0 && to != 1 && to != 11 && std::holds_alternative<Ping>(body)) asked.push_back(node_id(to));
  };
  net.run(54s);
  REQUIRE(asked.size() == 27);
  const auto turn = [&](std::ptrdiff_t from) { return std::vector(asked.begin() + from, asked.begin() + from + 9); };
  const auto whole = [&](std::ptrdiff_t from) {
    const auto ids = turn(from);
    return std::set<NodeId>(ids.begin(), ids.end()).size() == 9;
  };
  std::ptrdiff_t first = 0;  // where the first whole turn begins
  while (first < 9 && !(whole(first) && whole(first + 9))) ++first;
  REQUIRE(first < 9);
  CHECK(turn(first) != turn(first + 9));
}

TEST_CASE("swim: a silent member is suspected by all in about 600 ms and dead by about 2.5 s") {
  Duration first_total{};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Net net(4, seed);
    net.run(5s + 37ms * seed);
    const Time death = net.now;
    net.kill(2);
    net.run(4s);
    Time first = Time::max();
    for (const std::size_t of : {0U, 1U, 3U}) {
      CAPTURE(of);
      const auto suspected = net.when(of, 2, Liveness::suspect, death);
      const auto dead = net.when(of, 2, Liveness::dead, death);
      REQUIRE(suspected);
      REQUIRE(dead);
      first = std::min(first, *suspected);
      CHECK(*suspected - death <= 1010ms);
      CHECK(*dead - death >= 2480ms);
      CHECK(*dead - death <= 3100ms);
      REQUIRE(net[of].swim.unanswered_since(node_id(2), net.now));
      CHECK(*net[of].swim.unanswered_since(node_id(2), net.now) - death <= 610ms);
    }
    first_total += first - death;
  }
  CHECK(first_total / 20 <= 650ms);
}

TEST_CASE(
    "swim: two die at once and both are found as fast; of three dead the last waits, for it may be its own "
    "fault") {
  Net net(4);
  net.run(5s);
  net.kill(2);
  net.kill(3);
  const Time death = net.now;
  net.run(6s);
  for (const std::size_t of : {0U, 1U})
    for (const std::size_t about : {2U, 3U}) CHECK(*net.when(of, about, Liveness::dead, death) - death <= 3s);
  net.kill(1);
  const Time last = net.now;
  net.run(8s);
  const auto dead = net.when(0, 1, Liveness::dead, last);
  REQUIRE(dead);
  CHECK(*dead - last >= 5s);
  CHECK(*dead - last <= 5500ms);
}

TEST_CASE("swim: only an answer to my own current ping proves life") {
  Lone lone(4);
  lone.run(50ms, {});
  REQUIRE(!lone.sent_to<Ping>(1).empty());
  const std::uint64_t seq = lone.sent_to<Ping>(1).back().seq;

  SUBCASE("not a ping, nor any other packet") {
    lone.swim.on_ping(node_id(1), 1, Ping{5, 0, {}}, false, lone.now, lone.out);
    lone.swim.on_ping_req(node_id(1), 1, PingReq{6, node_id(2), {}}, lone.now, lone.out);
    lone.swim.on_ping_req_answer(node_id(2), 1, PingReqAnswer{seq, node_id(1), true}, lone.now, lone.out);
    lone.hear(2, says(1, 1, Liveness::alive, {1, 5}));
    CHECK_FALSE(lone.swim.answered_since_start(node_id(1)));
    CHECK(lone.view(1) == Liveness::suspect);
  }
  SUBCASE("not an answer to something I never asked, nor one by somebody else") {
    lone.swim.on_ack(node_id(1), 1, Ack{seq + 77, {}}, lone.now, lone.out);
    lone.swim.on_ack(node_id(2), 1, Ack{seq, {}}, lone.now, lone.out);
    CHECK_FALSE(lone.swim.answered_since_start(node_id(1)));
    CHECK_FALSE(lone.swim.answered_since_start(node_id(2)));
  }
  SUBCASE("not an answer that comes a second time") {
    lone.swim.on_ack(node_id(1), 1, Ack{seq, {}}, lone.now, lone.out);
    const auto first = lone.swim.last_answer(node_id(1));
    lone.run(600ms, {});
    REQUIRE(lone.view(1) != Liveness::dead);
    const Liveness before = lone.view(1);
    lone.swim.on_ack(node_id(1), 1, Ack{seq, {}}, lone.now, lone.out);
    CHECK(lone.swim.last_answer(node_id(1)) == first);
    CHECK(lone.view(1) == before);
  }
  SUBCASE("not an answer that comes after more than `silence`") {
    lone.run(2600ms, {});
    lone.swim.on_ack(node_id(1), 1, Ack{seq, {}}, lone.now, lone.out);
    CHECK_FALSE(lone.swim.answered_since_start(node_id(1)));
  }
  SUBCASE("not an answer from an earlier life") {
    lone.swim.on_ping(node_id(1), 4, Ping{5, 0, {}}, false, lone.now, lone.out);
    lone.swim.on_ack(node_id(1), 3, Ack{seq, {}}, lone.now, lone.out);
    CHECK_FALSE(lone.swim.answered_since_start(node_id(1)));
  }
  SUBCASE("the answer does, for the moment when the ping was sent") {
    lone.now += 30ms;
    lone.swim.on_ack(node_id(1), 1, Ack{seq, {}}, lone.now, lone.out);
    CHECK(lone.view(1) == Liveness::alive);
    CHECK(lone.swim.last_answer(node_id(1)) <= lone.now - 30ms);
    CHECK(lone.swim.rtt(node_id(1)) >= 30ms);
  }
}

TEST_CASE("swim: unanswered_since tells when the first unanswered ping went out") {
  Lone lone(4);
  lone.run(3s, {1, 2, 3});
  CHECK_FALSE(lone.swim.unanswered_since(node_id(2), lone.now));
  const Time asked = lone.now;
  lone.swim.probe_now(node_id(2), asked, lone.out);
  CHECK_FALSE(lone.swim.unanswered_since(node_id(2), asked + 199ms));
  CHECK(lone.swim.unanswered_since(node_id(2), asked + 200ms) == asked);
  lone.swim.probe_now(node_id(2), asked + 100ms, lone.out);
  CHECK(lone.swim.unanswered_since(node_id(2), asked + 200ms) == asked);
  const auto pings = lone.sent_to<Ping>(2);
  lone.swim.on_ack(node_id(2), 1, Ack{pings[pings.size() - 2].seq, {}}, asked + 210ms, lone.out);
  CHECK(lone.swim.unanswered_since(node_id(2), asked + 300ms) == asked + 100ms);
  lone.swim.on_ack(node_id(2), 1, Ack{pings.back().seq, {}}, asked + 310ms, lone.out);
  CHECK_FALSE(lone.swim.unanswered_since(node_id(2), asked + 900ms));
}

TEST_CASE(
    "swim: after a missed answer others are asked to ping; what they reach is not suspected, and not proved "
    "either") {
  Net net(4);
  net.run(5s);
  net.cut = [](std::size_t from, std::size_t to) { return (from == 0 && to == 1) || (from == 1 && to == 0); };
  const Time since = net.now;
  net.run(60s);
  CHECK(net.changes_to(Liveness::dead) == 0);
  CHECK(net.changes_to(Liveness::suspect) == 0);
  CHECK(net.view(0, 1) == Liveness::alive);
  CHECK(*net[0].swim.last_answer(node_id(1)) <= since);
  CHECK(*net[0].swim.last_answer(node_id(1)) > since - 1s);
  REQUIRE(net[0].swim.unanswered_since(node_id(1), net.now));
  CHECK(*net[0].swim.unanswered_since(node_id(1), net.now) - since <= 400ms);
  CHECK(net[2].swim.last_answer(node_id(1)) > net.now - 2s);
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.run(1s);
  CHECK_FALSE(net[0].swim.unanswered_since(node_id(1), net.now));
}

TEST_CASE(
    "swim: one-way loss. Who is not heard by one is alive through the others; who hears nobody doubts "
    "itself") {
  Net net(4);
  net.run(5s);
  SUBCASE("one direction of one pair") {
    net.cut = [](std::size_t from, std::size_t to) { return from == 2 && to == 1; };
    net.run(120s);
    CHECK(net.changes_to(Liveness::dead) == 0);
    CHECK(net.all_alive());
  }
  SUBCASE("a host that sends but hears nothing") {
    net.cut = [](std::size_t, std::size_t to) { return to == 2; };
    net.run(2s);
    CHECK(net[2].swim.awareness() >= 1);
    for (const std::size_t of : {0U, 1U, 3U}) {
      CHECK(net.view(of, 2) == Liveness::suspect);
      CHECK(net.view(of, (of + 2) % 4 == 2 ? 1 : (of + 2) % 4) == Liveness::alive);
    }
    net.run(3s);
    CHECK(net.all_see(2, Liveness::dead));
    net.cut = [](std::size_t, std::size_t) { return false; };
    CHECK(net.run_until([&] { return net.all_alive(); }, 5s));
  }
}

TEST_CASE("swim: a failed probe counts against me only if not one helper answered") {
  const auto doubtful = [](const std::set<std::size_t>& nacking) {
    Lone lone(6);
    lone.run(5s, {1, 2, 3, 4, 5});
    REQUIRE(lone.swim.awareness() == 0);
    int highest = 0;
    for (int i = 0; i < 1500; ++i) {
      lone.run(1ms, {2, 3, 4, 5}, nacking);
      highest = std::max(highest, lone.swim.awareness());
    }
    CHECK(lone.view(1) == Liveness::suspect);
    return highest;
  };
  CHECK(doubtful({}) == 1);
  CHECK(doubtful({2, 3, 4, 5}) == 0);
}

TEST_CASE("swim: a helper pings at once and says in time whether there was an answer") {
  Lone lone(5);
  lone.run(3s, {1, 2, 3, 4});
  lone.out.clear();
  lone.swim.on_ping_req(node_id(1), 1, PingReq{42, node_id(3), {}}, lone.now, lone.out);
  const auto pings = lone.sent_to<Ping>(3);
  REQUIRE(pings.size() == 1);
  SUBCASE("yes") {
    lone.swim.on_ack(node_id(3), 1, Ack{pings[0].seq, {}}, lone.now + 2ms, lone.out);
    CHECK(lone.sent_to<PingReqAnswer>(1) == std::vector{PingReqAnswer{42, node_id(3), true}});
  }
  SUBCASE("no") {
    lone.run(149ms, {1, 2, 4});
    CHECK(lone.sent_to<PingReqAnswer>(1).empty());
    lone.run(5ms, {1, 2, 4});
    CHECK(lone.sent_to<PingReqAnswer>(1) == std::vector{PingReqAnswer{42, node_id(3), false}});
  }
  SUBCASE("not more than it can carry") {
    for (std::uint64_t seq = 100; seq < 300; ++seq)
      lone.swim.on_ping_req(node_id(1), 1, PingReq{seq, node_id(3), {}}, lone.now, lone.out);
    lone.run(500ms, {});
    CHECK(lone.sent_to<PingReqAnswer>(1).size() == Swim::kRelaysMax);
  }
}

TEST_CASE("swim: a suspicion is the shorter the more others share it") {
  const auto dead_after = [](std::size_t voices) {
    Lone lone(8);
    lone.run(5s, {1, 2, 3, 4, 5, 6, 7});
    const Time since = lone.now;
    for (std::size_t from = 2; from < 2 + voices; ++from) lone.hear(from, says(from, 1, Liveness::suspect));
    while (lone.view(1) != Liveness::dead && lone.now < since + 10s) lone.run(1ms, {2, 3, 4, 5, 6, 7});
    return lone.now - since;
  };
  const Duration alone = dead_after(0), one = dead_after(1), two = dead_after(2), three = dead_after(3);
  CHECK(alone >= 5s);
  CHECK(alone <= 5450ms);
  CHECK(one < alone - 500ms);
  CHECK(two < one - 200ms);
  CHECK(three < two - 200ms);
  CHECK(three >= 2500ms);
  CHECK(three <= 2950ms);
  CHECK(dead_after(6) >= 2500ms);
}

TEST_CASE("swim: who hears of a suspicion looks for itself at once and judges by what it sees") {
  Lone lone(6);
  lone.run(5s, {1, 2, 3, 4, 5});
  lone.out.clear();
  lone.swim.take_changes();
  SUBCASE("the accused answers: I never doubted it, and it was told to its face") {
    lone.hear(2, says(2, 3, Liveness::suspect));
    const auto pings = lone.sent_to<Ping>(3);
    REQUIRE(pings.size() == 1);
    CHECK(pings[0].rumours.front() == says(2, 3, Liveness::suspect));
    lone.swim.on_ack(node_id(3), 1, Ack{pings[0].seq, {says(3, 3, Liveness::alive, {1, 1})}}, lone.now, lone.out);
    lone.run(3s, {1, 2, 3, 4, 5});
    CHECK(lone.swim.take_changes().empty());
  }
  SUBCASE("even `dead` is only hearsay") {
    lone.hear(2, says(2, 3, Liveness::dead));
    CHECK(lone.sent_to<Ping>(3).size() == 1);
    CHECK(lone.view(3) == Liveness::alive);
  }
  SUBCASE("it does not answer: suspect after 400 ms, without bothering helpers") {
    lone.hear(2, says(2, 3, Liveness::suspect));
    lone.run(399ms, {1, 2, 4, 5});
    CHECK(lone.view(3) == Liveness::alive);
    lone.run(3ms, {1, 2, 4, 5});
    CHECK(lone.view(3) == Liveness::suspect);
    for (std::size_t helper : {1U, 2U, 4U, 5U}) CHECK(lone.sent_to<PingReq>(helper).empty());
  }
  SUBCASE("another has waited out its silence and says `dead`: I agree as soon as I had no answer for 400 ms") {
    lone.hear(2, says(2, 3, Liveness::dead));
    lone.run(405ms, {1, 2, 4, 5});
    CHECK(lone.view(3) == Liveness::dead);
  }
}

TEST_CASE("swim: in a large ring every member has looked for itself soon after the first suspicion") {
  Net net(20);
  net.run(5s);
  net.kill(7);
  const Time death = net.now;
  net.run(2s);
  for (std::size_t of = 0; of < 20; ++of) {
    if (of == 7) continue;
    CAPTURE(of);
    REQUIRE(net[of].swim.unanswered_since(node_id(7), net.now));
    CHECK(*net[of].swim.unanswered_since(node_id(7), net.now) - death <= 1500ms);
  }
  net.run(1500ms);
  CHECK(net.all_see(7, Liveness::dead));
}

TEST_CASE("swim: the accused refutes with a higher incarnation, which ends the suspicion of others") {
  Lone accused(4);
  accused.hear(2, says(2, 0, Liveness::suspect, {1, 0}));
  CHECK(accused.swim.incarnation() == Incarnation{1, 1});
  CHECK(accused.swim.awareness() == 1);
  REQUIRE(accused.sent_to<Ack>(2).size() == 1);
  CHECK(accused.sent_to<Ack>(2)[0].rumours.front() == says(0, 0, Liveness::alive, {1, 1}));
  accused.hear(3, says(3, 0, Liveness::dead, {1, 1}));
  accused.hear(3, says(3, 0, Liveness::dead, {1, 0}));  // an old tale
  CHECK(accused.swim.incarnation() == Incarnation{1, 2});

  Lone other(4);
  other.run(5s, {1, 2, 3});
  other.run(2200ms, {1, 3});
  REQUIRE(other.view(2) == Liveness::suspect);
  other.hear(3, says(2, 2, Liveness::alive, {1, 0}));
  CHECK(other.view(2) == Liveness::suspect);
  const auto answer = other.swim.last_answer(node_id(2));
  other.hear(3, says(2, 2, Liveness::alive, {1, 1}));
  CHECK(other.view(2) == Liveness::alive);
  CHECK(other.swim.last_answer(node_id(2)) == answer);
  CHECK(other.swim.unanswered_since(node_id(2), other.now));
}

TEST_CASE("swim: an obituary of an earlier life is answered with the present one") {
  Lone lone(4);
  lone.hear(2, says(2, 0, Liveness::dead, {0, 5}));
  REQUIRE(lone.sent_to<Ack>(2).size() == 1);
  CHECK(lone.sent_to<Ack>(2)[0].rumours == std::vector{says(0, 0, Liveness::alive, {1, 0})});
}

TEST_CASE("swim: a member cannot accuse itself") {
  Lone lone(6);
  lone.run(5s, {1, 2, 3, 4, 5});
  lone.out.clear();
  lone.hear(2, says(3, 3, Liveness::dead));
  CHECK(lone.sent_to<Ping>(3).empty());
}

TEST_CASE("swim: the dead are told that they are called dead, however long ago that was") {
  Lone lone(4);
  lone.run(5s, {1, 2, 3});
  lone.run(120s, {1, 3});
  REQUIRE(lone.view(2) == Liveness::dead);
  lone.out.clear();
  lone.run(3s, {1, 3});
  REQUIRE(!lone.sent_to<Ping>(2).empty());
  CHECK(lone.sent_to<Ping>(2)[0].rumours.front().about == node_id(2));
  CHECK(lone.sent_to<Ping>(1)[0].rumours.empty());
  SUBCASE("a ping from one of them is no proof, but I ask back at once") {
    lone.out.clear();
    lone.now += 500ms;
    lone.swim.on_ping(node_id(2), 1, Ping{9, 0, {}}, false, lone.now, lone.out);
    CHECK(lone.sent_to<Ping>(2).size() == 1);
    CHECK(lone.view(2) == Liveness::dead);
  }
  SUBCASE("one that answered without refuting is suspect at its next silence, not dead by an old verdict") {
    lone.run(3s, {1, 2, 3});
    REQUIRE(lone.view(2) == Liveness::alive);
    lone.run(2s, {1, 3});
    CHECK(lone.view(2) == Liveness::suspect);
  }
}

TEST_CASE("swim: who doubts itself waits longer before it suspects others") {
  Lone lone(4);
  lone.run(5s, {1, 2, 3});
  for (std::uint32_t i = 0; i < 9; ++i) lone.hear(2, says(2, 0, Liveness::suspect, {1, i}));
  CHECK(lone.swim.awareness() == SwimSettings{}.awareness_max);
  lone.run(1900ms, {});
  for (std::size_t i = 1; i < 4; ++i) CHECK(lone.view(i) == Liveness::alive);
  lone.run(600ms, {});
  CHECK(lone.view(1) == Liveness::suspect);
}

TEST_CASE("swim: what a helper reached is still asked by me until it answers") {
  Lone lone(6);
  lone.run(5s, {1, 2, 3, 4, 5});
  lone.swim.probe_now(node_id(3), lone.now, lone.out);
  lone.run(201ms, {1, 2, 4, 5});
  for (std::size_t helper : {1U, 2U, 4U, 5U})
    for (const PingReq& request : lone.sent_to<PingReq>(helper))
      lone.swim.on_ping_req_answer(node_id(helper), 1, PingReqAnswer{request.seq, node_id(3), true}, lone.now,
                                   lone.out);
  lone.out.clear();
  lone.run(401ms, {1, 2, 4, 5});
  CHECK(lone.view(3) == Liveness::alive);
  CHECK(lone.sent_to<Ping>(3).size() >= 1);
}

TEST_CASE("swim: a refutation by hearsay does not raise the dead; it makes me look") {
  Lone lone(4);
  lone.run(5s, {1, 2, 3});
  lone.run(8s, {1, 3});
  REQUIRE(lone.view(2) == Liveness::dead);
  lone.out.clear();
  lone.hear(3, says(2, 2, Liveness::alive, {1, 1}));
  CHECK(lone.view(2) == Liveness::dead);
  lone.run(401ms, {1, 2, 3});
  lone.hear(3, says(2, 2, Liveness::alive, {1, 2}));
  lone.run(1ms, {1, 2, 3});
  REQUIRE(lone.sent_to<Ping>(2).size() >= 1);
}

TEST_CASE("swim: a restarted agent beats its own obituary at once") {
  Net net(4);
  net.run(5s);
  net.kill(2);
  net.run(10s);
  REQUIRE(net.all_see(2, Liveness::dead));
  net.restart(2);
  CHECK(net.run_until([&] { return net.all_alive(); }, 100ms));
  net.run(10s);
  CHECK(net.all_alive());
  CHECK(net.changes_to(Liveness::dead) == 3);
}

TEST_CASE("swim: third parties can neither push a counter far nor give somebody a later life") {
  constexpr std::uint32_t far = 4'000'000'000U;
  SUBCASE("an accuser with an absurd incarnation can still be refuted") {
    Lone lone(4);
    lone.hear(2, says(2, 0, Liveness::suspect, {1, far}));
    CHECK(lone.swim.incarnation() == Incarnation{1, Swim::kRefutationJumpMax + 1});
    Lone other(4);
    other.run(5s, {1, 2, 3});
    other.hear(2, says(2, 3, Liveness::suspect, {1, far}));
    other.run(600ms, {1, 2});
    REQUIRE(other.view(3) == Liveness::suspect);
    other.hear(3, says(3, 3, Liveness::alive, lone.swim.incarnation()));
    CHECK(other.view(3) == Liveness::alive);
  }
  SUBCASE("a later boot told by others only makes me look, and is not passed on") {
    Lone lone(4);
    lone.run(5s, {1, 2, 3});
    lone.out.clear();
    lone.hear(2, says(2, 3, Liveness::dead, {9, 0}));
    CHECK(lone.sent_to<Ping>(3).size() == 1);
    lone.run(3s, {1, 2, 3});
    CHECK(lone.view(3) == Liveness::alive);
    for (const Outgoing& packet : lone.out)
      if (const auto* ping = std::get_if<Ping>(&packet.message.body)) CHECK(ping->rumours.empty());
  }
  SUBCASE("a later boot of mine is reported, not adopted") {
    Lone lone(4);
    lone.hear(2, says(2, 0, Liveness::alive, {9, 0}));
    CHECK(lone.swim.outlived_by() == 9);
    CHECK(lone.swim.incarnation().boot == 1);
  }
}

TEST_CASE("swim: the dead are asked for ever, so a partition that heals meets again") {
  Net net(4);
  net.run(5s);
  net.cut = [](std::size_t from, std::size_t to) { return from / 2 != to / 2; };
  net.run(20min);
  CHECK(net.view(0, 2) == Liveness::dead);
  CHECK(net.view(0, 1) == Liveness::alive);
  net.reset_counters();
  net.run(60s);
  for (std::size_t i = 0; i < 4; ++i) CHECK(net[i].packets <= 60 * 12);
  net.cut = [](std::size_t, std::size_t) { return false; };
  CHECK(net.run_until([&] { return net.all_alive(); }, 4s));
  net.run(10s);
  CHECK(net.all_alive());
}

TEST_CASE("swim: who was never there is first suspect, then dead without a word, and is still asked") {
  Net net(4);
  net.kill(3);
  net.run(1s);
  CHECK(net.view(0, 3) == Liveness::suspect);
  bool accused = false;
  net.watch = [&](std::size_t, std::size_t, const Body& body) {
    if (const auto* ping = std::get_if<Ping>(&body)) accused |= !ping->rumours.empty();
  };
  net.run(3s);
  CHECK(net.all_see(3, Liveness::dead));
  CHECK_FALSE(accused);
  net[0].pings.clear();
  net.run(60s);
  CHECK(net[0].pings[node_id(3)].size() >= 29);
  CHECK(net[0].pings[node_id(3)].size() <= 31);
  CHECK_FALSE(net[0].swim.answered_since_start(node_id(3)));
}

TEST_CASE("swim: who never answered is asked ever less often, so that a start among many absent is no flood") {
  Lone lone(6);
  lone.run(2500ms, {});
  CHECK(lone.sent_to<Ping>(3).size() >= 4);
  CHECK(lone.sent_to<Ping>(3).size() <= 6);
}

TEST_CASE("swim: an orderly stop is `left` for all at once, and a new life ends it") {
  Net net(5);
  net.run(5s);
  net.leave(2);
  net.run(10ms);
  CHECK(net.all_see(2, Liveness::left));
  net.run(30s);
  CHECK(net.all_see(2, Liveness::left));
  CHECK(net.changes_to(Liveness::suspect) == 0);
  net.restart(2);
  CHECK(net.run_until([&] { return net.all_alive(); }, 200ms));
}

TEST_CASE("swim: a farewell that did not reach everybody is verified before it is believed") {
  Net net(5);
  net.run(5s);
  net.cut = [](std::size_t from, std::size_t to) { return from == 2 && to == 0; };
  net.leave(2);
  net.run(100ms);
  CHECK(net.view(0, 2) == Liveness::alive);
  net.run(3s);
  CHECK(net.all_see(2, Liveness::left));
}

TEST_CASE("swim: a slow node doubts itself first") {
  Net net(6);
  net.run(5s);
  net.late = [](std::size_t from, std::size_t to) { return from == 2 || to == 2 ? Duration(250ms) : 0us; };
  CHECK(net.run_until([&] { return net[2].swim.awareness() >= 2; }, 3s));
  for (const std::size_t other : {0U, 4U, 5U}) CHECK(net[other].swim.awareness() == 0);
  net.run(20s);
  for (auto& change : net[2].changes) CHECK(change.to != Liveness::dead);
  CHECK(net.changes_to(Liveness::dead) == 0);
  const std::size_t suspicions = net.changes_to(Liveness::suspect);
  net.run(60s);
  CHECK(net.changes_to(Liveness::suspect) == suspicions);
  CHECK(net.all_alive());
}

TEST_CASE("swim: a lagging loop voids pings in flight and lengthens suspicions by the gap") {
  Lone lone(4);
  lone.run(5s, {1, 2, 3});
  SUBCASE("an answer that may have been lost here is no evidence") {
    lone.swim.probe_now(node_id(3), lone.now, lone.out);
    lone.now += 2s;
    lone.swim.loop_lagged(2s, lone.now);
    CHECK_FALSE(lone.swim.unanswered_since(node_id(3), lone.now));
    CHECK(lone.swim.awareness() == 1);
    lone.run(500ms, {1, 2, 3});
    CHECK(lone.swim.take_changes().size() == 3);  // the three that came alive at the start
    CHECK(lone.swim.incarnation() == Incarnation{1, 1});
  }
  SUBCASE("a running suspicion") {
    lone.run(1200ms, {1, 2});
    REQUIRE(lone.view(3) == Liveness::suspect);
    const Time since = *lone.swim.unanswered_since(node_id(3), lone.now);
    lone.now += 10s;
    lone.swim.loop_lagged(10s, lone.now);
    CHECK(lone.swim.unanswered_since(node_id(3), lone.now) == since + 10s);
    lone.run(1s, {1, 2});
    CHECK(lone.view(3) == Liveness::suspect);
    lone.run(5s, {1, 2});
    CHECK(lone.view(3) == Liveness::dead);
  }
}

TEST_CASE("swim: pauses up to 2 s and a loss of 20 % for hours: suspicions come and go, nobody is called dead") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Net net(4, seed);
    net.run(2s);
    net.faults = NetFaults{0.2, 0.02, 200us, 30ms};
    std::mt19937_64 dice(seed);
    std::size_t pauses = 0;
    while (net.now < 3600s) {
      net.run(Duration(1s) + Duration(static_cast<Duration::rep>(dice() % 8'000'000)));
      const Duration gap = 500ms + Duration(static_cast<Duration::rep>(dice() % 1'500'001));
      net.pause(dice() % 4, gap);
      net.run(gap);
      ++pauses;
    }
    net.run(3s);
    CHECK(pauses > 500);
    CHECK(net.changes_to(Liveness::suspect) > 100);
    CHECK(net.changes_to(Liveness::dead) == 0);
    net.faults = NetFaults{};
    net.run(2s);
    CHECK(net.all_alive());
  }
}

TEST_CASE("swim: who comes and goes with the config is looked at and forgotten") {
  Lone lone(4);
  lone.run(5s, {1, 2, 3});
  lone.swim.set_members(ring_peers(0, 6), lone.now);
  lone.out.clear();
  lone.run(100ms, {1, 2, 3, 4, 5});
  CHECK(lone.view(4) == Liveness::alive);
  CHECK(lone.view(5) == Liveness::alive);
  CHECK(lone.view(3) == Liveness::alive);
  lone.swim.set_members(ring_peers(0, 3), lone.now);
  CHECK(lone.view(5) == Liveness::dead);
  CHECK_FALSE(lone.swim.answered_since_start(node_id(5)));
  lone.out.clear();
  lone.hear(1, says(1, 5, Liveness::suspect));
  lone.swim.on_ping(node_id(5), 1, Ping{1, 0, {}}, false, lone.now, lone.out);
  lone.run(5s, {1, 2});
  CHECK(lone.sent_to<Ack>(5).empty());
  CHECK(lone.sent_to<Ping>(5).empty());
  lone.swim.set_members({}, lone.now);
  CHECK(lone.swim.next_due() == Time::max());
}

TEST_CASE("swim: an answer from another than the one who was asked proves nothing about either") {
  Lone lone(4);
  lone.run(1500ms, {1, 3});
  lone.out.clear();
  lone.swim.probe_now(node_id(2), lone.now, lone.out);  // its address is somebody else's by now
  const std::uint64_t seq = lone.sent_to<Ping>(2).at(0).seq;
  const auto before = lone.swim.last_answer(node_id(3));
  lone.swim.on_ack(node_id(3), 1, Ack{seq, {}}, lone.now, lone.out);
  CHECK_FALSE(lone.swim.answered_since_start(node_id(2)));
  CHECK(lone.swim.last_answer(node_id(3)) == before);
}

TEST_CASE("swim: neighbours take turns: the answer asks back, and the answer to that waits for the next question") {
  Lone lone(4);
  lone.swim.carry(77);
  lone.run(2s, {1, 2, 3});
  lone.now += 300ms;  // since its last own ping
  lone.out.clear();
  lone.swim.on_ping(node_id(1), 1, Ping{4, 0, {}}, true, lone.now, lone.out);
  CHECK(lone.sent_to<Turn>(1) == std::vector{Turn{4, 0, facts_mark(77, 4), {}}});
  CHECK(lone.out[0].brief);
  const Time asked = lone.now;

  SUBCASE("who has just asked, or is no neighbour, does not ask back") {
    lone.now += 5ms;
    lone.out.clear();
    lone.swim.on_ping(node_id(1), 1, Ping{50, 0, {}}, false, lone.now, lone.out);
    CHECK(lone.sent_to<Ack>(1) == std::vector{Ack{50, {}}});
    CHECK_FALSE(lone.out[0].brief);  // as the question
    lone.swim.on_ping(node_id(2), 1, Ping{6, 0, {}}, true, lone.now, lone.out);
    CHECK(lone.sent_to<Ack>(2) == std::vector{Ack{6, {}}});
  }
  SUBCASE("an answer that was kept back proves life for when it was sent, at most") {
    lone.now += 390ms;
    lone.swim.on_turn(node_id(1), 1, Turn{5, 90, 0, {}}, true, lone.now, lone.out);
    CHECK(lone.swim.last_answer(node_id(1)) == asked + 360ms);
    CHECK(lone.sent_to<Turn>(1).back().seq == 6);  // and its question is answered at once
    lone.swim.on_turn(node_id(1), 1, Turn{7, 255, 0, {}}, true, lone.now, lone.out);
    CHECK(lone.swim.last_answer(node_id(1)) == lone.now);
    CHECK(lone.swim.rtt(node_id(1)) <= 4ms);  // it says only roughly for how long
  }
  SUBCASE("the question that rode on the answer is not missed: only the ping that follows it is") {
    lone.out.clear();
    lone.run(405ms, {2, 3});
    CHECK(lone.sent_to<Ping>(1).empty());
    lone.run(10ms, {2, 3});
    REQUIRE(lone.sent_to<Ping>(1).size() == 1);
    lone.run(200ms, {2, 3});
    REQUIRE(lone.swim.unanswered_since(node_id(1), lone.now));
    CHECK(*lone.swim.unanswered_since(node_id(1), lone.now) >= asked + 390ms);
    // Late as it is, an answer proves life for when it was sent, and the ping after that is still missed.
    lone.swim.on_turn(node_id(1), 1, Turn{5, 10, 0, {}}, true, lone.now, lone.out);
    CHECK(lone.swim.last_answer(node_id(1)) == asked + 40ms);
    CHECK(*lone.swim.unanswered_since(node_id(1), lone.now) >= asked + 390ms);
  }
  SUBCASE("what was asked in an answer is answered by the next question, with for how long it waited") {
    lone.run(100ms, {2, 3});
    lone.out.clear();
    lone.swim.probe_now(node_id(3), lone.now, lone.out);
    const std::uint64_t mine = lone.sent_to<Ping>(3).at(0).seq;
    lone.out.clear();
    lone.swim.on_turn(node_id(3), 1, Turn{mine, 0, 0, {}}, true, lone.now, lone.out);
    CHECK(lone.swim.last_answer(node_id(3)) == lone.now);
    const Time heard = lone.now;
    lone.swim.probe_now(node_id(3), lone.now, lone.out);
    CHECK(lone.sent_to<Turn>(3).empty());  // nothing has been kept back yet
    CHECK(lone.sent_to<Ping>(3).size() == 1);
    lone.swim.on_ack(node_id(3), 1, Ack{lone.sent_to<Ping>(3)[0].seq, {}}, lone.now, lone.out);
    lone.run(400ms, {1, 2, 3});
    const auto turns = lone.sent_to<Turn>(3);
    REQUIRE(turns.size() == 1);
    CHECK(turns[0].seq == mine + 1);
    CHECK(turns[0].held * kHeldUnit > 0us);
    CHECK(heard + turns[0].held * kHeldUnit <= lone.now);
    CHECK_FALSE(lone.swim.unanswered_since(node_id(3), lone.now + 1s));  // it was a question as well
  }
  SUBCASE("but at once to a new life of its, and where the last one goes unanswered") {
    lone.swim.probe_now(node_id(3), lone.now, lone.out);
    const std::uint64_t mine = lone.sent_to<Ping>(3).back().seq;
    lone.swim.on_turn(node_id(3), 1, Turn{mine, 0, 0, {}}, true, lone.now, lone.out);  // kept back
    lone.out.clear();
    lone.now += 50ms;
    lone.swim.on_ping(node_id(3), 2, Ping{9, 0, {}}, false, lone.now, lone.out);
    CHECK(lone.sent_to<Ack>(3) == std::vector{Ack{9, {}}});
    CHECK(lone.sent_to<Ping>(3).size() == 1);
    CHECK(lone.sent_to<Turn>(3).empty());  // what was kept back was for the former one
    lone.run(500ms, {1, 2});
    lone.out.clear();
    lone.swim.on_turn(node_id(3), 2, Turn{12345, 0, 0, {}}, false, lone.now, lone.out);
    REQUIRE(lone.sent_to<Ack>(3).size() == 1);
    CHECK(lone.sent_to<Ack>(3)[0].seq == 12346);
  }
}

TEST_CASE("swim: who is heard by nobody misses the answers, however often it is asked") {
  Net net(3);
  net.run(5s);
  net.cut = [](std::size_t from, std::size_t to) { return from == 2 && to == 1; };
  net.run(1100ms);
  REQUIRE(net[2].swim.unanswered_since(node_id(1), net.now));
  net.run(60s);  // helpers vouch for it all the time
  REQUIRE(net[2].swim.unanswered_since(node_id(1), net.now));
  CHECK(net.now - *net[2].swim.last_answer(node_id(1)) >= 60s);
  CHECK_FALSE(net[2].swim.at_ease(net.now));
}

TEST_CASE("swim: whose turn was lost asks with a ping when the next question is due") {
  std::size_t losses = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Net net(3, seed);
    net.run(5s);
    bool lost = false;
    net.watch = [&](std::size_t from, std::size_t to, const Body& body) {
      const auto* turn = std::get_if<Turn>(&body);
      const bool now = !lost && from == 2 && to == 1 && turn != nullptr && turn->held == 0;
      lost = lost || now;
      net.cut = [now](std::size_t a, std::size_t b) { return now && a == 2 && b == 1; };
    };
    if (!net.run_until([&] { return lost; }, 2s)) continue;  // there it is the one who asks first
    ++losses;
    net.run(430ms);
    CHECK(net.now - *net[2].swim.last_answer(node_id(1)) <= 100ms);
    Duration worst{};
    for (int i = 0; i < 1500; ++i) {
      net.run(1ms);
      worst = std::max(worst, net.now - *net[2].swim.last_answer(node_id(1)));
    }
    CHECK(worst <= 810ms);
  }
  CHECK(losses >= 3);
}

TEST_CASE("swim: the round trip is known to the second one, too, as well as it can be") {
  Net net(2);
  net.run(2s);
  const std::size_t second = net[0].swim.rtt(node_id(1)) < net[1].swim.rtt(node_id(0)) ? 1 : 0;
  CHECK(net[second].swim.rtt(node_id(1 - second)) <= 4ms);
  net.pause(1 - second, 2s);  // its answers to many questions come late
  net.run(10s);
  CHECK(net[0].swim.rtt(node_id(1)) <= 10ms);
  CHECK(net[1].swim.rtt(node_id(0)) <= 10ms);
}

TEST_CASE("swim: after a loss turns go in short envelopes again") {
  Net net(2);
  net.run(5s);
  net.cut = [](std::size_t from, std::size_t) { return from == 1; };
  net.run(350ms);
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.run(2s);
  net.reset_counters();
  net.run(10s);
  CHECK(net[0].bytes <= 10 * 140);
  CHECK(net[1].bytes <= 10 * 140);
}

TEST_CASE("swim: at rest two neighbours send each other one packet in each direction per period, for ever") {
  Net net(3);
  CHECK(net.run_until([&] { return net.all_alive(); }, 100ms));
  net.run(5s);
  net.reset_counters();
  net.run(60s);
  for (std::size_t i = 0; i < 3; ++i) CHECK(net[i].packets <= 320);
  CHECK(net.changes_to(Liveness::suspect) == 0);
  CHECK(net.changes_to(Liveness::dead) == 0);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t other = 0; other < 3; ++other)
      if (other != i) CHECK(net.now - *net[i].swim.last_answer(node_id(other)) <= 410ms);
}

TEST_CASE("swim: short envelopes go to those who have answered in their present life, and only while all is well") {
  Lone lone(4);
  std::vector<bool> brief;
  const auto pinged = [&](std::size_t i) {
    brief.clear();
    for (const Outgoing& packet : lone.out)
      if (packet.to == node_id(i) && std::holds_alternative<Ping>(packet.message.body)) brief.push_back(packet.brief);
    lone.out.clear();
    return brief;
  };
  lone.swim.probe_now(node_id(1), lone.now, lone.out);
  CHECK(pinged(1) == std::vector{false});  // never met
  lone.run(2s, {1, 2, 3});
  lone.out.clear();
  lone.swim.probe_now(node_id(1), lone.now, lone.out);
  lone.swim.probe_now(node_id(1), lone.now, lone.out);
  CHECK(pinged(1) == std::vector{true, false});  // the second, with the first unanswered, at length
  lone.swim.on_ping(node_id(3), 2, Ping{9, 0, {}}, false, lone.now, lone.out);  // restarted
  CHECK(pinged(3) == std::vector{false});
}

namespace {

double bytes_per_second(Net& net, Duration span) {
  net.reset_counters();
  net.run(span);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < net.size(); ++i) bytes += net[i].bytes;
  return static_cast<double>(bytes) / static_cast<double>(net.size()) * 1e6 / static_cast<double>(span.count());
}

// gossip_scale_test.cpp measures a thousand.
void many_members_cost_no_more(std::size_t n) {
  Net small(50), large(n);
  small.run(25s);
  large.run(25s);
  REQUIRE(small.all_alive());
  REQUIRE(large.all_alive());
  const double at_rest = bytes_per_second(small, 10s);
  CHECK(at_rest <= 270);
  CHECK(bytes_per_second(large, 10s) <= 1.2 * at_rest);
  large.kill(n / 2);
  CHECK(bytes_per_second(large, 6s) <= 2000);
  CHECK(large.all_see(n / 2, Liveness::dead));
}

}  // namespace

TEST_CASE("swim: two hundred members cost each node no more than fifty do, and news reaches all of them") {
  many_members_cost_no_more(200);
}

TEST_CASE("swim: after a change of key everybody gets a long envelope until he has answered one") {
  Lone lone(3);
  lone.run(2s, {1, 2});
  const auto ping = [&](std::size_t i) {
    lone.out.clear();
    lone.swim.probe_now(node_id(i), lone.now, lone.out);
    REQUIRE(lone.sent_to<Ping>(i).size() == 1);
    return lone.sent_to<Ping>(i)[0].seq;
  };
  const auto answer = [&](std::size_t i, std::uint64_t seq) {
    lone.swim.on_ack(node_id(i), 1, Ack{seq, {}}, lone.now, lone.out);
  };
  const auto answers_brief = [&] {
    lone.out.clear();
    lone.swim.on_ping(node_id(1), 1, Ping{9, 0, {}}, true, lone.now, lone.out);
    return lone.out.at(0).brief;
  };
  const std::uint64_t before = ping(1);
  CHECK(lone.out[0].brief);
  CHECK(answers_brief());
  lone.swim.changed_envelope();
  answer(1, before);  // the answer to what went out in the former one proves nothing
  CHECK_FALSE(answers_brief());
  const std::uint64_t after = ping(1);
  CHECK_FALSE(lone.out[0].brief);
  answer(1, after);
  CHECK(answers_brief());
  answer(1, ping(1));
  CHECK(lone.out[0].brief);
  const std::uint64_t other = ping(2);
  CHECK_FALSE(lone.out[0].brief);
  answer(2, other);
}
