"""The audit: is what the writers were promised true on every survivor?

Quiesce first (the load is stopped, the survivors' vectors agree), then nothing may move any more, then the contents are
compared with the journals and with each other. By content, because vectors can lie. The rules:

 - acknowledged at a survivor: the whole transaction stands exactly once on every survivor;
 - outcome unknown: on all survivors or on none, and whole;
 - acknowledged at a node that is out: on all or on none, and whole; absent ones are reported (`everything` demands them);
 - refused, or never sent: nowhere;
 - the counters say what the rows say; CHECKSUM TABLE agrees for every table; nobody's binlog grows without clients.
"""

import collections
import dataclasses
import time

from .base import LabError, at_once, wait
from .flavor import SCHEMA
from .journal import Journal, node_of

EXAMPLES = 5  # problems of one kind that are spelled out


@dataclasses.dataclass
class Verdict:
    ok: bool
    survivors: list
    problems: list
    acked: int = 0            # at survivors
    unknown: int = 0
    unknown_present: int = 0
    lost_with_the_dead: int = 0    # acknowledged at a node that is out, and on no survivor
    saved_from_the_dead: int = 0   # acknowledged at a node that is out, and on all survivors
    refused: int = 0
    rows: int = 0
    seconds: float = 0.0

    def as_dict(self):
        return dataclasses.asdict(self)

    def __str__(self):
        lines = [f"{'OK' if self.ok else 'FAILED'}: {len(self.survivors)} nodes ({', '.join(self.survivors)}), "
                 f"{self.acked} acknowledged transactions, {self.rows} rows each, audited in {self.seconds:.1f} s"]
        if self.unknown:
            lines.append(f"  outcome unknown to the client: {self.unknown}, of them present {self.unknown_present}")
        if self.lost_with_the_dead or self.saved_from_the_dead:
            lines.append(f"  acknowledged at nodes that are out: {self.saved_from_the_dead} on all survivors, "
                         f"{self.lost_with_the_dead} on none (they stand on the dead node alone)")
        return "\n".join(lines + [f"  - {problem}" for problem in self.problems])


def verify(lab, survivors=None, everything=False, seconds=30, quiet=1.0):
    """Audit the given nodes (default: all whose server answers). `seconds` bounds the wait for agreement; `quiet` is for
    how long no binlog may grow."""
    began = time.monotonic()
    lab.load_stop()
    nodes = survivors or [node for node in lab.nodes if node.mysqld.alive() and not node.mysqld.stopped() and node.answers()]
    verdict = Verdict(ok=False, survivors=[node.name for node in nodes], problems=[])
    if not nodes:
        verdict.problems.append("no server answers")
        return verdict
    for stage in (lambda: await_agreement(nodes, seconds), lambda: await_silence(nodes, quiet)):
        problem = stage()
        if problem:
            verdict.problems.append(problem)
    audit(lab, nodes, everything, verdict)
    verdict.ok = not verdict.problems
    verdict.seconds = time.monotonic() - began
    return verdict


def await_agreement(nodes, seconds):
    def agree():
        vectors = at_once(lambda node: node.vector(), nodes)
        return all(vector == vectors[0] for vector in vectors)
    try:
        wait(agree, seconds, "agreement", every=0.05)
    except LabError:
        return f"after {seconds:g} s the nodes still differ in what they have:\n" + describe_vectors(nodes)
    return None


def describe_vectors(nodes):
    vectors = {}
    lines = []
    for node in nodes:
        try:
            vectors[node.name] = node.vector()
            link = node.link()
            lines.append(f"      {node.name} {link or 'follows nobody'}")
        except LabError as error:
            lines.append(f"      {node.name} does not answer: {error}")
    for key in sorted(set().union(*vectors.values())):
        have = {name: vector.get(key, "-") for name, vector in vectors.items()}
        if len(set(have.values())) > 1:
            lines.append(f"      {key}: " + ", ".join(f"{name} {value}" for name, value in have.items()))
    return "\n".join(lines)


def await_silence(nodes, quiet, seconds=5.0):
    """All binlogs must stand still for `quiet` seconds: an event that goes round for ever moves them."""
    def look():
        return at_once(lambda node: node.coordinates(), nodes)
    first = last = look()
    began = still_since = time.monotonic()
    while time.monotonic() - still_since < quiet:
        time.sleep(0.05)
        now = look()
        if now != last:
            last, still_since = now, time.monotonic()
        if still_since - began > seconds:
            moved = [f"{node.name} {before[0]}:{before[1]} -> {after[0]}:{after[1]}"
                     for node, before, after in zip(nodes, first, now) if before != after]
            return f"binlogs grow without any client for {seconds:g} s, so something circulates: " + ", ".join(moved)
    return None


@dataclasses.dataclass
class Contents:
    """What one node's tables hold."""
    gs: dict          # (origin, seq) -> (rows, distinct rows)
    nk: dict
    counters: dict    # origin -> n
    checksums: dict   # table -> checksum
    rows: int


