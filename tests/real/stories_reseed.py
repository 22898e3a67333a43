"""Servers whose data are not good for the ring any more: named, left alone, and made anew from a copy when a person says so."""

from harness import story
from ring import expect, purge_binlogs, without_binlog
from ringlab.flavor import SCHEMA
from typed import Typed

QUICK = ("failure.settle=200ms",)


def not_let_in(ring, n, why):
    """db`n` is up again and must not be let in: named, out, read-only, and its link is left alone."""
    node, mark = ring.node(n), ring.mark()
    node.start_mysqld()
    for at in [n, *ring.others(n)]:
        said = ring.await_problem(at, why, about=node.name)["text"]
        expect("needs reseed" in said, f"the mend is missing: {said}")
    ring.quiet(2)
    link = node.link()
    expect(node.read_only() and (not link or link.io == "stopped"), f"it follows or takes writes: {link}")
    expect(not ring.epochs_since(mark), f"it was let in: {ring.epochs_since(mark)}")
    done = [entry for name, entry in ring.actions_since(mark) if name == node.name]
    expect(not done, f"it was touched: {done}")
    ring.lab.await_writes(*ring.others(n), more=3)
    ring.audit(everything=False, survivors=ring.others(n))


def reseeded(ring, n, empty=False):
    """A person asks for a copy, under load: in again, and its next writes, whose numbers follow on its old ones, arrive
    everywhere (hazard H4)."""
    ring.load(nodes=ring.others(n))
    if not empty:
        refused = Typed(ring.node(n), "reseed")
        expect(refused.end() == 1 and "--yes" in refused.said(), f"it should ask before: {refused.said()}")
    Typed(ring.node(n), "reseed", *([] if empty else ["--yes"])).succeeds("is in the ring: ")
    ring.whole()
    ring.flows()
    ring.lab.load_stop()
    ring.load()
    ring.lab.await_writes(more=5)


def purged_while_away(ring, *numbers):
    """A ring of three, of which db3 is down; what it lacks is purged on these servers."""
    ring.up(nodes=3, settings=QUICK)
    ring.load()
    ring.node(3).kill("mysqld")
    ring.without(3)
    ring.lab.await_writes(*ring.others(3), more=5)
    ring.lab.load_stop()
    ring.flows(ring.others(3))
    for n in numbers:
        purge_binlogs(ring, ring.node(n))


@story()
def purged_binlogs_need_a_reseed(ring):
    """While a node was away its source purged what it lacks: `needs reseed`, nothing is touched; mended by a reseed."""
    purged_while_away(ring, 1, 2)
    ring.load()
    ring.lab.await_writes(*ring.others(3), more=20)  # in the ring, what is purged is asked once a second
    not_let_in(ring, 3, "purged transactions that this server lacks")
    reseeded(ring, 3)
    ring.audit(everything=False)


@story()
def what_one_has_purged_another_gives(ring):
    """The one before it has purged what a node lacks that was away, the one before that has not: it follows that one until it
    has caught up, and nobody has to be reseeded."""
    purged_while_away(ring, 2)
    ring.load(nodes=ring.others(3))
    ring.lab.await_writes(*ring.others(3), more=20)
    mark = ring.mark()
    ring.node(3).start_mysqld()
    ring.whole()
    done = [entry["why"] for name, entry in ring.actions_since(mark) if name == "db3"]
    for step in ("repoint from db2 to db1", "repoint from db1 to db2"):
        expect(any(step in what for what in done), f"there is no {step}: {done}")
    ring.audit()


@story()
def a_lost_tail_needs_a_reseed(ring):
    """A node comes back with an older state of its data, without transactions that others have from it: `needs reseed`,
    nothing is touched; mended by a reseed."""
    ring.up(nodes=3, settings=QUICK)
    ring.load()
    ring.keep_data(2)
    ring.lab.await_writes(more=10)
    ring.lab.load_stop()
    ring.flows()
    ring.load(nodes=ring.others(2))
    ring.lose_data(2)
    not_let_in(ring, 2, "lost tail")
    reseeded(ring, 2)
    ring.audit()


@story()
def an_empty_disk_needs_a_reseed(ring):
    """The disk of a node is replaced, and a fresh server started on it, when nobody has all binary logs any more: `needs
    reseed`; mended by a reseed."""
    ring.up(nodes=3, settings=QUICK)
    ring.load()
    ring.lab.load_stop()
    ring.flows()
    node = ring.node(3)
    node.kill("mysqld")
    ring.without(3)
    for other in (ring.node(1), ring.node(2)):
        purge_binlogs(ring, other)
    ring.load(nodes=ring.others(3))
    node.fresh_data()
    node.start_mysqld()
    node.create_accounts()
    ring.await_problem(1, "needs reseed", about="db3")
    reseeded(ring, 3, empty=True)
    ring.audit()


@story()
def a_server_that_differs_is_reseeded(ring):
    """Rows of one node were changed behind replication's back until its applier stopped: a person gives them up."""
    ring.up(nodes=3, settings=QUICK)
    ring.whole()
    ring.node(3).run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.conflict (id INT PRIMARY KEY, who INT)")
    ring.flows()
    victim = ring.node(1)
    without_binlog(victim, f"INSERT INTO {SCHEMA}.conflict VALUES (1, 1), (2, 1)")
    ring.node(3).run_sql(f"INSERT INTO {SCHEMA}.conflict VALUES (1, 3)")
    ring.await_problem(2, "1062", code="stuck", about="db1")
    reseeded(ring, 1)
    ring.audit()
    for node in ring.nodes:
        expect(node.rows(f"SELECT id, who FROM {SCHEMA}.conflict") == [{"id": 1, "who": 3}], f"{node.name} differs still")
