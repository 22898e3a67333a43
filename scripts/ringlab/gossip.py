"""What does gossip cost at rest, and how long until all know of a death? The agents of a real ring beside as many of serf
(hashicorp's, the Debian package; its LAN profile, unchanged; once as it comes, once with a key, since a ring's packets are
always sealed), on loopback, in one run and with one yardstick.

Bytes are counted on the loopback device, by port, each packet once: from the IP header on ("bytes") and what of it the
program said itself ("said"). CPU is what the kernel's scheduler charged to all threads of a process; the ring's agents also
ask a MySQL each, which serf does not, so what the threads that do have used is shown, too. A death is a SIGKILL of one agent;
it is known when every other one says so: serf in its log, a ring's agent in its status, both looked at every few
milliseconds.
"""

import base64
import contextlib
import pathlib
import secrets
import shutil
import signal
import socket
import statistics
import struct
import threading
import time

from .base import LabError, at_once, need_root, run, wait
from .lab import Lab
from .process import Process

ETH_P_IP, UDP, TCP = 0x0800, 17, 6
WARM_S = 5


class Meter:
    """Counts what passes over loopback from or to one of the given (address, port), while it is entered."""

    def __init__(self, ends):
        self.ends = {(socket.inet_aton(address), port) for address, port in ends}
        self.packets = self.bytes = self.payload = 0

    def __enter__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.settimeout(0.1)
        self.running, self.began = True, time.monotonic()
        self.thread = threading.Thread(target=self._count)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        self.running = False
        self.thread.join()
        self.socket.close()

    def _count(self):
        while self.running:
            with contextlib.suppress(TimeoutError):
                self._judge(self.socket.recv(128))

    def _judge(self, packet):
        ip = (packet[0] & 15) * 4
        whole, = struct.unpack_from("!H", packet, 2)
        if packet[9] not in (UDP, TCP) or len(packet) < ip + 8:
            return
        ports = struct.unpack_from("!HH", packet, ip)
        if not {(packet[12:16], ports[0]), (packet[16:20], ports[1])} & self.ends:
            return
        self.packets += 1
        self.bytes += whole
        self.payload += whole - ip - (8 if packet[9] == UDP else (packet[ip + 12] >> 4) * 4)


def cpu_ns(pid):
    """What the scheduler has charged to the threads of a process: to all, and to those that ask a MySQL."""
    spent = {"all": 0, "mysql": 0}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ns = int((task / "schedstat").read_text().split()[0])
        spent["all"] += ns
        spent["mysql"] += ns if (task / "comm").read_text().startswith("mysql-") else 0
    return spent


def cpu_of(side):
    """Of a whole side, per member."""
    each = [cpu_ns(member.pid()) for member in side.members]
    return {key: statistics.mean(spent[key] for spent in each) for key in each[0]}


def at_rest(sides, seconds):
    """Per side and member: packets and bytes a second on the wire, those said, and per cent of a core. All sides are measured in the
    same seconds, for the machine has slow ones."""
    before = [cpu_of(side) for side in sides]
    with contextlib.ExitStack() as stack:
        meters = [stack.enter_context(Meter(side.ends)) for side in sides]
        time.sleep(seconds)
        after = [cpu_of(side) for side in sides]
    found = []
    for side, meter, began, ended in zip(sides, meters, before, after):
        if meter.packets == 0:
            raise LabError(f"no packet of {side.name} was seen: is its port right?")
        each = meter.seconds * len(side.members)
        found.append({"packets/s": meter.packets / each, "bytes/s": meter.bytes / each, "said/s": meter.payload / each,
                      "CPU %": (ended["all"] - began["all"]) / seconds / 1e7})
        if ended["mysql"]:
            found[-1]["of it MySQL %"] = (ended["mysql"] - began["mysql"]) / seconds / 1e7
    return found


