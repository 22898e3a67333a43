#include <doctest/doctest.h>

#include <algorithm>

#include "agent/policy.h"
#include "agent/standing.h"

using namespace ringagent;

namespace {

NodeId id_of(int number) {
  NodeId id;
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}
constexpr Duration kLong = 1000s;

// A healthy ring db1 .. dbN as one of them sees it; each test spoils something. Voters are db1, db2, db3.
struct Scene {
  explicit Scene(int self, int size = 4) {
    config.cluster = "shop";
    config.epoch = 5;
    std::vector<NodeId> all;
    for (int i = 1; i <= size; ++i) {
      Member m;
      m.id = id_of(i);
      m.name = "db" + std::to_string(i);
      m.mysql = {"10.0.0." + std::to_string(i), 3306};
      m.server_id = static_cast<std::uint32_t>(i);
      m.in = true;
      all.push_back(m.id);
      config.members.push_back(m);
    }
    assign_votes(config, all);
    for (int i = 1; i <= size; ++i) {
      NodeRecord& r = records[id_of(i)];
      r.node = id_of(i);
      r.head.epoch = config.epoch;
      r.health = MysqlHealth::up;
      r.flavor = 1;
      r.server_id = static_cast<std::uint32_t>(i);
      r.executed = "1-1-100,2-2-100,3-3-100,4-4-100";
      LinkFact link;
      link.source = *upstream(config, id_of(i));
      link.io = 2;
      link.sql = true;
      r.links.push_back(link);
    }
    view.config = &config;
    view.self = id_of(self);
    for (auto& [id, record] : records) {
      PeerView p;
      p.liveness = Liveness::alive;
      p.record = &record;
      p.health_age = kLong;
      p.port_answered_before = true;
      view.peers[id] = p;
    }
    view.link = LinkSays::alive;
    view.link_source = *upstream(config, view.self);
    view.confirmed = true;
    view.up_for = kLong;
    view.silence = 2500ms;
    view.hung_after = 3s;
    view.replay_max_age = 600s;
  }
  Scene(const Scene&) = delete;

  PeerView& peer(int i) { return view.peers[id_of(i)]; }
  NodeRecord& record(int i) { return records[id_of(i)]; }
  LinkFact& link(int i) { return record(i).links.front(); }
  Member& member(int i) { return *config.find(id_of(i)); }

  void mysqld_down(int i, Duration ago = kLong) {
    record(i).health = MysqlHealth::down;
    peer(i).health_age = ago;
  }
  void link_broken(int follower) {
    link(follower).io = 1;
    link(follower).error_number = 2003;
    if (id_of(follower) == view.self) view.link = LinkSays::broken;
  }
  void silent(int i, Duration silence = 10s) {
    peer(i).liveness = Liveness::dead;
    peer(i).silent_for = peer(i).unanswered_for = silence;
    peer(i).ping_unanswered = true;
  }
  void take_out(int i, const char* why = "mysqld_down") {
    member(i).in = false;
    member(i).out_class = why;
    member(i).flaps = 1;
  }

  Config config;
  std::map<NodeId, NodeRecord> records;
  View view;
};

std::string items(const Decision& decision, const Config& config) {
  if (!decision.wish) return "nothing";
  std::string out;
  for (const CanvassItem& item : decision.wish->items) {
    out += (out.empty() ? "" : ", ") + config.find(item.node)->name + " " + to_string(item.evidence);
  }
  return out;
}
std::string wished(const Scene& scene) {
  return items(decide(scene.view), scene.config);
}
std::string new_ring(const Scene& scene) {
  const Decision decision = decide(scene.view);
  std::string out;
  if (!decision.wish) return "the same";
  for (const NodeId& id : ring(decision.wish->next)) out += (out.empty() ? "" : " ") + scene.config.find(id)->name;
  return out;
}
Opinion opinion(const Scene& scene, int about, Evidence evidence) {
  return judge(scene.view, {id_of(about), evidence}).opinion;
}

}  // namespace

TEST_CASE("a healthy ring wants nothing") {
  for (int self = 1; self <= 4; ++self) {
    const Scene scene(self);
    CHECK(wished(scene) == "nothing");
    CHECK_FALSE(decide(scene.view).look_again);
    CHECK(decide(scene.view).probe.empty());
  }
}

