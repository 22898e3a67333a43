"""Transactions of a dead node that have no one left to fetch them from, and followers beside the ring."""

from harness import Shared, story
from ring import expect
from ringlab.flavor import APP, SCHEMA

ORPHANS = Shared("orphans", settings=("failure.settle=200ms",))
ROWS = 20


def write_orphans(node, batch):
    node.run_sql(*(f"INSERT INTO {SCHEMA}.orphan VALUES ({batch}, {i})" for i in range(ROWS)), user=APP)


def orphans_at(node, batch):
    return node.value(f"SELECT COUNT(*) FROM {SCHEMA}.orphan WHERE batch={batch}")


def orphan_table(ring):
    """Without a key: a row that goes round and is applied again shows."""
    ring.node(1).run_sql(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.orphan (batch INT, i INT)", user=APP)
    for node in ring.nodes:
        ring.wait(lambda node=node: node.rows(f"SHOW TABLES FROM {SCHEMA} LIKE 'orphan'"), 10, f"the table at {node.name}")


def all_have_them(ring, names, batch):
    ring.wait(lambda: all(orphans_at(ring.node(name), batch) == ROWS for name in names), 15, f"the {ROWS} orphans at {', '.join(names)}")


@story(ORPHANS)
def orphans_that_only_the_successor_had(ring):
    """The last transactions of a dead node had only come to its successor: they reach all survivors once, and stop."""
    ring.load()
    orphan_table(ring)
    mark = ring.mark()
    ring.node(4).stop("mysqld")  # for less than hung_after
    write_orphans(ring.node(2), 1)
    ring.wait(lambda: orphans_at(ring.node(3), 1) == ROWS, 2, "the rows at db3")
    ring.node(2).kill("mysqld")
    ring.node(4).cont("mysqld")
    ring.without(2)
    all_have_them(ring, ring.others(2), 1)
    ring.audit(everything=False)
    all_have_them(ring, ring.others(2), 1)
    ring.node(2).start("mysqld")
    ring.whole()
    all_have_them(ring, ring.names, 1)
    ring.audit()
    ring.expect_epochs(mark, outs=1, backs=1)


@story(ORPHANS)
def orphans_in_a_relay_log(ring):
    """The last transactions of a dead node stand in its successor's relay log only, not applied yet: they are not thrown
    away by the repoint, and reach all survivors once."""
    ring.load()
    orphan_table(ring)
    ring.lab.load_stop()
    ring.flows()
    mark, dead, heir = ring.mark(), ring.node(2), ring.node(3)
    with heir.sql(seconds=60) as holder:
        holder.run(f"LOCK TABLES {SCHEMA}.orphan WRITE")
        write_orphans(dead, 2)
        word = ring.lab.flavor.upstream_word
        ring.wait(lambda: (lambda row: (row[f"{word}_Log_File"], row[f"Read_{word}_Log_Pos"]))(heir.link().row) == dead.coordinates(),
                  5, "db3 to receive everything")
        dead.kill("mysqld")
        ring.wait(lambda: all("db2" not in (node.ask("/status") or {}).get("ring", ["db2"]) for node in ring.nodes), 5, "db2 to be decided out")
        ring.quiet(1.5)
        expect(orphans_at(ring.node(4), 2) == 0, "db3 should not have been able to apply them yet")
    ring.without(2)
    all_have_them(ring, ring.others(2), 2)
    ring.load()
    ring.audit(everything=False)
    dead.start("mysqld")
    ring.whole()
    all_have_them(ring, ring.names, 2)
    ring.load()
    ring.audit()
    ring.expect_epochs(mark, outs=1, backs=1)


@story(ORPHANS)
def a_second_follower_loses_nothing(ring):
    """A node that is out follows the dead node's predecessor beside its successor; the dead node returns with unsent
    transactions and is spliced in first: the follower gets everything, and so does everybody."""
    follower, dead, successor = ring.node(2), ring.node(1), ring.node(3)
    ring.load()
    mark = ring.mark()
    settle_of(ring, follower, "30s")
    follower.kill("mysqld")
    ring.without(2)
    follower.start("mysqld")
    ring.await_links({"db2": "db1", "db3": "db1"})

    for node in (follower, successor):  # for less than hung_after, so that the last writes of db1 go nowhere
        node.stop("mysqld")
    ring.lab.await_writes("db1", more=5, seconds=2)
    dead.kill("mysqld")
    for node in (follower, successor):
        node.cont("mysqld")
    ring.without(1, 2)
    ring.await_links({"db2": "db4"})
    dead.start("mysqld")
    ring.without(2)
    ring.await_links({"db2": "db1"})
    ring.lab.await_writes(*ring.others(2), more=5)
    settle_of(ring, follower, "200ms")
    ring.whole()
    ring.audit()
    ring.expect_epochs(mark, outs=2, backs=2)


def settle_of(ring, node, text):
    """Another settling time for one node; its agent is restarted, which changes nothing."""
    config = node.agent_config.read_text()
    lines = [f'settle = "{text}"' if line.startswith("settle") else line for line in config.splitlines()]
    node.agent_config.write_text("\n".join(lines) + "\n")
    node.term("agent")
    node.start("agent")
    ring.wait(lambda: node.ask("/status"), 10, f"the agent of {node.name} to answer")


@story()
def big_transactions_in_flight(ring):
    """Transactions of 8 MB are on their way when their node, and then a node between, is killed: whole or absent
    everywhere, never half."""
    ring.up(settings=("failure.settle=200ms",))
    for victim in (2, 3):
        ring.load(rate=4, nodes=["db2", "db3"], big_every=2)
        ring.node(victim).kill("mysqld")
        ring.without(victim, seconds=30)
        ring.node(victim).start("mysqld")
        ring.whole()
    ring.audit()
