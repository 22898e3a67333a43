#include <doctest/doctest.h>

#include "gossip/facts.h"
#include "tests/unit/gossip_net.h"

using namespace ringagent;

namespace {

NodeRecord saying(const std::string& executed) {
  NodeRecord record;
  record.name = "db";
  record.executed = executed;
  return record;
}

NodeRecord record_of(std::size_t i, Stamp version, const std::string& executed = "") {
  NodeRecord record = saying(executed);
  record.node = node_id(i);
  record.version = version;
  return record;
}

FactTable table(std::size_t self, std::size_t n, std::uint32_t boot = 1) {
  FactTable facts(node_id(self), boot, 5 + self);
  std::vector<NodeId> ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back(node_id(i));
  facts.set_members(ids);
  return facts;
}

// Delivers packets between two tables until both are silent. Returns how many messages it took.
std::size_t talk(FactTable& a, FactTable& b, std::vector<Outgoing> packets, Time now) {
  std::size_t count = 0;
  while (!packets.empty()) {
    std::vector<Outgoing> answers;
    for (const Outgoing& packet : packets) {
      ++count;
      FactTable& to = packet.to == a.own().node ? a : b;
      const NodeId from = packet.to == a.own().node ? b.own().node : a.own().node;
      to.on_facts(from, std::get<Facts>(packet.message.body), now, answers);
    }
    packets = std::move(answers);
  }
  return count;
}

void publish(Net& net, std::size_t i, const std::string& executed) {
  net.act(i, [&](Net::Host& host, std::vector<Outgoing>&) { host.facts.publish(saying(executed), net.now); });
}

// How many of the others hold the newest record of `about`.
std::size_t holders(Net& net, std::size_t about) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < net.size(); ++i) {
    const NodeRecord* record = net[i].facts.find(node_id(about));
    count += i != about && net[i].up && record && *record == net[about].facts.own();
  }
  return count;
}

bool all_agree(Net& net) {
  for (std::size_t i = 1; i < net.size(); ++i)
    if (net[i].facts.checksum() != net[0].facts.checksum()) return false;
  return true;
}

}  // namespace

TEST_CASE("facts: the owner numbers its versions, and only a change makes a new one") {
  FactTable facts = table(0, 4, 3);
  CHECK(facts.find(node_id(0)) == nullptr);
  CHECK(facts.push().records.empty());
  CHECK(facts.checksum() == 0);
  CHECK(facts.publish(saying("0-1-1"), 1s));
  CHECK(facts.own().version == Stamp{3, 1});
  CHECK(facts.own().node == node_id(0));
  const auto checksum = facts.checksum();
  CHECK_FALSE(facts.publish(saying("0-1-1"), 2s));
  CHECK(facts.own().version == Stamp{3, 1});
  CHECK(facts.checksum() == checksum);
  CHECK(facts.publish(saying("0-1-2"), 3s));
  CHECK(facts.own().version == Stamp{3, 2});
  CHECK(facts.checksum() != checksum);
  CHECK(facts.push().records == std::vector{facts.own()});
  CHECK(facts.received_at(node_id(0)) == 3s);
}

TEST_CASE("facts: of others only what is newer counts, of strangers nothing") {
  FactTable facts = table(0, 4);
  CHECK(facts.apply(record_of(1, {1, 5}, "five"), 1s));
  CHECK_FALSE(facts.apply(record_of(1, {1, 5}, "another five"), 2s));
  CHECK_FALSE(facts.apply(record_of(1, {1, 4}, "four"), 2s));
  CHECK(facts.find(node_id(1))->executed == "five");
  CHECK(facts.received_at(node_id(1)) == 1s);
  CHECK(facts.apply(record_of(1, {2, 1}, "a new life"), 3s));
  CHECK(facts.received_at(node_id(1)) == 3s);
  CHECK_FALSE(facts.apply(record_of(9, {1, 1}), 3s));
  CHECK(facts.find(node_id(9)) == nullptr);
  CHECK_FALSE(facts.received_at(node_id(9)));
  CHECK(facts.digest().size() == 4);
}