// ---------------------------------------------------------------- mysqld_down

TEST_CASE("mysqld_down: its own agent says so and the successor's link has broken by itself") {
  Scene scene(4);
  scene.mysqld_down(3);
  scene.link_broken(4);
  CHECK(wished(scene) == "db3 mysqld_down");
  CHECK(new_ring(scene) == "db1 db2 db4");
  const Decision decision = decide(scene.view);
  CHECK(decision.wish->wait == 0us);
  CHECK(decision.wish->rank == 0);
  CHECK(decision.wish->next.find(id_of(3))->out_class == "mysqld_down");
  CHECK(decision.wish->next.find(id_of(3))->flaps == 1);
  CHECK(decision.wish->next.find(id_of(3))->out_epoch == 6);
  CHECK(decision.wish->next.evidence_class == "mysqld_down");
  CHECK(decision.wish->next.proposer == "db4");
}

TEST_CASE("mysqld_down: a link that is alive vetoes") {
  Scene own(4);
  own.mysqld_down(3);
  CHECK(wished(own) == "nothing");
  CHECK(decide(own.view).look_again);
  Scene others(1);
  others.mysqld_down(3);
  CHECK(wished(others) == "nothing");
  CHECK(opinion(own, 3, Evidence::mysqld_down) == Opinion::object);
}

TEST_CASE("mysqld_down: a link whose own server has not answered since the news says nothing against it") {
  Scene scene(4);
  scene.mysqld_down(3, 400ms);
  scene.view.link_heard_for = 300ms;
  CHECK(opinion(scene, 3, Evidence::mysqld_down) == Opinion::object);
  scene.view.link_heard_for = 500ms;  // link_quiet_for stands still while a poll waits
  CHECK(opinion(scene, 3, Evidence::mysqld_down) == Opinion::concur);
}

TEST_CASE("mysqld_down: a link that was stopped by hand is no evidence; the port is asked") {
  Scene scene(4);
  scene.mysqld_down(3);
  scene.view.link = LinkSays::nothing;
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).probe == std::vector<NodeId>{id_of(3)});
  scene.peer(3).port = EdgeState::ok;  // any answer means alive
  CHECK(wished(scene) == "nothing");
  scene.peer(3).port = EdgeState::refused;
  CHECK(wished(scene) == "db3 mysqld_down");
}

TEST_CASE("mysqld_down: the next one downstream asks the port where the successor is gone") {
  for (const bool by_silence : {true, false}) {
    Scene scene(1);
    scene.mysqld_down(3);
    if (by_silence)
      scene.peer(4).ping_unanswered = true;  // dead or not: its word on the link is old
    else
      scene.mysqld_down(4);
    CHECK(decide(scene.view).probe.front() == id_of(3));
    scene.peer(3).port = EdgeState::refused;
    CHECK(wished(scene).substr(0, 15) == "db3 mysqld_down");
  }
}

TEST_CASE("mysqld_down: grace is waited for") {
  Scene scene(4);
  scene.view.grace = 500ms;
  scene.mysqld_down(3, 200ms);
  scene.link_broken(4);
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).look_again == Duration(300ms));
  scene.peer(3).health_age = 500ms;
  CHECK(wished(scene) == "db3 mysqld_down");
}

TEST_CASE("mysqld_down: two that die within 5 ms go together") {
  Scene scene(4);
  scene.mysqld_down(3, 2ms);
  scene.link_broken(4);
  CHECK(decide(scene.view).wish->wait == Duration(3ms));
  scene.peer(3).health_age = 5ms;
  CHECK(decide(scene.view).wish->wait == 0us);
  // db1 is known to be dead, too, but its follower's link has not said so yet: it is waited for, not for ever.
  scene.mysqld_down(1, 6ms);
  CHECK(wished(scene) == "db3 mysqld_down");
  CHECK(decide(scene.view).wish->wait == Duration(24ms));
  scene.link_broken(2);
  CHECK(wished(scene) == "db1 mysqld_down, db3 mysqld_down");
  CHECK(new_ring(scene) == "db2 db4");
}

