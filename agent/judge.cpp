#include "agent/care.h"
#include "agent/evidence.h"
#include "agent/policy.h"
#include "agent/standing.h"
#include "agent/writer.h"

// What a voter says to a wish of another, from what it has seen itself (policy.h).
namespace ringagent {
namespace {

constexpr Duration kLookSkew = 50ms;

}  // namespace

Judgement judge(const View& view, const CanvassItem& item) {
  if (!view.confirmed) return {Opinion::abstain, "my head is not confirmed", false};
  if (item.evidence == Evidence::joined) {
    if (view.config->find(item.node) == nullptr) return {Opinion::concur, "", false};
    return {Opinion::object, "it is a member already", false};
  }
  const PeerView* p = peer(view, item.node);
  if (p == nullptr) return {Opinion::object, "no such member", false};
  const std::string name = name_of(*view.config, item.node);
  const bool self = item.node == view.self;
  const auto by_record = [&](bool says_so, const char* what) -> Judgement {
    if (says_so) return {Opinion::concur, "", false};
    return {Opinion::object, name + "'s own newest record does not say that " + what, false};
  };
  switch (item.evidence) {
    case Evidence::mysqld_down: {
      // Only what arrived after the news of its death speaks against it; a look may be a little older than it seems.
      const bool mine_says_alive = !self && view.link == LinkSays::alive && view.link_source == item.node &&
                                   view.link_heard_for + kLookSkew < p->health_age;
      if (mine_says_alive) return {Opinion::object, "my link to " + name + " is alive", false};
      return by_record(p->record != nullptr && p->record->health == MysqlHealth::down, "mysqld is down");
    }
    case Evidence::mysqld_hung:
      return by_record(p->record != nullptr && p->record->health == MysqlHealth::hung, "mysqld hangs");
    case Evidence::unsafe:
      return by_record(p->record != nullptr && !p->record->unsafe.empty(), "it is unsafe");
    case Evidence::refused:
      if (self) return {Opinion::object, "I am alive", false};
      if (p->port == EdgeState::ok) return {Opinion::object, name + "'s MySQL port answers me", false};
      if (p->port == EdgeState::unknown) return {Opinion::abstain, "asking the port", true};
      if (!p->ping_unanswered) return {Opinion::object, name + "'s agent answers me", false};
      if (p->port == EdgeState::refused && p->port_answered_before) return {Opinion::concur, "", false};
      return {Opinion::abstain, name + "'s port is silent to me", false};
    case Evidence::silent:
    case Evidence::headless:
      if (self) return {Opinion::object, "I am alive", false};
      if (view.up_for < view.silence) return {Opinion::abstain, "I have been up for too short a time", false};
      if (p->silent_for < view.silence / 2) return {Opinion::object, name + " answered me lately", false};
      if (item.evidence == Evidence::silent) {
        const LinkWord word = link_word(view, item.node, *p);
        if (word.says == LinkSays::alive) return {Opinion::object, "the database of " + name + " is alive", false};
        if (word.says == LinkSays::nothing) return {Opinion::abstain, "asking the port", true};
      }
      return {Opinion::concur, "", false};
    case Evidence::replaced: {
      const auto applicant = view.applicants.find(item.node);
      if (applicant == view.applicants.end())
        return {Opinion::abstain, "no agent has presented that name to me", false};
      const std::string why = impostor(view, item.node, applicant->second);
      return why.empty() ? Judgement{Opinion::concur, "", false} : Judgement{Opinion::object, why, false};
    }
    case Evidence::unfollowed: {
      const auto unfollowed = unfollowed_for(view, item.node);
      if (unfollowed && *unfollowed >= view.silence / 2) return {Opinion::concur, "", false};
      return {Opinion::object, "the agent of " + name + "'s successor answered me lately", false};
    }
    case Evidence::returned: {
      if (!usable(view, item.node)) return {Opinion::object, name + " is not usable as I see it", false};
      const std::string held = held_back(view, item.node);
      if (!held.empty()) return {Opinion::object, held, false};
      return by_record(p->record->phase == Phase::ready, "it is ready");
    }
    case Evidence::not_empty:
      if (usable(view, item.node)) return {Opinion::concur, "", false};
      return {Opinion::object, name + " is not usable as I see it", false};
    case Evidence::votes: {
      Config wanted = next_epoch(*view.config);
      assign_votes(wanted, healthy_agents(view));
      if (voters(wanted) != voters(*view.config)) return {Opinion::concur, "", false};
      return {Opinion::object, "the votes are as they should be as I see it", false};
    }
    case Evidence::stuck:
      if (!may_bypass(view, item.node)) return {Opinion::object, name + " is needed by others", false};
      return by_record(p->record != nullptr && !p->record->stuck.empty(), "it is stuck");
    case Evidence::planned: {
      const std::string why = against_plan(view, item.node);
      return why.empty() ? Judgement{Opinion::concur, "", false} : Judgement{Opinion::object, why, false};
    }
    case Evidence::address: {
      const Member& member = *view.config->find(item.node);
      return by_record(p->record != nullptr && (p->record->mysql != member.mysql || p->record->gossip != member.gossip),
                       "it has another address");
    }
    case Evidence::link: {
      const auto way = route_around(view);
      if (way && way->out == item.node) return {Opinion::concur, "", false};
      return {Opinion::object, "I see no need to go around " + name, false};
    }
    case Evidence::command:
      return {Opinion::concur, "", false};
    case Evidence::writer:
      if (writer_step(view)) return {Opinion::concur, "", false};
      return {Opinion::object, "I see no need for another writer", false};
    default:
      return {Opinion::abstain, "this version does not know that reason", false};
  }
}

}  // namespace ringagent
