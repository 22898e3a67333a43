"""What people plan: maintenance, another order, leaving, removal, a forced quorum; and spares, leaves and bypasses."""

from harness import Shared, story
from ring import expect, without_binlog
from ringlab.flavor import SCHEMA
from typed import obeyed

PLANS = Shared("plans", settings=("failure.settle=200ms",))


def why_since(ring, mark):
    return [entry["why"] for entry in ring.epochs_since(mark) if entry["why"] != "votes"]


@story(PLANS)
def maintenance_under_load(ring):
    """A node is drained for maintenance, stopped, started and taken back; it comes back when a person says so, or the time is over."""
    ring.load()
    mark, node = ring.mark(), ring.node(3)
    out = obeyed(ring.node(1), "maintenance", "db3", "on", "--for", "10m", "--reason", "disks")
    expect("db3 is out: it may be stopped now" in out, f"it should say when it may be stopped: {out}")
    expect(node.read_only(), "db3 is out and takes writes")
    ring.without(3)
    node.term("mysqld")
    ring.quiet(1)
    node.start("mysqld")
    ring.await_links({"db3": "db2"})
    ring.quiet(2)
    expect(why_since(ring, mark) == ["command", "planned"], f"it should stay out: {why_since(ring, mark)}")
    ring.await_problem(2, "maintenance \\(disks\\) for another", about="db3")
    obeyed(node, "maintenance", "db3", "off")
    ring.whole()
    expect(why_since(ring, mark) == ["command", "planned", "command", "returned"], f"stray epochs: {why_since(ring, mark)}")
    obeyed(ring.node(2), "maintenance", "db3", "on", "--for", "8s")
    ring.whole()  # when the time is over, without another word
    ring.audit()


@story(PLANS)
def another_order_under_load(ring):
    """The ring is put into another order and back, one node at a time, while applications write."""
    ring.load()
    obeyed(ring.node(2), "order", "db1", "db3", "db2", "db4")
    ring.await_links(ring.sources(["db1", "db3", "db2", "db4"]))
    ring.flows()
    ring.audit(everything=False)
    obeyed(ring.node(4), "order", "db1", "db2", "db3", "db4")
    ring.whole()
    ring.audit()


@story(PLANS)
def a_command_that_makes_no_sense(ring):
    """Unknown nodes, living nodes to be removed, orders that lack somebody: one line, and nothing is changed."""
    mark = ring.mark()
    for words, part in ((("maintenance", "db9", "on"), 'there is no member "db9"; the members are db1, db2, db3, db4'),
                        (("remove", "db2"), "run `ringagent leave` there"),
                        (("order", "db1", "db2", "db3"), "db4 is missing"),
                        (("force-quorum", "--lost", "db2", "--yes-i-verified-they-are-down"), "there is a quorum")):
        code, out, err = ring.node(1).agent_command(*words)
        expect(code not in (0, 64) and part in err and err.count("\n") == 1, f"{words} (exit {code}): {out}{err}")
    ring.expect_nothing(mark)


@story()
def a_node_leaves(ring):
    """A node leaves under load: drained, out for good, its server follows nobody and takes no writes; nothing is lost."""
    ring.up()
    ring.load()
    leaver = ring.node(2)
    ring.flows()
    leaver.run_sql(f"CREATE TABLE {SCHEMA}.last_words (i INT PRIMARY KEY)", *(f"INSERT INTO {SCHEMA}.last_words VALUES ({i})" for i in range(50)))
    out = obeyed(leaver, "leave")
    expect("db2 has left the ring" in out, out)
    ring.without(2)
    for name in ring.others(2):
        expect(ring.node(name).value(f"SELECT COUNT(*) FROM {SCHEMA}.last_words") == 50, f"{name} lacks the last words of db2")
    link = leaver.link()
    expect(leaver.read_only() and (not link or link.io == "stopped"), f"db2 follows or takes writes: {link}")
    ring.await_problem(2, "no member of the ring any more", code="removed")
    mark = ring.mark()
    leaver.term("agent")
    leaver.start("agent")
    ring.quiet(3)
    ring.expect_nothing(mark)
    ring.audit(everything=False, survivors=ring.others(2))


@story()
def a_dead_node_is_removed(ring):
    """A dead node is removed for good, and wakes up with its files intact: nobody follows it, and it follows nobody."""
    ring.up()
    ring.load()
    dead = ring.node(3)
    dead.kill("mysqld")
    dead.kill("agent")
    ring.without(3)
    ring.await_problem(1, "agent of db3 does not answer", about="db3")
    obeyed(ring.node(1), "remove", "db3")
    dead.start("mysqld")
    dead.start("agent")
    ring.await_problem(3, "no member of the ring any more", code="removed")
    mark = ring.mark()
    ring.quiet(3)
    ring.expect_nothing(mark)
    link = dead.link()
    expect(dead.read_only() and (not link or link.io == "stopped"), f"db3 follows or takes writes: {link}")
    ring.audit(everything=False, survivors=ring.others(3))


