"""The gossip key is changed while the ring runs."""

import re
import shutil

from harness import story
from ring import expect


@story()
def the_gossip_key_is_rotated(ring):
    """Under load a new gossip key is installed, used, and the old one removed: nothing is decided, no packet is lost.
    Who was away during the installation is named and waited for; restarted agents know the new key only."""
    ring.up()
    ring.whole()
    ring.load()
    mark = ring.mark()
    old = keys(ring, 1)[0]
    fresh = ring.lab.dir / "new.key"
    command(ring, 1, "keygen", "--out", fresh)
    secret = fresh.read_text().strip()

    ring.node(3).term("agent")
    ring.await_problem(1, "the agent of db3 was stopped", code="agent_left", about="db3")
    said = command(ring, 1, "key", "install", fresh)
    new = re.search(r"the key ([0-9a-f]{8}) is installed on db1, db2, db4; not on db3", said)
    expect(new, f"`key install` should say who has it: {said}")
    new = new[1]
    said = command(ring, 2, "key", "use", new, refused=True)
    expect("db3" in said and "had not got it" in said, f"`key use` should name db3: {said}")
    expect(keys(ring, 2) == [old, new], f"it was used all the same: {keys(ring, 2)}")
    ring.node(3).start("agent")
    ring.wait(lambda: keys(ring, 3) == [old, new], 15, "db3 to be given the key")
    ring.whole()

    refused = [packets_refused(node) for node in ring.nodes]
    said = command(ring, 4, "key", "remove", old, refused=True)
    expect("in use" in said, f"the key in use must not be removed: {said}")
    command(ring, 2, "key", "use", new)
    expect(all(keys(ring, n) == [new, old] for n in (1, 2, 3, 4)), "not everybody uses the new key")
    ring.lab.await_writes(more=10)
    ring.quiet(2)
    command(ring, 1, "key", "use", new)
    said = command(ring, 1, "key", "list")
    expect(len(re.findall(rf"db\d +alive +\*{new}  {old}", said)) == 4, f"`key list` says: {said}")
    command(ring, 4, "key", "remove", old)
    expect(all(keys(ring, n) == [new] for n in (1, 2, 3, 4)), "not everybody has forgotten the old key")
    command(ring, 4, "key", "remove", old)
    ring.lab.await_writes(more=10)
    ring.quiet(2)
    now = [packets_refused(node) for node in ring.nodes]
    expect(now == refused, f"packets were refused during the rotation: {refused}, now {now}")
    ring.audit()
    ring.expect_nothing(mark)

    for node in ring.nodes:  # each by its own book, though key_file still holds the old key
        node.term("agent")
        node.start("agent")
        ring.whole()
        expect(keys(ring, node.n) == [new], f"{node.name} came back with {keys(ring, node.n)}")
        kept = node.dir / "state" / "gossip.keys"
        expect(kept.stat().st_mode & 0o777 == 0o600, f"{kept} can be read by others")

    ring.node(4).term("agent")
    shutil.move(ring.node(4).dir / "state" / "gossip.keys", ring.lab.dir / "kept.keys")
    ring.node(4).start("agent")
    ring.await_problem(1, new, code="key_missing", about="db4", seconds=30)
    ring.await_problem(1, "the agent of db4", about="db4")
    ring.node(4).term("agent")
    shutil.move(ring.lab.dir / "kept.keys", ring.node(4).dir / "state" / "gossip.keys")
    ring.node(4).start("agent")
    ring.whole()
    ring.flows()
    ring.audit()
    ring.expect_nothing(mark, votes=True)

    for node in ring.nodes:
        entries = " ".join(entry["what"] for entry in node.history())
        expect(f"the gossip key {new} is in use here" in entries, f"the history of {node.name} does not tell")
        told = entries + str(node.status()) + "".join(path.read_text(errors="replace") for path in sorted(node.dir.glob("*.log")))
        expect(secret not in told, f"{node.name} told the key itself")


def command(ring, at, *words, refused=False):
    code, out, errors = ring.node(at).agent_command(*map(str, words))
    expect(code == (1 if refused else 0), f"`ringagent {' '.join(map(str, words))}` exits with {code}: {out}{errors}")
    return out + errors


def keys(ring, n):
    """What the agent says of itself."""
    status = ring.node(n).ask("/status")
    return next((view["keys"] for view in status["nodes"] if view["name"] == ring.node(n).name), []) if status else []


def packets_refused(node):
    return float(re.search(r"^ringagent_packets_refused_total (\S+)", node.ask("/metrics"), re.M)[1])
