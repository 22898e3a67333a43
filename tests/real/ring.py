"""A ring under test: a lab of real servers with agents, and the questions that every story asks of it."""

import dataclasses
import datetime
import itertools
import re
import shutil
import time

from ringlab import Lab, LabError
from ringlab.base import at_once
from ringlab.flavor import APP, SCHEMA

# Why an epoch takes a node out; "returned" takes one in; "votes" touches no server.
OUT = {"mysqld_down", "mysqld_hung", "silent", "refused", "headless", "unsafe", "stuck", "link"}
LINK_WORK = {"repoint", "create link", "start link", "start receiving", "stop link"}


class Failed(Exception):
    """The agents did not do what the story says."""


def expect(truth, text):
    if not truth:
        raise Failed(text)


@dataclasses.dataclass(frozen=True)
class Mark:
    """A moment in a ring's life, to count from."""
    epoch: tuple
    at: float


class Ring:
    def __init__(self, flavor, name):
        self.lab = Lab(name)
        self.flavor = flavor
        self.tokens = itertools.count(1)

    def up(self, nodes=4, **options):
        self.lab.up(nodes=nodes, flavor=self.flavor, **options)
        return self

    @property
    def nodes(self):
        return self.lab.nodes

    @property
    def names(self):
        return [node.name for node in self.nodes]

    def node(self, which):
        return self.lab.node(which)

    def others(self, *out):
        """The names of all nodes but these, in home order."""
        out = {self.node(which).name for which in out}
        return [name for name in self.names if name not in out]

    def wait(self, condition, seconds, what, every=0.02):
        return self.lab.wait(condition, seconds, what, every)

    @property
    def mariadb(self):
        return self.flavor == "mariadb"

    # ---- the ring as it should be ----------------------------------------------------------------------------------

    def agents(self):
        return [node for node in self.nodes if node.agent.alive() and not node.agent.stopped()]

    def sources(self, names):
        """Whom each follows if the ring is these nodes."""
        return {name: names[i - 1] for i, name in enumerate(names)} if len(names) > 1 else {}

    def without(self, *out, seconds=15):
        """Wait until all agents agree that the ring is everybody but these, and each of the ring follows the one before
        it, by the word of its own server. Then a row written at each of them has to reach all of them."""
        names = self.others(*out)
        self.wait(lambda: all((node.ask("/status") or {}).get("ring") == names for node in self.agents() if node.name in names),
                  seconds, f"the ring to be {', '.join(names)}")
        self.await_links(self.sources(names), seconds)
        self.flows(names)

    def await_links(self, sources, seconds=15):
        def right():
            links = dict(zip(sources, at_once(lambda name: self.node(name).link(), sources)))
            return all(links[name] and links[name].source == source and links[name].running for name, source in sources.items())
        self.wait(right, seconds, "links " + ", ".join(f"{source} -> {name}" for name, source in sources.items()), every=0.03)

    def whole(self, seconds=60):
        """Wait until everybody is in, and everything that the agents say is true."""
        self.lab.await_ring(seconds)
        self.await_links(self.sources(self.names))
        self.wait(lambda: [node.name for node, shut in zip(self.nodes, at_once(lambda node: node.read_only(), self.nodes)) if not shut]
                  == self.writers(), 20, "those servers to take writes that should, and no others")
        self.wait(lambda: not self.untruths(), 10, "the agents' status to be true")
        for node in self.nodes:
            code, out, _ = node.agent_command("status")
            expect(code == 0, f"`ringagent status` at {node.name} exits with {code} in a whole ring:\n{out}")

    def writers(self):
        """Who should take writes in a whole ring: all, or the one that the agents name."""
        status = self.nodes[0].ask("/status") or {}
        return [status["writer"]] if status.get("writers") == "one" else self.names

    def untruths(self):
        """What the agents of a whole ring say and is not so."""
        links = {node.name: node.link() for node in self.nodes}
        found, writers = [], self.writers()
        for node in self.nodes:
            status = node.ask("/status")
            if not status or status["health"] != "ok" or status["problems"] or status["ring"] != self.names:
                found.append(f"{node.name}: {status and (status['health'], status['problems'], status['ring'])}")
                continue
            for view in status["nodes"]:
                wanted = [link for link in view["upstreams"] if link["desired"]]
                if len(wanted) != 1 or wanted[0]["node"] != links[view["name"]].source or wanted[0]["io"] != links[view["name"]].io:
                    found.append(f"{node.name} says of the link of {view['name']}: {view['upstreams']}")
                if (view["agent"], view["mysql"], view["in"], view["read_only"]) != ("alive", "up", True, view["name"] not in writers):
                    found.append(f"{node.name} says of {view['name']}: {view}")
        return found

    def flows(self, names=None, seconds=15):
        """A row written at each of these nodes reaches all of them."""
        names = names or self.names
        token = f"{time.time():.3f}.{next(self.tokens)}"
        self.wait(lambda: self.node(names[0]).run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.flow (token VARCHAR(64) PRIMARY KEY)") is None,
                  10, f"{names[0]} to answer")

        def written(name):
            return self.node(name).run_sql(f"INSERT IGNORE INTO {SCHEMA}.flow VALUES ('{token}.{name}')", user=APP) is None
        for name in names:
            self.wait(lambda name=name: written(name), seconds, f"{name} to take writes")
        for name in names:
            self.wait(lambda name=name: self.node(name).value(f"SELECT COUNT(*) FROM {SCHEMA}.flow WHERE token LIKE '{token}.%'") == len(names),
                      seconds, f"the rows of {', '.join(names)} at {name}")

    def quiet(self, seconds):
        """Let time pass: the claim is that nothing happens in it."""
        time.sleep(seconds)

    # ---- load and audit ----------------------------------------------------------------------------------------------

    def load(self, rate=12, **options):
        if not self.lab.load.alive():
            self.lab.load_start(rate=rate, **options)
        self.lab.await_writes(*(options.get("nodes") or self.writable()), more=3)

    def writable(self):
        return [node.name for node in self.nodes if node.mysqld.alive() and not node.mysqld.stopped() and not node.read_only()]

    def audit(self, everything=True, survivors=None):
        verdict = self.lab.verify(survivors, everything)
        expect(verdict.ok, f"the audit is not clean: {verdict}")
        return verdict

    # ---- a server that comes back with older data --------------------------------------------------------------------

    def keep_data(self, which):
        """A copy of a node's data as they are, taken while its server is down for a moment."""
        node = self.node(which)
        node.term("mysqld")
        self.without(which)
        shutil.copytree(node.dir / "data", node.dir / "data.old")
        node.start_mysqld()
        self.whole()

    def lose_data(self, which):
        """The server dies, and has only what was kept when it is started again."""
        node = self.node(which)
        node.kill("mysqld")
        self.without(which)
        shutil.rmtree(node.dir / "data")
        (node.dir / "data.old").rename(node.dir / "data")

    # ---- what the agents did -----------------------------------------------------------------------------------------

    def mark(self):
        return Mark(self.lab.epoch(), time.time())

    def epochs_since(self, mark):
        return [entry for key, entry in sorted(self.lab.epochs().items()) if key > mark.epoch]

    def actions_since(self, mark, *whats):
        """What was begun since; an action is told of when it is verified, which may be after the mark."""
        return [(name, entry) for name, entry in self.lab.actions(None) if began(entry) >= mark.at and (not whats or entry["what"] in whats)]

    def expect_epochs(self, mark, outs, backs):
        """Since the mark: so many epochs that took nodes out (a number or a range), so many that took one in, and no
        others, but that votes may have moved."""
        epochs = self.epochs_since(mark)
        told = "; ".join(f"{entry['epoch']} {entry['why']}: {entry['what']}" for entry in epochs)
        classes = [entry["why"] for entry in epochs if entry["why"] != "votes"]
        out = [name for name in classes if name in OUT]
        expect(len(out) in (outs if isinstance(outs, range) else (outs,)), f"{outs} epochs should have taken nodes out: {told}")
        expect(classes.count("returned") == backs, f"{backs} epochs should have taken a node in: {told}")
        expect(len(out) + backs == len(classes), f"stray epochs: {told}")

    def expect_nothing(self, mark, votes=False):
        """Since the mark nobody decided anything and nobody touched a server."""
        epochs = [entry for entry in self.epochs_since(mark) if not (votes and entry["why"] == "votes")]
        expect(not epochs, "nothing should have been decided, but: " + "; ".join(f"epoch {entry['epoch']}: {entry['what']} ({entry['why']})" for entry in epochs))
        actions = self.actions_since(mark)
        expect(not actions, "nothing should have been done to a server, but: " + "; ".join(f"{name} {entry['what']}: {entry['why']}" for name, entry in actions))

    # ---- what the agents say -----------------------------------------------------------------------------------------

    def problems(self, at):
        return (self.node(at).ask("/status") or {}).get("problems", [])

    def await_problem(self, at, pattern, code=None, about=None, seconds=10):
        """Wait until the agent `at` names a problem whose text matches; returns it."""
        def found():
            for problem in self.problems(at):
                if re.search(pattern, problem["text"], re.S) and code in (None, problem["code"]) and about in (None, problem["node"]):
                    return problem
            return None
        try:
            return self.lab.wait(found, seconds, f"the agent of {self.node(at).name} to say: {pattern}")
        except LabError as error:
            raise Failed(f"{error}\nit says: {self.problems(at)}") from None

    def await_no_problem(self, at, seconds=15):
        self.wait(lambda: (self.node(at).ask("/status") or {}).get("health") == "ok", seconds, f"the agent of {self.node(at).name} to be content")


