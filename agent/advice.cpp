#include "agent/advice.h"

#include <algorithm>

namespace ringagent {
namespace {

struct Entry {
  std::string_view code;
  Advice advice;
};

constexpr Entry kEntries[] = {
    {"agent_dead",
     {"replication there may run on, but nobody can repair it; unless its server falls silent too, the ring stays as "
      "it "
      "is",
      "look at that host: is it up, can it be reached, does its agent run (its log says why not)?"}},
    {"agent_left",
     {"replication there runs on, but nobody can repair it", "start the agent there again when the work is done"}},
    {"applier_stopped",
     {"changes arrive but are not applied, so this node and all behind it fall back; no error is ever skipped here",
      "read the error, mend the row or table that it names on this node, then START REPLICA (START SLAVE)"}},
    {"blocked",
     {"the agent knows what the ring wants of this server and must not or cannot do it",
      "remove the reason that the text names; the agent tries again by itself. `ringagent plan` there shows what it "
      "would "
      "do"}},
    {"cloned",
     {"two agents run with one identity: a state directory was copied or restored, and neither can be believed",
      "stop one of the two, and give it an empty state directory"}},
    {"draining",
     {"a planned absence: applications cannot write here any more, and nothing that was written is lost",
      "nothing; it goes out by itself when its successor (if it leaves for good: every other node) has everything"}},
    {"foreign_change",
     {"somebody changed replication by hand; the agent leaves that alone until it is told otherwise",
      "finish the work, then `ringagent resume` on that node puts the link back as the ring wants it"}},
    {"formation",
     {"one thing that is missing before the first ring can be formed", "put right what the text names, on that node"}},
    {"key_missing",
     {"this member cannot read what the others say, so it takes no part until it has their key",
      "put the key in use first into its key_file (`ringagent key list` shows fingerprints) and restart its agent"}},
    {"keys_differ",
     {"all can read each other, but a rotation of the gossip key was not finished",
      "`ringagent key use` with one of the two; then `ringagent key remove` the other"}},
    {"link_down",
     {"this node receives nothing, so changes of the others do not reach it or anybody behind it",
      "nothing if it is connecting and mends itself in a moment; else see whether the source's port can be reached "
      "from "
      "here and the replication account may log in"}},
    {"link_wrong",
     {"the ring has changed and this node's server has not been repointed yet",
      "nothing if it goes away in a moment; else `ringagent plan` on that node says what holds it up"}},
    {"mysql_denied",
     {"the agent cannot log in, so it can neither watch nor repair this server",
      "see account and password_file in [mysql]; `ringagent setup --print` shows the accounts"}},
    {"mysql_down",
     {"a member of the ring is dead; unless the ring is paused it is taken out as soon as a majority has agreed",
      "start its mysqld; its error log says why it ended. It comes back into the ring by itself"}},
    {"mysql_hung",
     {"a member of the ring accepts connections and answers nothing; it is taken out",
      "look at its disk and its processlist; when it answers again it comes back by itself"}},
    {"needs_reseed",
     {"this server cannot be followed or follow without losing or doubling transactions, so it stays out untouched",
      "keep its data until you know what is only there; then, on that node, `ringagent reseed` copies a healthy "
      "node's. Where only hosts that are lost for good have what it lacks: `ringagent remove` them, then restart this "
      "server: it keeps what it has"}},
    {"no_quorum",
     {"replication goes on as it is, but a node that dies now is not taken out and none comes back",
      "bring back the agents that are named, or the network to them; those of hosts that are lost for good: `ringagent "
      "force-quorum`"}},
    {"node_out",
     {"the others replicate past it; what it had not sent to anybody comes back when it does",
      "bring back what the text names; then it is checked, catches up and is taken in by itself"}},
    {"not_formed",
     {"nothing is replicated or repaired by the agents yet",
      "start the agent on every node of [ring] initial; where that is empty: `ringagent init` on the first node, "
      "`ringagent join HOST:PORT` on the others; what is missing stands below"}},
    {"paused", {"nothing is repaired, whatever dies", "`ringagent resume` when the work is done"}},
    {"read_only",
     {"applications cannot write here; the ring itself is whole",
      "if nobody wants it: SET GLOBAL read_only = 0 on that server"}},
    {"force_unfinished",
     {"a forced quorum was begun, and not every survivor has answered yet",
      "run `ringagent force-quorum` on this node again, and name those who are lost now"}},
    {"outdated",
     {"agents of a newer version have gone on without this one, which knows an old ring only",
      "install the version that the other nodes have: `ringagent status` there names it"}},
    {"removed",
     {"this agent belongs to no ring: its server is neither watched nor repaired",
      "stop this agent; to join again, empty its state directory, set [ring] initial = [], start it, then `ringagent "
      "join`"}},
    {"reordering",
     {"each move goes out and in again as a returning node does, so the ring is whole all the time",
      "nothing; it ends by itself"}},
    {"replication_account",
     {"a node could not follow that server if it had to, so a death could not be healed",
      "create the account there as `ringagent setup --print` shows it, with the password of [replication]"}},
    {"split_chain",
     {"two majorities have decided different rings under one name: the quorum was forced on two sides, or a state "
      "directory was copied or restored",
      "forced: `ringagent force-quorum --yield` on the nodes of ONE side, while the other answers. Copied: stop the "
      "agents of one of the two, and give them empty state directories"}},
    {"stranded",
     {"transactions that only this node has wait for a decision; it stays out until then",
      "`ringagent stranded show` that node: it lists them, and what the ring has changed since; then `ringagent "
      "stranded "
      "replay` lets them out, or `ringagent stranded discard` keeps them in a file, for a fresh copy of the data"}},
    {"starved",
     {"the way from its upstream to this node is broken while both are up; changes do not arrive here or behind it",
      "look at the network and firewalls between the two servers; with [failure] link_grace the ring goes around it"}},
    {"no_writer",
     {"applications can write nowhere", "bring a server of the ring back; it becomes the writer by itself"}},
    {"writer_unattended",
     {"writes go on there, but if that host is cut off nobody can know that they have ended, so no other writer opens "
      "by "
      "itself",
      "start the agent there again; if its server is lost, too: `ringagent writer NODE --yes-the-old-one-is-down`"}},
    {"writer_waits",
     {"applications can write nowhere until it is certain that the old writer takes no writes and all it wrote is here",
      "what the text says; nothing if it goes away in a few seconds"}},
    {"writers_differ",
     {"the nodes are configured for different modes, so the mode is not changed",
      "make [ring] writers equal on all nodes and reload their agents (SIGHUP)"}},
    {"stuck",
     {"its applier stopped on an error, so everybody behind it falls back; no error is ever skipped",
      "read the error and mend the row or table that it names on that node, then START REPLICA (START SLAVE)"}},
};

constexpr Advice kGeneral = {"the server or its settings are not as a ring needs them",
                             "the text says how to mend it; `ringagent check` on that node shows all of it"};

const Entry* find(std::string_view code) {
  const auto* const end = std::end(kEntries);
  const auto* const it = std::find_if(std::begin(kEntries), end, [&](const Entry& e) { return e.code == code; });
  return it == end ? nullptr : it;
}

}  // namespace

Advice advice(std::string_view code) {
  const Entry* entry = find(code);
  return entry ? entry->advice : kGeneral;
}

bool has_advice(std::string_view code) {
  return find(code) != nullptr;
}

}  // namespace ringagent
