"""The ring that the checks look at, and who looks: made when first wanted, gone at the end."""

import http.client
import os
import pathlib
import shutil
import tempfile
import time
import traceback

from browser import Browser
from fake_agent import FakeAgent
from ringlab import Lab, LabError
from ringlab.process import Process

CHECKS = []
DIST = pathlib.Path(__file__).resolve().parent.parent.parent / "config" / "dist"
HANGING = "#!/bin/sh\necho $$ >> \"$(dirname \"$0\")/hook.pids\"\nsleep 1000\n"


class Failed(Exception):
    """It is not as the check says."""


def expect(truth, text):
    if not truth:
        raise Failed(text)


def check(function):
    CHECKS.append(function)
    return function


def title(function):
    return " ".join(function.__doc__.split())


class World:
    def __init__(self, shots):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ringagent-web-"))
        self.shots = pathlib.Path(shots) if shots else None
        self.lab = Lab(f"web{os.getpid()}")
        self._browser = self._fake = None

    def up(self):
        hook = self.dir / "hook"
        hook.write_text(HANGING)
        hook.chmod(0o755)
        # On db2 alone a hook would do, but settings are the lab's: each agent hangs in it, and nobody may notice.
        self.lab.up(nodes=4, flavor="mariadb", settings=("log.format=json", f"hooks.ring_changed={hook}", "failure.settle=300ms"))
        self.whole()

    def down(self):
        if self._browser:
            self._browser.close()
        if self._fake:
            self._fake.__exit__()
        self.lab.down()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def browser(self):
        if not self._browser:
            self._browser = Browser()
        return self._browser

    @property
    def fake(self):
        if not self._fake:
            self._fake = FakeAgent()
        return self._fake

    def node(self, which):
        return self.lab.node(which)

    def http(self, which):
        """Where the agent of a node answers on TCP."""
        return self.node(which).address, self.lab.network.http_port

    def url(self, which):
        return "http://{}:{}/".format(*self.http(which))

    def get(self, which, path, method="GET", seconds=5.0, headers=None, body=None):
        """(status, headers, body) over TCP."""
        connection = http.client.HTTPConnection(*self.http(which), timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def whole(self, seconds=40):
        self.lab.await_ring(seconds)
        self.lab.wait(lambda: all(self.get(node.n, "/writable")[0] == 200 for node in self.lab.nodes), 10, "all nodes to be writable")

    def mend(self):
        """Put the ring back after a check that failed half-way, so that the next one has its own reasons."""
        for node in self.lab.nodes:
            for what, process in (("mysqld", node.mysqld), ("agent", node.agent)):
                if not process.alive():
                    node.start(what)
        self.whole()

    def out(self, which, seconds=10):
        """Wait until every other agent has it out of the ring."""
        name = self.node(which).name
        others = [node for node in self.lab.nodes if node.name != name]
        self.lab.wait(lambda: all(name not in (node.ask("/status") or {"ring": [name]})["ring"] for node in others), seconds, f"{name} to be out")

    def program(self, name, argv):
        """A program that ends with the lab."""
        process = Process(self.dir / f"{name}.json", self.dir / f"{name}.log")
        process.start(argv, self.lab.dir)
        return process

    def sample(self, name, more=()):
        """A file of config/dist with this lab's addresses in place of its own."""
        text = (DIST / name).read_text()
        network = self.lab.network
        for node in self.lab.nodes:
            for port, own in (("3306", network.mysql_port), ("7947", network.http_port)):
                text = text.replace(f"10.0.0.{node.n}:{port}", f"{node.address}:{own}")
        for old, new in more:
            expect(old in text, f"{name} does not have \"{old}\" any more")
            text = text.replace(old, new)
        expect("10.0.0." not in text, f"{name} has addresses that the test does not know")
        path = self.dir / name
        path.write_text(text)
        return path


def run_all(only, shots):
    unknown = [name for name in only or [] if name not in [function.__name__ for function in CHECKS]]
    if unknown:
        raise LabError(f"there is no check {', '.join(unknown)}; see --list")
    chosen = [function for function in CHECKS if not only or function.__name__ in only]
    world, failed, began = World(shots), [], time.monotonic()
    try:
        world.up()
        print(f"     {time.monotonic() - began:6.1f} s  the ring is up", flush=True)
        for function in chosen:
            start = time.monotonic()
            reason = run_one(function, world)
            print(f"{'FAIL' if reason else 'ok  '} {time.monotonic() - start:6.1f} s  {function.__name__}: {title(function)}", flush=True)
            for figure in world.__dict__.pop("figures", []):
                print(f"                {figure}", flush=True)
            if reason:
                failed.append(function.__name__)
                print("     " + reason.replace("\n", "\n     "), flush=True)
                world.mend()
        if failed:
            print(f"logs: {world.lab.collect()}")
            print(f"failed: {' '.join(failed)}")
    finally:
        world.down()
    print(f"{len(chosen)} checks in {time.monotonic() - began:.0f} s")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def run_one(function, world):
    """None, or why it failed."""
    try:
        world.figures = list(function(world) or [])
        return None
    except Exception as error:  # whatever it is, the other checks have to be made
        where = traceback.extract_tb(error.__traceback__)
        line = next((frame for frame in reversed(where) if "checks_" in frame.filename), where[-1])
        text = str(error) if isinstance(error, (LabError, Failed)) else traceback.format_exc()
        return f"{text}\nat {os.path.basename(line.filename)}:{line.lineno}: {line.line}"
