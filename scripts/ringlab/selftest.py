"""Does the lab work, and does its audit fail when it should? (scripts/lab selftest)

Uses a bare ring: what is tested here is the lab, not the agent. Each kind of damage is done behind replication's back, the
audit has to name it, the damage is undone, and the audit has to be content again.
"""

import re
import threading
import time

from .base import LabError
from .flavor import SCHEMA
from .verify import await_silence


def selftest(lab, flavor, netns):
    def story(title, function, *args):
        began = time.monotonic()
        function(lab, *args)
        print(f"ok   {time.monotonic() - began:6.2f} s  {title}", flush=True)

    story(f"a bare ring of four is up ({flavor}{', namespaces' if netns else ''})", lambda _: lab.up(4, flavor, netns, "bare"))
    story("a quiet load is audited clean", clean_load)
    for title, done, undone, kind in damages():
        story(f"audit names: {title}", damaged, done, undone, kind)
    story("audit names: one node does not get on", stalled)
    story("audit names: a journal that contradicts the tables", false_journal)
    story("audit names: binlogs that grow without clients", restless)
    story("kill -9 of a server under load, and its return", killed)
    story("a stopped server hangs nobody, and goes on", frozen)
    story("a clean shutdown, and its return", lambda lab: killed(lab, "term"))
    story("a host dies and returns", killed, "kill", "host")
    if netns:
        story("partition of hosts, heal", partitioned)
        story("partition of the agents' port leaves the servers' links alone", agents_only)
        story("a cable is pulled and plugged in", unplugged)
        story("a closed port refuses new connections", closed_port)


def expect(truth, text):
    if not truth:
        raise LabError(f"selftest: {text}")


def expect_clean(lab, **options):
    verdict = lab.verify(**options)
    expect(verdict.ok, f"the audit should be content, but says:\n{verdict}")
    return verdict


def expect_problem(lab, kind, **options):
    verdict = lab.verify(**options)
    expect(not verdict.ok and any(re.search(kind, problem) for problem in verdict.problems), f"the audit should name '{kind}', but says:\n{verdict}")


def clean_load(lab):
    lab.load_start(rate=60, big_every=45)
    lab.await_writes(more=60, seconds=30)
    expect(expect_clean(lab).acked >= 240, "fewer transactions audited than were acknowledged")


def damages():
    """(title, SQL that damages db2 alone, SQL that undoes it, what the audit must say)"""
    gs, nk, ctr = (f"{SCHEMA}.{table}" for table in ("gs", "nk", "ctr"))
    one = "WHERE origin=301 AND seq=7"
    put_gs, put_nk = f"INSERT INTO {gs} VALUES (301,7,0,'301-7-0')", f"INSERT INTO {nk} VALUES (301,7,0,'301-7-0')"
    yield "a missing transaction", [f"DELETE FROM {gs} {one}", f"DELETE FROM {nk} {one}"], [put_gs, put_nk], "acknowledged but missing: 301:7 on db2"
    yield "a row missing from the table with a key", [f"DELETE FROM {gs} {one}"], [put_gs], "half a transaction: 301:7 on db2"
    yield "a row twice in the table without a key", [put_nk], [f"DELETE FROM {nk} {one} LIMIT 1"], "applied twice: 301:7 in nk on db2"
    yield ("half a transaction of 20 rows", [f"DELETE FROM {table} WHERE origin=301 AND seq=10 AND k=3" for table in (gs, nk)],
           [f"INSERT INTO {table} VALUES (301,10,3,'301-10-3')" for table in (gs, nk)], "half a transaction: 301:10 on db2")
    yield "a counter that was applied once too often", [f"UPDATE {ctr} SET n=n+1 WHERE origin=301"], [f"UPDATE {ctr} SET n=n-1 WHERE origin=301"], "counter differs.*origin 301 on db2"
    yield ("a changed row", [f"UPDATE {gs} SET payload='x' {one}"], [f"UPDATE {gs} SET payload='301-7-0' {one}"], "CHECKSUM TABLE differs: gs")
    yield ("a row that no client sent", [f"INSERT INTO {table} VALUES (301,99999,0,'x')" for table in (gs, nk)],
           [f"DELETE FROM {table} WHERE seq=99999" for table in (gs, nk)], "never committed by any client: 301:99999 on db2")