class Serf:
    def __init__(self, lab, nodes, name, port, sealed):
        self.dir = lab.dir / name
        self.dir.mkdir()
        self.lab, self.name, self.port = lab, name, port
        self.key = [f"-encrypt={base64.b64encode(secrets.token_bytes(32)).decode()}"] if sealed else []
        self.names = [f"serf{n}" for n in range(1, nodes + 1)]
        self.address = [lab.network.address(n) for n in range(1, nodes + 1)]
        self.members = [Process(self.dir / f"{name}.json", self.dir / f"{name}.log") for name in self.names]
        self.ends = [(address, port) for address in self.address]
        if not shutil.which("serf"):
            raise LabError("serf is not installed; as root: apt-get install serf")

    def start(self, i):
        self.members[i].start(
            ["serf", "agent", f"-node={self.names[i]}", f"-bind={self.address[i]}:{self.port}", f"-rpc-addr={self.rpc(i)}",
             "-profile=lan", *self.key, *([f"-join={self.address[i - 1]}:{self.port}"] if i or self.started else [])], self.lab.dir)
        wait(lambda: self.alive_at(i) is not None, 20, f"{self.names[i]} to answer", every=0.1)

    def up(self):
        self.started = False
        for i in range(len(self.names)):
            self.start(i)
        self.started = True
        self.whole()

    def rpc(self, i):
        return f"{self.address[i]}:{self.port + 1}"

    def alive_at(self, i):
        return sum("alive" in line.split() for line in run(["serf", "members", f"-rpc-addr={self.rpc(i)}"]).splitlines())

    def whole(self):
        wait(lambda: all(self.alive_at(i) == len(self.names) for i in range(len(self.names))), 60, "serf's members to know each other", every=0.2)

    def kill(self, i):
        """Kill one; seconds until all others say that it failed. Then it comes back."""
        logs = [(member.log, member.log.stat().st_size) for n, member in enumerate(self.members) if n != i]
        happened = time.monotonic()
        self.members[i].end(signal.SIGKILL)

        def known():
            return all(f"EventMemberFailed: {self.names[i]}" in since(log, size) for log, size in logs)
        wait(known, 60, f"all to know that {self.names[i]} failed", every=0.005)
        took = time.monotonic() - happened
        self.start(i)
        self.whole()
        return took


def since(log, size):
    with open(log, errors="replace") as file:
        file.seek(size)
        return file.read()


class Ring:
    name = "ringagent"

    def __init__(self, lab):
        self.lab = lab
        self.members = [node.agent for node in lab.nodes]
        self.ends = [(node.address, lab.network.gossip_port) for node in lab.nodes]

    def kill(self, i):
        victim = self.lab.nodes[i]
        others = [node for node in self.lab.nodes if node is not victim]
        happened = time.monotonic()
        victim.agent.end(signal.SIGKILL)

        def known(node):
            nodes = (node.ask("/status") or {}).get("nodes", [])
            return any(other["name"] == victim.name and other["agent"] == "dead" for other in nodes)
        at_once(lambda node: wait(lambda: known(node), 60, f"{node.name} to know that {victim.name} is dead", every=0.005), others)
        took = time.monotonic() - happened
        victim.start_agent()
        self.lab.await_ring(60)
        return took


def measure(seconds, runs, nodes, flavor, agent, progress):
    """A dict: program -> what -> list of values."""
    need_root("counting packets")
    rows = {}
    lab = Lab("benchgossip")
    with lab:
        lab.up(nodes=nodes, flavor=flavor, agent=agent)
        sides = [Serf(lab, nodes, "serf", 27946, False), Serf(lab, nodes, "serf with key", 28946, True), Ring(lab)]
        for serf in sides[:2]:
            serf.up()
        for number in range(runs):
            time.sleep(WARM_S)
            for side, found in zip(sides, at_rest(sides, seconds)):
                found["death known, s"] = side.kill(number % nodes)
                for key, value in found.items():
                    rows.setdefault(side.name, {}).setdefault(key, []).append(value)
                progress(f"  {side.name} run {number + 1}: " + ", ".join(f"{key} {value:.3f}" for key, value in found.items()))
    return rows
