#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agent/status.h"
#include "agent_samples.h"

using namespace ringagent;
using nlohmann::json;

TEST_CASE("status: the document has every key of the contract, in a healthy ring and before there is one") {
  for (const Snapshot& s : {samples::healthy(4), Snapshot{}}) {
    const json doc = json::parse(status_json(s, 3));
    for (const char* key : {"format", "cluster", "node", "version", "generation", "epoch", "health", "problems",
                            "quorum", "paused", "ring", "nodes"}) {
      CHECK_MESSAGE(doc.contains(key), key);
    }
    for (const char* key : {"voters", "needed", "reachable", "held"}) CHECK_MESSAGE(doc["quorum"].contains(key), key);
    CHECK(doc["format"] == 1);
  }
  const json node = json::parse(status_json(samples::healthy(4), 3))["nodes"][0];
  for (const char* key :
       {"name", "id", "role", "in", "reason", "agent", "agent_version", "mysql", "mysql_version", "server_id",
        "address", "read_only", "upstreams", "position", "stranded", "stranded_set", "replay", "rejoin_in_ms"}) {
    CHECK_MESSAGE(node.contains(key), key);
  }
  for (const char* key : {"node", "io", "sql", "lag_ms", "errno", "error", "desired"}) {
    CHECK_MESSAGE(node["upstreams"][0].contains(key), key);
  }
}

TEST_CASE("status: values arrive as they are, what is not known is null") {
  const json doc = json::parse(status_json(samples::broken(), 3));
  CHECK(doc["ring"] == json({"db1", "db2", "db4"}));
  CHECK(doc["quorum"] == json({{"voters", {"db1", "db2", "db4"}}, {"needed", 2}, {"reachable", 3}, {"held", true}}));
  CHECK(doc["age_ms"] == 3);
  const json& well = doc["nodes"][0];
  CHECK(well["reason"].is_null());
  CHECK(well["read_only"] == false);
  CHECK(well["position"] == json({{"mode", "gtid"}, {"value", "1-1-100,2-2-50"}}));
  CHECK(well["upstreams"][0] == json({{"node", "db4"},
                                      {"io", "running"},
                                      {"sql", "running"},
                                      {"lag_ms", 12},
                                      {"errno", 0},
                                      {"error", nullptr},
                                      {"desired", true}}));
  const json& out = doc["nodes"][2];
  CHECK(out["in"] == false);
  CHECK(out["reason"] == "mysqld is down (connection refused)");
  CHECK(out["read_only"].is_null());
  CHECK(out["upstreams"].empty());
  CHECK(doc["nodes"][3]["upstreams"][0]["lag_ms"].is_null());
  CHECK(doc["nodes"][3]["upstreams"][0]["errno"] == 2003);
  CHECK(doc["problems"][0]["code"] == "node_out");
}

TEST_CASE("status: a server's bytes that are no UTF-8 do not break the document") {
  Snapshot s = samples::healthy(2);
  s.nodes[0].upstreams[0].error = "Table 'caf\xe9' doesn't exist";
  CHECK(json::accept(status_json(s, 0)));
}

TEST_CASE("status: health decides the exit code") {
  CHECK(exit_code_of_health("ok") == 0);
  CHECK(exit_code_of_health("degraded") == 1);
  CHECK(exit_code_of_health("critical") == 2);
  CHECK(exit_code_of_health("") == 2);
}

TEST_CASE("status: the plan is the statements, or a reason for none") {
  Snapshot s = samples::healthy(2);
  s.plan_why = "the link is as it should be";
  CHECK(json::parse(plan_json(s))["plan"].empty());
  CHECK(json::parse(plan_json(s))["why"] == "the link is as it should be");
  s.plan = {"STOP SLAVE", "START SLAVE"};
  s.plan_why.clear();
  CHECK(json::parse(plan_json(s))["plan"] == json({"STOP SLAVE", "START SLAVE"}));
  CHECK(json::parse(plan_json(s))["why"].is_null());
}