TEST_CASE("facts: who is no member any more is forgotten, in the checksum too") {
  FactTable facts = table(0, 4);
  facts.publish(saying("x"), 1s);
  const auto alone = facts.checksum();
  facts.apply(record_of(3, {1, 1}), 1s);
  REQUIRE(facts.checksum() != alone);
  facts.set_members({node_id(0), node_id(1), node_id(2)});
  CHECK(facts.find(node_id(3)) == nullptr);
  CHECK(facts.checksum() == alone);
  CHECK(facts.find(node_id(0)) != nullptr);
  std::vector<Outgoing> out;
  facts.tick(10s, out);
  for (const Outgoing& packet : out)
    for (const DigestEntry& entry : std::get<Facts>(packet.message.body).digest) CHECK(entry.node != node_id(3));
}

TEST_CASE("facts: the last position of a server survives an agent that starts while it is down") {
  FactTable facts = table(0, 4);
  CHECK(facts.last_position(node_id(1)) == nullptr);
  NodeRecord seen = record_of(1, {1, 1}, "1-1-100");
  seen.server_id = 1;
  facts.apply(seen, 1s);
  CHECK(facts.last_position(node_id(1))->executed == "1-1-100");
  facts.apply(record_of(1, {2, 1}), 2s);  // another start of the agent, which has not seen its server yet
  facts.apply(record_of(1, {2, 2}), 3s);
  CHECK(facts.find(node_id(1))->executed.empty());
  REQUIRE(facts.last_position(node_id(1)) != nullptr);
  CHECK(facts.last_position(node_id(1))->executed == "1-1-100");
  seen.version = {2, 3};
  seen.executed = "1-1-90";
  facts.apply(seen, 4s);
  CHECK(facts.last_position(node_id(1))->executed == "1-1-90");
}

TEST_CASE("facts: when all that was hot is forgotten there is nothing to say") {
  FactTable facts = table(0, 8);
  facts.apply(record_of(7, {1, 1}), 1s);
  REQUIRE(facts.next_due() != Time::max());
  facts.set_members({node_id(0), node_id(1)});
  CHECK(facts.next_due() == Time::max());
}

TEST_CASE("facts: equal versions mean equal checksums, in whatever order they were learnt") {
  FactTable a = table(0, 4), b = table(0, 4);
  a.apply(record_of(1, {1, 5}), 1s);
  a.apply(record_of(2, {7, 1}), 1s);
  b.apply(record_of(2, {6, 9}), 1s);
  CHECK(a.checksum() != b.checksum());
  b.apply(record_of(2, {7, 1}), 2s);
  b.apply(record_of(1, {1, 5}), 2s);
  CHECK(a.checksum() == b.checksum());
  b.apply(record_of(3, {1, 5}), 3s);
  CHECK(a.checksum() != b.checksum());
}

TEST_CASE("facts: a version of my record that I did not make shows that somebody else lives under my id") {
  FactTable facts = table(0, 4, 3);
  facts.publish(saying("mine"), 1s);
  SUBCASE("an earlier life and an older version do not") {
    CHECK_FALSE(facts.apply(record_of(0, {2, 900}, "before"), 2s));
    facts.publish(saying("mine too"), 2s);
    facts.apply(record_of(0, {3, 1}, "mine"), 2s);
    facts.apply(facts.own(), 2s);
    CHECK_FALSE(facts.cloned());
  }
  SUBCASE("what an older version does not know when it hands my record on") {
    NodeRecord newer = saying("mine, newer");
    newer.health = MysqlHealth::up;
    newer.phase = Phase::copying;
    facts.publish(newer, 2s);
    NodeRecord handed_on = facts.own();
    handed_on.health = MysqlHealth::unknown;
    handed_on.phase = Phase::none;
    facts.apply(handed_on, 2s);
    CHECK_FALSE(facts.cloned());
  }
  SUBCASE("a later boot") {
    facts.apply(record_of(0, {4, 1}, "clone"), 2s);
    CHECK(facts.cloned() == Stamp{4, 1});
  }
  SUBCASE("the same boot, further on") {
    facts.apply(record_of(0, {3, 2}, "clone"), 2s);
    CHECK(facts.cloned() == Stamp{3, 2});
  }
  SUBCASE("the same version with other words") {
    facts.apply(record_of(0, {3, 1}, "clone"), 2s);
    CHECK(facts.cloned() == Stamp{3, 1});
  }
  CHECK(facts.own().executed.substr(0, 4) == "mine");
}

TEST_CASE("facts: the clone is found out through a third member, too") {
  FactTable original = table(0, 3), clone = table(0, 3), third = table(1, 3);
  original.publish(saying("original"), 1s);
  clone.publish(saying("clone"), 1s);
  clone.publish(saying("clone again"), 1s);
  std::vector<Outgoing> out;
  third.on_facts(node_id(0), clone.push(), 2s, out);
  third.on_mark(node_id(0), 5, facts_mark(original.checksum(), 5), 2s, out);
  talk(original, third, out, 2s);
  CHECK(original.cloned() == Stamp{1, 2});
}

