"""Where the nodes of a lab live: addresses, and the faults of the network between them.

Loopback gives each node an address of its own in 127.77.BASE.0/24, so that ports are the same on all nodes and several
labs coexist; nothing can be cut there, since every packet comes from the same host, except a port closed by a firewall.
Namespaces gives each node a network namespace with one link to a bridge that lives in a namespace of its own: nothing of
it is visible outside, packets can be dropped by who sent them, and a cable can be pulled.
"""

import os
import pathlib
import tempfile
import time

from .base import LabError, need_root, run


class Loopback:
    mysql_port, gossip_port, http_port = 13306, 17946, 17947
    kind = "loopback"

    def __init__(self, name, base, nodes):
        self.name, self.base, self.nodes = name, base, nodes
        self.table = f"ringlab_{name}"

    def address(self, n):
        return f"127.77.{self.base}.{n}"

    def enter(self, n):
        """Words to put before a command that is to run at node n."""
        return []

    def create(self):
        pass

    def destroy(self):
        if self._rules_exist():
            run(["nft", "delete", "table", "inet", self.table])

    def _rules_exist(self):
        # Without nft or rights for it, none can have been made.
        try:
            return self.table in run(["nft", "list", "tables"])
        except LabError:
            return False

    def reject(self, n, port, established):
        need_root("a firewall rule")
        add_rules([], self.table, [f"ip daddr {self.address(n)} {reject_rule(port, established)}"])

    def partition(self, *_):
        raise LabError("on loopback there is no network to partition; start the lab with --netns")

    cut = partition

    def join(self, n):
        pass

    heal = destroy


class Namespaces:
    mysql_port, gossip_port, http_port = 3306, 7946, 7947
    kind = "netns"
    table = "ringlab"

    def __init__(self, name, base, nodes):
        self.name, self.base, self.nodes = name, base, nodes
        self.prefix = f"ringlab-{name}-"
        self.bridge = self.prefix + "bridge"

    def address(self, n):
        return f"10.77.{self.base}.{n}"

    def space(self, n):
        return f"{self.prefix}{n}"

    def enter(self, n):
        return ["ip", "netns", "exec", self.space(n)]

    def create(self):
        need_root("a lab in network namespaces")
        numbers = range(1, self.nodes + 1)
        batch = [f"netns add {space}" for space in [self.bridge, *map(self.space, numbers)]]
        run(["ip", "-batch", "-"], input="\n".join(batch) + "\n")
        inside = ["link add br0 type bridge", "link set br0 up"]
        for n in numbers:
            inside += [f"link add n{n} type veth peer name eth0 netns {self.space(n)}", f"link set n{n} master br0 up"]
        run(["ip", "-netns", self.bridge, "-batch", "-"], input="\n".join(inside) + "\n")
        for n in numbers:
            run(["ip", "-netns", self.space(n), "-batch", "-"],
                input=f"link set lo up\naddress add {self.address(n)}/24 dev eth0\nlink set eth0 up\n")

    def destroy(self):
        for entry in sorted(pathlib.Path("/run/netns").glob(self.prefix + "*")):
            run(["ip", "netns", "delete", entry.name])

    def reject(self, n, port, established):
        add_rules(self.enter(n), self.table, [f"ip saddr != {self.address(n)} {reject_rule(port, established)}"])

    def partition(self, some, others, ports=None, one_way=False):
        """Drop what `some` send to `others` (and the other way round), or only what goes to or comes from the given
        ports. Packets are dropped where they arrive: the sender learns nothing, as with a broken switch."""
        match = f"meta l4proto {{ tcp, udp }} th %s {{ {', '.join(map(str, ports))} }} drop" if ports else ""
        for senders, receivers in [(some, others)] + ([] if one_way else [(others, some)]):
            source = f"ip saddr {{ {', '.join(map(self.address, senders))} }}"
            rules = [f"{source} {match % side}" for side in ("dport", "sport")] if ports else [f"{source} drop"]
            for n in receivers:
                add_rules(self.enter(n), self.table, rules)

    def cut(self, n):
        run(["ip", "-netns", self.bridge, "link", "set", f"n{n}", "down"])

    def join(self, n):
        run(["ip", "-netns", self.bridge, "link", "set", f"n{n}", "up"])

    def heal(self):
        """Forget all rules. Cables are not plugged in again: a host that was cut off says so itself."""
        for n in range(1, self.nodes + 1):
            if "ringlab" in run([*self.enter(n), "nft", "list", "tables"]):
                run([*self.enter(n), "nft", "delete", "table", "inet", self.table])


def reject_rule(port, established):
    """Refuse new connections as a firewall's REJECT does; with `established`, break the living ones as well."""
    if established:
        return f"tcp dport {port} reject with tcp reset"
    return f"tcp dport {port} tcp flags & (syn | ack) == syn reject"


def add_rules(enter, table, rules):
    text = f"add table inet {table}\nadd chain inet {table} in {{ type filter hook input priority 0; }}\n"
    text += "".join(f"add rule inet {table} in {rule}\n" for rule in rules)
    run([*enter, "nft", "-f", "-"], input=text)


def claim_file(base):
    return pathlib.Path(tempfile.gettempdir()) / f"ringlab.base.{base}"


def claim_base(wanted, owner):
    """A number that no other lab on this machine has: the third part of all its addresses. `owner` is the lab's
    directory, written into a file that only one can create."""
    for base in [wanted] if wanted else range(1, 251):
        claim = claim_file(base)
        if abandoned(claim):
            claim.unlink(missing_ok=True)
        try:
            with open(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as out:
                out.write(str(owner))
            return base
        except FileExistsError:
            pass
    raise LabError(f"address base {wanted or '1 to 250'} is taken by another lab (see {claim_file('*')})")


def release_base(base, owner):
    claim = claim_file(base)
    if claim.exists() and claim.read_text() == str(owner):
        claim.unlink()


def abandoned(claim):
    """Its lab has gone, or never came about within a minute."""
    try:
        owner = pathlib.Path(claim.read_text())
        return not (owner / "lab.json").exists() and time.time() - claim.stat().st_mtime > 60
    except FileNotFoundError:
        return False