def read_contents(node):
    with node.sql(seconds=120) as connection:
        def grouped(table):
            rows = connection.rows(f"SELECT origin, seq, COUNT(*) AS c, COUNT(DISTINCT k) AS d FROM {SCHEMA}.{table} GROUP BY origin, seq")
            return {(row["origin"], row["seq"]): (row["c"], row["d"]) for row in rows}
        tables = sorted(next(iter(row.values())) for row in connection.rows(f"SHOW TABLES FROM {SCHEMA}"))
        checksums = {table: connection.rows(f"CHECKSUM TABLE {SCHEMA}.{table}")[0]["Checksum"] for table in tables}
        gs, nk = grouped("gs"), grouped("nk")
        counters = {row["origin"]: row["n"] for row in connection.rows(f"SELECT origin, n FROM {SCHEMA}.ctr")}
        return Contents(gs, nk, counters, checksums, sum(count for count, _ in gs.values()))


class Problems:
    """Collects problems by kind: how many, and the first few in full."""

    def __init__(self):
        self.kinds = collections.defaultdict(list)

    def add(self, kind, text):
        self.kinds[kind].append(text)

    def lines(self):
        for kind, found in self.kinds.items():
            more = f" and {len(found) - EXAMPLES} more" if len(found) > EXAMPLES else ""
            yield f"{kind}: {'; '.join(found[:EXAMPLES])}{more}"


def audit(lab, nodes, everything, verdict):
    journals = Journal.read_all(lab.dir / "load")
    if not journals:
        verdict.problems.append("there is no journal: no load was ever started in this lab")
        return
    try:
        contents = dict(zip((node.name for node in nodes), at_once(read_contents, nodes)))
    except LabError as error:
        verdict.problems.append(f"a table cannot be read: {error}")
        return
    if not any(journal.acked for journal in journals.values()):
        verdict.problems.append("no transaction was ever acknowledged: there is nothing to audit")
    problems = Problems()
    alive = {node.n for node in nodes}
    for origin, journal in journals.items():
        audit_origin(origin, journal, node_of(origin) in alive, contents, everything, verdict, problems)
    audit_strangers(journals, contents, problems)
    audit_counters(contents, problems)
    audit_checksums(contents, problems)
    verdict.rows = max(content.rows for content in contents.values())
    verdict.problems += problems.lines()


def audit_origin(origin, journal, at_survivor, contents, everything, verdict, problems):
    verdict.refused += len(journal.refused)
    for seq, rows in journal.acked.items():
        present = presence(origin, seq, rows, contents, problems)
        if at_survivor or everything:
            verdict.acked += 1
            for name in set(contents) - present:
                problems.add("acknowledged but missing", f"{origin}:{seq} on {name}")
        elif present:
            verdict.saved_from_the_dead += 1
            all_or_none(origin, seq, present, contents, problems)
        else:
            verdict.lost_with_the_dead += 1
    for seq, rows in journal.unknown.items():
        present = presence(origin, seq, rows, contents, problems)
        verdict.unknown += 1
        verdict.unknown_present += bool(present)
        all_or_none(origin, seq, present, contents, problems)
    for seq, rows in journal.refused.items():
        for name in presence(origin, seq, rows, contents, problems):
            problems.add("refused to the client but there", f"{origin}:{seq} on {name}")


def presence(origin, seq, rows, contents, problems):
    """The nodes that have this transaction at all; says where it is not whole or doubled."""
    present = set()
    for name, content in contents.items():
        for table in ("gs", "nk"):
            count, distinct = getattr(content, table).get((origin, seq), (0, 0))
            if count:
                present.add(name)
            if count > distinct:
                problems.add("applied twice", f"{origin}:{seq} in {table} on {name}: {count} rows, {distinct} of them different, {rows} sent")
        gs, nk = content.gs.get((origin, seq), (0, 0))[1], content.nk.get((origin, seq), (0, 0))[1]
        if (gs, nk) not in ((0, 0), (rows, rows)):
            problems.add("half a transaction", f"{origin}:{seq} on {name}: {gs} of {rows} rows in gs, {nk} in nk")
    return present


def all_or_none(origin, seq, present, contents, problems):
    if present and len(present) < len(contents):
        problems.add("on some nodes only", f"{origin}:{seq} on {', '.join(sorted(present))}, not on {', '.join(sorted(set(contents) - present))}")


def audit_strangers(journals, contents, problems):
    known = {(origin, seq) for origin, journal in journals.items() for part in (journal.acked, journal.unknown, journal.refused) for seq in part}
    for name, content in contents.items():
        for origin, seq in sorted((set(content.gs) | set(content.nk)) - known):
            problems.add("never committed by any client", f"{origin}:{seq} on {name}")


def audit_counters(contents, problems):
    for name, content in contents.items():
        expected = collections.Counter(origin for origin, _ in content.gs)
        for origin in sorted(set(expected) | set(content.counters)):
            if expected[origin] != content.counters.get(origin, 0):
                problems.add("counter differs from the rows", f"origin {origin} on {name}: counter {content.counters.get(origin, 0)}, transactions {expected[origin]}")


def audit_checksums(contents, problems):
    for table in sorted(set().union(*(content.checksums for content in contents.values()))):
        sums = {name: content.checksums.get(table, "no such table") for name, content in contents.items()}
        if len(set(sums.values())) > 1:
            problems.add("CHECKSUM TABLE differs", f"{table}: " + ", ".join(f"{name} {value}" for name, value in sums.items()))
