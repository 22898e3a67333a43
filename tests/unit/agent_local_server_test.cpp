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
    CHECK(server.link_quiet_for(16s) == 6s);
    CHECK(server.tick(16s));
    CHECK(server.health() == MysqlHealth::hung);
  }
}

}  // namespace ringagent
