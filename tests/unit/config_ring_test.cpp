#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "config/ring.h"

using namespace ringagent;

namespace {

using Names = std::vector<std::string>;

NodeId id_of(std::size_t n) {
  NodeId id;
  id.bytes[14] = static_cast<std::uint8_t>(n >> 8);
  id.bytes[15] = static_cast<std::uint8_t>(n);
  return id;
}

// db1 is the first of `n` members, all of them in the ring; nobody votes yet.
Config ring_of(std::size_t n) {
  Config config;
  config.cluster = "shop";
  config.epoch = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    Member member;
    member.id = id_of(i);
    member.name = "db" + std::to_string(i);
    member.server_id = static_cast<std::uint32_t>(i);
    member.in = true;
    config.members.push_back(member);
  }
  return config;
}

Names names(const Config& config, const std::vector<NodeId>& ids) {
  Names out;
  for (const NodeId& id : ids) out.push_back(config.find(id)->name);
  return out;
}
Names voter_names(const Config& config) {
  return names(config, voters(config));
}

std::vector<NodeId> ids(const Config& config, const Names& of) {
  std::vector<NodeId> out;
  for (const std::string& name : of) out.push_back(config.find(name)->id);
  return out;
}

// The votes as an epoch would decide them, while the agents of `healthy` answer.
void decide_votes(Config& config, const Names& healthy) {
  ++config.epoch;
  assign_votes(config, ids(config, healthy));
}

std::string upstream_name(const Config& config, const std::string& of) {
  const auto up = upstream(config, config.find(of)->id);
  return up ? config.find(*up)->name : "none";
}

