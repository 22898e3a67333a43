"""Ways to break RingAgent, and what the checker must then say. Each is seen to fail by tests/sim/run_mutants.

A mutant is one or more edits of the sources (file, what stands there exactly once, what stands there instead), the
complaint that the seeds must come to (checker.h, world.h, or the line of the story that does not come true), and why that
would be an outage. The first group are those that every implementation of the protocol must be able to catch; the second
are this project's own; what seeds have found in earlier versions is among them.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    why: str
    complaint: str
    edits: tuple
    by: str = "seeds"  # or the file of a story; or "explorer OPTIONS": two proposers, and every order of what they send


def edit(path, old, new):
    return (path, old, new)


DATA = "expect within 110s data"
WHOLE = "expect within 90s whole"

MUTANTS = [
    Mutant("quorum_minus_one", "two halves decide different rings", "C4", (
        edit("config/ring.cpp", "return voters(config).size() / 2 + 1;", "return std::max<std::size_t>(1, voters(config).size() / 2);"),)),
    Mutant("promise_without_persisting", "a vote is forgotten by a restart", "C4", (
        edit("gossip/chain.cpp", "    state_.formation_initial = settings_.initial;\n  }\n  persist(out);", "    state_.formation_initial = settings_.initial;\n  }"),)),
    Mutant("vote_after_a_wipe", "a node that has lost its memory votes again under its old id, for its id is made of its name", "C3", (
        edit("agent/node.cpp", "    : impl_(std::make_unique<Impl>(std::move(settings), state, seed, now)) {}",
             "    : impl_([&] {\n        DurableState named = state;\n        named.self = {};\n        std::copy(settings.name.begin(), settings.name.end(), named.self.bytes.begin());\n"
             "        return std::make_unique<Impl>(std::move(settings), named, seed, now);\n      }()) {}"),),
        by="tests/stories/wiped_state.txt"),
    Mutant("act_before_decide", "a server is repointed for a ring that nobody agreed on", "C4", (
        edit("gossip/chain.cpp", "  proposer.start_accepting(std::move(value));\n  send_round(asked(), now, out);",
             "  proposer.start_accepting(std::move(value));\n  chosen(now, out);"),)),
    Mutant("overwrite_the_only_good_slot", "a crash while writing leaves no state at all", "C3", (
        edit("gossip/store.cpp", "  const std::size_t index = 1 - last_;\n  Slot& slot", "  const std::size_t index = last_;\n  Slot& slot"),)),
    Mutant("skip_the_relay_drain", "the last transactions of a dead node are thrown away with the relay log", "C5", (
        edit("agent/reconcile.cpp", "plan.drain = dialect.version().flavor == Flavor::mariadb && !s.old_source_well && link.sql_running;",
             "plan.drain = false;"),),
        by="tests/stories/drain_of_a_silent_host.txt"),
    Mutant("stop_the_io_thread_alone", "MariaDB commits half a transaction, unlogged (H25)", "C8", (
        edit("mysql/dialect_plans.cpp", "    plan = stop_link();\n",
             '    plan = stop_link();\n    plan.insert(plan.begin(), plain("STOP SLAVE IO_THREAD", "stop receiver", 5s));\n'),)),
    Mutant("reuse_own_numbers", "a server that lost its tail writes on, and its new transactions are dropped", "C8", (
        edit("agent/node_start.cpp", "  std::int64_t lost = own_lost(", "  std::int64_t lost = 0 * own_lost("),)),
    Mutant("hearsay_as_life", "a voter objects for a host that it has not heard of", "C11", (
        edit("gossip/swim.cpp", "  if (answer.ok) reprieve(*peer);", "  if (answer.ok) reprieve(*peer), peer->last_answer = now;"),
        edit("gossip/swim.cpp", "const PingReqAnswer& answer, Time /*now*/,", "const PingReqAnswer& answer, Time now,"))),
    Mutant("ring_decided_empty", "nobody is left to come back to", "C6", (
        edit("agent/policy.cpp", "  if (!ring(next).empty()) return;\n  if (const auto saviour", "  return;\n  if (const auto saviour"),
        edit("config/ring.cpp", '  if (!somebody_in) return Error{"a ring is never empty"};\n', ""))),
    Mutant("several_at_once", "several links are swapped in one epoch", "C6", (
        edit("agent/policy.cpp", "    break;  // one at a time: each splice is verified before the next\n", ""),)),

    Mutant("a_decision_for_ever", "what a person let out once goes out unseen the next time, too", "expect within 10s problem db1 stranded", (
        edit("agent/policy.cpp", "  member->note.clear();\n  member->replay = false;\n", "  member->note.clear();\n"),),
        by="tests/stories/stranded_replay.txt"),

    Mutant("no_veto_of_the_link", "trouble among agents takes out a healthy database", "C9", (
        edit("agent/evidence.cpp", "return {true, false, quiet_enough > word.quiet_for ? quiet_enough - word.quiet_for : Duration{0}};", "return {};"),
        edit("agent/judge.cpp", "        if (word.says == LinkSays::alive) return {Opinion::object, ", "        if (false) return {Opinion::object, "))),
    Mutant("writes_while_out", "a node that is out takes writes that may never reach anybody", "C10", (
        edit("agent/reconcile.cpp", "self.absence != Absence::none : !writes_while_out(self);", "self.absence != Absence::none : false;"),)),
    Mutant("wrong_upstream", "a ring closes where it must not", "C5", (
        edit("config/ring.cpp", "    const Member& member = config.members[(own + n - step) % n];", "    const Member& member = config.members[(own + step) % n];"),)),
    Mutant("successor_is_not_asked", "a node is spliced in before one that cannot be told to follow it", DATA, (
        edit("agent/standing.cpp", "    if (!answers_now(view, followers.front())) {", "    if (false) {"),
        edit("agent/policy.cpp", "  if (first.evidence != Evidence::returned && !goes) return std::nullopt;", "  return std::nullopt;"),
        edit("agent/evidence.cpp", "    if (!unfollowed) return hear_stuck(view, *p);", "    return {};"))),
    Mutant("an_old_plan_goes_on", "the statements of one epoch are finished in the next", "C5", (
        edit("agent/repair.cpp", "overtaken_ || head != head_ || !permitted;", "overtaken_ || (!permitted && head == head_);"),
        edit("agent/repair.cpp", "      overtaken_ = overtaken_ || stale;\n", ""))),
    Mutant("whose_read_only", "a node that is back stays read_only for ever", WHOLE, (
        edit("agent/repair.cpp", "  out.makes_read_only = plan.deed == Deed::set_read_only;\n", ""),)),
    Mutant("an_old_look", "a healthy node that was paused is sent to be reseeded", "C13", (
        edit("agent/node_start.cpp", "  if (lost != 0 && !exact) {", "  if (false) {"),)),
    Mutant("whose_stop", "an agent takes its own overtaken STOP for a person's, and leaves the link stopped", "C14", (
        edit("agent/node_server.cpp", "!repair_.busy() && repair_.is_news(server_.state_at()) && link", "!repair_.busy() && link"),),
        by="tests/stories/overtaken_is_not_foreign.txt"),
    Mutant("no_detour", "a healthy server is sent to be reseeded, since the one before it has got its data as a copy", "C13", (
        edit("agent/node_server.cpp", "  if (own_member()->in || s.source == nullptr || runs) return;", "  return;"),),
        by="tests/stories/detour_round_a_copy.txt"),
    Mutant("ready_behind", "a node that lags is let in, and put out again", "expect no epoch for 10s", (
        edit("agent/node_ways.cpp", "const bool caught_up = reached && now_ - target_set_at_ <= kCaughtUpFresh;", "const bool caught_up = reached;"),
        edit("agent/node_ways.cpp", "settled && !starves && repair_", "settled && repair_")),
        by="tests/stories/returned_with_a_backlog.txt"),
    Mutant("leaves_undrained", "a node leaves with transactions that nobody else has", "expect no epoch for 3s", (
        edit("agent/node_ways.cpp", "  phase_ = drained() ? Phase::drained : Phase::draining;", "  phase_ = Phase::drained;"),),
        by="tests/stories/leave_waits.txt"),
    Mutant("relay_logs_do_not_count", "a lost tail that stands in a relay log only is not seen", "expect within 5s problem db1 needs_reseed", (
        edit("agent/positions.cpp", "!record->received.empty())", "false)"),), by="tests/stories/lost_tail_in_relay_log.txt"),
    Mutant("opens_without_waiting", "the next writer opens while the old one, cut off, still has its lease", "C12", (
        edit("agent/lease.cpp", "  return lease + lease / 10 + kToSetReadOnly;", "  return lease * 0;"),)),
    Mutant("a_lease_without_end", "a writer that is cut off goes on beside the next one", "C12", (
        edit("agent/lease.cpp", "times[majority - 1] + length_", "times[majority - 1] + 100 * length_"),)),
    Mutant("grants_after_a_promise", "a voter prolongs the lease of a writer that is being replaced", "expect read_only db1", (
        edit("agent/lease.cpp", "  return !gave(voter.promised, voter.promised_instance) && !gave(voter.accepted, voter.accepted_instance);", "  return !gave(voter.promised, voter.accepted_instance) || true;"),),
        by="tests/stories/writer_lease_after_promise.txt"),
    Mutant("forgets_what_was_accepted", "a value that may be chosen is replaced by one's own", "C1", (
        edit("gossip/paxos.cpp", "promise.accepted_ballot.round != 0 && promise.accepted_ballot > inherited_ballot_", "false"),), by="explorer --depth 13 --crashes 0 --lose no"),
    Mutant("no_parent", "nobody can tell what a config follows", "C2", (
        edit("gossip/chain.cpp", "  next.parent = head_id_.hash;\n  if (auto wrong", "  if (auto wrong"),
        edit("gossip/chain.cpp", "  if (follows && !forced && config->parent != head_id_.hash) {", "  if (false) {")),
        by="tests/stories/mysqld_dies.txt"),
    Mutant("moves_who_is_in", "a new order swaps several links at once", "C6", (
        edit("agent/care.cpp", "    if (member.in) {\n      changed.absence = Absence::moving;", "    if (false) {\n      changed.absence = Absence::moving;"),)),
    Mutant("touches_a_healthy_link", "a link that runs is started again and again", "expect rest for 5s", (
        edit("agent/reconcile.cpp", "    plan.link_fits = true;\n    if (link.io == IoState::connecting", "    if (link.io == IoState::running) return deed(Deed::start_link, dialect.start_link(), plan.why);\n    if (link.io == IoState::connecting"),)),
    Mutant("silence_is_death", "a few lost packets among agents take a node out", "expect nothing for 10m", (
        edit("agent/evidence.cpp", "  const LinkVerdict link = verdict(word, view.silence);\n  if (link.unknown) return {std::nullopt, true};\n  if (link.alive)", "  const LinkVerdict link;\n  if (link.alive)"),
        edit("agent/evidence.cpp", "view.silence - accused.unanswered_for);", "view.silence / 10 - accused.unanswered_for);"),
        edit("agent/judge.cpp", "if (p->silent_for < view.silence / 2)", "if (p->silent_for < view.silence / 10)"),
        edit("agent/judge.cpp", "        if (word.says == LinkSays::alive) return {Opinion::object, ", "        if (false) return {Opinion::object, ")),
        by="tests/stories/noise.txt"),
    Mutant("an_unchecked_start", "a server that lost its tail is linked before anybody has looked", "expect nothing for 30s", (
        edit("agent/reconcile.cpp", "  if (!s.start_checked) return blocked(", "  if (false) return blocked("),), by="tests/stories/lost_tail.txt"),
    Mutant("a_purged_source", "a server is sent to a source that cannot serve it", "expect within 5s problem db1 blocked", (
        edit("agent/reconcile.cpp", "  if (can_give(*s.source, *s.server)) return std::nullopt;", "  return std::nullopt;"),), by="tests/stories/purged.txt"),
    Mutant("a_minority_acts", "a cut-off node goes on repointing", "C7", (
        edit("agent/node_server.cpp", "return quorum_ && chain.confirmed() && chain.broken().empty() && allowed;", "return true;"),)),
]
