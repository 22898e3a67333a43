"""What never left a node that was cut off, with stranded = "hold": a person looks at it, and decides."""

import json
import os
import subprocess
import time

from harness import Shared, story
from ring import expect
from ringlab.base import REPO
from ringlab.flavor import APP, SCHEMA

HOLD = Shared("hold", netns=True, settings=("failure.settle=200ms", "failure.stranded=hold"))
TABLE = f"{SCHEMA}.kept"
PATIENCE = 25


def tool(ring):
    """The binlog tool of this flavour as one program: that of MySQL lives in a root of its own."""
    path = ring.lab.dir / "binlog-tool"
    if not path.exists():
        name = "mariadb-binlog" if ring.mariadb else "mysqlbinlog"
        argv = subprocess.run([REPO / "scripts" / "servers", "argv", ring.flavor, name], check=True, capture_output=True, text=True)
        path.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in argv.stdout.split("\n") if word) + ' "$@"\n')
        path.chmod(0o755)
    return path


def stranded(ring, at, *words):
    """`ringagent stranded ...` as one types it at a node: exit code, output, errors."""
    node = ring.node(at)
    done = subprocess.run([*ring.lab.network.enter(node.n), str(ring.lab.agent_binary), "stranded", *words, "--config", str(node.agent_config)],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, "RINGAGENT_BINLOG_TOOL": str(tool(ring))}, cwd=ring.lab.dir, check=False)
    return done.returncode, done.stdout, done.stderr


def shown(ring, at, name):
    code, out, errors = stranded(ring, at, "show", name, "--json")
    expect(code == 0, f"`stranded show {name}` exits with {code}: {errors}")
    return json.loads(out)


def shown_with_ring(ring, at, name, changes=2):
    """The report, as soon as it knows of so many changes of the ring: what the status says of positions may be a look old."""
    def complete():
        report = shown(ring, at, name)
        return report if report["ring"]["transactions"] >= changes else None
    return ring.wait(complete, PATIENCE, f"a report of what is stranded on {name} with {changes} changes of the ring", every=0.1)


def own_number(ring, node):
    """How far the node's own numbers are."""
    if ring.mariadb:
        return node.vector()[f"{node.n}-{node.n}"]
    return int(node.vector()[node.value("SELECT @@server_uuid")].split(":")[-1].split("-")[-1])


def named(ring, node, first, last):
    """The set of these own transactions, as the status writes it."""
    if ring.mariadb:
        return f"{node.n}-{node.n}-{first}..{last}"
    numbers = f"{first}" if first == last else f"{first}-{last}"
    return f"{node.value('SELECT @@server_uuid')}:{numbers}"


def table_everywhere(ring):
    ring.flows()
    ring.node(1).run_sql(f"CREATE TABLE IF NOT EXISTS {TABLE} (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE, v VARCHAR(40))", f"DELETE FROM {TABLE}",
                         *(f"INSERT INTO {TABLE} VALUES ({i}, 'm{i}', 'first')" for i in range(1, 6)), user=APP)
    everywhere(ring, f"SELECT COUNT(*) FROM {TABLE}", 5)
    ring.flows()  # so that everybody has everything


def everywhere(ring, question, answer, names=None):
    for name in names or ring.names:
        ring.wait(lambda name=name: ring.node(name).rows(f"SHOW TABLES FROM {SCHEMA} LIKE 'kept'") and ring.node(name).value(question) == answer,
                  PATIENCE, f"{question} at {name} to say {answer}")


def cut_off(ring, node, own, others=()):
    """The node is cut off, writes `own`, and the rest of the ring writes `others` at db1; then it can be reached again. The
    set of what it wrote."""
    first = own_number(ring, node) + 1
    node.cut()
    ring.lab.wait(lambda: ring.node(1).ask("/status")["ring"] == ring.others(node.n), PATIENCE, f"{node.name} to be out")
    node.run_sql(*own, user=APP)
    last = own_number(ring, node)
    if others:
        ring.node(1).run_sql(*others, user=APP)
    node.join()
    return named(ring, node, first, last)


