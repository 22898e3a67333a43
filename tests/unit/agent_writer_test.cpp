#include <doctest/doctest.h>

#include <map>

#include "agent/command.h"
#include "agent/evidence.h"
#include "agent/writer.h"

using namespace ringagent;

namespace {

NodeId id_of(int number) {
  NodeId id;
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

// db1 .. db4, all well, db1 the writer since epoch 5; db2 looks.
struct Scene {
  Scene() {
    config.epoch = 7;
    for (int i = 1; i <= 4; ++i) {
      Member m;
      m.id = id_of(i);
      m.name = "db" + std::to_string(i);
      m.server_id = static_cast<std::uint32_t>(i);
      m.in = true;
      m.vote = i < 4;
      config.members.push_back(m);
      NodeRecord& r = records[m.id];
      r.node = m.id;
      r.head.epoch = 7;
      r.health = MysqlHealth::up;
      r.flavor = 1;
      r.executed = "1-1-100";
      r.read_only = r.read_only_by_agent = i != 1;
      r.closed_epoch = i == 1 ? 0 : 7;
      PeerView p;
      p.record = &r;
      p.liveness = Liveness::alive;
      p.heard_for = 100ms;
      view.peers[m.id] = p;
    }
    config.one_writer = true;
    config.writer = id_of(1);
    config.writer_since = 5;
    config.lease_ms = 2500;
    view.config = &config;
    view.self = id_of(2);
    view.silence = 2500ms;
    view.one_writer = view.writers_agree = true;
    view.confirmed = true;
    view.link = LinkSays::alive;
    view.link_source = id_of(1);
  }
  Scene(const Scene&) = delete;

  PeerView& peer(int i) { return view.peers[id_of(i)]; }
  NodeRecord& record(int i) { return records[id_of(i)]; }
  void silent(int i, Duration agent, Duration server) {
    peer(i).liveness = Liveness::dead;
    peer(i).ping_unanswered = true;
    peer(i).heard_for = agent;
    view.link = LinkSays::quiet;
    view.link_quiet_for = server;
  }
  // What is decided when this member is taken out.
  Config without(int i) {
    Config next = next_epoch(config);
    next.find(id_of(i))->in = false;
    settle_writer(view, next);
    return next;
  }

  Config config;
  std::map<NodeId, NodeRecord> records;
  View view;
};

}  // namespace

TEST_CASE("writer: who takes it out of the ring names the one that has most; a tie is the nearest downstream") {
  Scene s;
  CHECK(s.without(3).writer == id_of(1));
  Config next = s.without(1);
  CHECK(next.writer == id_of(2));
  CHECK(next.writer_since == 8);
  CHECK(next.old_writers == std::vector<OldWriter>{{id_of(1), true}});
  s.record(3).executed = "1-1-105";
  CHECK(s.without(1).writer == id_of(3));
  s.record(2).received = "1-1-106";  // not applied yet, but it is there
  CHECK(s.without(1).writer == id_of(2));
  s.record(2).read_only_by_agent = false;  // a person wants it read_only
  CHECK(s.without(1).writer == id_of(3));
}

TEST_CASE("writer: one that is to be absent gives way at once") {
  Scene s;
  Config next = next_epoch(s.config);
  next.find(id_of(1))->absence = Absence::maintenance;
  settle_writer(s.view, next);
  CHECK(next.writer == id_of(2));
  for (int i = 2; i <= 4; ++i) next.find(id_of(i))->absence = Absence::maintenance;
  next.writer = id_of(1);
  settle_writer(s.view, next);
  CHECK(next.writer == id_of(1));  // there is nobody else
}

TEST_CASE("writer: only one whose agent was there when it fell silent is waited out by the clock") {
  Scene s;
  s.silent(1, 3s, 2600ms);
  CHECK(s.without(1).old_writers.front().by_time);
  s.silent(1, 8s, 2600ms);  // its agent was gone before its server was
  CHECK_FALSE(s.without(1).old_writers.front().by_time);
  s.silent(1, 3s, 8s);  // its server was out of reach long before: its agent may have ended by itself
  CHECK_FALSE(s.without(1).old_writers.front().by_time);
  s.peer(1).port = EdgeState::refused;  // a kernel's word: its mysqld is down
  CHECK(s.without(1).old_writers.front().by_time);
  s.peer(1).port = EdgeState::unknown;
  s.record(1).health = MysqlHealth::hung;
  s.silent(1, 3s, 2600ms);
  CHECK_FALSE(s.without(1).old_writers.front().by_time);
}

TEST_CASE("writer: it waits until the old one says that it has stopped") {
  Scene s;
  s.config = s.without(1);  // db2, since epoch 8
  CHECK(still_writing(s.view, 100s) == "the server of db1 is not known to be read_only yet");
  s.record(1).closed_epoch = 7;
  CHECK_FALSE(still_writing(s.view, 100s).empty());
  s.record(1).closed_epoch = 8;
  CHECK(still_writing(s.view, 0s).empty());
  s.record(1).head.generation = 1;  // of another chain
  CHECK_FALSE(still_writing(s.view, 0s).empty());

  Scene down;
  down.config = down.without(1);
  down.record(1).health = MysqlHealth::down;
  CHECK_FALSE(still_writing(down.view, 100s).empty());  // it may be up again, with the lease of the old epoch
  down.record(1).head.epoch = 8;
  CHECK(still_writing(down.view, 0s).empty());
}

TEST_CASE("writer: what is not heard of is waited out, but not what hangs or was unattended") {
  Scene s;
  s.silent(1, 3s, 2600ms);
  s.config = s.without(1);
  s.silent(1, 100s, 100s);
  CHECK(still_writing(s.view, 4700ms) == "the lease of db1, of which nothing is heard, ends in at most 1 s");
  CHECK(still_writing(s.view, 4750ms).empty());
  s.silent(1, 100s, 90s);  // its server was heard of when its agent had long been gone
  CHECK(still_writing(s.view, 100s).find("nobody can tell whether the server of db1 takes writes") == 0);
  s.silent(1, 100s, 100s);
  s.peer(1).heard_for = 1s;  // it was back for a moment
  CHECK_FALSE(still_writing(s.view, 100s).empty());
  s.peer(1).heard_for = 100s;
  s.peer(1).looked_read_only = false;
  CHECK(still_writing(s.view, 100s).find("takes writes and its agent does not answer") != std::string::npos);
  s.peer(1).looked_read_only.reset();
  s.config.old_writers.front().by_time = false;
  CHECK(still_writing(s.view, 100s).find("`ringagent writer db2 --yes-the-old-one-is-down`") != std::string::npos);
  s.peer(1).looked_read_only = true;
  CHECK(still_writing(s.view, 100s).empty());
}

TEST_CASE("writer: it waits for all that the living have") {
  Scene s;
  CHECK(still_missing(s.view, s.record(2)).empty());
  s.record(3).executed = "1-1-101";
  CHECK(still_missing(s.view, s.record(2)) == "what db3 has is not all here yet");
  s.peer(3).ping_unanswered = true;  // nobody can tell any more
  CHECK(still_missing(s.view, s.record(2)).empty());
  s.record(2).received = "1-1-101";
  CHECK(still_missing(s.view, s.record(2)) == "what has been received here is not all applied yet");
}

TEST_CASE("writer: the mode follows the settings when all agree") {
  Scene s;
  CHECK_FALSE(writer_step(s.view));
  s.view.one_writer = false;
  const auto off = writer_step(s.view);
  REQUIRE(off);
  CHECK_FALSE(off->next.one_writer);
  CHECK_FALSE(validate(off->next));
  s.view.writers_agree = false;
  CHECK_FALSE(writer_step(s.view));

  s.config = off->next;
  s.view.one_writer = s.view.writers_agree = true;
  const auto on = writer_step(s.view);
  REQUIRE(on);
  CHECK_FALSE(validate(on->next));
  CHECK(on->next.writer == id_of(1));
  CHECK(on->next.lease_ms == 2500);
  CHECK(on->next.old_writers.size() == 3);
  // Nobody had a lease that could end by the clock.
  for (const OldWriter& old : on->next.old_writers) CHECK_FALSE(old.by_time);
  s.record(3).health = MysqlHealth::down;
  CHECK(writer_step(s.view)->next.old_writers[1] == OldWriter{id_of(3), true});
  // A longer lease is taken over; a shorter one never: the old one may still be held.
  s.config = on->next;
  s.view.silence = 2s;
  CHECK_FALSE(writer_step(s.view));
  s.view.silence = 4s;
  REQUIRE(writer_step(s.view));
  CHECK(writer_step(s.view)->next.lease_ms == 4000);
}

TEST_CASE("writer: a person moves it, and vouches for what nobody can know") {
  Scene s;
  const auto said = [&](const char* node, bool yes) {
    Command command{1, "writer", {{"node", node}}};
    if (yes) command.arguments.emplace_back("yes", "1");
    return command_step(command, s.view, "db2");
  };
  CHECK(said("db1", false).ok);
  CHECK(said("db9", false).text.find("there is no member \"db9\"") == 0);
  const auto moved = said("db3", false);
  REQUIRE(moved.next);
  CHECK(moved.next->writer == id_of(3));
  CHECK(moved.next->old_writers.size() == 1);
  CHECK(said("db3", true).text == "the agent of db1 answers: it says itself when its server takes no writes");
  s.silent(1, 8s, 2600ms);
  const auto vouched = said("db3", true);
  REQUIRE(vouched.next);
  CHECK(vouched.next->old_writers.empty());
  s.peer(1).port = EdgeState::ok;
  CHECK(said("db3", true).text == "the server of db1 answers: it is not down");
  s.config.one_writer = false;
  CHECK(said("db3", false).text.find("all nodes take writes here") == 0);
}
