#include "agent/command.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "agent/evidence.h"
#include "agent/reconcile.h"
#include "agent/standing.h"
#include "agent/writer.h"

namespace ringagent {
namespace {

CommandStep done(std::string text) {
  return {true, true, std::move(text), {}};
}

CommandStep refuse(std::string text) {
  return {true, false, std::move(text), {}};
}

std::uint64_t number(const Command& command, const std::string& key) {
  return std::strtoull(argument(command, key).c_str(), nullptr, 10);
}

std::string because(const std::string& reason) {
  return reason.empty() ? "" : ": " + reason;
}

// Nobody is asked before a command is proposed, and its agent may just have been cut off: it takes no vote away but that of
// a member that goes.
CommandStep propose(const View& view, Config next, const std::string& who, std::string reason) {
  next.reason = std::move(reason);
  next.evidence_class = to_string(Evidence::command);
  next.proposer = who;
  if (next.members.size() != view.config->members.size()) {
    std::vector<NodeId> voting = healthy_agents(view);
    for (const NodeId& id : voters(next)) voting.push_back(id);
    assign_votes(next, voting);
  }
  CommandStep step;
  step.next = std::move(next);
  return step;
}

CommandStep no_member(const Config& head, const std::string& name) {
  return refuse(no_such_member(head, name));
}

// Would the ring go on without `member`?
std::string nobody_else(const View& view, const Member& member) {
  for (const NodeId& id : ring(*view.config)) {
    const Member* other = view.config->find(id);
    if (id != member.id && other->absence == Absence::none && usable(view, id)) return {};
  }
  return "no other server of the ring is up: without " + member.name + " there would be none";
}

bool too_long(const std::string& reason) {
  return reason.size() > kTextBytesMax;
}
CommandStep refuse_reason() {
  return refuse("the reason is too long: at most " + std::to_string(kTextBytesMax) + " bytes");
}

CommandStep pause(const Command& command, const View& view, const std::string& who) {
  if (too_long(argument(command, "reason"))) return refuse_reason();
  const Pause& now = view.config->paused;
  const Pause wanted{true, who, argument(command, "reason"), number(command, "for_ms")};
  if (now.on && now.for_ms == wanted.for_ms && now.reason == wanted.reason) return done("paused");
  Config next = *view.config;
  next.paused = wanted;
  return propose(view, std::move(next), who, "paused by " + who + because(wanted.reason));
}

// Whose link was changed by hand is told so there alone: each agent leaves its own server to the person who has changed it.
std::string changed_elsewhere(const View& view) {
  std::string names;
  for (const auto& [id, p] : view.peers) {
    if (id == view.self || p.record == nullptr || p.record->foreign.empty()) continue;
    names += (names.empty() ? "" : ", ") + view.config->find(id)->name;
  }
  return names.empty() ? "" : "; what was changed by hand is resumed by `ringagent resume` there: on " + names;
}

CommandStep resume(const Command& command, const View& view, const std::string& who) {
  const Pause& now = view.config->paused;
  if (!now.on) return done("running" + changed_elsewhere(view));
  Config next = *view.config;
  next.paused = {};
  const bool over = !argument(command, "over").empty();
  return propose(view, std::move(next), who, over ? "the pause by " + now.by + " is over" : "resumed by " + who);
}

CommandStep maintenance_off(const View& view, const Member& member, const std::string& who) {
  const bool planned = member.absence == Absence::maintenance || member.absence == Absence::leaving;
  // While it is in nobody has touched its data yet.
  const bool copying = member.absence == Absence::copying;
  if (copying && !member.in)
    return refuse(member.name + " waits for a copy of its data: `ringagent reseed` there goes on with it");
  if (!planned && !copying) return done(member.name + " is in no maintenance now");
  Config next = *view.config;
  end_absence(*next.find(member.id));
  return propose(view, std::move(next), who,
                 who + " called off that " + member.name +
                     (copying                              ? " gets a copy of the data"
                      : member.absence == Absence::leaving ? " is leaving"
                                                           : " is in maintenance"));
}

CommandStep maintenance(const Command& command, const View& view, const std::string& who) {
  const Config& head = *view.config;
  const Member* member = head.find(std::string_view(argument(command, "node")));
  if (member == nullptr) return no_member(head, argument(command, "node"));
  if (argument(command, "state") == "off") return maintenance_off(view, *member, who);
  if (member->role == Role::witness) return refuse(member->name + " is a witness: it has no server that could be out");
  const std::uint64_t for_ms = number(command, "for_ms");
  const std::string reason = argument(command, "reason");
  if (too_long(reason)) return refuse_reason();
  if (member->absence == Absence::maintenance && member->absence_ms == for_ms && member->note == reason)
    return done(member->name + (member->in ? " is being drained" : " is out") + " for maintenance");
  if (member->absence == Absence::leaving) return refuse(member->name + " is leaving the ring");
  // The others no longer count what it has (against_copying): it cannot come back with that.
  if (member->absence == Absence::copying) return refuse(member->name + " waits for a copy of its data");
  if (const std::string why = member->in ? nobody_else(view, *member) : ""; !why.empty()) return refuse(why);
  Config next = head;
  Member& changed = *next.find(member->id);
  changed.absence = Absence::maintenance;
  changed.absence_ms = for_ms;
  changed.note = reason;
  if (!changed.in) changed.out_class = to_string(Absence::maintenance);
  return propose(view, std::move(next), who, who + " asked for the maintenance of " + member->name + because(reason));
}

CommandStep leave(const Command&, const View& view, const std::string& who) {
  const Member* member = view.config->find(view.self);
  if (member == nullptr) return done(who + " is no member of the ring");
  if (member->absence == Absence::leaving) return done(who + " is leaving: it is drained, then it is taken out");
  if (view.config->members.size() == 1) return refuse(who + " is the only member: stop its agent instead");
  if (const std::string why = member->in ? nobody_else(view, *member) : ""; !why.empty()) return refuse(why);
  Config next = *view.config;
  Member& changed = *next.find(member->id);
  const bool has_nothing =
      member->role == Role::witness || member->role == Role::leaf || member->absence == Absence::copying;
  const bool at_once = !member->in && has_nothing;
  changed.absence = Absence::leaving;
  changed.absence_ms = 0;
  if (at_once) erase_member(next, member->id);
  return propose(view, std::move(next), who, who + (at_once ? " has left the ring" : " wants to leave the ring"));
}

CommandStep remove(const Command& command, const View& view, const std::string& who) {
  const Config& head = *view.config;
  const std::string name = argument(command, "node");
  const Member* member = head.find(std::string_view(name));
  if (member == nullptr) return done(name + " is no member of the ring");
  const PeerView* p = peer(view, member->id);
  const bool answers = member->id == view.self || (p != nullptr && agent_answers(*p));
  if (answers)
    return refuse(
        "the agent of " + name +
        " answers: run `ringagent leave` there, so that nothing is lost; or, if its server is lost, stop its agent");
  if (member->in)
    return refuse(name + " is in the ring: it can be removed once it is out (`ringagent status` says why it is not)");
  Config next = head;
  erase_member(next, member->id);
  return propose(view, std::move(next), who, who + " removed " + name + " for good");
}

// Who is not named (a leaf, a witness) stays behind whom it is behind now.
std::vector<NodeId> full_order(const Config& head, const std::vector<NodeId>& named) {
  std::vector<NodeId> out = named;
  const std::vector<NodeId> now = home_order(head);
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (std::find(out.begin(), out.end(), now[i]) != out.end()) continue;
    std::size_t back = 1;
    while (std::find(out.begin(), out.end(), now[(i + now.size() - back) % now.size()]) == out.end()) ++back;
    const auto before = std::find(out.begin(), out.end(), now[(i + now.size() - back) % now.size()]);
    out.insert(before + 1, now[i]);
  }
  return out;
}

CommandStep order(const Command& command, const View& view, const std::string& who) {
  const Config& head = *view.config;
  std::vector<NodeId> named;
  for (const std::string& name : arguments(command, "node")) {
    const Member* member = head.find(std::string_view(name));
    if (member == nullptr) return no_member(head, name);
    if (std::find(named.begin(), named.end(), member->id) != named.end()) return refuse(name + " is named twice");
    named.push_back(member->id);
  }
  for (const Member& member : head.members) {
    const bool must = member.role == Role::ring || member.role == Role::spare;
    if (must && std::find(named.begin(), named.end(), member.id) == named.end())
      return refuse("name every node of the ring: " + member.name + " is missing");
  }
  const std::vector<NodeId> wanted = full_order(head, named);
  if (same_circle(home_order(head), wanted)) {
    if (head.wanted_order.empty()) return done("the ring has this order");
  } else if (head.wanted_order == wanted) {
    return done("the nodes are moved one at a time; `ringagent status` shows how far it is");
  }
  Config next = head;
  next.wanted_order = same_circle(home_order(head), wanted) ? std::vector<NodeId>{} : wanted;
  for (Member& member : next.members) {
    if (member.absence == Absence::moving) end_absence(member);
  }
  std::string text;
  for (const NodeId& id : named) text += (text.empty() ? "" : " -> ") + head.find(id)->name;
  return propose(view, std::move(next), who, who + " asked for the order " + text);
}

// Its data is to be made anew: it goes out, if it is in, and follows nobody until that is done.
CommandStep reseed(const Command&, const View& view, const std::string& who) {
  const Member* member = view.config->find(view.self);
  if (member == nullptr) return refuse(who + " is no member of the ring: `ringagent join` makes it one");
  if (member->role == Role::witness) return refuse(who + " is a witness: it has no data");
  if (member->absence == Absence::copying)
    return done(who + (member->in ? " is drained, then its data may be replaced" : " waits for a copy of the data"));
  if (member->absence == Absence::leaving)
    return refuse(who + " is leaving the ring: `ringagent maintenance " + who + " off` calls that off, then ask again");
  if (const std::string why = member->in ? nobody_else(view, *member) : ""; !why.empty()) return refuse(why);
  Config next = *view.config;
  Member& changed = *next.find(member->id);
  end_absence(changed);
  changed.absence = Absence::copying;
  if (!changed.in) changed.out_class = to_string(Absence::copying);
  return propose(view, std::move(next), who, "the data of " + who + " is to be made anew from a copy");
}

// The copy is there. Its server may have got another uuid with it.
CommandStep copied(const Command&, const View& view, const std::string& who) {
  const Member* member = view.config->find(view.self);
  if (member == nullptr) return refuse(who + " is no member of the ring");
  if (member->absence != Absence::copying) return done(who + " has its data");
  if (member->in) return refuse(who + " is still in the ring: it is drained first");
  const PeerView* own = peer(view, view.self);
  if (own == nullptr || own->record == nullptr || own->record->health != MysqlHealth::up)
    return refuse("the MySQL of " + who + " is not up: start it first");
  Config next = *view.config;
  Member& changed = *next.find(member->id);
  end_absence(changed);
  changed.out_class = kCopied;
  changed.server_uuid = own->record->server_uuid;
  return propose(view, std::move(next), who,
                 "the data of " + who + " has been made anew: it is checked and catches up");
}

// What is stranded on a member that is out may go out: it is not held back any more.
CommandStep stranded(const Command& command, const View& view, const std::string& who) {
  const Config& head = *view.config;
  const std::string name = argument(command, "node");
  if (const std::string action = argument(command, "action"); action != "replay")
    return refuse("the ring can decide to replay what is stranded, not to \"" + action + "\" it");
  const Member* member = head.find(std::string_view(name));
  if (member == nullptr) return no_member(head, name);
  if (member->in) return refuse(name + " is in the ring: nothing is stranded on it");
  if (member->replay) return done("what is stranded on " + name + " goes out when it comes back");
  const std::int64_t count = stranded_count(view, member->id);
  if (count == 0) return refuse("nothing is stranded on " + name + ", as far as its last word goes");
  if (const std::string gone = gone_for_good(view, member->id); !gone.empty()) return refuse(name + ": " + gone);
  Config next = head;
  next.find(member->id)->replay = true;
  return propose(
      view, std::move(next), who,
      who + " decided that the " + std::to_string(count) + " transactions stranded on " + name + " are replayed");
}

// What a person vouches for must not be plainly untrue.
std::string old_one_answers(const View& view) {
  for (const OldWriter& old : view.config->old_writers) {
    const Member* member = view.config->find(old.id);
    const PeerView* p = peer(view, old.id);
    if (member == nullptr || p == nullptr || closed(view, old.id)) continue;
    if (answers_now(view, old.id))
      return "the agent of " + member->name + " answers: it says itself when its server takes no writes";
    if (p->port == EdgeState::ok || p->looked_read_only)
      return "the server of " + member->name + " answers: it is not down";
  }
  return {};
}

CommandStep writer(const Command& command, const View& view, const std::string& who) {
  const Config& head = *view.config;
  const std::string name = argument(command, "node");
  const Member* member = head.find(std::string_view(name));
  if (!head.one_writer)
    return refuse("all nodes take writes here: set [ring] writers = \"one\" on all of them, and reload their agents");
  if (member == nullptr) return no_member(head, name);
  if (!member->in) return refuse(name + " is not in the ring: the writer is");
  if (member->absence != Absence::none)
    return refuse(name + " is to be absent (" + to_string(member->absence) + "): choose another");
  const bool vouched = !argument(command, "yes").empty();
  Config next = head;
  next.epoch = head.epoch + 1;
  if (head.writer != member->id) {
    if (!usable(view, member->id)) return refuse(name + " is not well: its server or its agent does not answer");
    name_writer(view, next, member->id);
  } else if (!vouched || head.old_writers.empty()) {
    return done(name + " is the writer");
  }
  if (vouched) {
    Config old = next;
    View then = view;
    then.config = &old;
    if (const std::string why = old_one_answers(then); !why.empty()) return refuse(why);
    next.old_writers.clear();
  }
  return propose(
      view, std::move(next), who,
      who + " asked for " + name + " as the writer" + (vouched ? ", and says that the old one is down" : ""));
}

using Handler = CommandStep (*)(const Command&, const View&, const std::string&);
const std::map<std::string, Handler>& handlers() {
  static const std::map<std::string, Handler> all = {
      {"pause", pause}, {"resume", resume}, {"maintenance", maintenance}, {"leave", leave},       {"remove", remove},
      {"order", order}, {"reseed", reseed}, {"copied", copied},           {"stranded", stranded}, {"writer", writer}};
  return all;
}

}  // namespace

std::vector<std::string> arguments(const Command& command, const std::string& key) {
  std::vector<std::string> out;
  for (const auto& [name, value] : command.arguments) {
    if (name == key) out.push_back(value);
  }
  return out;
}

std::string argument(const Command& command, const std::string& key) {
  const std::vector<std::string> all = arguments(command, key);
  return all.empty() ? "" : all.front();
}

std::string no_such_member(const Config& head, const std::string& name) {
  return "there is no member \"" + name + "\"; the members are " + member_names(head);
}

bool is_command(const std::string& name) {
  return handlers().count(name) > 0;
}

CommandStep command_step(const Command& command, const View& view, const std::string& who) {
  return handlers().at(command.name)(command, view, who);
}

}  // namespace ringagent