def damaged(lab, done, undone, kind):
    lab.node(2).run_sql("SET sql_log_bin=0", *done)
    expect_problem(lab, kind)
    lab.node(2).run_sql("SET sql_log_bin=0", *undone)
    expect_clean(lab)


def stalled(lab):
    node = lab.node(2)
    node.run_sql(lab.flavor.stop_link)
    lab.node(1).run_sql(f"CREATE TABLE {SCHEMA}.later (id INT PRIMARY KEY)", f"DROP TABLE {SCHEMA}.later")
    expect_problem(lab, "still differ in what they have", seconds=1)
    node.run_sql(lab.flavor.start_link)
    expect_clean(lab)


def false_journal(lab):
    path = lab.dir / "load" / "301.journal"
    truth = path.read_text()
    acknowledged = re.compile(r"^A 7 .*\n", re.M)
    path.write_text(acknowledged.sub("F 7 1290 0\n", truth))
    expect_problem(lab, "refused to the client but there: 301:7")
    path.write_text(acknowledged.sub("", truth))
    expect(expect_clean(lab).unknown_present == 1, "a transaction of unknown outcome was not counted")
    tables = [f"{SCHEMA}.gs", f"{SCHEMA}.nk"]
    lab.node(2).run_sql("SET sql_log_bin=0", *(f"DELETE FROM {table} WHERE origin=301 AND seq=7" for table in tables))
    expect_problem(lab, "on some nodes only: 301:7 on db1, db3, db4, not on db2")
    lab.node(2).run_sql("SET sql_log_bin=0", *(f"INSERT INTO {table} VALUES (301,7,0,'301-7-0')" for table in tables))
    path.write_text(truth)
    expect_clean(lab)


def restless(lab):
    done = threading.Event()

    def scribble():
        with lab.node(1).sql() as connection:
            while not done.wait(0.1):
                connection.run(f"CREATE TABLE {SCHEMA}.later (id INT); DROP TABLE {SCHEMA}.later")
    thread = threading.Thread(target=scribble)
    thread.start()
    problem = await_silence(lab.nodes, quiet=1.0, seconds=2.0)
    done.set()
    thread.join()
    expect(problem and "binlogs grow without any client" in problem, f"growing binlogs were not noticed ({problem})")
    expect_clean(lab)


def killed(lab, action="kill", what="mysqld"):
    lab.load_start(rate=60)
    lab.await_writes(more=30)
    getattr(lab.node(3), action)(what)
    lab.await_writes("db1", "db2", "db4", more=30)
    lab.node(3).start(what)
    lab.await_writes(more=10, seconds=20)
    expect_clean(lab, everything=True)


def frozen(lab):
    lab.load_start(rate=60)
    lab.await_writes(more=10)
    lab.node(2).stop("mysqld")
    expect(not lab.node(2).agent.alive() and lab.node(2).mysqld.stopped(), "db2 is not stopped")
    lab.await_writes("db1", "db3", "db4", more=30)
    lab.node(2).cont("mysqld")
    lab.await_writes(more=10)
    expect_clean(lab, everything=True)


def partitioned(lab):
    lab.load_start(rate=60)
    lab.partition([1, 2], [3, 4])
    lab.await_writes(more=20)
    lab.load_stop()
    expect_problem(lab, "still differ", seconds=1)
    lab.heal()
    expect_clean(lab, seconds=60, everything=True)


def agents_only(lab):
    lab.partition([1, 2], [3, 4], only="agents")
    lab.load_start(rate=60)
    lab.await_writes(more=20)
    expect_clean(lab, everything=True)
    lab.heal()


def unplugged(lab):
    lab.load_start(rate=60)
    lab.node(3).cut()
    lab.await_writes(more=20)
    lab.load_stop()
    expect_problem(lab, "still differ", seconds=1)
    lab.node(3).join()
    expect_clean(lab, seconds=60, everything=True)


def closed_port(lab):
    lab.reject(2)
    follower = lab.node(3)
    follower.run_sql(lab.flavor.stop_link, lab.flavor.start_link)
    lab.wait(lambda: follower.link().io_errno == 2003, 10, "db3 to be refused by db2")
    expect(lab.node(2).link().running, "the rule at db2 broke a living connection")
    lab.heal()
    lab.wait(lambda: follower.link().running, 20, "db3 to follow db2 again")
    expect_clean(lab)
