#include "agent/formation.h"

#include <algorithm>
#include <set>

#include "agent/positions.h"

namespace ringagent {
namespace {

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : ", ") + item;
  return out;
}

void check_present(const std::vector<std::string>& initial, const std::map<std::string, Hello>& hellos,
                   Formation& out) {
  for (const std::string& name : initial) {
    const auto found = hellos.find(name);
    if (found == hellos.end()) {
      out.problems.push_back("waiting for " + name + ": its agent has not been heard of");
      continue;
    }
    const Hello& hello = found->second;
    if (hello.initial != initial) {
      out.problems.push_back(name + " has another [ring] initial list: " + joined(hello.initial) +
                             "; here it is: " + joined(initial) + "; make them equal");
    }
    const NodeRecord& first = hellos.begin()->second.record;
    if (hello.record.one_writer != first.one_writer) {
      out.problems.push_back(name + " has [ring] writers = \"" + (hello.record.one_writer ? "one" : "all") + "\" and " +
                             hellos.begin()->first + " \"" + (first.one_writer ? "one" : "all") +
                             "\": make them equal");
    }
    if (hello.candidate.role == Role::witness) continue;
    if (hello.record.health != MysqlHealth::up) {
      out.problems.push_back("waiting for " + name + ": its MySQL is " + to_string(hello.record.health) +
                             (hello.record.health_why.empty() ? "" : " (" + hello.record.health_why + ")"));
    }
    for (const ProblemFact& problem : hello.record.problems) {
      if (problem.severity != 0) out.problems.push_back(name + ": " + problem.text);
    }
  }
}

// What one server can no longer give and another lacks can never come to it.
void check_mergeable(const std::vector<std::string>& initial, const std::map<std::string, Hello>& hellos,
                     Formation& out) {
  for (const std::string& giver : initial) {
    for (const std::string& taker : initial) {
      const NodeRecord& from = hellos.at(giver).record;
      const NodeRecord& to = hellos.at(taker).record;
      if (giver == taker || contains_all(from.flavor, to.executed, from.purged)) continue;
      out.problems.push_back("histories cannot be merged: " + giver + " has purged transactions that " + taker +
                             " lacks: " + missing_text(from.flavor, to.executed, from.purged) + "; copy the data of " +
                             giver + " to " + taker + " first");
    }
  }
}

// The names in replication order, if every link leads to another member and they form one ring.
std::vector<std::string> running_order(const std::vector<std::string>& initial,
                                       const std::map<std::string, Hello>& hellos) {
  std::map<Address, std::string> at;
  for (const std::string& name : initial) at[hellos.at(name).record.mysql] = name;
  std::map<std::string, std::string> follower;  // source -> replica
  for (const std::string& name : initial) {
    const auto& links = hellos.at(name).record.links;
    if (links.size() != 1) return {};
    const auto source = at.find(links.front().address);
    if (source == at.end() || !follower.emplace(source->second, name).second) return {};
  }
  std::vector<std::string> order{initial.front()};
  while (order.size() < initial.size()) {
    const auto next = follower.find(order.back());
    if (next == follower.end() || next->second == order.front()) return {};
    order.push_back(next->second);
  }
  return follower[order.back()] == order.front() ? order : std::vector<std::string>{};
}

// Links that are there but do not make a ring must at least not contradict the order of the list.
void check_links(const std::vector<std::string>& initial, const std::map<std::string, Hello>& hellos, Formation& out) {
  for (std::size_t i = 0; i < initial.size(); ++i) {
    const std::string& before = initial[(i + initial.size() - 1) % initial.size()];
    for (const LinkFact& link : hellos.at(initial[i]).record.links) {
      if (link.address == hellos.at(before).record.mysql) continue;
      out.problems.push_back(initial[i] + " replicates from " + link.address.str() +
                             ", but its predecessor in [ring] initial is " + before + " (" +
                             hellos.at(before).record.mysql.str() + "): list the nodes in the order in which they " +
                             "replicate, or RESET the replica");
    }
  }
}

}  // namespace

// Two members must not share what tells their transactions apart.
std::vector<std::string> clashes(const std::map<std::string, Hello>& hellos) {
  std::vector<std::string> out;
  std::map<std::string, std::string> owner;
  const auto claim = [&](const std::string& what, const std::string& name, const std::string& mend) {
    const auto [at, fresh] = owner.emplace(what, name);
    if (!fresh) out.push_back(at->second + " and " + name + " have the same " + what + ": " + mend);
  };
  for (const auto& [name, hello] : hellos) {
    if (hello.candidate.role == Role::witness || hello.record.server_id == 0) continue;
    claim("server_id " + std::to_string(hello.record.server_id), name,
          "give one of them another server_id and restart it");
    if (!hello.record.server_uuid.empty()) {
      claim("server_uuid " + hello.record.server_uuid, name, "remove auto.cnf of the copied one and restart it");
    }
    if (static_cast<int>(hello.record.flavor) == 1) {
      claim("gtid_domain_id " + std::to_string(hello.record.domain_id), name,
            "give each server a gtid_domain_id of its own");
    }
    claim("mysql address " + hello.record.mysql.str(), name, "set [mysql] advertise to the address of its own server");
  }
  std::set<int> flavors;
  for (const auto& [name, hello] : hellos) {
    if (hello.candidate.role == Role::witness || hello.record.server_id == 0) continue;  // not known yet
    flavors.insert(hello.record.flavor);
  }
  if (flavors.size() > 1) out.push_back("MySQL and MariaDB servers cannot share a ring: their GTIDs differ");
  return out;
}

Formation judge_formation(const std::vector<std::string>& initial, const std::map<std::string, Hello>& hellos) {
  Formation out;
  check_present(initial, hellos, out);
  const std::vector<std::string> shared = clashes(hellos);
  out.problems.insert(out.problems.end(), shared.begin(), shared.end());
  if (!out.problems.empty()) return out;
  std::vector<std::string> servers;
  for (const std::string& name : initial) {
    if (hellos.at(name).candidate.role != Role::witness) servers.push_back(name);
  }
  if (servers.empty()) {
    out.problems.push_back("every member in [ring] initial is a witness: a ring needs servers");
    return out;
  }
  check_mergeable(servers, hellos, out);
  const std::vector<std::string> order = running_order(servers, hellos);
  out.adopted = servers.size() > 1 && !order.empty();
  if (!out.adopted) check_links(servers, hellos, out);
  out.home_order = out.adopted ? order : servers;
  for (const std::string& name : initial) {
    if (hellos.at(name).candidate.role == Role::witness) out.home_order.push_back(name);
  }
  out.reason = out.adopted ? "the ring that was already running is adopted" : "the ring is formed from [ring] initial";
  out.possible = out.problems.empty();
  return out;
}

}  // namespace ringagent