TEST_CASE("mysqld_down: two neighbours") {
  Scene scene(4);
  scene.mysqld_down(2);
  scene.mysqld_down(3);
  scene.link_broken(4);
  // db3 is dead itself: what it said of its link to db2 is old; the port of db2 tells.
  CHECK(decide(scene.view).probe == std::vector<NodeId>{id_of(2)});
  scene.peer(2).port = EdgeState::refused;
  CHECK(wished(scene) == "db2 mysqld_down, db3 mysqld_down");
  CHECK(new_ring(scene) == "db1 db4");
}

// ---------------------------------------------------------------- mysqld_hung, unsafe

TEST_CASE("mysqld_hung: only if the link has been quiet for as long") {
  Scene scene(4);
  scene.record(3).health = MysqlHealth::hung;
  CHECK(wished(scene) == "nothing");
  scene.view.link = LinkSays::quiet;
  scene.view.link_quiet_for = 2s;
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).look_again == Duration(1s));
  scene.view.link_quiet_for = 3s;
  CHECK(wished(scene) == "db3 mysqld_hung");
  CHECK(opinion(scene, 3, Evidence::mysqld_hung) == Opinion::concur);
  scene.record(3).health = MysqlHealth::up;
  CHECK(opinion(scene, 3, Evidence::mysqld_hung) == Opinion::object);
}

TEST_CASE("unsafe: at once, whatever the link says") {
  Scene scene(1);
  scene.record(3).unsafe = "lost tail: 4 transactions";
  CHECK(wished(scene) == "db3 unsafe");
  CHECK(opinion(scene, 3, Evidence::unsafe) == Opinion::concur);
  CHECK(opinion(scene, 2, Evidence::unsafe) == Opinion::object);
}

// ---------------------------------------------------------------- refused, silent

TEST_CASE("refused: a silent agent, a broken link and a port that used to answer: nobody waits for silence") {
  Scene scene(4);
  scene.silent(3, 300ms);
  scene.peer(3).liveness = Liveness::alive;  // gossip has not given it up yet
  scene.link_broken(4);
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).probe == std::vector<NodeId>{id_of(3)});
  scene.peer(3).port = EdgeState::refused;
  CHECK(wished(scene) == "db3 refused");
  scene.peer(3).port_answered_before = false;  // a firewall may always have said so
  CHECK(wished(scene) == "nothing");
  scene.peer(3).silent_for = scene.peer(3).unanswered_for = 3s;
  CHECK(wished(scene) == "db3 silent");
}

TEST_CASE("refused: what a voter answers") {
  Scene scene(1);
  CHECK(judge(scene.view, {id_of(3), Evidence::refused}).probe);
  scene.peer(3).port = EdgeState::ok;
  CHECK(opinion(scene, 3, Evidence::refused) == Opinion::object);
  scene.peer(3).port = EdgeState::refused;
  CHECK(opinion(scene, 3, Evidence::refused) == Opinion::object);  // its agent answers
  scene.peer(3).ping_unanswered = true;
  CHECK(opinion(scene, 3, Evidence::refused) == Opinion::concur);
  scene.peer(3).port_answered_before = false;
  CHECK(opinion(scene, 3, Evidence::refused) == Opinion::abstain);
  CHECK(opinion(scene, 1, Evidence::refused) == Opinion::object);
}

TEST_CASE("silent: agent and link, both for as long as silence") {
  Scene scene(4);
  scene.silent(3, 2s);
  scene.view.link = LinkSays::quiet;
  scene.view.link_quiet_for = 2400ms;
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).look_again == Duration(500ms));
  scene.peer(3).silent_for = scene.peer(3).unanswered_for = 2500ms;
  CHECK(decide(scene.view).look_again == Duration(100ms));
  scene.view.link_quiet_for = 2500ms;
  CHECK(wished(scene) == "db3 silent");
}