bool may_vote(const Member& member) {
  return member.role != Role::leaf;
}
bool contains(const std::vector<NodeId>& ids, const NodeId& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// ---------------------------------------------------------------- random rings

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string text(std::size_t most) {
    std::string out(below(most + 1), ' ');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

// Any valid config: mixed roles, some out, odd votes, all texts filled.
Config random_config(Random& random) {
  Config config = ring_of(1 + random.below(9));
  config.epoch = 1 + random.below(1000);
  config.generation = static_cast<std::uint32_t>(random.below(3));
  for (auto& byte : config.cluster_id.bytes) byte = static_cast<std::uint8_t>(random.below(256));
  for (auto& byte : config.parent) byte = static_cast<std::uint8_t>(random.below(256));
  config.paused = {random.one_in(2), random.text(10), random.text(20), random.below(1'000'000)};
  config.reason = random.text(60);
  config.evidence_class = random.text(10);
  config.proposer = random.text(10);
  for (Member& member : config.members) {
    member.role = static_cast<Role>(random.one_in(2) ? 0 : random.below(4));
    member.in = (member.role == Role::ring || member.role == Role::spare) && !random.one_in(3);
    member.vote = may_vote(member) && random.one_in(2);
    member.gossip = {random.text(10), static_cast<std::uint16_t>(random.below(65536))};
    member.mysql = {random.text(10), static_cast<std::uint16_t>(random.below(65536))};
    member.server_uuid = random.text(36);
    member.out_class = random.text(10);
    member.note = random.text(40);
    member.out_epoch = random.below(1000);
    member.out_position = random.text(100);
    member.flaps = static_cast<std::uint32_t>(random.below(10));
    member.lost_vote_epoch = random.below(config.epoch);
  }
  Member& first = config.members[random.below(config.members.size())];
  first.role = Role::ring;
  first.in = true;
  first.vote = first.vote || voters(config).size() % 2 == 0;
  if (voters(config).size() % 2 == 0) first.vote = false;
  if (voters(config).size() % 2 == 0) config = ring_of(1), config.members[0].vote = true;
  if (random.one_in(3)) choose_first_writer(config, 1 + random.below(5000));
  return config;
}

std::vector<NodeId> random_healthy(Random& random, const Config& config) {
  std::vector<NodeId> out;
  for (const Member& member : config.members) {
    if (!random.one_in(3)) out.push_back(member.id);
  }
  return out;
}

}  // namespace

// ---------------------------------------------------------------- who replicates from whom

TEST_CASE("ring: each replicates from the one before it, the first from the last") {
  const Config config = ring_of(4);
  CHECK(names(config, ring(config)) == Names{"db1", "db2", "db3", "db4"});
  CHECK(upstream_name(config, "db1") == "db4");
  CHECK(upstream_name(config, "db2") == "db1");
  CHECK(upstream_name(config, "db4") == "db3");
}

TEST_CASE("ring: who is out is struck out, and follows the ring as a leaf") {
  Config config = ring_of(4);
  config.find("db2")->in = false;
  CHECK(names(config, ring(config)) == Names{"db1", "db3", "db4"});
  CHECK(upstream_name(config, "db3") == "db1");
  CHECK(upstream_name(config, "db2") == "db1");
  CHECK(names(config, downstream(config, id_of(1))) == Names{"db3", "db2"});  // the successor before the follower
  CHECK(downstream(config, id_of(2)).empty());
}

TEST_CASE("ring: two neighbours out, and the first and the last out") {
  Config config = ring_of(4);
  config.find("db1")->in = config.find("db4")->in = false;
  CHECK(upstream_name(config, "db2") == "db3");
  CHECK(upstream_name(config, "db3") == "db2");
  CHECK(upstream_name(config, "db4") == "db3");
  CHECK(upstream_name(config, "db1") == "db3");
  CHECK(names(config, downstream(config, id_of(3))) == Names{"db2", "db4", "db1"});
}

TEST_CASE("ring: the last one left replicates from nobody, the others from it") {
  Config config = ring_of(3);
  config.find("db1")->in = config.find("db3")->in = false;
  CHECK(upstream_name(config, "db2") == "none");
  CHECK(upstream_name(config, "db1") == "db2");
  CHECK(upstream_name(config, "db3") == "db2");
  CHECK(upstream_name(ring_of(1), "db1") == "none");
}

TEST_CASE("ring: a leaf follows its place, a witness replicates nothing, a stranger is nowhere") {
  Config config = ring_of(4);
  for (const char* name : {"db2", "db3"}) config.find(name)->in = false;
  config.find("db2")->role = Role::leaf;
  config.find("db3")->role = Role::witness;
  CHECK(upstream_name(config, "db2") == "db1");
  CHECK(upstream_name(config, "db3") == "none");
  CHECK(upstream_name(config, "db4") == "db1");
  CHECK(names(config, downstream(config, id_of(1))) == Names{"db4", "db2"});
  CHECK_FALSE(upstream(config, id_of(9)));
  CHECK(downstream(config, id_of(9)).empty());
  CHECK(downstream_order(config, id_of(9)).empty());
}

TEST_CASE("ring: any ring closes, and upstream and downstream are two sides of the same edges") {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const Config config = random_config(random);
    REQUIRE_FALSE(validate(config));
    const auto members = ring(config);
    // Going upstream from anybody in the ring meets all of it once and comes back.
    NodeId at = members.front();
    std::set<NodeId> met;
    while (met.insert(at).second) at = upstream(config, at).value_or(at);
    CHECK(at == members.front());
    CHECK(met.size() == members.size());
    for (const Member& member : config.members) {
      const auto up = upstream(config, member.id);
      const auto order = downstream_order(config, member.id);
      CHECK(order.size() == config.members.size());
      CHECK(order.back() == member.id);
      CHECK(std::set<NodeId>(order.begin(), order.end()).size() == order.size());
      if (member.role == Role::witness) CHECK_FALSE(up);
      if (up) {
        CHECK(config.find(*up)->in);
        CHECK(*up != member.id);
        // Nobody between the two is in.
        const auto below = downstream_order(config, *up);
        for (const NodeId& between : below) {
          if (between == member.id) break;
          CHECK_FALSE(config.find(between)->in);
        }
      }
      const auto followers = downstream(config, member.id);
      CHECK(std::is_partitioned(followers.begin(), followers.end(),
                                [&](const NodeId& id) { return config.find(id)->in; }));
      for (const Member& other : config.members)
        CHECK(contains(followers, other.id) == (upstream(config, other.id) == member.id));
      // One successor at most, however many follow.
      CHECK(std::count_if(followers.begin(), followers.end(), [&](const NodeId& id) { return config.find(id)->in; }) <=
            1);
    }
  }
}

// ---------------------------------------------------------------- the odd voter rule

