#include <algorithm>

#include "agent/node_impl.h"
#include "agent/positions.h"
#include "agent/standing.h"

// The part of Node that tells what it knows (agent/snapshot.h).
namespace ringagent {
namespace {

constexpr Duration kKeysDifferFor = 10s;
constexpr Duration kStrangerFor = 60s;  // the dead are asked rarely

std::string seconds(Duration d) {
  return std::to_string(d.count() / 1'000'000) + " s";
}

void add(Snapshot& snapshot, const char* severity, const char* code, const std::string& node, std::string text) {
  snapshot.problems.push_back({severity, code, node, std::move(text)});
}

const char* agent_word(Liveness liveness) {
  return to_string(liveness);
}

}  // namespace

// How far `replica` is behind `source`, from when this agent learnt what (its own clock, no writes into anybody's data).
std::optional<std::int64_t> Node::Impl::lag_of(const NodeId& replica, const NodeId& source, Time now) const {
  const NodeRecord* record = facts_.find(replica);
  const auto line = milestones_.find(source);
  if (record == nullptr || line == milestones_.end()) return std::nullopt;
  const Time as_of = replica == self() ? now : facts_.received_at(replica).value_or(now);
  std::optional<Time> first_missing;
  for (auto it = line->second.rbegin(); it != line->second.rend(); ++it) {
    if (it->at > as_of) continue;
    if (contains_all(record->flavor, record->executed, it->executed)) break;
    first_missing = it->at;
  }
  return first_missing ? (now - *first_missing).count() / 1000 : 0;
}

NodeView Node::Impl::node_view(const Member& member, Time now) const {
  NodeView v;
  v.name = member.name;
  v.id = member.id.str();
  v.role = to_string(member.role);
  v.in = member.in;
  v.vote = member.vote;
  v.address = member.mysql.str();
  v.gossip_address = member.gossip.str();
  v.server_id = member.server_id;
  v.position_mode = "gtid";
  v.replay = member.replay;
  v.agent = agent_word(member.id == self() ? Liveness::alive : swim_.liveness(member.id));
  const NodeRecord* record = facts_.find(member.id);
  const bool absent = member.absence != Absence::none;
  v.reason = (member.in ? absent : is_copied_onto(member)) ? to_string(member.absence) : member.out_class;
  if (record == nullptr) {
    v.mysql = "unknown";
    return v;
  }
  v.agent_version = record->agent_version;
  v.keys = record->keys;
  v.mysql = v.agent == "dead" || v.agent == "left" ? "unknown" : to_string(record->health);
  v.mysql_why = record->health_why;
  v.mysql_version = record->mysql_version;
  if (record->server_id != 0) v.server_id = record->server_id;
  if (record->health == MysqlHealth::up) v.read_only = record->read_only;
  v.position = record->executed;
  v.phase = to_string(record->phase);
  v.blocked = record->blocked;
  v.foreign = record->foreign;
  if (record->phase == Phase::settling) v.rejoin_in_ms = static_cast<std::int64_t>(record->rejoin_in_ms);
  const auto up = upstream(*chain.head(), member.id);
  for (const LinkFact& link : record->links) {
    UpstreamView u;
    const Member* source = chain.head()->find(link.source);
    u.node = source != nullptr ? source->name : link.address.str();
    const bool runs = record->health != MysqlHealth::down;  // the threads end with their server
    u.io = runs ? to_string(static_cast<IoState>(link.io)) : "stopped";
    u.sql = runs && link.sql ? "running" : "stopped";
    u.error_number = link.error_number;
    u.error = link.error;
    u.desired = up && *up == link.source;
    if (runs && source != nullptr && link.io == static_cast<std::uint8_t>(IoState::running))
      u.lag_ms = lag_of(member.id, link.source, now);
    v.upstreams.push_back(std::move(u));
  }
  if (member.in) return v;
  std::vector<const NodeRecord*> others;
  for (const Member& other : chain.head()->members) {
    if (const NodeRecord* r = facts_.find(other.id); r != nullptr && other.id != member.id) others.push_back(r);
  }
  v.stranded = own_missing_elsewhere(*record, others);
  v.stranded_set = own_missing_set(*record, others);
  return v;
}

// "; maintenance (disks) for another 20 s"
std::string Node::Impl::until_when(const Member& member, const NodeId& id, Time now) const {
  std::string out = "; maintenance" + (member.note.empty() ? std::string() : " (" + member.note + ")");
  const auto standing = standing_.find(id);
  if (member.absence_ms == 0 || standing == standing_.end())
    return out + " until `ringagent maintenance " + member.name + " off`";
  const Duration left = std::chrono::milliseconds(member.absence_ms) - (now - standing->second.absent_since);
  return out + " for another " + seconds(std::max(left, Duration{0}));
}

void Node::Impl::add_writer_problems(Snapshot& s) const {
  const Config& head = *chain.head();
  std::string others;
  for (const Member& member : head.members) {
    const NodeRecord* record = facts_.find(member.id);
    const bool answers = member.id == self() || swim_.liveness(member.id) == Liveness::alive;
    if (answers && record != nullptr && record->one_writer != settings.one_writer)
      others += (others.empty() ? "" : ", ") + member.name;
  }
  if (!others.empty())
    add(s, "warning", "writers_differ", "",
        std::string("[ring] writers is \"") + (settings.one_writer ? "one" : "all") + "\" at " + settings.name +
            " and \"" + (settings.one_writer ? "all" : "one") + "\" at " + others + ": the ring goes on with \"" +
            (head.one_writer ? "one" : "all") + "\" until all agree");
  if (!head.one_writer) return;
  if (head.writer.nil())
    return add(s, "critical", "no_writer", "", "there is no writer: no server of the ring is well enough to be it");
  const Liveness liveness = head.writer == self() ? Liveness::alive : swim_.liveness(head.writer);
  const bool gone = liveness == Liveness::dead || liveness == Liveness::left;
  const NodeRecord* last_word = facts_.find(head.writer);
  if (gone && head.find(head.writer)->in && last_word != nullptr && last_word->read_only)
    add(s, "critical", "writer_waits", name_of(head.writer),
        "the agent of " + name_of(head.writer) +
            " does not answer, and its server had not been opened when it was last "
            "heard of: start that agent, or let `ringagent writer NODE` choose another writer");
  else if (gone && head.find(head.writer)->in)
    add(s, "critical", "writer_unattended", name_of(head.writer),
        "the agent of the writer " + name_of(head.writer) +
            " does not answer; as far as anybody can tell its server goes on, so no other writer is chosen by itself: "
            "start "
            "that agent, or let `ringagent writer NODE` choose another");
}

void Node::Impl::add_problems(Snapshot& s, Time now) const {
  const Config& head = *chain.head();
  if (own_member() == nullptr) {
    const bool writes = server_.up() && !server_.state()->read_only;
    add(s, "critical", "removed", settings.name,
        settings.name + " is no member of the ring any more: its server follows nobody" +
            (writes ? ", and takes writes that reach nobody" : "") +
            "; of the others this agent is told nothing, ask one of theirs");
  }
  if (!head.wanted_order.empty())
    add(s, "warning", "reordering", "", "the nodes are moved, one at a time, to the order that was asked for");
  if (!chain.broken().empty()) {
    const bool forced = chain.split() && head.generation > 0;
    add(s, "critical", "split_chain", "",
        chain.broken() + "; nothing is changed until a person has decided" +
            (forced ? ": run `ringagent force-quorum --yield` on every node of the side that is to give way" : ""));
  }
  if (chain.outdated()) {
    add(s, "critical", "outdated", settings.name,
        "the ring has decided what this agent, of version " + settings.agent_version +
            ", cannot read: it changes nothing any more. Upgrade the agent of " + settings.name);
  }
  if (chain.promised_forced()) {
    add(s, "critical", "force_unfinished", settings.name,
        "a forced quorum was begun and is not decided: " + settings.name +
            " votes on nothing else. Run `ringagent force-quorum` there again, naming whoever is lost now, if anybody "
            "is");
  }
  if (!s.quorum_held && own_member() != nullptr) {
    std::string missing;
    for (const NodeId& id : voters(head)) {
      if (!counts_as_reachable(id)) missing += (missing.empty() ? "" : ", ") + name_of(id);
    }
    const std::size_t lacking = s.quorum_needed - s.quorum_reachable;
    add(s, "critical", "no_quorum", "",
        "no quorum: " + std::to_string(s.quorum_reachable) + " of " + std::to_string(s.voters.size()) +
            " voters answer, " + std::to_string(s.quorum_needed) +
            " are needed; nothing is changed until then. Bring back the agent of any " +
            (lacking == 1 ? "" : std::to_string(lacking) + " ") + "of: " + missing);
  }
  if (own_member() == nullptr) return;
  add_writer_problems(s);
  if (s.paused) add(s, "warning", "paused", "", s.paused_why + "; `ringagent resume` ends it");
  for (const NodeView& v : s.nodes) {
    const NodeId id = head.find(v.name)->id;
    const NodeRecord* record = facts_.find(id);
    const Member& member = *head.find(id);
    const bool server = v.role != "witness";
    const auto standing = standing_.find(id);
    const bool ready = v.phase == "ready";
    const std::string undecided = ready ? waits_for_a_person(view(), id) : "";
    if (lives_twice(id))
      add(s, "critical", "cloned", v.name,
          "two agents live under the id of " + v.name + ", one of them at " + lives_.at(id).older_at.str() +
              ": a state directory was copied. Stop the agent of the copy and wipe its state directory");
    if (v.agent == "dead")
      add(s, "warning", "agent_dead", v.name,
          "the agent of " + v.name + " does not answer; its server cannot be watched or repointed");
    if (v.agent == "left")
      add(s, "warning", "agent_left", v.name,
          "the agent of " + v.name + " was stopped; its server cannot be watched or repointed");
    if (!v.in && (v.role == "ring" || is_copied_onto(member))) {
      std::string text = v.name + " is out: " + (v.reason.empty() ? "not taken in yet" : v.reason);
      if (record != nullptr && !record->health_why.empty() && v.mysql != "up") text += " (" + record->health_why + ")";
      if (standing != standing_.end()) text += " for " + seconds(now - standing->second.since);
      if (v.phase == "settling" && v.rejoin_in_ms && member.absence == Absence::none)
        text += "; back in " + std::to_string(*v.rejoin_in_ms) + " ms";
      if (v.phase == "following") text += "; it is catching up";
      if (v.replay) text += "; what is stranded on it goes out when it comes back, as a person has decided";
      if (member.absence == Absence::maintenance) text += until_when(member, id, now);
      if (v.phase == "copying") text += "; it waits for a copy of the data: `ringagent reseed` there goes on with it";
      if (v.stranded > 0 && !v.replay && v.phase != "ready")
        text += "; " + std::to_string(v.stranded) + " transactions stand on it alone, as far as its last word goes" +
                (v.phase == "copying" ? ", and a copy replaces them" : "");
      if (ready && undecided.empty()) {
        if (const std::string held = held_back(view(), id); !held.empty()) text += "; held back: " + held;
      }
      add(s, "warning", "node_out", v.name, text);
    }
    if (v.in && member.absence != Absence::none) {
      const auto followers = downstream(head, id);
      const bool deserted = !followers.empty() && followers.front() != self() && !agent_lives(followers.front());
      add(s, "warning", "draining", v.name,
          v.name + " is read_only and goes out when all that it wrote has reached " +
              (member.absence == Absence::leaving ? "all others in the ring: " : "its successor: ") +
              to_string(member.absence) + (member.note.empty() ? "" : " (" + member.note + ")") +
              (deserted ? "; it waits for the agent of " + name_of(followers.front()) + ", which must follow another"
                        : ""));
    }
    if (record == nullptr || !server) continue;
    if (!record->stuck.empty())
      add(s, v.in ? "critical" : "warning", "stuck", v.name,
          v.name + (v.in ? " starves all behind it: " : " falls back: ") + record->stuck);
    if (!record->starved.empty())
      add(s, "critical", "starved", v.name,
          v.name + " gets nothing from its upstream, whose agent says that it is up: " + record->starved);
    if (!record->unsafe.empty()) add(s, "critical", "needs_reseed", v.name, v.name + ": " + record->unsafe);
    if (ready) {
      if (const std::string gone = gone_for_good(view(), id); !gone.empty())
        add(s, "critical", "needs_reseed", v.name, v.name + ": " + gone + "; save it, then it needs reseed");
    }
    if (!undecided.empty()) {
      add(s, "warning", "stranded", v.name,
          std::to_string(v.stranded) + " transactions are stranded on " + v.name +
              " and held for a person to decide ([failure] stranded, replay_max_age): `ringagent stranded show " +
              v.name + "`");
    }
    if (v.mysql == "denied")
      add(s, "critical", "mysql_denied", v.name,
          "the MySQL of " + v.name + " does not let its agent in: " + record->health_why);
    // A leaf is never in, and a spare only when it is needed: what is wrong with them must be known before that.
    const bool stands_by = !v.in && (v.role == "leaf" || v.role == "spare") && !is_copied_onto(member);
    const char* severity = v.in ? "critical" : "warning";
    if ((v.in || stands_by) && (v.mysql == "down" || v.mysql == "hung")) {
      add(s, severity, v.mysql == "down" ? "mysql_down" : "mysql_hung", v.name,
          "the MySQL of " + v.name + " is " + v.mysql + ": " + record->health_why);
    }
    for (const ProblemFact& problem : record->problems) {
      if (problem.severity != 0 || problem.code == "replication_account") {
        add(s, problem.severity != 0 ? "critical" : "warning", problem.code.c_str(), v.name,
            v.name + ": " + problem.text);
      }
    }
    if (v.mysql != "up") continue;
    const bool should_write = !head.one_writer || head.writer == id;
    if (v.in && should_write && v.phase == "none" && record->read_only && !record->read_only_by_agent &&
        record->acted_epoch == head.epoch)
      add(s, "warning", "read_only", v.name,
          v.name +
              " is in the ring but read_only, and it was not its agent that made it so: SET GLOBAL read_only = 0 "
              "there, "
              "if nobody wants it");
    if (!v.foreign.empty())
      add(s, "critical", "foreign_change", v.name, v.name + ": " + v.foreign + "; it is said on " + v.name + " itself");
    const bool waits = head.one_writer && head.writer == id && !v.blocked.empty() && v.in;
    if (waits) {
      add(s, "critical", "writer_waits", v.name, v.name + " is to be the writer and waits: " + v.blocked);
    } else if (!v.blocked.empty() && record->unsafe.empty()) {
      const bool reseed = v.blocked.starts_with("needs reseed");
      add(s, v.in || reseed ? "critical" : "warning", reseed ? "needs_reseed" : "blocked", v.name,
          v.name + ": " + v.blocked);
    }
    const auto up = upstream(head, id);
    if (!up || !(v.in || stands_by) || !v.foreign.empty()) continue;
    const auto link =
        std::find_if(v.upstreams.begin(), v.upstreams.end(), [](const UpstreamView& u) { return u.desired; });
    if (link == v.upstreams.end()) {
      add(s, severity, "link_wrong", v.name, v.name + " does not replicate from " + name_of(*up) + " yet");
    } else if (link->io != "running" || link->sql != "running") {
      add(s, severity, link->sql != "running" ? "applier_stopped" : "link_down", v.name,
          v.name + " <- " + link->node + ": io " + link->io + ", sql " + link->sql +
              (link->error.empty() ? "" : ", error " + std::to_string(link->error_number) + ": " + link->error));
    }
  }
}

// During a rotation they differ for a moment.
void Node::Impl::add_key_problems(Snapshot& s, Time now) const {
  if (key_ring_.is_insecure()) return;
  const std::string mine = to_string(key_ring_.primary().id);
  const std::string mend = ". Put the key that the others use first into key_file there and restart its agent";
  for (const Member& member : chain.head()->members) {
    const bool lives = agent_lives(member.id);
    const std::vector<std::string> keys = keys_of(member.id);
    const auto differs = keys_differ_since_.find(member.id);
    const bool differ = differs != keys_differ_since_.end() && now - differs->second >= kKeysDifferFor;
    const auto stranger = strangers_.find(member.id);
    if (!lives && stranger != strangers_.end() && now - stranger->second.at < kStrangerFor)
      add(s, "warning", "key_missing", member.name,
          member.name + " uses the gossip key " + to_string(stranger->second.key) + ", which " + settings.name +
              " does not know, and " + settings.name + " uses " + mine + ": one of the two lacks a key" + mend);
    else if (differ && std::find(keys.begin(), keys.end(), mine) == keys.end())
      add(s, "warning", "key_missing", member.name,
          member.name + " cannot read what " + settings.name + " says: it lacks the gossip key " + mine + mend);
    else if (differ)
      add(s, "warning", "keys_differ", member.name,
          member.name + " uses the gossip key " + keys.front() + ", " + settings.name + " uses " + mine +
              "; choose one with `ringagent key use`");
  }
}

Snapshot Node::Impl::snapshot(Time now) const {
  Snapshot s;
  s.cluster = settings.cluster;
  s.node = settings.name;
  s.version = settings.agent_version;
  s.epochs_seen = epochs_;
  s.repoints_done = repoints_;
  s.confirmed = chain.confirmed();
  s.self_up = server_.up();
  if (chain.head() == nullptr) {
    add(s, "critical", "not_formed", "",
        settings.initial.empty() ? "no ring has been formed yet: run `ringagent init` on the first node, `ringagent "
                                   "join HOST:PORT` on others"
                                 : "no ring has been formed yet");
    for (const std::string& problem : formation_problems_) add(s, "critical", "formation", "", problem);
    s.self_why = "no ring has been formed yet";
    return s;
  }
  const Config& head = *chain.head();
  s.generation = head.generation;
  s.epoch = head.epoch;
  s.head_hash = short_hex(chain.head_id().hash);
  for (const NodeId& id : voters(head)) {
    s.voters.push_back(name_of(id));
    if (counts_as_reachable(id)) ++s.quorum_reachable;
  }
  s.quorum_needed = majority(head);
  s.quorum_held = s.quorum_reachable >= s.quorum_needed;
  s.one_writer = head.one_writer;
  if (!head.writer.nil()) s.writer = name_of(head.writer);
  s.paused = head.paused.on;
  if (s.paused)
    s.paused_why = "paused by " + head.paused.by + (head.paused.reason.empty() ? "" : ": " + head.paused.reason);
  for (const NodeId& id : ring(head)) s.ring.push_back(name_of(id));
  for (const Member& member : head.members) s.nodes.push_back(node_view(member, now));
  add_problems(s, now);
  add_key_problems(s, now);
  s.health = s.problems.empty() ? "ok" : "degraded";
  for (const ProblemView& problem : s.problems) {
    if (problem.severity == "critical") s.health = "critical";
  }

  const Member* me = own_member();
  s.self_in = me != nullptr && me->in;
  const bool read_only = server_.state() && server_.state()->read_only;
  s.self_writable = s.self_in && s.self_up && !read_only && (!head.one_writer || may_write());
  if (me != nullptr) {
    if (const auto up = upstream(head, self())) s.self_lag_ms = lag_of(self(), *up, now);
  }
  if (!s.self_in)
    s.self_why = "this node is out of the ring" +
                 (me != nullptr && !me->out_class.empty() ? ": " + me->out_class : std::string());
  else if (!s.self_up)
    s.self_why =
        std::string("MySQL is ") + to_string(server_.health()) + (server_.why().empty() ? "" : ": " + server_.why());
  else if (head.one_writer && !is_writer())
    s.self_why = s.writer.empty() ? "there is no writer" : "not the writer: " + s.writer + " is";
  else if (!writer_waits_.empty())
    s.self_why = "the writer waits: " + writer_waits_;
  else if (head.one_writer && !may_write())
    s.self_why = "the writer has no lease: no majority of the voters answers";
  else if (read_only)
    s.self_why = "MySQL is read_only";
  if (settings.role != Role::witness && !server_.up()) {
    s.plan_why = std::string("this MySQL is ") + to_string(server_.health()) + ": nothing can be done before it runs";
    return s;
  }
  for (const Statement& statement : plan_.statements) s.plan.push_back(statement.shown);
  s.plan_why = plan_.why.empty() ? "nothing to do" : plan_.why;
  if (plan_.deed != Deed::none && !permits(plan_.deed))
    s.plan_why +=
        head.paused.on ? "; not now: the ring is paused" : "; not now: no majority of the voters has confirmed it";
  return s;
}

}  // namespace ringagent