TEST_CASE("silent: an agent that is dead while its database lives changes nothing, for ever") {
  for (const int self : {1, 2, 4}) {
    Scene scene(self);
    scene.silent(3, 3600s);
    CHECK(wished(scene) == "nothing");
    // Nor if the link of its follower was stopped by hand and the port answers.
    scene.view.link = self == 4 ? LinkSays::nothing : scene.view.link;
    scene.link(4).io = 0;
    scene.peer(3).port = EdgeState::ok;
    CHECK(wished(scene) == "nothing");
  }
}

TEST_CASE("silent: what a voter answers") {
  Scene scene(1);
  scene.peer(3).silent_for = scene.peer(3).unanswered_for = 1s;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::object);
  scene.peer(3).silent_for = scene.peer(3).unanswered_for = 1300ms;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::object);  // the link of its follower is alive
  scene.link(4).heard_ms = 1300;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::concur);
  scene.silent(4, 1300ms);  // nobody is left to tell of that link: the port has to be asked
  CHECK(judge(scene.view, {id_of(3), Evidence::silent}).probe);
  scene.peer(3).port = EdgeState::ok;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::object);
  scene.peer(3).port = EdgeState::silent;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::concur);
  scene.view.up_for = 1s;
  CHECK(opinion(scene, 3, Evidence::silent) == Opinion::abstain);
  Scene follower(4);
  follower.silent(3);
  CHECK(opinion(follower, 3, Evidence::silent) == Opinion::object);  // its own link to db3 is alive
}

TEST_CASE("silent: who has just started accuses nobody of silence") {
  Scene scene(4);
  scene.silent(3);
  scene.link_broken(4);
  scene.peer(3).port = EdgeState::refused;
  scene.view.up_for = 1s;
  CHECK(wished(scene) == "nothing");
}

TEST_CASE("silent: several hosts that fall silent within a probe period go together") {
  Scene scene(1);
  scene.silent(3);
  scene.silent(4, 2400ms);
  scene.peer(3).port = EdgeState::silent;
  scene.view.link = LinkSays::quiet;
  scene.view.link_quiet_for = 2300ms;
  CHECK(wished(scene) == "db3 silent, db4 headless");  // db4 could not follow db2 anyway
  CHECK(decide(scene.view).wish->wait == Duration(200ms));
}

// ---------------------------------------------------------------- headless

TEST_CASE("headless: a silent agent goes with the upstream that is decided out") {
  Scene scene(1);
  scene.mysqld_down(3);
  scene.peer(3).port = EdgeState::refused;
  scene.silent(4, 1300ms);
  CHECK(wished(scene) == "db3 mysqld_down, db4 headless");
  CHECK(new_ring(scene) == "db1 db2");
  CHECK(decide(scene.view).wish->rank == 0);
}

TEST_CASE("headless: also where its upstream was decided out before") {
  Scene scene(1);
  scene.take_out(3);
  scene.silent(4, 1s);
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).look_again == Duration(250ms));
  scene.peer(4).silent_for = scene.peer(4).unanswered_for = 1250ms;
  CHECK(wished(scene) == "db4 headless");
  scene.link(4).source = id_of(2);  // it had repointed before its agent went
  CHECK(wished(scene) == "nothing");
}

// ---------------------------------------------------------------- the ring is never decided empty

TEST_CASE("of all that are dead the one with most stays in") {
  Scene scene(2);
  for (int i = 1; i <= 4; ++i) scene.mysqld_down(i);
  for (int i = 1; i <= 4; ++i) scene.peer(i).port = EdgeState::refused;
  scene.link_broken(2);
  scene.view.link = LinkSays::nothing;
  scene.record(3).executed = "1-1-100,2-2-100,3-3-120,4-4-100";
  CHECK(new_ring(scene) == "db3");
}

TEST_CASE("a healthy node that is out comes in where nobody else is left") {
  Scene scene(1);
  scene.take_out(2);
  scene.take_out(3);
  scene.take_out(1);
  scene.mysqld_down(4);
  scene.link_broken(1);  // an out node follows it, too
  scene.record(2).executed = "1-1-100,2-2-100,3-3-100,4-4-99";
  scene.record(2).phase = Phase::settling;
  CHECK(new_ring(scene) == "db1");
  scene.record(2).executed = "1-1-100,2-2-100,3-3-101,4-4-101";
  CHECK(new_ring(scene) == "db2");
  CHECK(wished(scene) == "db4 mysqld_down, db2 not_empty");
  scene.record(2).phase = Phase::checking;  // nobody knows yet whether it has lost something
  CHECK(new_ring(scene) == "db1");
}

