#include <doctest/doctest.h>

#include "agent/local_server.h"

namespace ringagent {
namespace {

using namespace std::chrono_literals;

ServerState running() {
  ServerState state;
  state.version = {Flavor::mariadb, 101119, "10.11.19-MariaDB"};
  state.server_id = 3;
  state.pid = 4711;
  state.uptime_s = 100;
  Link link;
  link.io = IoState::running;
  link.progress = "1";
  state.links.push_back(link);
  return state;
}

}  // namespace

TEST_CASE("local server: a clock that is set makes no new start of mysqld, a restart does") {
  LocalServer server(3s);
  ServerState state = running();
  state.started_unix_s = 1'700'000'000;
  const auto starts_after = [&] {
    server.on_poll({11s, state}, 11s);
    return server.starts_seen();
  };
  server.on_poll({10s, state}, 10s);
  REQUIRE(server.starts_seen() == 1);
  SUBCASE("its uptime follows its clock, and so does not say when it started") {
    state.uptime_s = 40;  // set back by a minute
    CHECK(starts_after() == 1);
    state.uptime_s = 90'000;  // and forward by a day
    CHECK(starts_after() == 1);
    state.uptime_s = 3;
    CHECK(starts_after() == 1);
    state.uptime_s = static_cast<std::uint64_t>(-60);  // behind its start
    CHECK(starts_after() == 1);
    state.uptime_s = static_cast<std::uint64_t>(-3600);  // and once more
    CHECK(starts_after() == 1);
    state.uptime_s = 0;  // an hour later
    CHECK(starts_after() == 1);
  }
  SUBCASE("another process") {
    state.pid = 4712;
    CHECK(starts_after() == 2);
  }
  SUBCASE("in a container, where it has the same number: later, or at once") {
    state.started_unix_s += 100;
    state.uptime_s = 3;
    CHECK(starts_after() == 2);
    state.started_unix_s += 2;
    state.uptime_s = 1;
    CHECK(starts_after() == 3);
  }
}

TEST_CASE("local server: what was not seen while the agent stood still does not count against anybody") {
  LocalServer server(3s);
  server.asked(10s);
  server.on_poll({10s, running()}, 10s);
  REQUIRE(server.up());
  CHECK(server.link_quiet_for(11s) == 1s);
  server.asked(11s);  // and then it stands still for 5 s
  SUBCASE("it knows that it did") {
    server.lagged(5s, 16s);
    CHECK(server.link_quiet_for(16s) == 1s);
    CHECK_FALSE(server.tick(16s));
    CHECK(server.up());
    CHECK(server.tick(19s));  // from then on its time runs
    CHECK(server.health() == MysqlHealth::hung);
  }
  SUBCASE("it looks again, and nothing has come all the while") {
    server.lagged(5s, 16s);
    server.on_poll({16s, running()}, 16s);
    CHECK(server.link_quiet_for(16s) == 6s);
  }
  SUBCASE("it does not") {
    CHECK(server.link_quiet_for(16s) == 1s);  // a server that does not answer says nothing about its source
    CHECK(server.tick(16s));
    CHECK(server.health() == MysqlHealth::hung);
  }
}

TEST_CASE("local server: what stands in the relay log counts as long as it can still be executed") {
  LocalServer server(3s);
  ServerState state = running();
  Link& link = state.links.front();
  link.sql_running = true;
  state.executed = "0-1-5,0-2-7";
  link.io_position = "0-2-10";
  const auto ahead = [&] {
    server.asked(10s);
    server.on_poll({10s, state}, 10s);
    return server.relay_log_ahead();
  };
  CHECK(ahead());
  link.sql_running = false;
  link.sql_errno = 1062;
  CHECK(ahead());
  link.io = IoState::stopped;
  CHECK(ahead());  // a person may take it out by hand
  link.sql_errno = 0;
  CHECK_FALSE(ahead());  // MariaDB throws it away at the next start
  state.version.flavor = Flavor::mysql;
  state.executed = "00000000-0000-0000-0000-000000000002:1-7";
  link.io_position = "00000000-0000-0000-0000-000000000002:1-10";
  CHECK(ahead());  // MySQL keeps it
}

}  // namespace ringagent
