"""A ring that grows out of one server and shrinks again: init, join, leave."""

import json
import shutil
import signal

from harness import story
from ring import expect, without_binlog
from ringlab.base import run, wait
from typed import Typed, obeyed

ALONE = ("failure.settle=200ms", "ring.initial=[]")
FILLER = "x" * 200


def precious(node, rows=3000):
    """Somebody's data: rows, a view, a trigger, a routine, an event, an account. On MariaDB it begins before the server has
    a domain of its own."""
    if node.flavor.name == "mariadb":
        node.run_sql(node.flavor.open_up, "SET SESSION gtid_domain_id=0", "CREATE DATABASE exampledb", "CREATE TABLE exampledb.old (id INT PRIMARY KEY)")
    node.run_sql(node.flavor.open_up, "CREATE DATABASE IF NOT EXISTS exampledb", "CREATE TABLE exampledb.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(250))",
                 "CREATE VIEW exampledb.v AS SELECT id FROM exampledb.t",
                 "CREATE TRIGGER exampledb.tr BEFORE INSERT ON exampledb.t FOR EACH ROW SET NEW.v = CONCAT(NEW.v, '!')",
                 "CREATE PROCEDURE exampledb.p() SELECT 1", "CREATE EVENT exampledb.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
                 "CREATE USER joe@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON exampledb.* TO joe@'%'")
    with node.sql(seconds=30) as connection:
        for _ in range(0, rows, 1000):
            connection.run("INSERT INTO exampledb.t (v) VALUES " + ", ".join([f"('{FILLER}')"] * 1000))


def grown(ring, rows=3000):
    """db1 with data, alone in a ring; the others empty, with agents that belong to none."""
    first = ring.node(1)
    precious(first, rows)
    ring.lab.start_agents()
    ring.wait(lambda: all(node.ask("/status") for node in ring.nodes), 10, "the agents to answer")
    code, out, errors = first.agent_command("init")
    expect(code == 0 and f"ringagent join {first.address}:{ring.lab.network.gossip_port}" in out, f"init: exit {code}: {out}{errors}")
    return f"{first.address}:{ring.lab.network.gossip_port}"


def has_all(ring, node):
    """All that db1 has of exampledb is here as well, and runs where it should."""
    sums = {name: ring.node(name).rows("CHECKSUM TABLE exampledb.t")[0]["Checksum"] for name in ("db1", node.name)}
    expect(len(set(sums.values())) == 1, f"the data differ: {sums}")
    for what, where in (("VIEWS", "TABLE_SCHEMA"), ("TRIGGERS", "TRIGGER_SCHEMA"), ("ROUTINES", "ROUTINE_SCHEMA"), ("EVENTS", "EVENT_SCHEMA")):
        expect(node.value(f"SELECT COUNT(*) FROM information_schema.{what} WHERE {where}='exampledb'") == 1, f"{node.name} lacks {what}")
    status = node.value("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA='exampledb'")
    expect((status == "ENABLED") == (node.n == 1), f"the event of db1 is {status} at {node.name}")
    expect(node.value("SELECT COUNT(*) FROM mysql.user WHERE User='joe'") == 1, f"{node.name} lacks the account")
    marks = node.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='ringagent_copy'")
    expect(not marks and not (node.dir / "state" / "copy.json").exists(), f"{node.name}: the mark of the copy is still there")


def up_again(node):
    """A CLONE that goes on without the command ends mysqld, too; whoever types the command again has started it."""
    if node.flavor.name == "mariadb":
        return

    def over():
        if not node.mysqld.alive():
            node.start_mysqld()
        return node.value("SELECT COUNT(*) FROM performance_schema.processlist WHERE INFO LIKE 'CLONE INSTANCE%'") == 0 and node.mysqld.alive()
    wait(over, 30, "the clone to end", every=0.1)


@story()
def a_ring_grows_from_one_server(ring):
    """One server with data and load, three empty ones: `init` there, `join` on the others, one after another. Then the first is
    reseeded by the last."""
    ring.up(how="none", settings=ALONE)
    address = grown(ring)
    ring.load(nodes=["db1"])
    for n in (2, 3, 4):
        Typed(ring.node(n), "join", address).succeeds("is in the ring: ")
    ring.lab.await_writes("db1", more=5)
    ring.whole()
    for node in ring.nodes:
        has_all(ring, node)
    ring.flows()
    ring.lab.load_stop()
    Typed(ring.node(1), "reseed", "--yes").succeeds("is in the ring: ")
    ring.whole()
    for node in ring.nodes:
        has_all(ring, node)  # the event is of db1 still
    ring.audit()


@story()
def join_refuses_a_server_with_data(ring):
    """A server that holds somebody's data is not overwritten by `join`: refused, with the schema's name, and untouched."""
    ring.up(nodes=2, how="none", settings=ALONE)
    address = grown(ring, rows=0)
    other = ring.node(2)
    without_binlog(other, other.flavor.open_up, "CREATE DATABASE accounting", "CREATE TABLE accounting.book (id INT PRIMARY KEY)", other.flavor.shut)
    before = other.vector()
    command = Typed(other, "join", address)
    code = command.end()
    expect(code == 1 and "not empty: accounting" in command.said(), f"exit {code}: {command.said()}")
    expect(other.value("SELECT COUNT(*) FROM accounting.book") == 0 and other.vector() == before, "it was touched")
    expect(len(ring.node(1).ask("/status")["nodes"]) == 1, "it has become a member all the same")