TEST_CASE("facts: a differing checksum is answered with a digest, and three messages later both know all") {
  FactTable a = table(0, 4), b = table(1, 4);
  a.publish(saying("a"), 1s);
  b.publish(saying("b"), 1s);
  a.apply(record_of(2, {1, 7}, "newer at a"), 1s);
  b.apply(record_of(2, {1, 6}, "older at b"), 1s);
  b.apply(record_of(3, {1, 1}, "only at b"), 1s);
  std::vector<Outgoing> out;
  b.on_mark(node_id(0), 5, facts_mark(b.checksum(), 5), 1s, out);
  CHECK(out.empty());
  b.on_mark(node_id(0), 5, facts_mark(a.checksum(), 5), 1s, out);
  REQUIRE(out.size() == 1);
  const Facts question = std::get<Facts>(out[0].message.body);
  CHECK(question.want);
  CHECK(question.records.empty());
  CHECK(question.digest.size() == 4);
  // digest; a's own, 2 and what a lacks; b's own and 3
  CHECK(talk(a, b, out, 1s) == 6);
  CHECK(a.checksum() == b.checksum());
  CHECK(b.find(node_id(2))->executed == "newer at a");
  CHECK(a.find(node_id(3))->executed == "only at b");
}

TEST_CASE("facts: a member that keeps differing is not flooded with digests, a stranger gets none") {
  FactTable facts = table(0, 4);
  facts.publish(saying("x"), 1s);
  std::vector<Outgoing> out;
  for (Time now = 1s; now < 2s; now += 10ms) facts.on_mark(node_id(1), 5, 77, now, out);
  CHECK(out.size() == 4);
  facts.on_mark(node_id(2), 5, 77, 2s, out);
  CHECK(out.size() == 5);
  facts.on_mark(node_id(9), 5, 77, 2s, out);
  facts.on_facts(node_id(9), Facts{{}, {{node_id(0), {}}}, true}, 2s, out);
  CHECK(out.size() == 5);
}

TEST_CASE("facts: what is unwanted is not answered; on_facts tells what became newer") {
  FactTable facts = table(0, 4);
  facts.publish(saying("x"), 1s);
  std::vector<Outgoing> out;
  facts.apply(record_of(2, {1, 2}), 1s);
  const Facts news{{record_of(1, {1, 1}), record_of(2, {1, 1}), record_of(3, {1, 1})}, {{node_id(0), {}}}, false};
  CHECK(facts.on_facts(node_id(1), news, 2s, out) == std::vector{node_id(1), node_id(3)});
  CHECK(out.empty());
}

TEST_CASE("facts: with many members a digest is partial, holds the latest news, and goes round") {
  FactTable facts = table(0, 100);
  for (std::size_t i = 1; i < 100; ++i) facts.apply(record_of(i, {1, 1}), 1s);
  facts.apply(record_of(95, {1, 2}), 2s);
  std::set<NodeId> seen;
  for (int i = 0; i < 8; ++i) {
    const auto digest = facts.digest();
    CHECK(digest.size() == FactTable::kDigestMax);
    CHECK(digest.front().node == node_id(95));
    std::set<NodeId> distinct;
    for (const DigestEntry& entry : digest) distinct.insert(entry.node);
    CHECK(distinct.size() == digest.size());
    seen.insert(distinct.begin(), distinct.end());
  }
  CHECK(seen.size() == 100);
}

TEST_CASE("facts: four members agree soon after a change, and then are silent") {
  Net net(4);
  net.run(1s);
  for (std::size_t i = 0; i < 4; ++i) publish(net, i, "start");
  CHECK(net.run_until([&] { return all_agree(net); }, 1s));
  net.run(1s);
  publish(net, 2, "changed");
  CHECK(net.run_until([&] { return holders(net, 2) == 3; }, 250ms));
  net.run(2s);
  bool spoken = false;
  net.watch = [&](std::size_t, std::size_t, const Body& body) { spoken |= std::holds_alternative<Facts>(body); };
  net.run(60s);
  CHECK_FALSE(spoken);
  CHECK(net[0].facts.next_due() == Time::max());
}

