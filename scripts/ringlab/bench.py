"""How fast does a real ring heal (`heal`), and what does its gossip cost (`gossip`, see gossip.py)? Fault -> decided -> repointed -> a row written at the dead node's predecessor is readable
at its successor; and from a returned mysqld that is ready to its being spliced in.

Each run takes another victim. Times are those of this machine's one clock, from the moment of the fault.
"""

import argparse
import datetime
import json
import signal
import statistics
import sys
import threading
import time

from . import gossip
from .base import LabError
from .flavor import APP, SCHEMA
from .lab import Lab
from .sql import SqlError

FAULTS = ("killed", "hung", "host", "two")
SETTLE_S = 1.0


class Bench:
    def __init__(self, lab):
        self.lab = lab
        self.row = 0
        self.flaps = {}

    def prepare(self):
        first = self.lab.nodes[0]
        for node in self.lab.nodes:
            self.lab.wait(lambda node=node: not node.read_only(), 20, f"{node.name} to take writes")
        first.run_sql(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}",
                      f"CREATE TABLE IF NOT EXISTS {SCHEMA}.crossing (id BIGINT PRIMARY KEY, at DOUBLE)")
        for node in self.lab.nodes:
            self.lab.wait(lambda node=node: node.value(f"SELECT COUNT(*) FROM {SCHEMA}.crossing") is not None, 20, f"the table at {node.name}")

    def victims(self, run, fault):
        n = len(self.lab.nodes)
        first = run % n
        return [self.lab.nodes[(first + i) % n] for i in range(2 if fault == "two" else 1)]

    def around(self, victims):
        names = [node.name for node in self.lab.nodes]
        first, last = names.index(victims[0].name), names.index(victims[-1].name)
        return self.lab.nodes[first - 1], self.lab.nodes[(last + 1) % len(names)]

    def inflict(self, fault, victims):
        """Strike; returns the moment. A kill is not waited for here: the bodies are collected afterwards."""
        if fault == "host":
            happened = time.monotonic()
            victims[0].cut()
            return happened
        happened = time.monotonic()
        for node in victims:  # all signals at once, and before the row is written
            node.mysqld.send(signal.SIGSTOP if fault == "hung" else signal.SIGKILL)
        if fault != "hung":
            self.collecting = [threading.Thread(target=node.kill, args=("mysqld",)) for node in victims]
            for thread in self.collecting:
                thread.start()
        return happened

    def run(self, number, fault):
        """One fault, its healing and the return; a dict of seconds."""
        victims, healing = self.heal(number, fault)
        return {**healing, **self.bring_back(fault, victims)}

    def heal(self, number, fault, limit=60):
        """One fault and its healing: the victims, and a dict of seconds."""
        victims = self.victims(number, fault)
        before, after = self.around(victims)
        writer, reader = before.sql(APP), after.sql()
        self.row += 1
        for node in victims:
            self.flaps[node.name] = self.flaps.get(node.name, 0) + 1
        wall = time.time() - time.monotonic()
        self.collecting = []
        happened = self.inflict(fault, victims)
        writer.run(f"INSERT INTO {SCHEMA}.crossing VALUES ({self.row}, {time.monotonic()})")
        while not reader.rows(f"SELECT 1 FROM {SCHEMA}.crossing WHERE id = {self.row}"):
            if time.monotonic() - happened > limit:
                raise LabError(f"no row came from {before.name} to {after.name} within {limit} s")
            time.sleep(0.001)
        healed = time.monotonic() - happened
        for thread in self.collecting:
            thread.join()
        writer.close()
        reader.close()
        decided, repointed = self.steps(after, before, happened + wall)
        return victims, {"decided": decided, "repointed": repointed, "healed": healed}

    def steps(self, after, before, fault_wall):
        """When its successor learnt the decision, and when it had carried it out: from that agent's own history."""
        def done():
            fresh = [e for e in after.history() if stamp(e) >= fault_wall]
            epochs = [e for e in fresh if e["kind"] == "epoch"]
            moves = [e for e in fresh if e["kind"] == "action" and e["what"] == "repoint" and e["ok"] and before.name in e["why"]]
            return (epochs, moves[-1]) if epochs and moves else None
        epochs, move = self.lab.wait(done, 20, f"{after.name} to write its repoint down", every=0.1)
        decided = [stamp(e) for e in epochs if e["epoch"] == move["epoch"]][0]
        return decided - fault_wall, decided + move["took_ms"] / 1000 - fault_wall

    def bring_back(self, fault, victims):
        names = {node.name for node in victims}
        witness = next(node for node in self.lab.nodes if node.name not in names)
        for node in victims:
            if fault == "host":
                node.join()
            elif fault == "hung":
                node.cont("mysqld")
            else:
                node.start_mysqld()
        ready = time.monotonic()
        self.lab.wait(lambda: names <= set((witness.ask("/status") or {}).get("ring", [])), 120, f"{', '.join(sorted(names))} to be spliced in", every=0.005)
        took = time.monotonic() - ready
        self.lab.await_ring(60)
        # Settling doubles with every flap; what is measured is what comes on top of it. Two come back one after another.
        settle = max(SETTLE_S * 2 ** (self.flaps[name] - 1) for name in names)
        return {"back": took, "back minus settle": took - settle} if len(names) == 1 else {}