@story(HOLD)
def stranded_ones_are_replayed(ring):
    """A cut-off node wrote, the ring wrote other rows: held; `stranded show` has exactly those, and says that they are safe;
    nobody replays them by accident; after `stranded replay` all have them."""
    node = ring.node(3)
    table_everywhere(ring)
    mark = ring.mark()
    own = [f"INSERT INTO {TABLE} VALUES (101, 'own', 'x')", f"UPDATE {TABLE} SET v='own' WHERE id IN (1, 2)", f"DELETE FROM {TABLE} WHERE id=3"]
    wanted = cut_off(ring, node, own, [f"UPDATE {TABLE} SET v='ring' WHERE id=4", f"INSERT INTO {TABLE} VALUES (102, 'ring', 'y')"])
    ring.await_problem(1, "stranded on db3", code="stranded", about="db3", seconds=PATIENCE)
    view = next(view for view in ring.node(2).ask("/status")["nodes"] if view["name"] == "db3")
    expect((view["stranded"], view["stranded_set"], view["replay"]) == (3, wanted, False), f"the status should name {wanted}: {view}")

    for at in (1, 3):
        report = shown_with_ring(ring, at, "db3")
        expect(report["stranded_set"] == wanted and len(report["transactions"]) == 3, f"exactly three: {report}")
        rows = [(row["change"], row["key"]) for transaction in report["transactions"] for row in transaction["rows"]]
        expect(rows == [("inserted", "id=101"), ("updated", "id=1"), ("updated", "id=2"), ("deleted", "id=3")], f"their rows: {rows}")
        expect(report["conflicts"] == [] and report["safe"], f"nothing meets: {report}")
    code, out, _ = stranded(ring, 1, "db3")
    expect(code == 0 and out.splitlines()[-1].startswith("safe to replay"), out)
    code, _, errors = stranded(ring, 1, "replay", "db3")
    expect(code == 1 and "--yes" in errors, f"nobody is there to be asked: {code} {errors}")
    code, _, errors = stranded(ring, 1, "replay", "db2", "--yes")
    expect(code == 1 and "in the ring" in errors, f"db2 is in: {code} {errors}")

    code, out, errors = stranded(ring, 2, "replay", "db3", "--yes")
    expect(code == 0 and "db3 is in the ring" in out, f"replay: {code} {out} {errors}")
    ring.whole()
    everywhere(ring, f"SELECT GROUP_CONCAT(CONCAT(id, v) ORDER BY id) FROM {TABLE}", "1own,2own,4ring,5first,101x,102y")
    decided = [entry for entry in ring.epochs_since(mark) if entry["why"] == "command"]
    expect(len(decided) == 1 and "db2" in decided[0]["who"] + decided[0]["what"], f"the history should say who decided: {decided}")
    expect(not any(view["replay"] for view in ring.node(1).ask("/status")["nodes"]), "the decision is used up")
    ring.load()
    ring.audit()


@story(HOLD)
def stranded_ones_that_meet_others(ring):
    """The ring changed a row that was changed on the cut-off node, too: `stranded show` names it; `stranded discard` keeps
    everything in a file and leaves the node out; replayed nevertheless, it does what was foretold."""
    node = ring.node(3)
    table_everywhere(ring)
    wanted = cut_off(ring, node, [f"UPDATE {TABLE} SET v='own' WHERE id=2", f"INSERT INTO {TABLE} VALUES (110, 'a', 'own')"],
                     [f"UPDATE {TABLE} SET v='ring' WHERE id=2", f"UPDATE {TABLE} SET v='ring' WHERE id=5"])
    ring.await_problem(1, "stranded on db3", code="stranded", about="db3", seconds=PATIENCE)
    report = shown_with_ring(ring, 1, "db3")
    expect(report["stranded_set"] == wanted and not report["safe"], f"it is not safe: {report}")
    expect([(c["table"], c["key"], c["ring_change"]) for c in report["conflicts"]] == [(TABLE, "id=2", "updated")], f"one row: {report}")
    _, out, _ = stranded(ring, 1, "show", "db3")
    expect(out.splitlines()[-1].startswith("1 row was changed by the ring since"), out)

    file = ring.lab.dir / f"given-up-{time.time():.0f}.sql"
    code, out, errors = stranded(ring, 1, "discard", "db3", "--yes", "--out", str(file))
    expect(code == 0 and "ringagent reseed" in out, f"discard: {code} {out} {errors}")
    text = file.read_text(errors="replace")
    expect(file.stat().st_mode & 0o777 == 0o600, "others may read the file")
    expect("BINLOG '" in text and "@1=110" in text and "@3='own'" in text and "'ring'" not in text, text)
    code, _, errors = stranded(ring, 1, "discard", "db3", "--yes", "--out", str(file))
    expect(code == 1 and "exists" in errors, f"the file is there: {code} {errors}")
    expect(ring.node(1).ask("/status")["ring"] == ring.others(3), "it stays out")

    code, out, errors = stranded(ring, 1, "replay", "db3", "--yes")
    expect(code == 0, f"replay: {code} {out} {errors}")
    ring.whole()
    everywhere(ring, f"SELECT v FROM {TABLE} WHERE id=110", "own")
    everywhere(ring, f"SELECT v FROM {TABLE} WHERE id=2", "own", ring.others(3))  # overwritten, as was foretold
    everywhere(ring, f"SELECT v FROM {TABLE} WHERE id=2", "ring", ["db3"])
    ring.node(1).run_sql(f"UPDATE {TABLE} SET v='mended' WHERE id=2", user=APP)
    everywhere(ring, f"SELECT v FROM {TABLE} WHERE id=2", "mended")
    ring.load()
    ring.audit()