def lose_db1_and_db2(ring):
    for n in (1, 2):
        ring.node(n).kill("agent")
        ring.node(n).kill("mysqld")
    ring.await_problem(3, "no quorum", code="no_quorum")


def force_without_them(ring, at):
    """The survivors go on, and take the lost ones back when they return. What the command said."""
    out = obeyed(ring.node(at), "force-quorum", "--lost", "db1", "db2", "--yes-i-verified-they-are-down")
    expect("generation 1" in out, out)
    ring.without(1, 2)
    for n in (1, 2):
        ring.node(n).start("mysqld")
        ring.node(n).start("agent")
    ring.whole()
    ring.audit()
    return out


@story()
def a_lost_majority_is_forced(ring):
    """Two of three voters are lost: the survivors go on when a person has named both, and take them back when they return."""
    ring.up(settings=("failure.settle=200ms",))
    ring.load()
    lose_db1_and_db2(ring)
    code, _, err = ring.node(3).agent_command("force-quorum", "--lost", "db1", "--yes-i-verified-they-are-down", seconds=40)
    expect(code not in (0, 64) and "db2 does not answer either" in err, f"(exit {code}) {err}")
    force_without_them(ring, 3)


@story()
def a_majority_is_lost_while_the_survivors_are_out(ring):
    """The two that are left were out, and their servers started anew without a majority to check them: forced, they check each other."""
    ring.up(settings=("failure.settle=200ms",))
    ring.load()
    for n in (3, 4):
        ring.node(n).kill("mysqld")
    ring.without(3, 4)
    lose_db1_and_db2(ring)
    for n in (3, 4):
        ring.node(n).start("mysqld")
    out = force_without_them(ring, 4)
    expect("as nobody else is left" in out, out)


@story()
def a_stuck_node_is_bypassed(ring):
    """on_stuck = "bypass": the ring goes around a node whose applier stands on an error, and takes it back when it is mended."""
    ring.up(settings=("failure.settle=200ms", "failure.on_stuck=bypass", "failure.link_grace=1s"))
    ring.whole()
    ring.node(4).run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.conflict (id INT PRIMARY KEY, who INT)")
    ring.flows()
    ring.load()
    mark, victim = ring.mark(), ring.node(1)
    without_binlog(victim, f"INSERT INTO {SCHEMA}.conflict VALUES (1, 1)")
    ring.node(4).run_sql(f"INSERT INTO {SCHEMA}.conflict VALUES (1, 4)")
    ring.without(1)
    expect(why_since(ring, mark) == ["stuck"], f"it should be bypassed: {why_since(ring, mark)}")
    expect(not victim.read_only(), "it is only its link that is bad: it takes writes")
    ring.await_problem(2, "1062", code="stuck", about="db1")
    without_binlog(victim, f"DELETE FROM {SCHEMA}.conflict WHERE id=1")
    victim.run_sql(ring.lab.flavor.start_link)
    ring.whole()
    ring.audit()


@story()
def a_leaf_and_a_spare(ring):
    """A spare takes the place of a server that stays away and gives it back; a leaf is given another upstream."""
    ring.up(nodes=5, how="none", settings=("failure.settle=200ms",))
    ring.lab.prepare_agents()
    for n, role in ((3, "leaf"), (5, "spare")):
        config = ring.node(n).agent_config
        config.write_text(config.read_text().replace("[ring]\n", f'[ring]\nrole = "{role}"\n'))
    ring.lab.start_agents()
    ring.lab.await_ring(60, ["db1", "db2", "db4"])
    ring.await_links({"db1": "db4", "db2": "db1", "db3": "db2", "db4": "db2", "db5": "db4"})
    expect(ring.node(3).read_only() and ring.node(5).read_only(), "a leaf and a spare take no writes")
    ring.load(nodes=["db1", "db2", "db4"])
    ring.node(2).kill("mysqld")
    ring.await_links({"db3": "db1", "db4": "db1"})
    ring.await_links({"db5": "db4", "db1": "db5"}, seconds=25)
    ring.wait(lambda: not ring.node(5).read_only(), 10, "the spare to take writes")
    ring.node(2).start("mysqld")
    ring.await_links({"db1": "db4", "db3": "db2", "db4": "db2", "db5": "db4"}, seconds=25)
    ring.wait(lambda: ring.node(5).read_only(), 10, "the spare to rest")
    ring.lab.await_ring(30, ["db1", "db2", "db4"])
    ring.flows(["db1", "db2", "db4"])
    ring.audit(everything=False, survivors=["db1", "db2", "db4"])