// ---------------------------------------------------------------- the way back

TEST_CASE("a node comes back when it says that it is ready, one at a time") {
  Scene scene(4);
  scene.take_out(2);
  scene.take_out(3);
  CHECK(wished(scene) == "nothing");
  scene.record(3).phase = Phase::ready;
  CHECK(wished(scene) == "db3 returned");
  scene.record(2).phase = Phase::ready;
  CHECK(wished(scene) == "db2 returned");
  const Decision decision = decide(scene.view);
  CHECK(decision.wish->next.find(id_of(2))->out_class.empty());
  CHECK(decision.wish->next.find(id_of(2))->flaps == 1);  // it is remembered how often it went
}

TEST_CASE("a node comes back only if its successor is there to follow it, and says so") {
  Scene scene(1);
  scene.take_out(3);
  scene.record(3).phase = Phase::ready;
  const Decision decision = decide(scene.view);
  REQUIRE(decision.wish);
  CHECK(must_concur(scene.view, *decision.wish) == id_of(4));
  CHECK_FALSE(must_concur(Scene(4).view, *decision.wish));  // who is the successor knows its own mind
  scene.peer(4).ping_unanswered = true;
  CHECK(wished(scene) == "nothing");
  CHECK(held_back(scene.view, id_of(3)) == "the agent of db4 does not answer, so nobody can make it follow db3");
  CHECK(opinion(scene, 3, Evidence::returned) == Opinion::object);
}

TEST_CASE("unfollowed: the agent of the successor fell silent before it followed; out of the ring nothing is written") {
  Scene scene(1);
  scene.link(4).source = id_of(2);  // not db3: it never moved
  CHECK(wished(scene) == "nothing");
  scene.silent(4, 1s);
  CHECK(wished(scene) == "nothing");
  CHECK(opinion(scene, 3, Evidence::unfollowed) == Opinion::object);
  scene.peer(4).silent_for = scene.peer(4).unanswered_for = 1250ms;
  scene.peer(4).port = EdgeState::ok;
  CHECK(wished(scene) == "db3 unfollowed");
  CHECK(new_ring(scene) == "db1 db2 db4");
  CHECK(opinion(scene, 3, Evidence::unfollowed) == Opinion::concur);
  SUBCASE("not if it follows, as far as is known") {
    scene.link(4).source = id_of(3);
    CHECK(wished(scene) == "nothing");
  }
  SUBCASE("not by one who has just started") {
    scene.view.up_for = 1s;
    CHECK(wished(scene) == "nothing");
  }
}

// ---------------------------------------------------------------- a state directory that was lost

TEST_CASE("a member without its memory keeps its place, if it is that member and nobody answers under its old id") {
  Scene scene(1);
  Hello hello;
  hello.candidate.id = id_of(9);
  hello.candidate.name = "db3";
  hello.candidate.server_id = 3;
  hello.candidate.gossip = {"10.0.0.33", 7946};
  hello.candidate.mysql = {"10.0.0.3", 3306};
  const auto knocks = [&] { scene.view.applicants[id_of(3)] = hello; };
  knocks();
  CHECK(impostor(scene.view, id_of(3), hello).find("itself answers") != std::string::npos);
  CHECK(wished(scene) == "nothing");
  scene.silent(3, 2500ms);
  scene.peer(3).port = EdgeState::ok;                    // its server runs on
  scene.peer(3).unmoved_for = scene.view.silence - 1ms;  // the word of its former life may still be about
  CHECK_FALSE(impostor(scene.view, id_of(3), hello).empty());
  scene.peer(3).unmoved_for = scene.view.silence;
  CHECK(impostor(scene.view, id_of(3), hello).empty());
  CHECK(wished(scene) == "db3 replaced");
  CHECK(opinion(scene, 3, Evidence::replaced) == Opinion::concur);
  const Decision decision = decide(scene.view);
  const Member* member = decision.wish->next.find("db3");
  REQUIRE(member != nullptr);
  CHECK(member->id == id_of(9));
  CHECK(member->in);
  CHECK(member->gossip == hello.candidate.gossip);
  CHECK(ring(decision.wish->next).size() == 4);
  SUBCASE("another server under its name") {
    hello.candidate.server_id = 4;
    knocks();
    CHECK(wished(scene) == "nothing");
    CHECK(opinion(scene, 3, Evidence::replaced) == Opinion::object);
  }
  SUBCASE("its server has not been seen yet") {
    hello.candidate.server_id = 0;
    knocks();
    CHECK(wished(scene) == "nothing");
  }
  SUBCASE("a voter that nobody has knocked at") {
    scene.view.applicants.clear();
    CHECK(opinion(scene, 3, Evidence::replaced) == Opinion::abstain);
  }
}