TEST_CASE("facts: an urgent change goes to everybody at once") {
  Net net(4);
  net.run(1s);
  net.act(1, [&](Net::Host& host, std::vector<Outgoing>& out) {
    host.facts.publish(saying("down"), net.now);
    for (std::size_t to : {0U, 2U, 3U}) out.push_back(Outgoing{node_id(to), {}, Message{{}, host.facts.push()}});
  });
  net.run(1ms);
  CHECK(holders(net, 1) == 3);
}

TEST_CASE("facts: a member behind a broken link learns through the others") {
  Net net(4);
  net.run(1s);
  net.cut = [](std::size_t from, std::size_t to) { return from + to == 2 && from != to; };  // 0 - 2
  publish(net, 0, "x");
  CHECK(net.run_until([&] { return holders(net, 0) == 3; }, 1s));
}

TEST_CASE("facts: versions survive loss, doubling and reordering: they only grow, and all agree in the end") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Net net(5, seed);
    net.run(1s);
    net.faults = NetFaults{0.2, 0.2, 100us, 300ms};
    std::mt19937_64 dice(seed);
    std::map<std::pair<std::size_t, std::size_t>, Stamp> newest;
    for (int step = 0; step < 400; ++step) {
      publish(net, dice() % 5, std::to_string(step));
      net.run(Duration(static_cast<Duration::rep>(dice() % 100'000)));
      for (std::size_t of = 0; of < 5; ++of)
        for (std::size_t about = 0; about < 5; ++about)
          if (const NodeRecord* record = net[of].facts.find(node_id(about))) {
            Stamp& before = newest[{of, about}];
            REQUIRE(record->version >= before);
            before = record->version;
          }
    }
    CHECK(net.run_until([&] { return all_agree(net); }, 5s));
    for (std::size_t about = 0; about < 5; ++about) CHECK(holders(net, about) == 4);
    for (std::size_t i = 0; i < 5; ++i) CHECK_FALSE(net[i].facts.cloned());
  }
}

TEST_CASE("facts: the record of a dead node stays, and its next life replaces it") {
  Net net(4);
  net.run(1s);
  for (std::size_t i = 0; i < 4; ++i) publish(net, i, "before");
  net.run(2s);
  net.kill(2);
  net.run(10s);
  REQUIRE(net[0].facts.find(node_id(2)) != nullptr);
  CHECK(net[0].facts.find(node_id(2))->executed == "before");
  net.restart(2);
  net.run(10ms);
  publish(net, 2, "after");
  CHECK(net.run_until([&] { return holders(net, 2) == 3; }, 1s));
  CHECK(net.run_until([&] { return all_agree(net); }, 1s));
  CHECK_FALSE(net[2].facts.cloned());
}

namespace {

// Only ring neighbours ping each other: the worst case for anti-entropy, and soon simulated.
SwimSettings only_neighbours() {
  SwimSettings settings;
  settings.sweep_period = 24 * 3600s;
  return settings;
}

}  // namespace

TEST_CASE("figures: among a thousand members a new fact is everywhere within 3 s, for a few kilobytes each") {
  Net net(1000, 1, only_neighbours());
  SUBCASE("in a clean network") {}
  SUBCASE("with a loss of 20 %") {
    net.faults = NetFaults{0.2, 0.1, 1ms, 30ms};
  }
  net.run(1s);
  net.reset_counters();
  publish(net, 123, "news");
  net.run(3s);
  CHECK(holders(net, 123) == 999);
  std::uint64_t all = 0, most = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    all += net[i].bytes;
    most = std::max(most, net[i].bytes);
  }
  CHECK(all / 1000 < 30'000);
  CHECK(most < 150'000);
}

TEST_CASE("facts: two hundred members fill a newcomer's table; no message is larger than a digest or a record") {
  Net net(200, 1, only_neighbours());
  std::size_t digests = 0, records = 0;
  net.watch = [&](std::size_t, std::size_t, const Body& body) {
    if (const auto* facts = std::get_if<Facts>(&body)) {
      digests = std::max(digests, facts->digest.size());
      records = std::max(records, facts->records.size());
    }
  };
  for (std::size_t i = 0; i < 200; ++i) publish(net, i, "start");
  CHECK(net.run_until([&] { return all_agree(net); }, 20s));
  net.restart(7);
  publish(net, 7, "back");
  CHECK(net.run_until([&] { return all_agree(net); }, 20s));
  CHECK(digests == FactTable::kDigestMax);
  CHECK(records == 1);
}
