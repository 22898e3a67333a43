"""What the agent does for programs that ask nobody: the state file, the hook, the log."""

import datetime
import json
import os
import re
import threading
import time

from ringlab import wait
from world import check, expect

EPOCH = r"epoch \d+: db3 is out: its mysqld is down \(.+\); ring: db1 -> db2 -> db4"


class Reader(threading.Thread):
    """Reads a node's state file all the time, as an application might, and notes when each epoch's was written."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.path, self.seen, self.faults, self.over = node.dir / "ring.json", {}, [], threading.Event()

    def run(self):
        while not self.over.wait(0.002):
            try:
                with open(self.path) as file:
                    written, ring = os.fstat(file.fileno()).st_mtime, json.loads(file.read())
                self.seen.setdefault(ring["epoch"], (written, ring))
            except (OSError, ValueError, KeyError) as error:
                self.faults.append(str(error))


def told_at(node, epoch):
    """When the agent of a node wrote down that it knows of an epoch."""
    entry = next(entry for entry in node.ask("/history?n=50") if entry["kind"] == "epoch" and entry["epoch"] == epoch)
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


@check
def state_file(world):
    """The state file names the new ring within 100 ms of the agent's knowing it, on every node, out and in; no reader ever
    finds half a file."""
    readers = {node.name: Reader(node) for node in world.lab.nodes}
    for reader in readers.values():
        reader.start()
    world.node(3).kill("mysqld")
    killed = time.time()
    world.out(3)
    world.node(3).start("mysqld")
    world.whole()
    newest = world.lab.epoch()[1]
    for reader in readers.values():
        wait(lambda reader=reader: newest in reader.seen, 5, "the newest epoch in the state file")
        reader.over.set()
        reader.join()
    delays = []
    for node in world.lab.nodes:
        reader = readers[node.name]
        expect(not reader.faults, f"{node.name}: a reader found {reader.faults[:3]}")
        changes = [epoch for epoch, (at, _) in reader.seen.items() if at > killed]
        expect(len(changes) >= 2, f"{node.name}: epochs {sorted(reader.seen)} were seen")
        delays += [reader.seen[epoch][0] - told_at(node, epoch) for epoch in changes]
    expect(max(delays) < 0.1, f"the state file was {max(delays) * 1000:.0f} ms late")
    out = next(ring for _, (at, ring) in sorted(readers["db1"].seen.items()) if at > killed)
    expect(out["ring"] == ["db1", "db2", "db4"], f"the first change was {out}")
    living = [node["address"] for node in out["nodes"] if node["in"]]
    expect(living == [world.node(name).mysql_address for name in out["ring"]], f"addresses: {living}")
    first = min(at for at, _ in readers["db1"].seen.values() if at > killed)
    yield f"state file: {max(delays) * 1000:.0f} ms after the decision at most, {(first - killed) * 1000:.0f} ms after the kill"


@check
def hanging_hook(world):
    """A hook that hangs is killed after 30 s with all that it has started, and that stands in the log and in the history;
    meanwhile the ring healed as if there were none."""
    def said():
        return [entry for entry in world.node(2).ask("/history?n=50") if entry["kind"] == "note" and "was killed (the limit is 30 s)" in entry["what"]]
    # One hangs from the last start of the agent on, which other checks restart.
    notes = wait(said, 45.0, "the hook of db2 to be killed")
    expect(not notes[0]["ok"], f"the history calls it well: {notes[0]}")
    lines = [json.loads(line) for line in world.node(2).agent.log.read_text().splitlines()]
    expect(any("was killed (the limit is 30 s)" in line["text"] and line["level"] == "warning" for line in lines), "the log does not tell")
    expect((world.dir / "hook.pids").exists(), "the hook never ran")


@check
def json_log(world):
    """The log is one JSON object a line; a death is one line at whoever saw it and one at each agent, with the evidence."""
    for node in world.lab.nodes:
        lines = [json.loads(line) for line in node.agent.log.read_text().splitlines()]
        for line in lines:
            expect(list(line) == ["time", "level", "cluster", "node", "text"], f"{node.name}: {line}")
            expect(line["cluster"] == world.lab.name and line["node"] == node.name and line["level"] in ("debug", "info", "warning", "error"), f"{line}")
            expect(line["time"].endswith("Z") and datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")), f"{line}")
    before = {node.name: len(node.agent.log.read_text().splitlines()) for node in world.lab.nodes}
    world.node(3).kill("mysqld")
    world.out(3)
    told = {node.name: [json.loads(line)["text"] for line in node.agent.log.read_text().splitlines()[before[node.name]:]] for node in world.lab.nodes}
    world.node(3).start("mysqld")
    world.whole()
    witness = [text for text in told["db3"] if text.startswith("this MySQL is down: ")]
    expect(len(witness) == 1, f"db3 tells of its server's death {len(witness)} times: {told['db3']}")
    for name in ("db1", "db2", "db4"):
        about = [text for text in told[name] if "db3 is out" in text]
        expect(len(about) == 1 and re.fullmatch(EPOCH, about[0]), f"{name} tells of it: {told[name]}")
    yield f"db3 says: {witness[0]}"
    yield "db1 says: " + next(text for text in told["db1"] if "db3" in text)