def stamp(entry):
    """The wall clock of a history entry."""
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


def began(entry):
    return stamp(entry) - sum(step["took_ms"] for step in entry["steps"]) / 1000


def without_binlog(node, *statements):
    """Statements that only this server ever sees."""
    node.run_sql("SET sql_log_bin=0", *statements)


def purge_binlogs(ring, node):
    """Throw away all of its binary logs but a new, empty one. A log that is still being read or needed stays for a while."""
    node.run_sql("FLUSH BINARY LOGS")
    newest = node.coordinates()[0]

    def purged():
        node.run_sql(f"PURGE BINARY LOGS TO '{newest}'")
        return len(node.rows("SHOW BINARY LOGS")) == 1
    ring.wait(purged, 10, f"{node.name} to purge its logs", every=0.1)


def sessions_of(node, user):
    return [row["Id"] for row in node.rows("SHOW PROCESSLIST") if row["User"] == user]


def kill_sessions(node, user):
    """KILL all connections of an account; one may have gone by itself."""
    for session in sessions_of(node, user):
        try:
            node.run_sql(f"KILL {session}")
        except LabError as error:
            if getattr(error, "code", 0) != 1094:
                raise


def told(node):
    """What the link of a node was told once: all that does not move by itself."""
    kept = ("host", "user", "port", "retry", "ssl", "tls", "gtid", "auto_position", "ignore", "do_", "delay", "bind", "get_", "heartbeat", "rewrite")
    moving = ("gtid_io_pos", "gtid_set", "slave_pos", "received", "remaining", "retried")
    row = dict(node.link().row)
    if node.flavor.name == "mysql":
        row["Source_heartbeat"] = node.value("SELECT HEARTBEAT_INTERVAL FROM performance_schema.replication_connection_configuration")
    return {key: value for key, value in row.items() if any(word in key.lower() for word in kept) and not any(word in key.lower() for word in moving)}