TEST_CASE("votes: of n healthy nodes all vote, or all but the last") {
  const std::map<std::size_t, std::size_t> expected = {{1, 1}, {2, 1}, {3, 3}, {4, 3}, {5, 5}, {6, 5}, {7, 7}};
  for (const auto& [members, votes] : expected) {
    Config config = ring_of(members);
    decide_votes(config, names(config, ring(config)));
    CHECK(voters(config).size() == votes);
    CHECK(voter_names(config).front() == "db1");
    CHECK(majority(config) == votes / 2 + 1);
  }
}

TEST_CASE("votes: the agent counts, not the place in the ring; but of four who is out is left out first") {
  Config config = ring_of(4);
  config.find("db2")->in = false;  // its mysqld is down, its agent answers
  decide_votes(config, {"db1", "db2", "db3", "db4"});
  CHECK(voter_names(config) == Names{"db1", "db3", "db4"});
  decide_votes(config, {"db1", "db2", "db3"});
  CHECK(voter_names(config) == Names{"db1", "db2", "db3"});
}

TEST_CASE("votes: a witness is never left out, a leaf never asked, a spare as good as any") {
  Config config = ring_of(5);
  config.find("db5")->role = Role::witness;
  config.find("db5")->in = false;
  config.find("db4")->role = Role::leaf;
  config.find("db4")->in = false;
  decide_votes(config, {"db1", "db2", "db3", "db4", "db5"});
  CHECK(voter_names(config) == Names{"db1", "db2", "db5"});
  config.find("db1")->role = Role::spare;
  config.find("db1")->in = false;
  decide_votes(config, {"db1", "db2", "db3", "db4", "db5"});
  CHECK(voter_names(config) == Names{"db2", "db3", "db5"});
  decide_votes(config, {"db4"});
  CHECK(voter_names(config) == Names{"db2", "db3", "db5"});  // nobody who may vote answers: as they were
}

TEST_CASE("votes: witnesses alone still give an odd number") {
  Config config = ring_of(5);
  for (const char* name : {"db2", "db3", "db4", "db5"}) {
    config.find(name)->role = Role::witness;
    config.find(name)->in = false;
  }
  decide_votes(config, {"db2", "db3", "db4", "db5"});
  CHECK(voters(config).size() == 3);
}

TEST_CASE("votes: at two the one that was lost last keeps its vote, and can help when it returns") {
  Config config = ring_of(4);
  decide_votes(config, {"db1", "db2", "db3", "db4"});
  CHECK(voter_names(config) == Names{"db1", "db2", "db3"});
  decide_votes(config, {"db1", "db3", "db4"});  // db2 dies
  CHECK(voter_names(config) == Names{"db1", "db3", "db4"});
  CHECK(config.find("db2")->lost_vote_epoch == config.epoch);
  decide_votes(config, {"db1", "db4"});  // db3 dies, too
  CHECK(voter_names(config) == Names{"db1", "db3", "db4"});
  decide_votes(config, {"db1", "db4"});  // and nothing else happens
  CHECK(voter_names(config) == Names{"db1", "db3", "db4"});
  decide_votes(config, {"db1", "db2", "db4"});  // db2 returns first
  CHECK(voter_names(config) == Names{"db1", "db2", "db4"});
}

TEST_CASE("votes: of two that never had a third the first votes alone") {
  Config config = ring_of(2);
  decide_votes(config, {"db1", "db2"});
  CHECK(voter_names(config) == Names{"db1"});
  decide_votes(config, {"db1"});
  CHECK(voter_names(config) == Names{"db1"});
  decide_votes(config, {"db2"});  // nobody may decide this without db1, but the function says what it would be
  CHECK(voter_names(config) == Names{"db2"});
}

TEST_CASE("votes: who votes still is lost later than who lost its vote in the epoch before") {
  Config config = ring_of(4);
  decide_votes(config, {"db1", "db2", "db3", "db4"});  // db4 does not vote
  decide_votes(config, {"db2", "db3", "db4"});         // db1 dies: lost in the epoch that is now the head
  CHECK(config.find("db1")->lost_vote_epoch == config.epoch);
  const Names wanted = {"db2", "db3", "db4"};
  // db4 dies. What is wanted, judged on the head, is what the next epoch decides.
  Config judged = config;
  assign_votes(judged, ids(judged, {"db2", "db3"}));
  CHECK(voter_names(judged) == wanted);
  decide_votes(config, {"db2", "db3"});
  CHECK(voter_names(config) == wanted);
}

