"""One node: a server and, perhaps, the agent beside it, with everything of theirs in one directory."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from . import flavor as dialects
from .base import LabError, need_root, read_json, run, tail, wait, write_file, write_json
from .process import Process
from .sql import Connection, SqlError

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("agent", timeout=2)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Node:
    def __init__(self, lab, n):
        self.lab, self.n, self.name = lab, n, f"db{n}"
        self.dir = lab.dir / self.name
        self.address = lab.network.address(n)
        self.mysql_port = lab.network.mysql_port
        self.mysql_address = f"{self.address}:{self.mysql_port}"
        self.socket = self.dir / "mysqld.sock"
        self.agent_socket = self.dir / "agent.sock"
        self.agent_config = self.dir / "ringagent.toml"
        self.flavor = lab.flavor
        self.mysqld = Process(self.dir / "mysqld.json", self.dir / "mysqld.out")
        self.agent = Process(self.dir / "agent.json", self.dir / "agent.log")

    # ---- files --------------------------------------------------------------------------------------------------

    def prepare(self):
        """A fresh server, as if just installed: a copy of the template, options, password files."""
        self.dir.mkdir(mode=0o700, parents=True)
        for part in ("tmp", "state"):
            (self.dir / part).mkdir(mode=0o700)
        self.fresh_data()
        self.write_options(self.lab.config["server"])
        for who, file in (("agent", "mysql"), ("replication", "replication")):
            write_file(self.dir / f"{file}.password", self.lab.passwords[who] + "\n")

    def fresh_data(self):
        """Throw the data away and put an empty server's there (the disk was replaced)."""
        if self.mysqld.alive():
            raise LabError(f"{self.name}: mysqld is running; its data cannot be replaced")
        shutil.rmtree(self.dir / "data", ignore_errors=True)
        run(["cp", "-a", "--reflink=auto", self.lab.template(), self.dir / "data"])

    def write_options(self, changes=None):
        """Write my.cnf; `changes` override options by name and stay for later starts (None takes one away)."""
        kept = self.dir / "options.json"
        own = {**(read_json(kept) or {}), **(changes or {})}
        write_json(kept, own)
        options = {
            "datadir": self.dir / "data", "tmpdir": self.dir / "tmp", "socket": self.socket,
            "pid_file": self.dir / "mysqld.pid", "log_error": self.dir / "mysqld.err", "bind_address": self.address,
            "port": self.mysql_port, "report_host": self.address, "report_port": self.mysql_port,
            **self.flavor.options(self.n, self.lab.config["durable"]), **own,
        }
        if os.geteuid() == 0:
            options["user"] = "root"
        lines = [f"{key}={value}" for key, value in options.items() if value is not None]
        write_file(self.dir / "my.cnf", "\n".join(["[mysqld]", *self.lab.server_lines(), *lines]) + "\n")

    def limit_state_disk(self, size="64k"):
        """Put the agent's state directory onto a tiny disk of its own, so that it can be full. `down` takes it away."""
        need_root("a small disk")
        run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "ringlab", self.dir / "state"])

    # ---- the server ---------------------------------------------------------------------------------------------

    def start_mysqld(self, ready=True):
        argv = [*self.lab.network.enter(self.n), *self.lab.server_argv(), f"--defaults-file={self.dir / 'my.cnf'}"]
        self.mysqld.start(argv, self.lab.dir, env={"TMPDIR": str(self.dir / "tmp")})
        if ready:
            self.await_mysqld()

    def await_mysqld(self, seconds=60):
        """Wait until it answers; if it ended instead, say what it wrote."""
        def answers():
            if not self.mysqld.alive():
                return "ended"
            with self.sql() as connection:
                return connection.value("SELECT 1")
        if wait(answers, seconds, f"{self.name}: mysqld to answer") == "ended":
            raise LabError(f"{self.name}: mysqld ended at its start:\n{tail(self.dir / 'mysqld.err')}\n{tail(self.mysqld.log)}")

    def sql(self, user="root", seconds=5.0):
        """A connection over the unix socket (also from outside of the node's namespace)."""
        password = {"root": "", dialects.AGENT: self.lab.passwords["agent"], dialects.APP: self.lab.passwords["app"]}
        return Connection(user, password[user], socket=self.socket, seconds=seconds)

    def rows(self, sql, user="root"):
        with self.sql(user) as connection:
            return connection.rows(sql)

    def value(self, sql, user="root"):
        with self.sql(user) as connection:
            return connection.value(sql)

    def run_sql(self, *statements, user="root"):
        """Statements one after another on one connection."""
        with self.sql(user) as connection:
            for statement in statements:
                connection.run(statement)

    def answers(self):
        try:
            return self.value("SELECT 1") == 1
        except SqlError:
            return False

    def read_only(self):
        return bool(self.value("SELECT @@global.read_only"))

    def vector(self):
        with self.sql() as connection:
            return self.flavor.vector(connection)

    def link(self):
        """Its replication link (with the source's name), or None."""
        with self.sql() as connection:
            link = self.flavor.link(connection)
        if link:
            link.source = self.lab.name_of(link.source)
        return link

    def coordinates(self):
        with self.sql() as connection:
            return self.flavor.coordinates(connection)

    def create_accounts(self):
        self.run_sql(self.flavor.open_up, "SET sql_log_bin=0", *self.flavor.accounts(self.lab.passwords), self.flavor.shut)

    def point_at(self, source):
        """Wire this server, whose link is stopped, to another node by hand."""
        self.run_sql(self.flavor.change_source(source.address, source.mysql_port, self.lab.passwords["replication"], 0.5))

    def follow(self, source):
        """The same, and let it run."""
        self.point_at(source)
        self.run_sql(self.flavor.start_link)

    def open_up(self):
        self.run_sql(self.flavor.open_up)

    def resume_bare(self):
        """What a person does after a restart in a ring without agents."""
        self.run_sql(self.flavor.start_link, self.flavor.open_up)

    # ---- the agent ----------------------------------------------------------------------------------------------

    def start_agent(self):
        self.lab.prepare_agents()
        self.agent.start([*self.lab.network.enter(self.n), self.lab.agent_binary, "run", "--config", self.agent_config],
                         self.lab.dir)

    def agent_command(self, *words, seconds=20):
        """Run `ringagent WORDS --socket ...` against this node's agent: (exit status, output, errors)."""
        done = subprocess.run([*self.lab.network.enter(self.n), str(self.lab.agent_binary), *words, "--socket", str(self.agent_socket)],
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
        return done.returncode, done.stdout, done.stderr

    def ask(self, path):
        """What the agent's API answers over its socket: parsed if it is JSON, else text; None unless it says 200. For
        whoever asks often: `status` and `history` start a process each time, as a person does."""
        if not self.agent.alive() or self.agent.stopped():
            return None
        try:
            connection = UnixHttp(self.agent_socket)
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            if answer.status != 200:
                return None
            return json.loads(text) if answer.getheader("Content-Type") == "application/json" else text
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def status(self):
        """The agent's status as parsed JSON, or None if it does not answer."""
        return self._agent_json("status", "--json")

    def history(self):
        """The agent's history, oldest entry first, or [] if it does not answer. An entry has seq, time, kind (epoch |
        action | note), generation, epoch, what, why, who, ok, took_ms and steps."""
        return self._agent_json("history", "--json", "-n", "10000") or []

    def _agent_json(self, *words):
        """One JSON value, or a list where the answer is a JSON value a line."""
        if not self.agent.alive() or self.agent.stopped():
            return None
        try:
            code, out, errors = self.agent_command(*words)
        except subprocess.TimeoutExpired:
            return None
        if code == 3:
            return None
        try:
            return [json.loads(line) for line in out.splitlines()] if words[0] == "history" and not out.startswith("[") else json.loads(out)
        except ValueError:
            raise LabError(f"{self.name}: ringagent {' '.join(words)} (exit {code}) is not JSON: {(errors or out).strip()[:300]}") from None

    # ---- faults -------------------------------------------------------------------------------------------------

    def kill(self, what):
        return self._fault("kill", what)

    def term(self, what):
        return self._fault("term", what)

    def stop(self, what):
        return self._fault("stop", what)

    def cont(self, what):
        return self._fault("cont", what)

    def _fault(self, action, what):
        """kill: SIGKILL; term: clean end; stop and cont: SIGSTOP and SIGCONT. A host in namespaces loses its cable first,
        as a machine that loses its power or freezes does not say goodbye. Returns when (time.monotonic()) it happened."""
        host = what == "host"
        cable = host and self.lab.network.kind == "netns"
        if cable and action in ("kill", "stop"):
            self.lab.network.cut(self.n)
        victims = [victim for victim in self._processes(what) if victim.alive()]
        if not victims:
            raise LabError(f"{self.name}: no {'process' if host else what} is running")
        happened = time.monotonic()
        for victim in victims:
            victim.send(SIGNALS[action])
        if action in ("kill", "term"):
            for victim in victims:
                victim.end(SIGNALS[action], seconds=120)
        if action == "stop":
            for victim in victims:
                wait(victim.stopped, 5, f"{self.name}: {what} to stop")
        if cable and action == "cont":
            self.lab.network.join(self.n)
        return happened

    def _processes(self, what):
        parts = {"mysqld": [self.mysqld], "agent": [self.agent], "host": [self.agent, self.mysqld]}
        if what not in parts:
            raise LabError(f"'{what}' is none of mysqld, agent, host")
        return parts[what]

    def start(self, what, ready=True):
        """Start what is not running. Without agents in the lab, the server is also put back to work."""
        parts = self._processes(what)
        if what == "host":
            self.join()
        elif parts[0].alive():
            raise LabError(f"{self.name}: {what} is already running (pid {parts[0].pid()})")
        if self.mysqld in parts and not self.mysqld.alive():
            self.start_mysqld(ready)
            if ready and self.lab.config["bare"]:
                self.resume_bare()
        if self.agent in parts and not self.agent.alive() and (what == "agent" or not self.lab.config["bare"]):
            self.start_agent()

    def cut(self):
        """Pull the host's cable; its processes go on."""
        self.lab.network.cut(self.n)

    def join(self):
        self.lab.network.join(self.n)

    def describe(self):
        """One line: what runs, whom it follows, what its agent says."""
        server, agent = self.mysqld.describe(), self.agent.describe()
        words = [f"{self.name} {self.mysql_address}", f"mysqld {server}", f"agent {agent}"]
        if server == "up":
            try:
                words += ["read-only" if self.read_only() else "writable", str(self.link() or "follows nobody")]
            except LabError as error:
                words.append(str(error))
        if agent == "up":
            try:
                status = self.status()
                words.append(f"epoch {status['epoch']}, health {status['health']}, ring {'->'.join(status['ring'])}" if status else "agent does not answer")
                words += [f"[{problem['text']}]" for problem in (status or {}).get("problems", [])]
            except LabError as error:
                words.append(str(error))
        return "  ".join(words)

    def collect(self, target):
        """Copy logs and everything that can be asked into a directory."""
        target = pathlib.Path(target) / self.name
        target.mkdir(parents=True, exist_ok=True)
        for name in ("mysqld.err", "mysqld.out", "agent.log", "my.cnf", "ringagent.toml", "ring.json"):
            if (self.dir / name).exists():
                shutil.copy(self.dir / name, target / name)
        questions = {"status.json": self.status, "history.json": self.history, "vector.json": self.vector,
                     "link.txt": lambda: str(self.link()), "link.json": lambda: self.link().row,
                     "processlist.json": lambda: self.rows("SHOW FULL PROCESSLIST"),
                     "binlogs.json": lambda: self.rows("SHOW BINARY LOGS"), "variables.json": lambda: self.rows("SHOW GLOBAL VARIABLES")}
        for name, ask in questions.items():
            try:
                answer = ask()
            except (LabError, AttributeError, OSError) as error:
                answer = f"not answered: {error}"
            (target / name).write_text(answer if isinstance(answer, str) else json.dumps(answer, indent=1, default=str) + "\n")
