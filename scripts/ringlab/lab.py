"""A lab: the ring as a whole. Its directory is its state; any number of programs may open it one after another."""

import base64
import contextlib
import itertools
import os
import pathlib
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time

from . import agent_config
from .base import REPO, SCRIPTS, LabError, at_once, need_root, read_json, run, tail, wait, write_file, write_json
from .flavor import APP, FLAVORS, SCHEMA
from .journal import SCHEMA_SQL, Journal, node_of
from .network import Loopback, Namespaces, claim_base, release_base
from .node import Node
from .process import Process, end_marked
from .sql import SqlError
from .verify import verify

SERVERS = SCRIPTS / "servers"
SOCKET_PATH_MAX = 107
HOW = ("form", "none", "bare", "adopt")


class Lab:
    def __init__(self, name="ring", dir=None):
        if not re.fullmatch(r"[a-z0-9]{1,16}", name):
            raise LabError(f"a lab's name is 1 to 16 lower-case letters and digits, not '{name}'")
        self.dir = pathlib.Path(dir or pathlib.Path(tempfile.gettempdir()) / f"ringlab-{name}").resolve()
        self.config = read_json(self.dir / "lab.json")
        self.name = self.config["name"] if self.config else name
        self.nodes, self.network, self._answers = [], None, {}
        if self.config:
            self._attach()

    def _attach(self):
        self.flavor = FLAVORS[self.config["flavor"]]
        self.passwords = self.config["passwords"]
        kind = Namespaces if self.config["netns"] else Loopback
        self.network = kind(self.name, self.config["base"], self.config["nodes"])
        self.nodes = [Node(self, n) for n in range(1, self.config["nodes"] + 1)]
        self.load = Process(self.dir / "load" / "writers.json", self.dir / "load" / "load.log")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """Down, always; if the story failed, its logs are kept in the directory that `collect` names."""
        try:
            if kind and self.nodes:
                print(f"ringlab: logs of '{self.name}' are in {self.collect()}", file=sys.stderr)
        finally:
            self.down()

    # ---- up and down --------------------------------------------------------------------------------------------

    def up(self, nodes=4, flavor="mariadb", netns=False, how="form", settings=(), server=None, durable=False, base=None,
           agent=None, seconds=60):
        """Start a lab. `how`: "form": fresh servers, whose agents form the ring; "none": servers only, unconnected;
        "bare": a ring wired by SQL, no agents; "adopt": the same, onto which agents are put. `settings`: agent
        settings as section.key=value; `server`: server options by name; `durable`: sync each commit to disk."""
        self._check_request(nodes, flavor, netns, how, settings)
        if how in ("form", "adopt"):
            agent_binary(agent)
        self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.dir / "load").mkdir(mode=0o700)
        self.config = {
            "name": self.name, "flavor": flavor, "nodes": nodes, "netns": netns, "bare": how in ("bare", "adopt"),
            "base": claim_base(base, self.dir), "settings": list(settings), "server": server or {}, "durable": durable,
            "agent": str(pathlib.Path(agent).resolve()) if agent else None,
            "passwords": {who: secrets.token_hex(8) for who in ("agent", "replication", "app")},
        }
        self._save()
        self._attach()
        with contextlib.ExitStack() as undo:
            undo.push(self.__exit__)
            self._start(how, seconds)
            undo.pop_all()
        return self

    def _check_request(self, nodes, flavor, netns, how, settings):
        if self.config or (self.dir.exists() and any(self.dir.iterdir())):
            raise LabError(f"lab '{self.name}' is up in {self.dir}; take it down first or choose another --name")
        if how not in HOW or flavor not in FLAVORS or not 1 <= nodes <= 16:
            raise LabError(f"a lab has 1 to 16 nodes, a flavor of {', '.join(FLAVORS)} and starts as one of {', '.join(HOW)}")
        if len(str(self.dir / "db16" / "mysqld.sock")) > SOCKET_PATH_MAX:
            raise LabError(f"{self.dir} is too long a path for unix sockets; choose a shorter --dir")
        if netns:
            need_root("--netns")
        for setting in settings:
            agent_config.parse_setting(setting)

    def _start(self, how, seconds):
        self.network.create()
        self.template(), self.server_argv(), self.server_lines()  # once, before the nodes ask in parallel
        at_once(Node.prepare, self.nodes)
        at_once(Node.start_mysqld, self.nodes)
        at_once(Node.create_accounts, self.nodes)
        if how in ("bare", "adopt"):
            self.wire()
        if how in ("form", "adopt"):
            self.start_agents()
            self.await_ring(seconds)

    def _save(self):
        write_json(self.dir / "lab.json", self.config)

    def down(self, keep=False):
        """End every process of this lab, undo network and mounts, remove the directory (`keep`: leave it). Works after
        any half-failed start, and when there is nothing to do."""
        if not self.dir.exists():
            return
        for process in [self.load] + [p for node in self.nodes for p in (node.agent, node.mysqld)] if self.nodes else []:
            process.end(signal.SIGKILL)
        end_marked(self.dir)
        if self.network:
            self.network.destroy()
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1].startswith(f"{self.dir}/"):
                run(["umount", line.split()[1]])
        if self.config:
            release_base(self.config["base"], self.dir)
        if not keep:
            shutil.rmtree(self.dir)
        self.config, self.nodes, self.network = None, [], None

    # ---- servers ------------------------------------------------------------------------------------------------

    def template(self):
        return self._servers("template")

    def server_argv(self):
        return self._servers("argv", self.flavor.program).split("\n")

    def server_lines(self):
        return self._servers("options").split("\n")

    def _servers(self, question, *more):
        if question not in self._answers:
            self._answers[question] = run([SERVERS, question, self.flavor.name, *more]).removesuffix("\n")
        return self._answers[question]

    def wire(self):
        """Make a ring by SQL, as a person would: each follows the one before it. Then every node logs one harmless
        statement of its own, because MariaDB refuses a position in a domain that the source has never seen."""
        for node, source in zip(self.nodes, [self.nodes[-1], *self.nodes]):
            node.follow(source)
        for node in self.nodes:
            node.open_up()
            node.run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}")
        self.await_links({node.name: source.name for node, source in zip(self.nodes, [self.nodes[-1], *self.nodes])})
        self.wait(lambda: all(node.vector() == self.nodes[0].vector() for node in self.nodes), 20, "all to have the first statements")

    def await_links(self, sources, seconds=20):
        """Wait until each named node follows its named source and both threads run."""
        def right():
            links = {name: self.node(name).link() for name in sources}
            return all(links[name] and links[name].source == source and links[name].running for name, source in sources.items())
        self.wait(right, seconds, "links " + ", ".join(f"{source} -> {name}" for name, source in sources.items()))

    # ---- agents -------------------------------------------------------------------------------------------------

    @property
    def agent_binary(self):
        return agent_binary(self.config["agent"])

    def prepare_agents(self):
        """Write what agents need, once: one gossip key for all, a config each. From now on agents run this ring."""
        key = self.dir / "gossip.key"
        if not key.exists():
            write_file(key, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        for node in self.nodes:
            if not node.agent_config.exists():
                write_file(node.agent_config, agent_config.agent_toml(node, self.config["settings"]))
        if self.config["bare"]:
            self.config["bare"] = False
            self._save()

    def start_agents(self, *names):
        self.prepare_agents()
        at_once(Node.start_agent, [self.node(name) for name in names] or self.nodes)

    def await_ring(self, seconds=30, names=None):
        """Wait until every running agent says: health ok, and the ring is these nodes (default: all)."""
        wanted = set(names or [node.name for node in self.nodes])

        def whole():
            statuses = [node.ask("/status") for node in self.nodes if node.agent.alive()]
            return statuses and all(s and s["health"] == "ok" and set(s["ring"]) == wanted for s in statuses)
        self.wait(whole, seconds, f"a ring of {', '.join(sorted(wanted))} with health ok", every=0.02)

    def statuses(self):
        return {node.name: node.status() for node in self.nodes if node.agent.alive()}

    def epoch(self):
        """The highest (generation, epoch) that any agent knows."""
        return max((s["generation"], s["epoch"]) for s in self.statuses().values() if s)

    def epochs(self):
        """All decided epochs that any agent remembers: (generation, epoch) -> history entry."""
        entries = [entry for node in self.nodes for entry in node.history() if entry["kind"] == "epoch"]
        return {(entry["generation"], entry["epoch"]): entry for entry in entries}

    def actions(self, what="repoint"):
        """What the agents did to their servers: [(node name, history entry)]; `what` None: everything."""
        return [(node.name, entry) for node in self.nodes for entry in node.history()
                if entry["kind"] == "action" and what in (None, entry["what"])]

    # ---- faults -------------------------------------------------------------------------------------------------

    def node(self, which):
        """By number or name."""
        for node in self.nodes:
            if which in (node.n, node.name, str(node.n)):
                return node
        raise LabError(f"lab '{self.name}' has no node '{which}'" + ("" if self.nodes else "; it is not up"))

    def name_of(self, mysql_address):
        return next((node.name for node in self.nodes if node.mysql_address == mysql_address), mysql_address)

    def partition(self, *groups, only=None, one_way=False):
        """Groups of nodes that cannot hear each other. `only`: "agents" cuts the gossip port alone, "mysql" that of the
        servers; `one_way`: only what the first group sends to the others is lost."""
        groups = [[self.node(which).n for which in group] for group in groups]
        if len(groups) < 2 or len(set().union(*groups)) != sum(map(len, groups)):
            raise LabError("a partition needs at least two groups without a common node")
        ports = {None: None, "agents": [self.network.gossip_port], "mysql": [self.network.mysql_port]}[only]
        pairs = [(groups[0], other) for other in groups[1:]] if one_way else itertools.combinations(groups, 2)
        for some, others in pairs:
            self.network.partition(some, others, ports, one_way)

    def reject(self, which, port="mysql", established=False):
        """Close a port (mysql, gossip, http) as a firewall does; living connections stay unless `established`."""
        self.network.reject(self.node(which).n, getattr(self.network, f"{port}_port"), established)

    def heal(self):
        self.network.heal()

    # ---- load and audit -----------------------------------------------------------------------------------------

    def load_start(self, rate=30, writers=1, nodes=None, ddl=False, big_every=0, seconds=30):
        """Start the writers: `rate` transactions a second and writer. The tables are made first, at one node."""
        self._make_tables(seconds, nodes)
        numbers = [self.node(which).n for which in nodes] if nodes else [node.n for node in self.nodes]
        (self.dir / "load" / "ready").unlink(missing_ok=True)
        words = [sys.executable, "-m", "ringlab.workload", self.dir, "--nodes", ",".join(map(str, numbers)),
                 "--rate", rate, "--writers", writers, "--big-every", big_every, *(["--ddl"] if ddl else [])]
        self.load.start(words, self.dir, env={"PYTHONPATH": str(SCRIPTS)})

        def writing():
            if not self.load.alive():
                return "ended"
            return (self.dir / "load" / "ready").exists()
        if wait(writing, 10, "the writers to start") == "ended":
            raise LabError(f"the writers ended at their start:\n{tail(self.load.log)}")

    def _make_tables(self, seconds, nodes=None):
        """At the first node that lets an application write; then all running nodes (or these) must see them."""
        def made():
            refusals = []
            for node in self.nodes:
                try:
                    node.run_sql(*SCHEMA_SQL, user=APP)
                    return True
                except SqlError as error:
                    refusals.append(f"{node.name}: {error}")
            raise LabError("; ".join(refusals))
        self.wait(made, seconds, "a node that lets an application write")
        running = [self.node(which) for which in nodes] if nodes else [node for node in self.nodes if node.answers()]
        self.wait(lambda: all(node.rows(f"SELECT 1 FROM {SCHEMA}.ctr LIMIT 1") is not None for node in running), seconds,
                  "the writers' tables to reach all running nodes")

    def load_stop(self):
        """Stop the writers if they run. What they had not heard an answer to stays of unknown outcome."""
        self.load.end(signal.SIGTERM, seconds=30)

    def journals(self):
        return Journal.read_all(self.dir / "load")

    def acked(self):
        """Acknowledged transactions per node since the lab is up."""
        counts = {node.name: 0 for node in self.nodes}
        for origin, journal in self.journals().items():
            counts[self.node(node_of(origin)).name] += len(journal.acked)
        return counts

    def await_writes(self, *names, more=5, seconds=10):
        """Wait until each of these nodes (default: all) has acknowledged some more transactions."""
        nodes = [self.node(name).name for name in names] or [node.name for node in self.nodes]
        before = self.acked()

        def grown():
            now = self.acked()
            return all(now[name] >= before[name] + more for name in nodes)
        self.wait(grown, seconds, f"{more} more transactions at {', '.join(nodes)}", every=0.05)

    def verify(self, survivors=None, everything=False, seconds=30):
        return verify(self, [self.node(which) for which in survivors] if survivors else None, everything, seconds)

    # ---- looking ------------------------------------------------------------------------------------------------

    def wait(self, condition, seconds, what, every=0.01):
        """Like `wait`, but the error shows the state of the lab."""
        try:
            return wait(condition, seconds, what, every)
        except LabError as error:
            raise LabError(f"{error}\n{self.describe()}") from None

    def describe(self):
        """One line a node: what runs, whom it follows, what its agent says."""
        return "\n".join(at_once(Node.describe, self.nodes))

    def collect(self, target=None):
        """Copy all logs and states of this lab into a directory that outlives it; returns its path."""
        target = pathlib.Path(target or f"{self.dir}.{time.strftime('%H%M%S')}.logs")
        target.mkdir(parents=True, exist_ok=True)
        write_file(target / "lab.txt", self.describe() + "\n", 0o644)
        for path in (self.dir / "load").glob("*.*"):
            shutil.copy(path, target / path.name)
        at_once(lambda node: node.collect(target), self.nodes)
        return target


def agent_binary(path=None):
    """The agent's program: the given one, RINGAGENT_BIN, or what the repository built."""
    path = pathlib.Path(path or os.environ.get("RINGAGENT_BIN") or REPO / "build" / "ringagent").resolve()
    if not os.access(path, os.X_OK):
        raise LabError(f"no agent at {path}: build it, name it with --agent or RINGAGENT_BIN, or use --no-agents")
    return path
