"""What the writers write, and what they know about it.

A grow-only set that can be audited. Each writer is an ORIGIN with keys of its own, so that writers never conflict, and
numbers its transactions. Transaction `seq` of an origin adds the same rows to `gs` (primary key: a missing row shows) and
to `nk` (no key at all: a row that is applied twice shows) and counts itself in `ctr`.

The JOURNAL of an origin is the witness: `C seq rows time` stands before a COMMIT is sent, `A seq time` after the server
acknowledged it, `F seq errno time` if the server refused it. C alone: outcome unknown (the connection broke in COMMIT, or
the writer was killed): whole or absent, but the same everywhere. Times are CLOCK_MONOTONIC seconds, comparable on one
machine. A transaction that failed before its COMMIT is simply tried again with the same number.
"""

import dataclasses
import pathlib

from .flavor import SCHEMA

TABLES = [
    "gs (origin INT NOT NULL, seq BIGINT NOT NULL, k INT NOT NULL, payload LONGBLOB, PRIMARY KEY (origin, seq, k))",
    "nk (origin INT NOT NULL, seq BIGINT NOT NULL, k INT NOT NULL, payload VARCHAR(64))",
    "ctr (origin INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)",
]
SCHEMA_SQL = [f"CREATE DATABASE IF NOT EXISTS {SCHEMA}"] + [f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{table} ENGINE=InnoDB" for table in TABLES]


def origin_of(n, writer):
    return n * 100 + writer


def node_of(origin):
    return origin // 100


@dataclasses.dataclass
class Journal:
    """What the writers of one origin know about their transactions: seq -> rows."""
    acked: dict
    unknown: dict
    refused: dict
    acked_at: dict    # seq -> CLOCK_MONOTONIC seconds

    @staticmethod
    def read(path):
        sent, acked, refused, acked_at = {}, {}, {}, {}
        for line in path.read_text().splitlines():
            kind, seq, *rest = line.split()
            seq = int(seq)
            if kind == "C":
                sent[seq] = int(rest[0])
            elif kind == "A":
                acked[seq], acked_at[seq] = sent.pop(seq), float(rest[0])
            else:
                refused[seq] = sent.pop(seq)
        return Journal(acked, sent, refused, acked_at)

    @staticmethod
    def read_all(directory):
        return {int(path.stem): Journal.read(path) for path in sorted(pathlib.Path(directory).glob("*.journal"))}