TEST_CASE("votes: even a first config, epoch 0, knows who is being lost") {
  Config config = ring_of(3);
  config.epoch = 0;
  for (Member& member : config.members) member.vote = true;
  assign_votes(config, ids(config, {"db1", "db3"}));
  CHECK(voter_names(config) == Names{"db1", "db2", "db3"});
}

TEST_CASE("votes: the rule, over random rings") {
  Random random(2);
  for (int round = 0; round < 5000; ++round) {
    const Config before = random_config(random);
    const auto answering = random_healthy(random, before);
    std::vector<NodeId> healthy;
    for (const Member& member : before.members) {
      if (may_vote(member) && contains(answering, member.id)) healthy.push_back(member.id);
    }
    Config after = before;
    assign_votes(after, answering);
    const auto chosen = voters(after);
    if (healthy.empty()) {
      CHECK(after == before);
      continue;
    }
    CHECK_FALSE(validate(after));
    std::size_t healthy_voters = 0;
    for (const NodeId& voter : chosen) healthy_voters += contains(healthy, voter) ? 1 : 0;
    CHECK(healthy_voters >= majority(after));  // who is alive can go on deciding
    if (healthy.size() != 2) CHECK(healthy_voters == chosen.size());
    CHECK(healthy.size() - healthy_voters <= 1);
    for (const NodeId& id : healthy) {
      if (contains(chosen, id) || healthy.size() <= 2) continue;
      const Member* left_out = after.find(id);
      const bool only_witnesses = std::all_of(healthy.begin(), healthy.end(),
                                              [&](const NodeId& h) { return after.find(h)->role == Role::witness; });
      CHECK((left_out->role != Role::witness || only_witnesses));
      if (left_out->in)  // then nobody who is out could have been left out instead
        for (const NodeId& other : chosen) CHECK((after.find(other)->in || after.find(other)->role == Role::witness));
    }
    for (const Member& member : after.members) {
      const Member* was = before.find(member.id);
      CHECK(member.lost_vote_epoch == (was->vote && !member.vote ? after.epoch : was->lost_vote_epoch));
      Member same = member;  // nothing but the vote has changed
      same.vote = was->vote;
      same.lost_vote_epoch = was->lost_vote_epoch;
      CHECK(same == *was);
    }
    Config again = after;
    assign_votes(again, answering);
    CHECK(voters(again) == chosen);
    ++again.epoch;
    assign_votes(again, answering);
    CHECK(voters(again) == chosen);
  }
}

TEST_CASE(
    "votes: nodes lost one after another are survived down to two, in any order; and any one that returns helps") {
  Random random(3);
  for (int round = 0; round < 1000; ++round) {
    Config config = ring_of(3 + random.below(7));
    Names healthy = names(config, ring(config));
    decide_votes(config, healthy);
    std::string lost;
    while (healthy.size() > 2) {
      const std::size_t at = random.below(healthy.size());
      lost = healthy[at];
      healthy.erase(healthy.begin() + static_cast<std::ptrdiff_t>(at));
      const auto left = ids(config, healthy);
      const auto can = voters(config);
      const auto answers = std::count_if(can.begin(), can.end(), [&](const NodeId& id) { return contains(left, id); });
      REQUIRE(static_cast<std::size_t>(answers) >= majority(config));
      config.find(lost)->in = false;
      decide_votes(config, healthy);
    }
    // Of the two one dies as well: one of three is no majority, but with the one that was lost before it is.
    CHECK(voters(config).size() == 3);
    CHECK(majority(config) == 2);
    CHECK(config.find(healthy[0])->vote);
    CHECK(config.find(healthy[1])->vote);
    CHECK((config.find(lost)->vote || config.find(lost)->lost_vote_epoch < config.epoch));
  }
}

// ---------------------------------------------------------------- what is valid

