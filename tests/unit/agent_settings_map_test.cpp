#include <doctest/doctest.h>

#include "agent/settings_map.h"

using namespace ringagent;

namespace {

Settings settings() {
  Settings s;
  s.cluster = "shop";
  s.node = "db1";
  s.gossip.advertise = {"10.0.0.1", 7946};
  s.gossip.peers = {{"10.0.0.2", 7946}};
  s.mysql.socket = "/run/mysqld/mysqld.sock";
  s.mysql.password = Secret("local");
  s.mysql.advertise = {"10.0.0.1", 3306};
  s.replication.password = Secret("remote");
  s.replication.tls = Tls::verify_ca;
  s.replication.ca = "/etc/ca.pem";
  s.ring.initial = {"db1", "db2"};
  s.failure.silence = 4s;
  s.failure.settle = 7s;
  s.failure.replay_stranded = false;
  return s;
}

}  // namespace

TEST_CASE("settings map: the node hears what was written") {
  const Settings s = settings();
  const NodeSettings n = node_settings(s);
  CHECK(n.cluster == "shop");
  CHECK(n.name == "db1");
  CHECK(n.agent_version == RINGAGENT_VERSION);
  CHECK(n.initial == s.ring.initial);
  CHECK(n.gossip == s.gossip.advertise);
  CHECK(n.mysql == s.mysql.advertise);
  CHECK(n.peers == s.gossip.peers);
  CHECK(n.fingerprint == settings_fingerprint(s));
  CHECK(n.silence == 4s);
  CHECK(n.settle == 7s);
  CHECK_FALSE(n.replay_stranded);
  CHECK(n.replication_user == "ringagent_repl");
  CHECK(n.replication_password == "remote");
  CHECK(n.replication_tls == "verify_ca");
  CHECK(n.replication_ca == "/etc/ca.pem");
}

TEST_CASE("settings map: the own server over its socket or TCP, the others as the replication account") {
  Settings s = settings();
  CHECK(local_connection(s).socket == "/run/mysqld/mysqld.sock");
  CHECK(local_connection(s).address.empty());
  CHECK(local_connection(s).user == "ringagent");
  CHECK(local_connection(s).password == "local");
  s.mysql.socket.clear();
  s.mysql.address = {"127.0.0.1", 3307};
  CHECK(local_connection(s).address == s.mysql.address);
  const ConnectSettings remote = remote_connection(s);
  CHECK(remote.socket.empty());
  CHECK(remote.user == "ringagent_repl");
  CHECK(remote.password == "remote");
  CHECK(remote.tls == TlsMode::verify_ca);
  CHECK(remote.ca_file == "/etc/ca.pem");
}

TEST_CASE("settings map: a reload names what only a restart changes") {
  const Settings before = settings();
  Settings now = before;
  CHECK(needs_restart(before, now).empty());
  now.failure.silence = 9s;
  now.log_level = LogLevel::debug;
  CHECK(needs_restart(before, now).empty());
  now.gossip.listen.port = 1;
  now.http = {};
  now.node = "db9";
  CHECK(needs_restart(before, now) == std::vector<std::string>{"node", "[gossip] listen", "[http] listen"});
}
