#include "agent/writer.h"

#include <algorithm>

#include "agent/evidence.h"
#include "agent/lease.h"
#include "agent/positions.h"
#include "agent/reconcile.h"
#include "agent/standing.h"
#include "gossip/chain.h"

namespace ringagent {
namespace {

// An agent is heard of at least so often by its neighbours and by voters: twice its questions, and a ping.
Duration agent_period(const View& view) {
  return 2 * view.silence / kLeaseAsks + 500ms;
}

// How long ago its server was last known to live; max() if nobody can say. Who watches no more has only a last word: it shows
// that the server lived then, and not that it has not since.
Duration server_heard_for(const View& view, const NodeId& id, bool by_living_only) {
  Duration heard = Duration::max();
  if (view.link_source == id && (view.link == LinkSays::alive || view.link == LinkSays::quiet))
    heard = view.link_quiet_for;
  for (const auto& [other, p] : view.peers) {
    if (other == id || other == view.self || p.record == nullptr) continue;
    const bool lives = agent_answers(p) && !p.ping_unanswered;  // what it does not take back is still so
    if (by_living_only && (!lives || p.record->health != MysqlHealth::up)) continue;
    for (const LinkFact& link : p.record->links) {
      if (link.source != id || link.io != 2) continue;
      const Duration age = !lives ? p.heard_for : link.heard_ms == 0 ? Duration{0} : p.record_age;
      if (age != Duration::max()) heard = std::min(heard, age + std::chrono::milliseconds(link.heard_ms));
    }
  }
  const PeerView* p = peer(view, id);
  if (p != nullptr && (p->port == EdgeState::ok || p->looked_read_only)) heard = Duration{0};
  return heard;
}

// Somebody still heard of the server when nothing was heard of its agent any more: it may live with nobody to tell it that
// its lease has ended.
bool outlives_agent(const View& view, const NodeId& id) {
  const Duration server = server_heard_for(view, id, false);
  // Who has never heard of it was not there before his own start to hear of it.
  const Duration heard = peer(view, id)->heard_for;
  const Duration agent = heard == Duration::max() ? view.up_for : heard;
  return server != Duration::max() && agent > server + agent_period(view);
}

// Its mysqld is down: when it starts again it is read_only, and is let write by nobody but a majority.
bool known_down(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  if (p == nullptr || p->record == nullptr) return false;
  return p->record->health == MysqlHealth::down || (!answers_now(view, id) && p->port == EdgeState::refused);
}

// May the end of its lease be waited for by the clock? Only if its agent was there to make its server read_only when it was
// cut off: then both fell silent together.
bool ends_by_time(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  if (p == nullptr || p->record == nullptr || known_down(view, id)) return true;
  if (p->record->health == MysqlHealth::hung) return false;
  if (answers_now(view, id)) return true;
  const Duration server = server_heard_for(view, id, true);
  const bool cut_off_before =
      server != Duration::max() && p->heard_for != Duration::max() && server > p->heard_for + agent_period(view);
  return !cut_off_before && !outlives_agent(view, id);
}

bool lost_now(const Config& next, const NodeId& id) {
  const Member* member = next.find(id);
  return member != nullptr && member->out_class == kLost;
}

void note_old(Config& next, const NodeId& id, bool by_time) {
  const auto is = [&](const OldWriter& old) { return old.id == id; };
  if (id.nil() || id == next.writer || lost_now(next, id)) return;
  if (std::none_of(next.old_writers.begin(), next.old_writers.end(), is)) next.old_writers.push_back({id, by_time});
}

bool made_read_only_by_hand(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  return p != nullptr && p->record != nullptr && p->record->read_only && !p->record->read_only_by_agent;
}

// All that it has, applied or not.
NodeRecord with_received(const NodeRecord& record) {
  NodeRecord all = record;
  if (!record.received.empty()) all.executed += (all.executed.empty() ? "" : ",") + record.received;
  return all;
}

void forget_writer(Config& next) {
  next.one_writer = false;
  next.writer = NodeId{};
  next.writer_since = next.lease_ms = 0;
  next.old_writers.clear();
}

std::uint64_t lease_wanted(const View& view) {
  return static_cast<std::uint64_t>(view.silence / 1ms);
}

// While all write: may this one take writes, now or when it answers again?
bool may_take_writes(const View& view, const Member& member) {
  if (member.in || writes_while_out(member)) return true;
  const PeerView* p = peer(view, member.id);
  const bool shut =
      p != nullptr && p->record != nullptr && p->record->health == MysqlHealth::up && p->record->read_only;
  return member.role != Role::witness && !shut;
}

void begin_one_writer(const View& view, Config& next) {
  next.one_writer = true;
  next.lease_ms = lease_wanted(view);
  const auto best = best_writer(view, next);
  if (best) name_writer(view, next, *best);
  for (const Member& member : next.members) {
    // None of them has a lease: one that is cut off before it learns of this goes on for ever.
    if (may_take_writes(view, member)) note_old(next, member.id, known_down(view, member.id));
  }
}

}  // namespace

bool closed(const View& view, const NodeId& id) {
  const PeerView* p = peer(view, id);
  if (p == nullptr || p->record == nullptr || p->record->head.generation != view.config->generation) return false;
  if (p->record->closed_epoch >= view.config->writer_since) return true;
  return p->record->health == MysqlHealth::down && p->record->head.epoch >= view.config->writer_since;
}

std::optional<NodeId> best_writer(const View& view, const Config& next) {
  const NodeId before = view.config->writer.nil() ? view.config->members.back().id : view.config->writer;
  // One that stays in the ring gives all it has to whoever follows it as the writer.
  const Member* stays = next.find(view.config->writer);
  const bool compare = view.config->one_writer && (stays == nullptr || !stays->in);
  std::optional<NodeId> best;
  bool best_by_hand = false;
  for (const NodeId& id : downstream_order(*view.config, before)) {  // nearest downstream first: a tie is its
    const Member* member = next.find(id);
    if (member == nullptr || !member->in || member->absence != Absence::none || !usable(view, id)) continue;
    const bool by_hand = made_read_only_by_hand(view, id);
    if (best) {
      const NodeRecord mine = with_received(*peer(view, id)->record);
      const NodeRecord theirs = with_received(*peer(view, *best)->record);
      const bool better = by_hand != best_by_hand ? best_by_hand : compare && ahead_of(&mine, &theirs);
      if (!better) continue;
    }
    best = id;
    best_by_hand = by_hand;
  }
  return best;
}

void name_writer(const View& view, Config& next, const NodeId& id) {
  const NodeId before = view.config->writer;
  std::erase_if(next.old_writers,
                [&](const OldWriter& old) { return old.id == id || closed(view, old.id) || lost_now(next, old.id); });
  next.writer = id;
  next.writer_since = next.epoch;
  if (!view.config->one_writer || before == id) return;
  note_old(next, before, ends_by_time(view, before));
}

void settle_writer(const View& view, Config& next) {
  if (!next.one_writer) return;
  next.epoch = view.config->epoch + 1;
  // Of one that is no member any more nobody will hear again: what is known of it now is all.
  std::erase_if(next.old_writers,
                [&](const OldWriter& old) { return next.find(old.id) == nullptr && closed(view, old.id); });
  // One that has lost its state directory has another id and the same server. An agent that knew of no ring has enforced
  // nothing meanwhile.
  for (const Member& member : next.members) {
    const Member* before = view.config->find(std::string_view(member.name));
    if (before == nullptr || before->id == member.id) continue;
    for (OldWriter& old : next.old_writers) {
      if (old.id == before->id) old = {member.id, false};
    }
    if (next.writer == before->id) {
      next.writer = member.id;
      next.writer_since = next.epoch;
    }
  }
  const Member* writer = next.find(next.writer);
  const bool stays = writer != nullptr && writer->in && writer->absence == Absence::none;
  if (stays) return;
  if (const auto best = best_writer(view, next)) return name_writer(view, next, *best);
  if (writer != nullptr && writer->in) return;  // it is to be absent, and there is nobody else
  const NodeId before = next.writer;
  next.writer = NodeId{};
  next.writer_since = next.epoch;
  note_old(next, before, ends_by_time(view, before));
}

std::optional<WriterStep> writer_step(const View& view) {
  const Config& head = *view.config;
  const bool other_mode = view.one_writer != head.one_writer;
  // Never a shorter one while there is a writer: it may still hold a longer one that an earlier config has granted.
  const bool other_lease = head.one_writer && view.one_writer && head.lease_ms < lease_wanted(view);
  if (view.writers_agree && (other_mode || other_lease)) {
    Config next = next_epoch(head);
    std::string reason = "[ring] writers = \"one\" on all nodes: ";
    if (!view.one_writer) {
      forget_writer(next);
      reason = "[ring] writers = \"all\" on all nodes";
    } else if (other_lease && !other_mode) {
      next.lease_ms = lease_wanted(view);
      reason += "the lease is " + std::to_string(next.lease_ms) + " ms";
    } else {
      begin_one_writer(view, next);
      const Member* writer = next.find(next.writer);
      reason += writer != nullptr ? writer->name + " is the writer" : "nobody can be the writer yet";
    }
    return WriterStep{{view.self, Evidence::writer}, std::move(next), std::move(reason)};
  }
  if (!head.one_writer || !head.writer.nil()) return std::nullopt;
  Config next = next_epoch(head);
  const auto best = best_writer(view, next);
  if (!best) return std::nullopt;
  name_writer(view, next, *best);
  std::string reason = head.find(*best)->name + " is the writer";
  return WriterStep{{*best, Evidence::writer}, std::move(next), std::move(reason)};
}

std::string still_writing(const View& view, Duration learnt_for) {
  const Config& head = *view.config;
  for (const OldWriter& old : head.old_writers) {
    if (closed(view, old.id)) continue;
    const Member* member = head.find(old.id);
    const std::string name = member != nullptr ? member->name : "a member that was removed";
    const PeerView* p = peer(view, old.id);
    const bool hangs = p != nullptr && p->record != nullptr && p->record->health == MysqlHealth::hung;
    const std::string server = "the server of " + name;
    if (p != nullptr && answers_now(view, old.id)) {
      if (hangs)
        return server +
               " hangs and may take a write when it wakes: end its process (kill -9), and this goes on by itself";
      return server + " is not known to be read_only yet";
    }
    const Duration heard_for = p == nullptr ? learnt_for : std::min(learnt_for, p->heard_for);
    const Duration needed = lease_over(head.lease_ms);
    if (heard_for < needed)
      return "the lease of " + name + ", of which nothing is heard, ends in at most " +
             std::to_string((needed - heard_for) / 1s + 1) + " s";
    if (p != nullptr && p->looked_read_only) {
      if (*p->looked_read_only) continue;
      return server + " takes writes and its agent does not answer: start the agent, or make that server read_only";
    }
    if (old.by_time && !hangs && (p == nullptr || !outlives_agent(view, old.id))) continue;
    return "nobody can tell whether " + server + " takes writes, for its agent " +
           (hangs ? "said that it hangs" : "may not have made it read_only") +
           ": once you know that it is down, run `ringagent writer " +
           (head.find(head.writer) != nullptr ? head.find(head.writer)->name : "NODE") + " --yes-the-old-one-is-down`";
  }
  return {};
}

std::string still_missing(const View& view, const NodeRecord& own) {
  if (!own.received.empty()) return "what has been received here is not all applied yet";
  for (const NodeId& id : ring(*view.config)) {
    const PeerView* p = peer(view, id);
    if (id == view.self || p == nullptr || p->record == nullptr || !answers_now(view, id)) continue;
    if (contains_all(own.flavor, own.executed, with_received(*p->record).executed)) continue;
    return "what " + view.config->find(id)->name + " has is not all here yet";
  }
  return {};
}

}  // namespace ringagent
