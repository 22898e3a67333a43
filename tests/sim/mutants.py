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
    by: str = "seeds"  # or the file of a story; or a filter for unit_tests: what has no place in the simulated world


def edit(path, old, new):
    return (path, old, new)


DATA = "expect within 110s data"
WHOLE = "expect within 90s whole"

MUTANTS = [
    Mutant("quorum_minus_one", "two halves decide different rings", "C4", (
        edit("config/ring.cpp", "return voters(config).size() / 2 + 1;", "return std::max<std::size_t>(1, voters(config).size() / 2);"),)),
    Mutant("promise_without_persisting", "a vote is forgotten by a restart", "C4", (
        edit("gossip/chain.cpp", "    state_.formation_initial = settings_.initial;\n  }\n  persist(out);", "    state_.formation_initial = settings_.initial;\n  }"),)),
    Mutant("vote_after_a_wipe", "a node that has lost its memory votes again under its old id", "C3", (
        edit("tests/sim/world_hosts.cpp", "DurableState{});\n  host.disk.self = fresh_id();", "DurableState{});\n  host.disk.self = before.self;"),)),
    Mutant("act_before_decide", "a server is repointed for a ring that nobody agreed on", "C4", (
        edit("gossip/chain.cpp", "  proposer.start_accepting(std::move(value));\n  send_round(asked(), now, out);",
             "  proposer.start_accepting(std::move(value));\n  chosen(now, out);"),)),
    Mutant("overwrite_the_only_good_slot", "a crash while writing leaves no state at all", "FAILURE", (
        edit("gossip/store.cpp", "  const std::size_t index = 1 - last_;\n  Slot& slot", "  const std::size_t index = last_;\n  Slot& slot"),), by="store: *"),
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

    Mutant("a_decision_for_ever", "what a person let out once goes out unseen the next time, too", "FAILURE", (
        edit("agent/policy.cpp", "  member->note.clear();\n  member->replay = false;\n", "  member->note.clear();\n"),), by="protocol stories"),

    Mutant("no_veto_of_the_link", "trouble among agents takes out a healthy database", "C9", (
        edit("agent/evidence.cpp", "return {true, false, quiet_enough > word.quiet_for ? quiet_enough - word.quiet_for : Duration{0}};", "return {};"),
        edit("agent/policy.cpp", "        if (word.says == LinkSays::alive) return {Opinion::object, ", "        if (false) return {Opinion::object, "))),
    Mutant("writes_while_out", "a node that is out takes writes that may never reach anybody", "C10", (
        edit("agent/reconcile.cpp", "self.absence != Absence::none : !writes_while_out(self);", "self.absence != Absence::none : false;"),)),
    Mutant("wrong_upstream", "a ring closes where it must not", "C5", (
        edit("config/ring.cpp", "    const Member& member = config.members[(own + n - step) % n];", "    const Member& member = config.members[(own + step) % n];"),)),
    Mutant("successor_is_not_asked", "a node is spliced in before one that cannot be told to follow it", DATA, (
        edit("agent/policy.cpp", "    if (!answers_now(view, followers.front())) {", "    if (false) {"),
        edit("agent/policy.cpp", "  if (first.evidence != Evidence::returned && !goes) return std::nullopt;", "  return std::nullopt;"),
        edit("agent/evidence.cpp", "    if (!unfollowed) return hear_stuck(view, *p);", "    return {};"))),
    Mutant("an_old_plan_goes_on", "the statements of one epoch are finished in the next", "C5", (
        edit("agent/repair.cpp", "overtaken_ || head != head_ || !permitted;", "overtaken_ || (!permitted && head == head_);"),
        edit("agent/repair.cpp", "      overtaken_ = overtaken_ || stale;\n", ""))),
    Mutant("whose_read_only", "a node that is back stays read_only for ever", WHOLE, (
        edit("agent/repair.cpp", "  out.makes_read_only = plan.deed == Deed::set_read_only;\n", ""),)),
    Mutant("an_old_look", "a healthy node that was paused is sent to be reseeded", "C13", (
        edit("agent/node_start.cpp", "  if (lost != 0 && !exact) {", "  if (false) {"),)),
    Mutant("leaves_undrained", "a node leaves with transactions that nobody else has", "FAILURE", (
        edit("agent/node_ways.cpp", "  phase_ = drained() ? Phase::drained : Phase::draining;", "  phase_ = Phase::drained;"),),
        by="protocol stories"),
    Mutant("relay_logs_do_not_count", "a lost tail that stands in a relay log only is not seen", "FAILURE", (
        edit("agent/positions.cpp", "!record->received.empty())", "false)"),), by="protocol stories"),
    Mutant("opens_without_waiting", "the next writer opens while the old one, cut off, still has its lease", "C12", (
        edit("agent/lease.cpp", "  return lease + lease / 10 + kToSetReadOnly;", "  return lease * 0;"),)),
    Mutant("a_lease_without_end", "a writer that is cut off goes on beside the next one", "C12", (
        edit("agent/lease.cpp", "times[majority - 1] + length_", "times[majority - 1] + 100 * length_"),)),
    Mutant("grants_after_a_promise", "a voter prolongs the lease of a writer that is being replaced", "FAILURE", (
        edit("agent/lease.cpp", "  return !gave(voter.promised, voter.promised_instance) && !gave(voter.accepted, voter.accepted_instance);", "  return !gave(voter.promised, voter.accepted_instance) || true;"),),
        by="lease: *"),
    Mutant("a_minority_acts", "a cut-off node goes on repointing", "C7", (
        edit("agent/node_server.cpp", "return quorum_ && chain.confirmed() && chain.broken().empty() && allowed;", "return true;"),)),
]
