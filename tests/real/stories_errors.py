"""Replication errors, lost and purged logs, passwords, privileges, disks: named with the mend, and never made worse."""

import re

from harness import Shared, story
from ring import expect, kill_sessions, without_binlog
from ringlab.base import run
from ringlab.flavor import AGENT, REPLICATION, SCHEMA

ERRORS = Shared("errors", settings=("failure.settle=200ms",))


@story(ERRORS)
def a_duplicate_key_is_shown(ring):
    """A conflicting write stops an applier with 1062: shown with the transaction, never skipped; mended by a person."""
    ring.node(4).run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.conflict (id INT PRIMARY KEY, who INT)")
    ring.flows()
    victim, writer = ring.node(1), ring.node(4)
    mark = ring.mark()
    without_binlog(victim, f"INSERT INTO {SCHEMA}.conflict VALUES (1, 1)")
    writer.run_sql(f"INSERT INTO {SCHEMA}.conflict VALUES (1, 4)")
    origin = "4-4-" if ring.mariadb else writer.value("SELECT @@server_uuid") + ":"
    for at in (1, 3):
        said = ring.await_problem(at, "1062.*transaction", about="db1")["text"]
        expect(re.search(re.escape(origin) + r"\d+", said), f"the transaction ({origin}...) is missing: {said}")
    code, out, _ = victim.agent_command("status")
    expect(code == 2 and "1062" in out, f"`ringagent status` (exit {code}) should show it:\n{out}")
    ring.quiet(3)
    link = victim.link()
    expect(link.sql == "stopped" and link.sql_errno == 1062, f"it was not left to a person: {link}")
    ring.expect_nothing(mark)
    without_binlog(victim, f"DELETE FROM {SCHEMA}.conflict WHERE id=1")
    victim.run_sql(ring.lab.flavor.start_link)
    ring.whole()
    ring.flows()
    for node in ring.nodes:
        expect(node.value(f"SELECT who FROM {SCHEMA}.conflict WHERE id=1") == 4, f"{node.name} lacks the row")
    expect(not ring.epochs_since(mark), "nothing had to be decided")


@story(ERRORS)
def the_agent_has_a_wrong_password(ring):
    """The server does not let its agent in any more: it is alive, so nothing is changed; named, and well again after."""
    node, mark = ring.node(2), ring.mark()
    without_binlog(node, f"ALTER USER {AGENT}@localhost IDENTIFIED BY 'another one'")
    kill_sessions(node, AGENT)
    for at in (1, 2):
        said = ring.await_problem(at, "Access denied", code="mysql_denied", about="db2")["text"]
        expect(AGENT in said, f"the account is missing: {said}")
    ring.quiet(2)
    ring.flows()
    without_binlog(node, f"ALTER USER {AGENT}@localhost IDENTIFIED BY '{ring.lab.passwords['agent']}'")
    ring.whole()
    ring.expect_nothing(mark)


@story(ERRORS)
def the_agents_account_has_no_privileges_yet(ring):
    """The agent logs in between CREATE USER and GRANT, as on a server that is just being set up: what it was granted later
    counts at once, though a server keeps for a session what held at its login."""
    node, mark = ring.node(2), ring.mark()
    without_binlog(node, f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {AGENT}@localhost")
    kill_sessions(node, AGENT)
    for at in (1, 2):
        ring.await_problem(at, "privilege", code="mysql_denied", about="db2")
    grants = [sql for sql in ring.lab.flavor.accounts(ring.lab.passwords) if sql.startswith("GRANT") and f" TO {AGENT}@" in sql]
    without_binlog(node, *grants)
    ring.whole()
    ring.expect_nothing(mark)


@story(ERRORS)
def the_replication_account_has_a_wrong_password(ring):
    """A source refuses the replication account (1045): the source is alive, so nothing is changed; named, and the link
    goes on by itself when the account is right again."""
    source, mark = ring.node(2), ring.mark()
    without_binlog(source, f"ALTER USER {REPLICATION}@'%' IDENTIFIED BY 'another one'")
    kill_sessions(source, REPLICATION)
    said = ring.await_problem(1, "1045", about="db3")["text"]
    expect("db2" in said and "Access denied" in said, f"who refuses whom is missing: {said}")
    ring.quiet(3)
    without_binlog(source, f"ALTER USER {REPLICATION}@'%' IDENTIFIED BY '{ring.lab.passwords['replication']}'")
    ring.whole()
    ring.flows()
    ring.expect_nothing(mark)


@story(ERRORS)
def a_privilege_is_missing(ring):
    """The agent may not change its server's link when it has to: critical, with the privilege; granted, it goes on."""
    privilege = "REPLICATION SLAVE ADMIN" if ring.mariadb else "REPLICATION_SLAVE_ADMIN"
    node, mark = ring.node(3), ring.mark()
    ring.load()
    without_binlog(node, f"REVOKE {privilege} ON *.* FROM {AGENT}@localhost")
    kill_sessions(node, AGENT)
    ring.wait(lambda: ring.problems(3) == [], 5, "the agent to be connected again")
    ring.node(2).kill("mysqld")
    said = ring.await_problem(1, privilege.replace("_", "."), about="db3")["text"]
    expect("denied" in said.lower(), f"why is missing: {said}")
    without_binlog(node, f"GRANT {privilege} ON *.* TO {AGENT}@localhost")
    ring.without(2, seconds=30)
    ring.node(2).start("mysqld")
    ring.whole()
    ring.audit()
    ring.expect_epochs(mark, outs=1, backs=1)


@story()
def the_state_disk_is_full(ring):
    """An agent that finds no room for its state says how much it needs and does not start; one whose disk fills up later
    has its room already: it goes on voting and healing, and says what it cannot write down."""
    ring.up(nodes=3, how="none", settings=("failure.settle=200ms",))
    node = ring.node(3)
    state = node.dir / "state"
    node.limit_state_disk("64k")
    ring.lab.start_agents()
    ring.wait(lambda: not node.agent.alive(), 10, "the agent of db3 to end")
    said = node.agent.log.read_text()
    expect(re.search(re.escape(str(state)) + ".*No space left on device.*needs 512 KB", said), f"what is wrong and how to mend it is missing: {said}")
    ring.await_problem(1, "waiting for db3", code="formation")

    run(["umount", state])
    node.limit_state_disk("1m")
    node.start("agent")
    ring.whole()
    mark = ring.mark()
    ring.load()
    fill_last_page(state / "history.jsonl")
    fill_disk(state / "filler")
    ring.node(2).kill("mysqld")
    ring.without(2)
    ring.wait(lambda: re.search("history.jsonl.*No space left on device", node.agent.log.read_text()), 5, "the agent of db3 to say what it cannot write down")
    ring.node(2).start("mysqld")
    ring.whole()
    ring.audit()
    (state / "filler").unlink()
    ring.expect_epochs(mark, outs=1, backs=1)


def fill_last_page(path):
    """So that not another line fits; readers skip empty lines."""
    with open(path, "ab") as out:
        out.write(b"\n" * (-path.stat().st_size % 4096))


def fill_disk(path):
    with open(path, "wb", buffering=0) as out:
        try:
            for size in (4096, 64, 1):
                while True:
                    if out.write(b"x" * size) < size:
                        break
        except OSError as error:
            expect(error.errno == 28, str(error))
