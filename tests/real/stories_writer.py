"""[ring] writers = "one": whatever happens to the writer, no two servers ever take writes, and nothing acknowledged is lost.

A prober writes everywhere, all the time, with one connection per node that is never closed by its side: a write that waits in
the socket of a stopped server counts, too. Each row bears the time at which its server carried it out; all servers share one
clock here, so the order of the rows is the order of the writers.
"""

import threading
import time

from harness import Shared, story
from ring import Failed, expect
from ringlab import LabError
from ringlab.flavor import APP, SCHEMA
from typed import obeyed

ONE = Shared("one", settings=("ring.writers=one", "failure.settle=200ms"))
ONE_APART = Shared("one apart", nodes=5, netns=True, settings=("ring.writers=one", "failure.settle=200ms"))
LEASE_OVER = 2.5 * 1.1 + 2  # of silence = 2.5 s, agent/lease.h


class Prober:
    """Writers at all nodes. `acked`: key of each acknowledged row -> its node."""

    def __init__(self, ring):
        self.ring, self.acked, self.ended, self.made = ring, {}, threading.Event(), time.time_ns()
        writer = ring.node(writer_of(ring))
        writer.run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}", f"CREATE TABLE IF NOT EXISTS {SCHEMA}.one (k VARCHAR(64) PRIMARY KEY, node VARCHAR(16), at DATETIME(6))")
        for name in ring.names:
            ring.wait(lambda name=name: ring.node(name).value(f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{SCHEMA}' AND table_name = 'one'") == 1,
                      15, f"the prober's table at {name}")
        self.threads = [threading.Thread(target=self.write, args=(node,), daemon=True) for node in ring.nodes]
        for thread in self.threads:
            thread.start()
        self.await_more(1)

    def write(self, node):
        connection, number = None, 0
        while not self.ended.is_set():
            number += 1
            key = f"{self.made}.{node.name}.{number}"
            try:
                connection = connection or node.sql(user=APP, seconds=60)
                connection.run(f"INSERT INTO {SCHEMA}.one VALUES ('{key}', '{node.name}', SYSDATE(6))")
                self.acked[key] = node.name
            except LabError as error:
                if getattr(error, "code", 0) not in (1290, 1205, 1213, 3100):  # 1290: read_only
                    if connection:
                        connection.close()
                    connection = None
            time.sleep(0.003)

    def await_more(self, count, but=None, seconds=15):
        before = len(self.acked)
        self.ring.wait(lambda: sum(1 for name in list(self.acked.values())[before:] if name != but) >= count, seconds,
                       f"{count} more writes" + (f", at another node than {but}" if but else ""), every=0.01)

    def end(self, *tenures):
        """Stop, and hold what was acknowledged against all servers: each row is at each of them, and the writers took turns
        in this order, none of them twice at the same time."""
        self.ended.set()
        for thread in self.threads:
            thread.join(70)
        acked = dict(self.acked)

        def rows(node):
            return {row["k"]: row["at"] for row in node.rows(f"SELECT k, at FROM {SCHEMA}.one WHERE k LIKE '{self.made}.%'")}
        for node in self.ring.nodes:
            self.ring.wait(lambda node=node: acked.keys() <= rows(node).keys(), 30, f"all {len(acked)} acknowledged rows at {node.name}", every=0.2)
        order = sorted((at, acked[key]) for key, at in rows(self.ring.nodes[0]).items() if key in acked)
        turns = []
        for at, name in order:
            if not turns or turns[-1][0] != name:
                turns.append([name, at, at])
            turns[-1][2] = at
        expect([turn[0] for turn in turns] == list(tenures),
               f"the writers should have been {', '.join(tenures)}: " + ", ".join(f"{name} {first:%H:%M:%S.%f} to {last:%H:%M:%S.%f}" for name, first, last in turns))
        gaps = [(after[1] - before[2]).total_seconds() for before, after in zip(turns, turns[1:])]
        print(f"       {len(acked)} writes by {' -> '.join(tenures)}; without a writer for {', '.join(f'{gap:.3f} s' for gap in gaps)}")
        return gaps


def writer_of(ring):
    said = {(node.ask("/status") or {}).get("writer") for node in ring.agents()}
    if len(said) != 1:
        raise Failed(f"the agents name several writers: {said}")
    return said.pop()


def next_of(ring, name):
    return ring.names[(ring.names.index(name) + 1) % len(ring.names)]


@story(ONE)
def the_writer_is_killed(ring):
    """kill -9 of the writer's mysqld: the next one opens when it has applied all it received; the old one is back read_only."""
    old = writer_of(ring)
    prober = Prober(ring)
    ring.node(old).kill("mysqld")
    prober.await_more(20, but=old)
    ring.node(old).start("mysqld")
    ring.whole()
    new = writer_of(ring)
    prober.end(old, new)
    expect(new != old and ring.node(old).read_only(), f"{old} should be read_only and {new} the writer")


@story(ONE)
def the_writer_is_stopped(ring):
    """SIGSTOP of the writer's mysqld: it goes out, and the next one waits, since a write may be in the old one's socket; when
    it wakes it is made read_only first."""
    old = writer_of(ring)
    prober = Prober(ring)
    ring.node(old).stop("mysqld")
    watcher = next_of(ring, old)
    ring.await_problem(watcher, "hangs and may take a write when it wakes", code="writer_waits", seconds=15)
    ring.quiet(LEASE_OVER + 2)
    ring.node(old).cont("mysqld")
    prober.await_more(20, but=old)
    ring.whole()
    prober.end(old, writer_of(ring))


@story(ONE)
def the_writer_is_moved_under_load(ring):
    """`ringagent writer NODE`: the old one stops, all it wrote arrives, the new one opens; and back again."""
    old = writer_of(ring)
    new = next_of(ring, next_of(ring, old))
    prober = Prober(ring)
    out = obeyed(ring.node(old), "writer", new)
    expect(f"{new} takes the writes" in out, f"it should say when it is done: {out}")
    prober.await_more(20, but=old)
    obeyed(ring.node(new), "writer", old)
    prober.await_more(20, but=new)
    gaps = prober.end(old, new, old)
    expect(max(gaps) < 3, f"a move should take no longer than a moment: {gaps}")
    code, _, err = ring.node(1).agent_command("writer", "db9")
    expect(code not in (0, 64) and 'there is no member "db9"' in err, err)
    ring.whole()


@story(ONE)
def the_agent_of_the_writer_is_killed(ring):
    """The writer's agent dies, its mysqld lives: writes go on there, nobody else opens, and status says so; the agent comes back
    and nothing has happened."""
    old = writer_of(ring)
    prober = Prober(ring)
    mark = ring.mark()
    ring.node(old).kill("agent")
    ring.await_problem(next_of(ring, old), "the agent of the writer", code="writer_unattended")
    ring.quiet(LEASE_OVER + 2.5)
    prober.await_more(20)
    ring.node(old).start("agent")
    ring.whole()
    prober.end(old)
    expect(not [entry for entry in ring.epochs_since(mark) if entry["why"] != "votes"], "nothing should have been decided")


@story(ONE_APART)
def the_host_of_the_writer_is_cut_off(ring):
    """The writer's cable is pulled while clients on its host go on writing: it is read_only before another one opens."""
    old = writer_of(ring)
    prober = Prober(ring)
    ring.node(old).cut()
    ring.wait(ring.node(old).read_only, 10, f"{old} to be read_only", every=0.005)
    prober.await_more(20, but=old, seconds=25)
    ring.node(old).join()
    ring.whole()
    prober.end(old, writer_of(ring))


@story(ONE_APART)
def the_host_of_the_writer_dies(ring):
    """The writer's host loses its power: its lease is waited out, the next one opens; what never left it comes back with it."""
    old = writer_of(ring)
    prober = Prober(ring)
    ring.node(old).kill("host")
    prober.await_more(20, but=old, seconds=25)
    ring.node(old).start("host")
    ring.whole()
    prober.end(old, writer_of(ring))
