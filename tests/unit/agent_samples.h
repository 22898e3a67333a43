#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "agent/snapshot.h"

// Snapshots for the tests of whatever renders them.
namespace ringagent::samples {

inline UpstreamView follows(const std::string& node) {
  UpstreamView upstream;
  upstream.node = node;
  upstream.io = upstream.sql = "running";
  upstream.lag_ms = 12;
  upstream.desired = true;
  return upstream;
}

inline NodeView node(const std::string& name, const std::string& upstream) {
  NodeView view;
  view.name = name;
  view.id = "00000000-0000-0000-0000-0000000000" + name.substr(name.size() - 1) + "0";
  view.role = "ring";
  view.in = view.vote = true;
  view.agent = "alive";
  view.agent_version = "0.1.0";
  view.mysql = "up";
  view.mysql_version = "10.11.19-MariaDB";
  view.server_id = static_cast<std::uint32_t>(name.back() - '0');
  view.address = "10.0.0." + name.substr(name.size() - 1) + ":3306";
  view.read_only = false;
  view.upstreams = {follows(upstream)};
  view.position_mode = "gtid";
  view.position = "1-1-100,2-2-50";
  return view;
}

// A healthy ring of db1 .. dbN as db1 sees it.
inline Snapshot healthy(std::size_t size) {
  Snapshot s;
  s.cluster = "shop";
  s.node = "db1";
  s.version = "0.1.0";
  s.epoch = 7;
  s.head_hash = "0a1b2c3d";
  s.health = "ok";
  for (std::size_t i = 1; i <= size; ++i) {
    const std::string name = "db" + std::to_string(i);
    s.nodes.push_back(node(name, "db" + std::to_string(i == 1 ? size : i - 1)));
    s.ring.push_back(name);
    if (i <= (size - 1) / 2 * 2 + 1) s.voters.push_back(name);
  }
  s.quorum_needed = s.voters.size() / 2 + 1;
  s.quorum_reachable = s.voters.size();
  s.quorum_held = s.confirmed = true;
  s.self_in = s.self_up = s.self_writable = true;
  s.self_lag_ms = 12;
  return s;
}

// Of four nodes the third has died and is out; the fourth has just been pointed at the second and does not
// run yet.
inline Snapshot broken() {
  Snapshot s = healthy(4);
  s.epoch = 8;
  s.health = "critical";
  s.ring = {"db1", "db2", "db4"};
  s.voters = {"db1", "db2", "db4"};
  NodeView& out = s.nodes[2];
  out.in = out.vote = false;
  out.reason = "mysqld is down (connection refused)";
  out.mysql = "down";
  out.mysql_why = "connection refused";
  out.read_only.reset();
  out.upstreams.clear();
  UpstreamView& link = s.nodes[3].upstreams[0];
  link.node = "db2";
  link.io = "connecting";
  link.lag_ms.reset();
  link.error_number = 2003;
  link.error = "error connecting to master 'ringagent_repl@10.0.0.2:3306'";
  s.problems = {{"warning", "node_out", "db3", "db3 is out: mysqld is down (connection refused) for 12 s"},
                {"critical", "link_down", "db4",
                 "db4 does not receive from db2: error 2003, error connecting to master "
                 "'ringagent_repl@10.0.0.2:3306' - retry-time: 1  maximum-retries: 100000"}};
  return s;
}

}  // namespace ringagent::samples
