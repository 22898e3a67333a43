#include <doctest/doctest.h>

#include <regex>
#include <set>
#include <sstream>

#include "agent/metrics.h"
#include "agent_samples.h"

using namespace ringagent;

namespace {

bool has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("metrics: what an alert asks for is there") {
  const std::string text = metrics_text(samples::broken(), 0.25);
  CHECK(has(text, "ringagent_info{cluster=\"shop\",node=\"db1\",version=\"0.1.0\"} 1"));
  CHECK(has(text, "ringagent_health{state=\"critical\"} 1"));
  CHECK(has(text, "ringagent_health{state=\"ok\"} 0"));
  CHECK(has(text, "ringagent_epoch 8"));
  CHECK(has(text, "ringagent_snapshot_age_seconds 0.25"));
  CHECK(has(text, "ringagent_problems{severity=\"critical\"} 1"));
  CHECK(has(text, "ringagent_node_in_ring{member=\"db3\"} 0"));
  CHECK(has(text, "ringagent_node_mysql_up{member=\"db3\"} 0"));
  CHECK(has(text, "ringagent_link_up{member=\"db1\",source=\"db4\"} 1"));
  CHECK(has(text, "ringagent_link_up{member=\"db4\",source=\"db2\"} 0"));
  CHECK(has(text, "ringagent_link_lag_seconds{member=\"db1\",source=\"db4\"} 0.012"));
}

TEST_CASE("metrics: who never is in the ring is not out of it, or an alert would say so for ever") {
  Snapshot s = samples::healthy(4);
  s.nodes[3].role = "leaf";
  s.nodes[3].in = false;
  const std::string text = metrics_text(s, 0);
  CHECK(text.find("ringagent_node_in_ring{member=\"db3\"} 1") != std::string::npos);
  CHECK(text.find("ringagent_node_in_ring{member=\"db4\"}") == std::string::npos);
}

TEST_CASE("metrics: what is not known has no sample") {
  const std::string text = metrics_text(samples::broken(), 0);
  CHECK(text.find("ringagent_link_lag_seconds{member=\"db4\"") == std::string::npos);
  CHECK(text.find("ringagent_node_read_only{member=\"db3\"") == std::string::npos);
}

TEST_CASE("metrics: the page keeps the rules of the format") {
  Snapshot s = samples::broken();
  s.cluster = "sh\"op\\1\n";
  s.nodes[1].upstreams.push_back(samples::follows("db1"));  // a second channel from the same source
  const std::string text = metrics_text(s, 0);
  CHECK(text.find("cluster=\"sh\\\"op\\\\1\\n\"") != std::string::npos);
  const std::regex sample(R"re(([a-z_]+)(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? [0-9.e+-]+)re");
  std::istringstream lines(text);
  std::set<std::string> families, series;
  std::string family, type;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      CHECK_MESSAGE(families.insert(family).second, "opened twice: " << family);
    } else if (line.starts_with("# TYPE ")) {
      CHECK(line.substr(7, family.size()) == family);
      type = line.substr(8 + family.size());
      CHECK_MESSAGE((type == "counter") == family.ends_with("_total"), line);
    } else if (std::regex_match(line, match, sample)) {
      CHECK_MESSAGE(match[1] == family, line);
      CHECK_MESSAGE(series.insert(line.substr(0, line.rfind(' '))).second, "twice: " << line);
    } else {
      FAIL_CHECK("no sample: " << line);
    }
  }
  CHECK(families.size() > 20);
  CHECK(text.back() == '\n');
}
