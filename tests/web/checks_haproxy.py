"""config/dist/haproxy.cfg in the real HAProxy in front of the real ring."""

import csv
import socket
import threading
import time

from browser import program
from ringlab import wait
from ringlab.flavor import APP
from ringlab.sql import Connection, SqlError
from world import check, expect

PORTS = {"mysql_one": 3306, "mysql_all": 3307, "mysql_read": 3308}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    def __init__(self, world):
        self.world, self.admin = world, world.dir / "haproxy.sock"
        self.ports = {name: free_port() for name in PORTS}
        config = world.sample("haproxy.cfg", [
            *((f"bind 127.0.0.1:{own}\n", f"bind 127.0.0.1:{self.ports[name]}\n") for name, own in PORTS.items()),
            ("check port 7947 ", f"check port {world.lab.network.http_port} "),
            ("global\n", f"global\n    stats socket {self.admin} mode 600 level admin\n")])
        self.process = world.program("haproxy", [program("haproxy"), "-db", "-f", config])
        wait(lambda: self.states("mysql_all") is not None, 10, "haproxy to answer")

    def states(self, listen):
        """Server name -> UP, DOWN, ... as HAProxy has it."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            asked.connect(str(self.admin))
            asked.sendall(b"show stat\n")
            text = b""
            while part := asked.recv(65536):
                text += part
        rows = csv.DictReader(text.decode().removeprefix("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == listen and row["svname"] not in ("FRONTEND", "BACKEND")}

    def is_up(self, listen, *names):
        return all(state.startswith("UP") == (name in names) for name, state in self.states(listen).items())

    def server(self, listen, seconds=5.0):
        """The server_id that a new connection meets."""
        connection = Connection(APP, self.world.lab.passwords["app"], address=("127.0.0.1", self.ports[listen]), seconds=seconds)
        with connection:
            return connection.value("SELECT @@server_id")


class Knocker(threading.Thread):
    """Connects again and again and notes whom it met, and when nobody."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.proxy, self.met, self.over = proxy, [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            began = time.monotonic()
            try:
                self.met.append((began, self.proxy.server("mysql_all")))
            except SqlError as error:
                self.met.append((began, str(error)))


@check
def haproxy(world):
    """HAProxy takes a node out whose server dies and whose agent dies, and back in when it takes writes again; connections
    through it only meet living servers, and open ones to a dead server are ended."""
    proxy = Proxy(world)
    everybody = [node.name for node in world.lab.nodes]
    for listen in PORTS:
        wait(lambda listen=listen: proxy.is_up(listen, *everybody), 10, f"{listen} to have all servers")
    expect({proxy.server("mysql_all") for _ in range(12)} == {1, 2, 3, 4}, "mysql_all does not use every server")
    expect({proxy.server("mysql_one") for _ in range(6)} == {1}, "mysql_one does not use one server")
    expect(proxy.server("mysql_read") in (1, 2, 3, 4), "mysql_read does not answer")

    world.node(2).run_sql("SET GLOBAL max_connections=200")
    knocker = Knocker(proxy)
    knocker.start()
    killed = world.node(1).kill("mysqld")
    wait(lambda: proxy.is_up("mysql_all", "db2", "db3", "db4") and proxy.is_up("mysql_one", "db2", "db3", "db4"), 5, "db1 to be out", every=0.02)
    out = time.monotonic()
    expect({proxy.server("mysql_one") for _ in range(6)} == {2}, "mysql_one did not go on to the next server")
    wait(lambda: sum(at > out for at, _ in knocker.met) > 30, 20, "connections after the death")
    world.out(1)
    world.node(1).start("mysqld")
    ready = time.monotonic()
    wait(lambda: proxy.is_up("mysql_all", *everybody) and proxy.is_up("mysql_one", *everybody), 20, "db1 to be in again", every=0.02)
    back = time.monotonic()
    expect(not world.node(1).read_only(), "HAProxy takes a read-only server for a writable one")
    wait(lambda: any(met == 1 for at, met in knocker.met if at > back), 10, "connections to meet db1 again")
    knocker.over.set()
    knocker.join()
    after = [met for at, met in knocker.met if out < at < ready]
    expect(set(after) <= {2, 3, 4}, f"after the death connections met {set(map(str, after))}")
    troubled = [met for at, met in knocker.met if at > killed and not isinstance(met, int)]
    expect(len(troubled) <= 1, f"{len(troubled)} connections met nobody: {troubled[:3]}")  # the one that was being made

    # An open session to a server that dies ends with it, though here only the agent is gone and its server lives.
    session = next(c for c in iter(lambda: Connection(APP, world.lab.passwords["app"], address=("127.0.0.1", proxy.ports["mysql_all"])), None)
                   if c.value("SELECT @@server_id") == 4)
    world.node(4).kill("agent")
    wait(lambda: proxy.is_up("mysql_all", "db1", "db2", "db3"), 5, "db4 to be out")

    def ended():
        try:
            session.value("SELECT 1")
            return False
        except SqlError:
            return True
    wait(ended, 5, "the session to end")
    world.node(4).start("agent")
    world.whole()
    wait(lambda: proxy.is_up("mysql_all", *everybody), 10, "db4 to be in again")
    proxy.process.end()
    yield f"haproxy: out {(out - killed) * 1000:.0f} ms after the kill, in {(back - ready) * 1000:.0f} ms after mysqld was ready, {len(knocker.met)} connections"
