#include "agent/joining.h"

#include <algorithm>

#include "agent/evidence.h"
#include "agent/formation.h"
#include "agent/positions.h"
#include "agent/reconcile.h"

namespace ringagent {
namespace {

// The members as they would say hello today, as far as they have been heard of.
std::map<std::string, Hello> as_hellos(const View& view) {
  std::map<std::string, Hello> out;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (p == nullptr || p->record == nullptr || p->record->server_id == 0) continue;
    Hello& hello = out[member.name];
    hello.candidate.role = member.role;
    hello.record = *p->record;
    hello.record.server_id = member.server_id;
    hello.record.server_uuid = member.server_uuid;
    hello.record.mysql = member.mysql;
  }
  return out;
}

std::string against_server(const View& view, const Hello& hello) {
  const NodeRecord& record = hello.record;
  if (record.health != MysqlHealth::up)
    return "its MySQL is " + std::string(to_string(record.health)) +
           (record.health_why.empty() ? "" : " (" + record.health_why + ")");
  for (const ProblemFact& problem : record.problems) {
    if (problem.severity != 0) return problem.text;
  }
  for (const Member& member : view.config->members) {
    if (member.server_id == record.server_id)
      return member.name + " and " + hello.candidate.name + " have the same server_id " +
             std::to_string(record.server_id) + ": give one of them another one and restart it";
  }
  std::map<std::string, Hello> all = as_hellos(view);
  all[hello.candidate.name] = hello;
  const std::vector<std::string> wrong = clashes(all);
  return wrong.empty() ? "" : wrong.front();
}

std::vector<Member>::const_iterator place(const Config& config, const std::string& after, Role role) {
  if (!after.empty()) {
    const auto named =
        std::find_if(config.members.begin(), config.members.end(), [&](const Member& m) { return m.name == after; });
    return named + 1;
  }
  if (role == Role::witness) return config.members.end();
  // Witnesses stand last: they follow nobody.
  const auto last = std::find_if(config.members.rbegin(), config.members.rend(),
                                 [](const Member& m) { return m.role != Role::witness; });
  return last.base();
}

// Who has something that this node's own server once wrote and that `lacking` does not have, and whether it will give it.
std::string holder(const View& view, const NodeRecord& lacking) {
  const NodeRecord& own = *peer(view, view.self)->record;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    if (member.id == view.self || p == nullptr || p->position == nullptr || is_copied_onto(member)) continue;
    if (own_lost(own, lacking.executed, {p->position}) == 0) continue;
    const bool stopped =
        std::none_of(lacking.links.begin(), lacking.links.end(), [](const LinkFact& l) { return l.sql; });
    if (p->position == &lacking && stopped)
      return "it has received and does not apply: start the applier there (START REPLICA SQL_THREAD)";
    if (member.in) return member.name + " has: they are on their way";
    if (member.role == Role::leaf) return "the leaf " + member.name + " has, which gives nothing: reseed it first";
    return member.name + " has, which is out: bring it back, or reseed or remove it first";
  }
  return "another member has";
}

}  // namespace

std::string against_joiner(const View& view, const Hello& hello) {
  const Config& head = *view.config;
  const std::string& name = hello.candidate.name;
  if (head.find(view.self) == nullptr)
    return "the agent that it asked is no member of the ring itself: ask another one";
  if (head.find(std::string_view(name)) != nullptr)
    return "there is a member called " + name + " already: node names must differ. If it is gone for good, " +
           "`ringagent remove " + name +
           "` makes room; if this is that member with its state lost, it is taken back by itself "
           "once its old agent is silent";
  if (!hello.after.empty() && head.find(std::string_view(hello.after)) == nullptr)
    return "there is no member \"" + hello.after + "\" to stand behind; the members are " + member_names(head);
  if (head.members.size() >= kMembersMax) return "a ring has at most " + std::to_string(kMembersMax) + " members";
  return hello.candidate.role == Role::witness ? "" : against_server(view, hello);
}

Config with_joiner(const View& view, const Hello& hello) {
  Config next = next_epoch(*view.config);
  const Candidate& c = hello.candidate;
  Member member;
  member.id = c.id;
  member.name = c.name;
  member.role = c.role;
  member.gossip = c.gossip;
  member.mysql = c.mysql;
  member.server_id = c.server_id;
  member.server_uuid = c.server_uuid;
  if (c.role != Role::witness) {
    member.absence = Absence::copying;
    member.out_class = to_string(Absence::copying);
    member.out_epoch = next.epoch;
  }
  const auto at = place(next, hello.after, c.role);
  if (!next.wanted_order.empty()) {
    const auto before = at == next.members.begin() ? next.members.back().id : (at - 1)->id;
    const auto there = std::find(next.wanted_order.begin(), next.wanted_order.end(), before);
    next.wanted_order.insert(there + 1, member.id);
  }
  const std::string behind = at == next.members.begin() ? "" : ", behind " + (at - 1)->name;
  next.members.insert(at, std::move(member));
  next.reason = c.name + " joins as " + to_string(c.role) + behind;
  next.evidence_class = to_string(Evidence::joined);
  next.proposer = view.config->find(view.self)->name;
  return next;
}

std::string against_copying(const View& view, const ServerState& server) {
  if (!server.read_only) return "it still takes writes";
  const Link* link = server.link();
  if (link != nullptr && (link->io != IoState::stopped || link->sql_running)) return "its link is not stopped yet";
  const PeerView* own = peer(view, view.self);
  if (own == nullptr || own->record == nullptr) return "its server has not been looked at yet";
  std::vector<const NodeRecord*> others;
  for (const Member& member : view.config->members) {
    const PeerView* p = peer(view, member.id);
    // What a member has whose own data is to be replaced counts no more.
    if (member.id != view.self && p != nullptr && p->position != nullptr && !is_copied_onto(member))
      others.push_back(p->position);
  }
  bool somebody = false;
  for (const NodeId& id : ring(*view.config)) {
    const PeerView* p = peer(view, id);
    if (id == view.self || p == nullptr || p->record == nullptr || p->record->server_id == 0) continue;
    somebody = true;
    const std::int64_t lacks = own_lost(*own->record, p->record->executed, others);
    if (lacks != 0 && !answers_now(view, id))
      return "the agent of " + view.config->find(id)->name +
             " does not answer, and when it last did its server lacked " + std::to_string(lacks) +
             " transactions that this one once wrote";
    if (lacks != 0)
      return view.config->find(id)->name + " does not have all that this server once wrote: it lacks " +
             std::to_string(lacks) + " transactions that " + holder(view, *p->record);
  }
  return somebody ? "" : "no server of the ring has been heard of yet";
}

}  // namespace ringagent