@story()
def a_join_is_interrupted_and_goes_on(ring):
    """Ctrl-C in the middle of the copy, then a kill -9: half a copy is not taken for data, and typed again it works."""
    ring.up(nodes=2, how="none", settings=ALONE)
    address = grown(ring, rows=60000)
    node = ring.node(2)

    def half(command):
        expect(command.process.poll() is None, f"it ended too early: {command.said()}")
        if ring.mariadb:
            return node.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='exampledb' AND TABLE_NAME='t'")
        return (node.dir / "state" / "copy.json").exists()
    command = Typed(node, "join", address)
    ring.wait(lambda: half(command), 30, "half a copy")
    command.process.send_signal(signal.SIGINT)
    code = command.end()
    expect(code == 1 and f"interrupted; to go on: ringagent join {address}" in command.said(), f"exit {code}: {command.said()}")
    up_again(node)
    command = Typed(node, "join", address)
    ring.wait(lambda: half(command), 30, "half a copy")
    command.kill()
    up_again(node)
    Typed(node, "join", address).succeeds("is in the ring: ")
    ring.whole()
    has_all(ring, node)
    ring.flows()
    leave_mark_behind(node)
    refused = Typed(node, "reseed")
    expect(refused.end() == 1 and "--yes" in refused.said(), f"what is there is data, and not half a copy: {refused.said()}")
    has_all(ring, node)


def leave_mark_behind(node):
    """As a kill does between the end of a copy and the removal of its mark."""
    if node.flavor.name == "mariadb":
        without_binlog(node, "CREATE DATABASE ringagent_copy",
                       "CREATE TABLE ringagent_copy.state (id INT PRIMARY KEY, complete INT NOT NULL, donor VARCHAR(255) NOT NULL)",
                       "INSERT INTO ringagent_copy.state VALUES (1, 1, 'db1')")
    else:
        mark = {"server": node.value("SELECT @@server_uuid"), "donor": "db1", "method": "clone", "complete": True, "begun": 1}
        (node.dir / "state" / "copy.json").write_text(json.dumps(mark))


def backed_up(source, node):
    """mariadb-backup of a server that goes on working. It leaves a file beside the data that says where they end."""
    data = node.dir / "data"

    def backup(*words):
        run(["mariadb-backup", f"--defaults-file={source.dir / 'my.cnf'}", *words, f"--target-dir={data}"])
    backup("--backup", "--user=root", f"--socket={source.socket}")
    backup("--prepare")
    node.start_mysqld()


def files_copied(source, node):
    """The files of a server that stands still for a moment, as in a snapshot of a volume."""
    source.term("mysqld")
    shutil.copytree(source.dir / "data", node.dir / "data")
    (node.dir / "data" / "auto.cnf").unlink()  # the server_uuid: a server has one of its own
    source.start_mysqld()
    node.start_mysqld()


@story()
def data_brought_by_hand(ring):
    """Data too large for a dump are brought under load, by mariadb-backup or as files, and the server joins: `--data none`."""
    ring.up(nodes=3, how="none", settings=ALONE)
    address = grown(ring)
    source, node = ring.node(1), ring.node(3)
    Typed(ring.node(2), "join", address).succeeds("is in the ring: ")
    ring.load(nodes=["db1", "db2"])
    node.term("mysqld")
    shutil.rmtree(node.dir / "data")
    (backed_up if ring.mariadb else files_copied)(source, node)
    command = Typed(node, "join", address)
    expect(command.end() == 1 and "ringagent join --data none" in command.said(), f"it should name the way: {command.said()}")
    if ring.mariadb:
        info = next((node.dir / "data").glob("*_binlog_info"))
        kept = info.rename(node.dir / info.name)
        node.run_sql("SET GLOBAL gtid_slave_pos=''")
        command = Typed(node, "join", address, "--data", "none")
        expect(command.end() == 1 and "where its data end is not known" in command.said(), f"it believed that nothing was applied: {command.said()}")
        kept.rename(info)
    Typed(node, "join", address, "--data", "none").succeeds("is in the ring: ")
    ring.lab.await_writes("db1", "db2", more=5)
    ring.whole()
    has_all(ring, node)
    ring.flows()
    ring.audit()


@story()
def a_ring_grows_and_shrinks_under_load(ring):
    """From three servers to five and down to two while applications write: no row is lost or doubled."""
    ring.up(nodes=5, how="none", settings=ALONE)
    address = grown(ring, rows=0)
    for n in (2, 3):
        Typed(ring.node(n), "join", address).succeeds("is in the ring: ")
    ring.load(nodes=["db1", "db2", "db3"])
    Typed(ring.node(5), "join", address, "--after", "db2").succeeds("is in the ring: db1 -> db2 -> db5 -> db3")
    Typed(ring.node(4), "join", address).succeeds("is in the ring: ")
    ring.lab.await_writes("db1", "db2", "db3", more=5)
    obeyed(ring.node(4), "order", "db1", "db2", "db3", "db4", "db5")
    ring.whole()
    ring.lab.load_stop()
    ring.load()
    gone = []
    for n in (4, 1, 3):
        out = obeyed(ring.node(n), "leave")
        expect(f"db{n} has left the ring" in out, out)
        gone.append(n)
        ring.without(*gone)
        ring.lab.await_writes(*ring.others(*gone), more=3)
    ring.audit(survivors=["db2", "db5"])