TEST_CASE("ring: what is wrong with a config is said") {
  Config good = ring_of(3);
  decide_votes(good, {"db1", "db2", "db3"});
  REQUIRE_FALSE(validate(good));
  const auto fault = [&](auto change) {
    Config config = good;
    change(config);
    const auto error = validate(config);
    // What validate refuses cannot be read either, and the other way round.
    CHECK(parse_config(canonical_bytes(config)).has_value() == !error);
    return error ? error->text : "fine";
  };
  CHECK(fault([](Config&) {}) == "fine");
  CHECK(fault([](Config& c) { c.members.clear(); }) == "a ring has 1 to 1024 members");
  CHECK(fault([](Config& c) { c.members[1].name = "db1"; }) == "two members are called db1");
  CHECK(fault([](Config& c) { c.members[1].id = id_of(1); }) ==
        "two members have the id 00000000-0000-0000-0000-000000000001");
  CHECK(fault([](Config& c) { c.members[1].server_id = 1; }) == "two members have the server_id 1");
  CHECK(fault([](Config& c) { c.members[0].server_id = c.members[1].server_id = 0; }) == "fine");  // not known yet
  CHECK(fault([](Config& c) { c.members[1].name = ""; }) == "a member has no name or one that is too long");
  CHECK(fault([](Config& c) { c.members[1].role = Role::leaf; }) == "db2 is a leaf and cannot be in the ring");
  CHECK(fault([](Config& c) { c.members[1].role = Role::witness; }) == "db2 is a witness and cannot be in the ring");
  CHECK(fault([](Config& c) { c.members[1].role = Role::leaf, c.members[1].in = false; }) ==
        "db2 is a leaf and cannot vote");
  CHECK(fault([](Config& c) { c.members[1].role = Role::spare; }) == "fine");
  CHECK(fault([](Config& c) {
          for (Member& m : c.members) m.in = false;
        }) == "a ring is never empty");
  CHECK(fault([](Config& c) { c.members[1].vote = false; }) == "the number of voters must be odd, it is 2");
  CHECK(fault([](Config& c) {
          for (Member& m : c.members) m.vote = false;
        }) == "the number of voters must be odd, it is 0");
}

TEST_CASE("ring: a text that nobody could read again is not decided") {
  Config good = ring_of(1);
  good.members[0].vote = true;
  struct Text {
    const char* name;
    std::size_t most;
    std::string& (*of)(Config&);
  };
  for (const Text& text : std::vector<Text>{
           {"name", 255, [](Config& c) -> std::string& { return c.members[0].name; }},
           {"gossip", 255, [](Config& c) -> std::string& { return c.members[0].gossip.host; }},
           {"mysql", 255, [](Config& c) -> std::string& { return c.members[0].mysql.host; }},
           {"uuid", 255, [](Config& c) -> std::string& { return c.members[0].server_uuid; }},
           {"class", 255, [](Config& c) -> std::string& { return c.members[0].out_class; }},
           {"note", 1024, [](Config& c) -> std::string& { return c.members[0].note; }},
           {"position", 65536, [](Config& c) -> std::string& { return c.members[0].out_position; }},
           {"cluster", 255, [](Config& c) -> std::string& { return c.cluster; }},
           {"by", 255, [](Config& c) -> std::string& { return c.paused.by; }},
           {"paused", 1024, [](Config& c) -> std::string& { return c.paused.reason; }},
           {"reason", 4096, [](Config& c) -> std::string& { return c.reason; }},
           {"evidence", 255, [](Config& c) -> std::string& { return c.evidence_class; }},
           {"proposer", 255, [](Config& c) -> std::string& { return c.proposer; }},
       }) {
    Config config = good;
    text.of(config) = std::string(text.most, 'x');
    CHECK_MESSAGE(!validate(config), text.name);
    CHECK_MESSAGE(parse_config(canonical_bytes(config)).has_value(), text.name);
    text.of(config) += 'x';
    CHECK_MESSAGE(validate(config).has_value(), text.name);
    CHECK_MESSAGE(!parse_config(canonical_bytes(config)), text.name);
  }
}

TEST_CASE("ring: as large as it may be") {
  Config config = ring_of(kMembersMax);
  config.members[0].vote = true;
  CHECK(*parse_config(canonical_bytes(config)) == config);
  config = ring_of(kMembersMax + 1);
  config.members[0].vote = true;
  CHECK(validate(config));
  CHECK_FALSE(parse_config(canonical_bytes(config)));
}