def stamp(entry):
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


def figures(rows):
    out = {}
    for key in rows[0]:
        values = [row[key] for row in rows if key in row]
        out[key] = (min(values), statistics.median(values), max(values))
    return out


def heal(flavor, fault, runs, nodes, agent=None, rate=0, progress=print):
    lab = Lab(f"bench{flavor[:2]}{fault}"[:16])
    with lab:
        lab.up(nodes=nodes, flavor=flavor, netns=fault == "host", agent=agent)
        bench = Bench(lab)
        bench.prepare()
        if rate:
            lab.load_start(rate=rate)
        rows = []
        for number in range(runs):
            rows.append(bench.run(number, fault))
            progress(f"  {flavor} {fault} run {number + 1}: " + ", ".join(f"{key} {value:.3f}" for key, value in rows[-1].items()))
    return figures(rows)


def main(argv=None):
    try:
        return measure(argv)
    except (LabError, SqlError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1


def gossip_cost(args):
    """The gossip of the ring beside serf's; {program: {what: (min, median, max)}}."""
    flavor = "mysql" if args.flavor == "mysql" else "mariadb"
    rows = gossip.measure(args.seconds, args.runs, args.nodes or 5, flavor, args.agent, lambda line: print(line, file=sys.stderr))
    results = {}
    for name, columns in rows.items():
        results[name] = {key: (min(values), statistics.median(values), max(values)) for key, values in columns.items()}
        for key, (low, mid, high) in results[name].items():
            print(f"{name:14} {key:15} {low:8.3f} / {mid:8.3f} / {high:8.3f}  ({args.runs} runs)", flush=True)
    return results


def heal_times(args):
    results = {}
    for flavor in ["mariadb", "mysql"] if args.flavor == "both" else [args.flavor]:
        for fault in args.fault or FAULTS:
            found = heal(flavor, fault, args.runs, args.nodes or 4, args.agent, args.rate, lambda line: print(line, file=sys.stderr))
            results[f"{flavor} {fault}"] = found
            for key, (low, mid, high) in found.items():
                print(f"{flavor:8} {fault:7} {key:18} {low:7.3f} / {mid:7.3f} / {high:7.3f}  ({args.runs} runs)", flush=True)
    return results


def measure(argv):
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure a real ring (min / median / max).")
    parser.add_argument("what", choices=["heal", "gossip"], help="seconds until it heals; what gossip costs, beside serf (needs root)")
    parser.add_argument("--flavor", choices=["mariadb", "mysql", "both"], default="both")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="default: all of them (host needs root)")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--nodes", type=int, help="default: 4; gossip: 5")
    parser.add_argument("--seconds", type=float, default=30, help="gossip: how long a run listens")
    parser.add_argument("--rate", type=int, default=0, help="write load at every node, transactions a second")
    parser.add_argument("--agent")
    parser.add_argument("--json")
    args = parser.parse_args(argv)
    results = gossip_cost(args) if args.what == "gossip" else heal_times(args)
    if args.json:
        with open(args.json, "w") as out:
            json.dump(results, out, indent=1)
    return 0

