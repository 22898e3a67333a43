"""The writers: a process of its own that writes at every node until it is told to stop (python -m ringlab.workload DIR).

What they write and note is told in `journal`. Every tenth transaction has 20 rows, every fifth runs statement-based where
the server permits it, so that a replay would count twice. On request there are transactions of 8 MB, and DDL from the
first origin. A writer whose server is gone or read-only tries again until it may.
"""

import argparse
import os
import pathlib
import signal
import sys
import threading
import time

from .base import read_json
from .flavor import APP, SCHEMA
from .journal import Journal, origin_of
from .sql import Connection, SqlError

# No transaction took place, says the server in answer to COMMIT: deadlock, lock wait, read-only. Anything else is unknown.
REFUSED = {1205, 1213, 1223, 1290, 1792, 1836}
BIG_ROWS, BIG_ROW_BYTES = 16, 512 * 1024

class Writer(threading.Thread):
    def __init__(self, options, config, directory, n, writer, stopping):
        super().__init__(daemon=True)  # a writer that hangs in a stopped server must not keep the process
        self.options, self.stopping = options, stopping
        self.origin = origin_of(n, writer)
        self.password = config["passwords"]["app"]
        self.socket = directory / f"db{n}" / "mysqld.sock"
        path = directory / "load" / f"{self.origin}.journal"
        known = Journal.read(path) if path.exists() else None
        self.seq = 1 + max([0, *known.acked, *known.unknown, *known.refused]) if known else 1
        self.journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.ddl = options.ddl and writer == 1 and n == min(options.nodes)
        self.connection, self.statements_allowed = None, True

    def run(self):
        turn = time.monotonic()
        while not self.stopping.is_set():
            turn = max(turn + 1.0 / self.options.rate, time.monotonic() - 1.0)  # no burst after a long pause
            if self.stopping.wait(max(0.0, turn - time.monotonic())):
                break
            try:
                self.connection = self.connection or self.connect()
                self.transaction()
                if self.ddl and self.seq % 150 == 0:
                    self.change_schema()
            except SqlError as error:
                self.recover(error)

    def connect(self):
        connection = Connection(APP, self.password, socket=self.socket, seconds=3600)
        connection.run(f"USE {SCHEMA}; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return connection

    def recover(self, error):
        """The server is gone, read-only, full: go on with a new connection soon."""
        if not error.lost and error.code not in (1205, 1213, 1290, 1040):
            print(f"{self.origin}: {error}", flush=True)
        if self.connection:
            self.connection.close()
        self.connection = None
        self.stopping.wait(0.02)

    def note(self, kind, *words):
        os.write(self.journal, f"{kind} {self.seq} {' '.join(map(str, words))} {time.monotonic():.6f}\n".encode())

    def transaction(self):
        rows, sql = self.body()
        if self.seq % 5 == 0 and self.statements_allowed:
            with_format = self.in_statement_format(sql)
        else:
            with_format = sql
        self.connection.run(with_format)
        self.note("C", rows)
        try:
            self.connection.run("COMMIT")
            self.note("A")
        except SqlError as error:
            if error.code in REFUSED:
                self.note("F", error.code)
            raise
        finally:
            self.seq += 1
        if with_format is not sql:
            self.connection.run("SET SESSION binlog_format=ROW")

    def in_statement_format(self, sql):
        try:
            self.connection.run("SET SESSION binlog_format=STATEMENT")
            return "/* statement */ " + sql
        except SqlError as error:
            if error.lost:
                raise
            print(f"{self.origin}: no statement-based transactions: {error}", flush=True)
            self.statements_allowed = False
            return sql

    def body(self):
        o, s = self.origin, self.seq
        if self.options.big_every and s % self.options.big_every == 0:
            count, payload = BIG_ROWS, f"REPEAT('{o}.{s}.', {BIG_ROW_BYTES} DIV {len(f'{o}.{s}.')})"
        else:
            count, payload = (20 if s % 10 == 0 else 1), None
        gs = ",".join(f"({o},{s},{k},{payload or repr(f'{o}-{s}-{k}')})" for k in range(count))
        nk = ",".join(f"({o},{s},{k},'{o}-{s}-{k}')" for k in range(count))
        return count, (f"BEGIN; INSERT INTO gs VALUES {gs}; INSERT INTO nk VALUES {nk}; "
                       f"INSERT INTO ctr VALUES ({o},1) ON DUPLICATE KEY UPDATE n=n+1")

    def change_schema(self):
        table = f"ddl_{self.origin}_{self.seq // 150 % 5}"  # five tables, made anew in turn
        for sql in (f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} (id INT PRIMARY KEY, a INT)",
                    f"INSERT INTO {table} VALUES (1,1),(2,2)", f"ALTER TABLE {table} ADD COLUMN b INT NOT NULL DEFAULT 7"):
            self.connection.run(sql)


def arguments():
    parser = argparse.ArgumentParser(prog="ringlab.workload")
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--nodes", type=lambda text: [int(n) for n in text.split(",")], required=True)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--writers", type=int, default=1)
    parser.add_argument("--big-every", type=int, default=0)
    parser.add_argument("--ddl", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    config = read_json(options.dir / "lab.json")
    writers = [Writer(options, config, options.dir, n, w, stopping) for n in options.nodes for w in range(1, options.writers + 1)]
    for writer in writers:
        writer.start()
    (options.dir / "load" / "ready").touch()
    while not stopping.wait(3600):
        pass
    deadline = time.monotonic() + 3
    for writer in writers:
        writer.join(max(0.0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(0)  # writers that still wait for a stopped server leave their last transaction as unknown


if __name__ == "__main__":
    main()