// ---------------------------------------------------------------- another order

TEST_CASE("ring: any order is reached by moving each member at most once, and those that are well placed stay") {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 2 + random.below(7);
    Config config = ring_of(n);
    std::vector<NodeId> wanted = home_order(config);
    for (std::size_t i = n - 1; i > 0; --i) std::swap(wanted[i], wanted[random.below(i + 1)]);
    config.wanted_order = wanted;
    std::size_t moves = 0;
    const std::size_t stay = well_placed(config).size();
    while (!config.wanted_order.empty() && !same_circle(home_order(config), wanted)) {
      const std::vector<NodeId> placed = well_placed(config);
      const auto other = std::find_if(config.members.begin(), config.members.end(), [&](const Member& m) {
        return std::find(placed.begin(), placed.end(), m.id) == placed.end();
      });
      REQUIRE(other != config.members.end());
      const std::vector<NodeId> before = home_order(config);
      move_to_place(config, NodeId(other->id));
      ++moves;
      REQUIRE(moves <= n);
      CHECK(std::set(before.begin(), before.end()).size() == config.members.size());
    }
    CHECK(same_circle(home_order(config), wanted));
    CHECK(moves == n - stay);
  }
}

TEST_CASE("ring: the wanted order loses who is erased, and must name everybody once") {
  Config config = ring_of(4);
  config.members[0].vote = true;
  std::vector<NodeId> order = home_order(config);
  std::swap(order[1], order[2]);
  config.wanted_order = order;
  CHECK_FALSE(validate(config));
  CHECK(*parse_config(canonical_bytes(config)) == config);
  config.wanted_order.pop_back();
  CHECK(validate(config));
  config.wanted_order = order;
  erase_member(config, order[1]);
  CHECK_FALSE(validate(config));
  CHECK(config.wanted_order.empty());  // the three that are left stand as they should
}

// ---------------------------------------------------------------- canonical bytes

TEST_CASE("ring: bytes and hash are the same on every host and compiler") {
  Config config;
  for (std::size_t i = 0; i < 16; ++i) config.cluster_id.bytes[i] = static_cast<std::uint8_t>(i);
  config.cluster = "shop";
  config.generation = 1;
  config.epoch = 0x0102030405060708;
  config.parent.fill(0xab);
  Member member;
  member.id = id_of(0x0203);
  member.name = "db1";
  member.gossip = {"10.0.0.1", 7946};
  member.mysql = {"10.0.0.1", 3306};
  member.server_id = 0xdeadbeef;
  member.server_uuid = "u";
  member.role = Role::spare;
  member.in = member.vote = true;
  member.out_class = "silent";
  member.note = "why";
  member.out_epoch = 6;
  member.out_position = "0-1-7";
  member.flaps = 2;
  member.lost_vote_epoch = 5;
  member.absence = Absence::maintenance;
  member.absence_ms = 90'000;
  config.members = {member};
  config.wanted_order = {member.id};
  config.paused = {true, "db1", "work", 1000};
  config.reason = "db2 is out";
  config.evidence_class = "silent";
  config.proposer = "db1";
  // Made by another program from the description in ring.h.
  CHECK(canonical_bytes(config).size() == 267);
  std::string hex;
  for (const std::uint8_t byte : hash(config)) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  CHECK(hex == "ffd985ad3dd9788bf3eec44f0b61ba6072433c6c50baf70e44d8f69f2cdf554a");
  CHECK(short_hex(hash(config)) == hex.substr(0, 8));
  CHECK(hash(config) == hash_bytes(canonical_bytes(config)));

  config.one_writer = true;
  config.writer = member.id;
  config.writer_since = 7;
  config.lease_ms = 2500;
  config.old_writers = {{id_of(9), true}};
  CHECK(canonical_bytes(config).size() == 320);
  hex.clear();
  for (const std::uint8_t byte : hash(config)) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  CHECK(hex == "b8bdf5b39244041e4d3a038acc20c5e16c7dc57a63a5e5cc93362beeb6e8e6d1");
}