TEST_CASE("not back: old head, hung server, unsafe, silent agent, stranded and held") {
  const auto ready = [](Scene& scene) {
    scene.take_out(3);
    scene.record(3).phase = Phase::ready;
  };
  SUBCASE("it speaks of an older epoch") {
    Scene scene(4);
    ready(scene);
    scene.record(3).head.epoch = 4;
    CHECK(wished(scene) == "nothing");
  }
  SUBCASE("its server does not answer") {
    Scene scene(4);
    ready(scene);
    scene.record(3).health = MysqlHealth::hung;
    CHECK(wished(scene) == "nothing");
    CHECK(opinion(scene, 3, Evidence::returned) == Opinion::object);
  }
  SUBCASE("unsafe") {
    Scene scene(4);
    ready(scene);
    scene.record(3).unsafe = "lost tail";
    CHECK(wished(scene) == "nothing");
  }
  SUBCASE("its agent does not answer") {
    Scene scene(4);
    ready(scene);
    scene.peer(3).ping_unanswered = true;
    CHECK(wished(scene) == "nothing");
  }
  SUBCASE("stranded transactions and stranded = hold") {
    Scene scene(4);
    ready(scene);
    scene.record(3).executed = "1-1-100,2-2-100,3-3-105,4-4-100";
    CHECK(stranded_count(scene.view, id_of(3)) == 5);
    CHECK(wished(scene) == "db3 returned");
    scene.view.replay_stranded = false;
    CHECK(wished(scene) == "nothing");
    CHECK(opinion(scene, 3, Evidence::returned) == Opinion::object);
    scene.config.find(id_of(3))->replay = true;  // a person has decided
    CHECK(wished(scene) == "db3 returned");
    CHECK(opinion(scene, 3, Evidence::returned) == Opinion::concur);
    CHECK_FALSE(decide(scene.view).wish->next.find(id_of(3))->replay);  // for this once
  }
  SUBCASE("stranded transactions that are too old") {
    Scene scene(4);
    ready(scene);
    scene.record(3).executed = "1-1-100,2-2-100,3-3-105,4-4-100";
    scene.peer(3).unmoved_for = 601s;
    CHECK(wished(scene) == "nothing");
    scene.view.replay_max_age = 0s;  // no limit
    CHECK(wished(scene) == "db3 returned");
  }
}

