#include <algorithm>

#include "tests/sim/world.h"

// The person who reads `ringagent status` now and then, and does what it says.
namespace ringagent::sim {
namespace {

constexpr Duration kToHearOfOthers = 5s;

}  // namespace

void World::tend(const std::string& name) {
  Host& h = host(name);
  if (!h.node || now_ < h.paused_until) return;
  const Snapshot s = h.node->snapshot(now_);
  const auto has = [&](const char* code) {
    return std::any_of(s.problems.begin(), s.problems.end(),
                       [&](const ProblemView& p) { return p.code == code && (p.node == name || p.node.empty()); });
  };
  if (has("not_formed") && h.settings.initial.empty()) return command(name, "join", {{"address", member_address()}});
  const auto own = std::find_if(s.nodes.begin(), s.nodes.end(), [&](const NodeView& v) { return v.name == name; });
  if (own == s.nodes.end()) return;
  // A leaf may have got what a server lost before the ring had it.
  const bool in_the_way = std::any_of(s.nodes.begin(), s.nodes.end(), [&](const NodeView& v) {
    return v.agent == "alive" && v.blocked.find("the leaf " + name + " has") != std::string::npos;
  });
  if (own->reason != "copying") {
    h.has_copy = false;
    const bool lost = std::any_of(s.problems.begin(), s.problems.end(), [&](const ProblemView& p) {
      return p.code == "needs_reseed" && p.node == name && p.text.find("lost tail") != std::string::npos;
    });
    if (lost && !h.damaged && !h.copy_lacks)
      violation("C13: " + name + " is sent to be reseeded though it has lost nothing");
    if (waits_for_a_giver(h, s)) return;
    if (!needs_reseed(s, name) && !in_the_way) return;
    const Config* head = checker_.newest();
    const Member* member = head == nullptr ? nullptr : head->find(name);
    if (member != nullptr && member->absence == Absence::leaving)
      command(name, "maintenance", {{"node", name}, {"state", "off"}});
    command(name, "reseed");
  } else if (own->phase == "copying") {
    const std::string donor = h.has_copy ? "" : donor_for(h);
    if (!donor.empty()) copy_data(host(donor), h), h.has_copy = true;
    if (h.has_copy && h.server->listening()) command(name, "copied");
  }
}

// C13, too: what a server lacks is purged in all the ring. A person waits for a moment, as an agent needs one to hear of others.
bool World::waits_for_a_giver(Host& h, const Snapshot& s) {
  const bool said = std::any_of(s.problems.begin(), s.problems.end(), [&](const ProblemView& p) {
    return p.code == "needs_reseed" && p.node == h.name && p.text.find("has purged") != std::string::npos;
  });
  const Config* head = checker_.newest();
  const Host* giver = nullptr;
  for (const Host& other : hosts_) {
    const Member* member = said && head != nullptr ? head->find(other.name) : nullptr;
    if (member == nullptr || !member->in || other.number == h.number || !other.node || now_ < other.paused_until)
      continue;
    const bool there = other.server->listening() && !other.server->hung() && linked(h, other, Net::databases);
    if (there && linked(h, other, Net::agents) && gives(*other.server, *h.server)) giver = &other;
  }
  if (giver == nullptr)
    h.reseed_said.reset();
  else if (!h.reseed_said)
    h.reseed_said = now_;
  else if (now_ - *h.reseed_said > kToHearOfOthers)
    violation("C13: " + h.name + " is sent to be reseeded though " + giver->name + " can give all that it lacks");
  return giver != nullptr;
}

// Where a person would send one who wants to join.
std::string World::member_address() const {
  const Config* head = checker_.newest();
  for (const Host& h : hosts_) {
    const Member* member = head == nullptr ? nullptr : head->find(h.disk.self);
    if (member != nullptr && member->in && h.node) return h.settings.gossip.str();
  }
  return hosts_.front().settings.gossip.str();
}

// Whom a node would follow has all that there is, and will give what comes after.
std::string World::donor_for(const Host& h) const {
  const Config* head = checker_.newest();
  const auto up = head == nullptr ? std::nullopt : upstream(*head, h.disk.self);
  if (!up) return {};
  const Host& donor = host(head->find(*up)->name);
  return donor.server->listening() && !donor.server->hung() && reaches(donor, h, Net::databases) ? donor.name : "";
}

void World::calm(const std::set<std::string>& absent) {
  heal();
  loss = twice = replay = 0;
  late_most = Duration{0};
  for (Host& h : hosts_) {
    h.server->stall(false);
    h.server->lock(false);
    if (absent.count(h.name) > 0) continue;
    h.server->wake();
    h.crashes = h.crashes_torn = false;
    if (h.powered) {
      start_server(h.name);
      start_agent(h.name);
    } else {
      start_host(h.name);
    }
  }
  look_after(absent, ++calm_token_);
}

// Does what the problem of a writer that waits says, after having looked.
void World::mend_writer(const Host& host, const Snapshot& s) {
  for (const ProblemView& problem : s.problems) {
    if (problem.code != "writer_waits" || problem.node != host.name) continue;
    const Config* head = checker_.newest();
    if (head == nullptr) return;
    bool down = true;
    for (const OldWriter& old : head->old_writers) {
      const Member* member = head->find(old.id);
      if (member == nullptr) continue;
      ModelServer& server = this->server(member->name);
      const bool told = problem.text.find("server of " + member->name + " ") != std::string::npos;
      if (told && server.hung()) server.kill();
      if (told && server.listening() && problem.text.find("make that server read_only") != std::string::npos)
        operate(member->name, "SET GLOBAL read_only = 1");
      down = down && (!server.listening() || server.read_only());
    }
    if (down && problem.text.find("--yes-the-old-one-is-down") != std::string::npos)
      command(host.name, "writer", {{"node", host.name}, {"yes", "1"}});
  }
}

bool World::needs_reseed(const Snapshot& s, const std::string& name) {
  return std::any_of(s.problems.begin(), s.problems.end(),
                     [&](const ProblemView& p) { return p.code == "needs_reseed" && p.node == name; });
}

// Its agent asks for its state directory to be wiped.
bool World::outlived(const Snapshot& s) {
  return std::any_of(s.problems.begin(), s.problems.end(), [](const ProblemView& p) {
    return p.code == "split_chain" && p.text.find("wipe its state directory") != std::string::npos;
  });
}

// As a person does who reads `ringagent status` now and then.
void World::look_after(const std::set<std::string>& absent, std::uint64_t token) {
  after(2s, [this, absent, token] {
    if (token != calm_token_) return;
    for (Host& h : hosts_) {
      if (absent.count(h.name) == 0)
        start_server(h.name);  // it may have been about to end when all others were started
      if (!h.node) continue;
      const Snapshot s = h.node->snapshot(now_);
      tend(h.name);
      if (h.wiped && outlived(s)) {
        wipe_state(h.name);
        start_agent(h.name);
        continue;
      }
      const bool foreign = std::any_of(s.nodes.begin(), s.nodes.end(),
                                       [&](const NodeView& v) { return v.name == h.name && !v.foreign.empty(); });
      if (foreign || s.paused) command(h.name, "resume");
      mend_writer(h, s);
      const Config* head = checker_.newest();
      const Member* member = head == nullptr ? nullptr : head->find(h.name);
      if (member != nullptr && member->absence == Absence::maintenance)
        command(h.name, "maintenance", {{"node", h.name}, {"state", "off"}});
      const std::string start = h.server->flavor() == Flavor::mariadb ? "START SLAVE" : "START REPLICA";
      const bool removed = head != nullptr && member == nullptr;
      if (h.server->listening() && !h.server->sql_running() && h.server->sql_errno() != 0 && !removed)
        operate(h.name, start);
      const bool waited_for = std::any_of(s.nodes.begin(), s.nodes.end(), [&](const NodeView& v) {
        return v.agent == "alive" && v.blocked.find(h.name + " does not have all") != std::string::npos &&
               v.blocked.find("start the applier there") != std::string::npos;
      });
      if (waited_for && h.server->listening()) operate(h.name, start + " SQL_THREAD");
      const bool read_only = std::any_of(s.problems.begin(), s.problems.end(), [&](const ProblemView& p) {
        return p.code == "read_only" && p.node == h.name;
      });
      if (read_only && h.wiped) operate(h.name, "SET GLOBAL read_only = 0");
    }
    look_after(absent, token);
  });
}

}  // namespace ringagent::sim
