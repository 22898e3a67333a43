#include "agent/donor.h"

#include <algorithm>
#include <optional>

namespace ringagent {
namespace {

using json_read::Json;

bool is_stuck(const Json& status, const Json& node, const std::string& name) {
  const auto& upstreams = json_read::list(node, "upstreams");
  const bool stopped = std::any_of(upstreams.begin(), upstreams.end(), [](const Json& link) {
    return link.is_object() && json_read::flag(link, "desired") && json_read::str(link, "sql") == "stopped";
  });
  const auto& problems = json_read::list(status, "problems");
  return stopped || std::any_of(problems.begin(), problems.end(), [&](const Json& problem) {
           if (!problem.is_object() || json_read::str(problem, "node") != name) return false;
           const std::string code = json_read::str(problem, "code");
           return code == "stuck" || code == "applier_stopped";
         });
}

// Why its data is not to be had; "" if it is.
std::string objection(const Json& status, const Json& node) {
  const std::string name = json_read::str(node, "name");
  if (json_read::str(node, "role") == "witness") return name + " has no data";
  if (!json_read::flag(node, "in")) return name + " is not in the ring";
  const std::string reason = json_read::str(node, "reason");
  if (reason == "copying" || reason == "leaving") return name + " is on its way out of the ring";
  const std::string mysql = json_read::str(node, "mysql");
  if (mysql != "up") return "the server of " + name + " is " + (mysql.empty() ? "unknown" : mysql);
  if (is_stuck(status, node, name)) return name + " does not apply what it receives";
  return {};
}

}  // namespace

Result<Donor> choose_donor(const Json& status, std::string_view self, const std::string& wanted) {
  std::vector<Json> before;  // the nearest first
  std::vector<Json> after;
  bool passed = false;
  for (const auto& node : json_read::list(status, "nodes")) {
    if (!node.is_object()) continue;
    if (json_read::str(node, "name") == self) {
      passed = true;
      continue;
    }
    (passed ? after : before).insert((passed ? after : before).begin(), node);
  }
  before.insert(before.end(), after.begin(), after.end());
  std::string why;
  for (const Json& node : before) {
    const std::string name = json_read::str(node, "name");
    if (!wanted.empty() && name != wanted) continue;
    std::string against = objection(status, node);
    const auto address = Address::parse(json_read::str(node, "address"));
    if (against.empty() && !address) against = "nobody knows where the server of " + name + " is";
    if (against.empty()) return Donor{name, *address};
    why += (why.empty() ? "" : "; ") + against;
  }
  if (!wanted.empty() && wanted == self) return fail("a node cannot be its own donor: name another one");
  if (!wanted.empty() && why.empty()) return fail("there is no member " + wanted + " to copy from");
  return fail("there is nobody to copy from: " + (why.empty() ? std::string("no other member is known") : why));
}

std::vector<std::string> positions_of_others(const Json& status, std::string_view self) {
  std::vector<std::string> out;
  for (const auto& node : json_read::list(status, "nodes")) {
    if (!node.is_object() || json_read::str(node, "name") == self) continue;
    const auto position = node.find("position");
    if (position == node.end() || !position->is_object()) continue;
    out.push_back(json_read::str(*position, "value"));
  }
  return out;
}

}  // namespace ringagent