TEST_CASE("the settling time doubles with every flap and ends at 10 minutes") {
  CHECK(settle_time(1s, 0) == Duration(1s));
  CHECK(settle_time(1s, 1) == Duration(1s));
  CHECK(settle_time(1s, 2) == Duration(2s));
  CHECK(settle_time(1s, 5) == Duration(16s));
  CHECK(settle_time(1s, 11) == Duration(600s));
  CHECK(settle_time(1s, 4'000'000'000U) == Duration(600s));
}

TEST_CASE("the flap count halves with every hour in the ring") {
  Scene scene(4);
  scene.member(1).flaps = 9;
  scene.peer(1).unmoved_for = 7201s;
  scene.member(2).flaps = 9;
  scene.peer(2).unmoved_for = 3540s;
  scene.mysqld_down(3);
  scene.link_broken(4);
  const Config next = decide(scene.view).wish->next;
  CHECK(next.find(id_of(1))->flaps == 2);
  CHECK(next.find(id_of(2))->flaps == 9);
}

// ---------------------------------------------------------------- votes

TEST_CASE("votes ride along with an epoch, and move on their own only after a time") {
  Scene scene(1);
  scene.silent(3);
  CHECK(wished(scene) == "nothing");
  scene.view.votes_differ_for = 9s;
  CHECK(wished(scene) == "nothing");
  scene.view.votes_differ_for = 10s;  // two voters are left of three: one more loss would cost the quorum
  CHECK(wished(scene) == "db1 votes");
  const Config next = decide(scene.view).wish->next;
  CHECK(voters(next) == std::vector<NodeId>{id_of(1), id_of(2), id_of(4)});
  CHECK(ring(next) == ring(scene.config));
}

TEST_CASE("with five voters a lost one can wait a minute") {
  Scene scene(1, 5);
  scene.silent(3);
  scene.view.votes_differ_for = 59s;
  CHECK(wished(scene) == "nothing");
  scene.view.votes_differ_for = 60s;
  CHECK(wished(scene) == "db1 votes");
}

TEST_CASE("a voter that sees no reason for other votes objects") {
  Scene scene(2);
  CHECK(opinion(scene, 1, Evidence::votes) == Opinion::object);
  scene.silent(3);
  CHECK(opinion(scene, 1, Evidence::votes) == Opinion::concur);
}

TEST_CASE("an agent that did not answer within silence is not healthy, whatever gossip says") {
  Scene scene(1);
  scene.peer(3).ping_unanswered = true;
  scene.peer(3).silent_for = scene.peer(3).unanswered_for = 3s;
  CHECK(healthy_agents(scene.view) == std::vector<NodeId>{id_of(1), id_of(2), id_of(4)});
}

// ---------------------------------------------------------------- when nothing may be wished

TEST_CASE("an unconfirmed head and a pause forbid everything") {
  Scene scene(4);
  scene.mysqld_down(3);
  scene.link_broken(4);
  scene.view.confirmed = false;
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).why_not.find("not confirmed") != std::string::npos);
  CHECK(opinion(scene, 3, Evidence::mysqld_down) == Opinion::abstain);
  scene.view.confirmed = true;
  scene.config.paused.on = true;
  scene.config.paused.by = "db2";
  CHECK(wished(scene) == "nothing");
  CHECK(decide(scene.view).why_not == "paused by db2");
}

TEST_CASE("the rank is the number of living agents nearer downstream") {
  for (const auto& [self, rank] : {std::pair{4, 0}, {1, 1}, {2, 2}}) {
    Scene scene(self);
    scene.mysqld_down(3);
    scene.link_broken(4);
    CHECK(decide(scene.view).wish->rank == rank);
  }
  Scene scene(1);
  scene.mysqld_down(3);
  scene.silent(4);
  scene.peer(3).port = EdgeState::refused;
  CHECK(decide(scene.view).wish->rank == 0);
}

TEST_CASE("every wish is a valid config, with an odd number of voters and somebody in") {
  // Every combination of states of four servers, as every one of them sees it.
  for (int self = 1; self <= 4; ++self) {
    for (int combination = 0; combination < 256; ++combination) {
      Scene scene(self);
      for (int i = 1; i <= 4; ++i) {
        const int state = combination >> (2 * (i - 1)) & 3;
        scene.peer(i).port = state == 0 ? EdgeState::ok : EdgeState::refused;
        if (state == 1) scene.mysqld_down(i);
        if (state == 2 && i != self) scene.silent(i);
        if (state == 3) scene.record(i).unsafe = "lost tail";
      }
      scene.view.link = LinkSays::nothing;
      for (int i = 1; i <= 4; ++i) scene.link(i).io = 0;
      const Decision decision = decide(scene.view);
      if (!decision.wish) continue;
      CAPTURE(self);
      CAPTURE(combination);
      const auto wrong = validate(decision.wish->next);
      CHECK_MESSAGE(!wrong, (wrong ? wrong->text : ""));
      CHECK(decision.wish->next.epoch == 6);
      CHECK_FALSE(decision.wish->next == scene.config);
    }
  }
}
