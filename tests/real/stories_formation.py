"""How a ring comes about: formed, adopted, or refused."""

import re

from harness import story
from ring import expect, purge_binlogs, told

FORMATION = "formation"


@story()
def formation_in_any_order(ring):
    """Four fresh servers with the same config form a ring, whatever starts when: one epoch, and nobody was first."""
    ring.up(how="none")
    ring.lab.prepare_agents()
    ring.node(4).term("mysqld")
    ring.node(4).start("agent")
    ring.node(3).start("agent")
    ring.await_problem(3, "waiting for db4: its MySQL is", code=FORMATION)
    ring.await_problem(3, "waiting for db1: its agent has not been heard of", code=FORMATION)
    ring.node(4).start("mysqld")
    ring.node(1).start("agent")
    ring.wait(lambda: {p["text"] for p in ring.problems(1) if p["code"] == FORMATION} == {"waiting for db2: its agent has not been heard of"},
              10, "db1 to wait for db2 alone")
    expect(all(node.link() is None for node in ring.nodes), "a server was touched before there was a ring")
    ring.node(2).start("agent")
    ring.whole()
    epochs = list(ring.lab.epochs().values())
    expect([epoch["why"] for epoch in epochs] == ["formation"], f"one epoch of formation was to be expected: {epochs}")
    ring.load()
    ring.lab.await_writes(more=10)
    ring.audit()


@story()
def adoption_touches_nothing(ring):
    """Agents put onto a ring that runs under load only read; then they heal it like any other."""
    ring.up(how="bare")
    ring.load()
    before = {node.name: told(node) for node in ring.nodes}
    for node in ring.nodes:
        node.run_sql("SET GLOBAL log_output='TABLE'", "SET GLOBAL general_log=1")
    ring.lab.start_agents()
    ring.whole()
    ring.quiet(2)
    for node in ring.nodes:
        node.run_sql("SET GLOBAL general_log=0")
        said = [row["said"] for row in node.rows("SELECT DISTINCT CONVERT(argument USING utf8mb4) AS said FROM mysql.general_log "
                                                 "WHERE user_host LIKE 'ringagent%' AND command_type NOT IN ('Connect', 'Quit')")]
        expect(len(said) > 3, f"{node.name}: the log should hold what the agents asked: {said}")
        written = [text for text in said if not re.match(r"(SELECT|SHOW) |SET SESSION ", text)]
        expect(not written, f"{node.name}: the agents did more than read: {written}")
        expect(told(node) == before[node.name], f"{node.name}: its link was {before[node.name]} and is {told(node)}")
    epochs, actions = list(ring.lab.epochs().values()), ring.lab.actions(None)
    expect(len(epochs) == 1 and "adopted" in epochs[0]["what"], f"one epoch of adoption was to be expected: {epochs}")
    expect(not actions, f"nothing should have been done: {actions}")
    ring.audit()

    mark = ring.mark()
    ring.load()
    ring.node(2).kill("mysqld")
    ring.without(2)
    ring.node(2).start("mysqld")
    ring.whole()
    ring.audit()
    ring.expect_epochs(mark, outs=1, backs=1)


@story()
def unmergeable_histories_are_refused(ring):
    """A server with transactions that the others lack and cannot fetch any more: refused and named; an empty one in its
    place, and the ring forms."""
    ring.up(how="none")
    odd = ring.node(2)
    odd.run_sql(ring.lab.flavor.open_up, "CREATE DATABASE precious")
    purge_binlogs(ring, odd)
    have = {node.name: node.vector() for node in ring.nodes}
    ring.lab.start_agents()
    for at in (1, 2):
        said = ring.await_problem(at, "histories cannot be merged: db2 has purged transactions that db1 lacks", code=FORMATION)["text"]
        expect("copy the data of db2" in said, f"the mend is missing: {said}")
    ring.quiet(1.5)
    expect(ring.lab.epoch() == (0, 0), "a ring was formed all the same")
    for node in ring.nodes:
        expect(node.link() is None and node.vector() == have[node.name], f"{node.name} was touched: {node.link()}, {node.vector()}")

    odd.kill("host")
    odd.fresh_data()
    odd.start_mysqld()
    odd.create_accounts()
    odd.start("agent")
    ring.whole()
    ring.flows()