@story()
def stranded_ones_are_fed_by_hand(ring):
    """What `stranded discard` kept is fed to another server by hand, and everybody gets it. MySQL knows the transactions by
    their GTIDs, so nothing is stranded any more and the node comes back by itself; on MariaDB they are new ones, for a ring
    in which the node's data is gone."""
    ring.up(netns=True, settings=HOLD.options["settings"])
    ring.whole()
    node = ring.node(3)
    table_everywhere(ring)
    own = [f"INSERT INTO {TABLE} VALUES (130, 'b', 'it''s\\nübrig')", f"DELETE FROM {TABLE} WHERE id=4", "SET SESSION binlog_format='STATEMENT'",
           f"UPDATE {TABLE} SET v='by statement' WHERE id=5"]
    cut_off(ring, node, own)
    ring.await_problem(1, "stranded on db3", code="stranded", about="db3", seconds=PATIENCE)
    report = shown(ring, 2, "db3")
    expect([len(t["statements"]) for t in report["transactions"]] == [0, 0, 1] and not report["safe"], f"a statement cannot be compared: {report}")
    code, out, errors = stranded(ring, 2, "discard", "db3", "--yes")
    expect(code == 0, f"discard: {code} {out} {errors}")
    kept = list((ring.node(2).dir / "state").glob("stranded-db3-*.sql"))
    expect(len(kept) == 1 and str(kept[0]) in out, f"a file in the state directory: {kept} {out}")
    if ring.mariadb:
        node.kill("host")
    with kept[0].open("rb") as file:
        fed = subprocess.run([REPO / "scripts" / "servers", "exec", ring.flavor, ring.flavor, "--no-defaults", "-uroot", f"-S{ring.node(1).socket}"],
                             stdin=file, capture_output=True, text=True, timeout=30, check=False)
    expect(fed.returncode == 0, f"feeding the file to db1: {fed.stderr}")
    names = ring.others(3) if ring.mariadb else ring.names
    everywhere(ring, f"SELECT GROUP_CONCAT(CONCAT(id, v) ORDER BY id) FROM {TABLE}", "1first,2first,3first,5by statement,130it's\nübrig", names)
    if ring.mariadb:
        ring.without(3)
    else:
        ring.whole()
    ring.load(nodes=names)
    ring.flows(names)  # once round: what was fed has stopped
    ring.audit(everything=not ring.mariadb, survivors=names if ring.mariadb else None)


@story()
def stranded_ones_that_stop_the_applier(ring):
    """The ring and the cut-off node inserted the same key, so the node cannot even catch up: the row is found in the log of
    the ring. Its server stopped: the command says that it must run."""
    ring.up(netns=True, settings=HOLD.options["settings"])
    ring.whole()
    node = ring.node(3)
    table_everywhere(ring)
    cut_off(ring, node, [f"INSERT INTO {TABLE} VALUES (120, 'same', 'own')"], [f"INSERT INTO {TABLE} VALUES (121, 'same', 'ring')"])
    ring.wait(lambda: node.link() and node.link().sql_errno == 1062, PATIENCE, "db3 to stop with error 1062")
    report = shown_with_ring(ring, 1, "db3", changes=1)
    expect([(c["key_name"], c["key"]) for c in report["conflicts"]] == [("mail", "mail='same'")], f"the unique key: {report}")
    node.term("mysqld")
    ring.wait(lambda: next(view for view in ring.node(1).ask("/status")["nodes"] if view["name"] == "db3")["mysql"] == "down", 10, "db3 to be down")
    code, _, errors = stranded(ring, 1, "show", "db3")
    expect(code == 1 and "must run" in errors, f"its server is down: {code} {errors}")