TEST_CASE("ring: the writer is in the ring, and nobody is named where all write") {
  Config config = ring_of(3);
  config.members[0].vote = true;
  const auto wrong = [&] {
    const auto error = validate(config);
    return error ? error->text : "";
  };
  CHECK(wrong().empty());
  config.writer = id_of(1);
  CHECK(wrong() == "all may write, so there is no writer");
  config.one_writer = true;
  CHECK(wrong() == "the lease of the writer is 1 ms to 600000 ms");
  config.lease_ms = 1000;
  CHECK(wrong().empty());
  config.members[0].in = false;
  CHECK(wrong() == "the writer must be in the ring");
  config.writer = id_of(4);
  CHECK(wrong() == "the writer must be in the ring");
  config.writer = NodeId{};
  CHECK(wrong().empty());
  config.writer = id_of(2);
  config.old_writers = {{id_of(1), true}, {id_of(3), false}};
  CHECK(wrong().empty());
  config.old_writers.push_back({id_of(2), true});
  CHECK(wrong() == "an old writer is named twice, or is the writer");
  config.old_writers.back().id = id_of(1);
  CHECK(wrong() == "an old writer is named twice, or is the writer");
}

TEST_CASE("ring: the first writer is the first of the ring, and all others that are in have to stop") {
  Config config = ring_of(4);
  config.epoch = 1;
  config.members[0].in = false;
  choose_first_writer(config, 2500);
  CHECK(config.one_writer);
  CHECK(config.writer == id_of(2));
  CHECK(config.writer_since == 1);
  CHECK(config.old_writers == std::vector<OldWriter>{{id_of(3), false}, {id_of(4), false}});
  Config before = config;
  before.writer = id_of(3);
  CHECK(describe_change(before, config) == "db2 is the writer");
  CHECK(describe_change(ring_of(4), before) == "db1 out; one writes; db3 is the writer");
}

TEST_CASE("ring: what is written is read again, and equal configs alone have equal bytes") {
  Random random(4);
  std::map<std::string, Config> seen;
  for (int round = 0; round < 2000; ++round) {
    const Config config = random_config(random);
    const std::string bytes = canonical_bytes(config);
    const auto read = parse_config(bytes);
    REQUIRE(read);
    CHECK(*read == config);
    const auto [other, is_new] = seen.emplace(bytes, config);
    CHECK((is_new || other->second == config));
  }
}

TEST_CASE("ring: cut off anywhere it is refused, damaged anywhere it is refused or is another config in full") {
  Random random(5);
  for (int round = 0; round < 20; ++round) {
    const std::string bytes = canonical_bytes(random_config(random));
    CHECK_FALSE(parse_config(bytes + '\0'));
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      CHECK_FALSE(parse_config(std::string_view(bytes).substr(0, at)));
      for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        const auto read = parse_config(damaged);
        if (!read) continue;
        CHECK_FALSE(validate(*read));
        CHECK(canonical_bytes(*read) == damaged);  // there is one way to write a config
      }
    }
  }
}

TEST_CASE("ring: noise is refused") {
  Random random(6);
  for (int round = 0; round < 20000; ++round) {
    std::string noise = random.text(300);
    if (!noise.empty()) noise[0] = 1;
    CHECK_FALSE(parse_config(noise));
  }
}

// ---------------------------------------------------------------- for people

TEST_CASE("ring: a change as a person would say it") {
  Config from = ring_of(3);
  decide_votes(from, {"db1", "db2", "db3"});
  CHECK(describe_change(from, from) == "nothing");
  Config to = from;
  to.find("db3")->in = false;
  CHECK(describe_change(from, to) == "db3 out");
  CHECK(describe_change(to, from) == "db3 in");
  to.find("db3")->vote = false;
  to.paused.on = true;
  CHECK(describe_change(from, to) == "db3 out; db3 votes no more; paused");
  CHECK(describe_change(to, from) == "db3 in; db3 votes; resumed");
  to = from;
  to.members.push_back(ring_of(4).members[3]);
  CHECK(describe_change(from, to) == "db4 joins");
  CHECK(describe_change(to, from) == "db4 leaves");
}

TEST_CASE("ring: roles have names") {
  for (const char* name : {"ring", "leaf", "spare", "witness"})
    CHECK(to_string(*parse_role(name)) == std::string(name));
  for (const char* wrong : {"", "Ring", "rin", "ring "})
    CHECK(parse_role(wrong).error().text.find("ring, leaf, spare, witness") != std::string::npos);
}
