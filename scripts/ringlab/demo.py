"""The visible part of scripts/demo: four real servers with agents; one is killed, the ring heals, it comes back, audit."""

import argparse
import signal
import sys
import time

from .base import LabError
from .bench import Bench
from .lab import Lab

VICTIM = 2  # counted from 0: db3
STEPS = 8


class Story:
    def __init__(self, step, began):
        self.step_number, self.began = step, began

    def step(self, text):
        self.step_number += 1
        print(f"[{time.monotonic() - self.began:4.0f} s] {self.step_number}/{STEPS}  {text}", flush=True)


def show(node):
    _, out, errors = node.agent_command("status")
    print("".join(f"          {line}\n" for line in (out or errors).splitlines()), flush=True)


def ms(seconds):
    return f"{seconds * 1000:.0f} ms"


def tell(lab, flavor, story):
    story.step(f"four fresh {flavor} servers and an agent beside each; the agents form a ring")
    lab.up(nodes=4, flavor=flavor)
    show(lab.node(1))

    bench = Bench(lab)
    bench.prepare()
    lab.load_start(rate=20)
    lab.await_writes(more=20)
    story.step(f"writers at all four nodes; acknowledged so far: {', '.join(f'{name} {count}' for name, count in lab.acked().items())}")

    victims, times = bench.heal(VICTIM, "killed")
    before, after = bench.around(victims)
    story.step(f"kill -9 of the mysqld of {victims[0].name}: decided after {ms(times['decided'])}, repointed after {ms(times['repointed'])}, "
               f"a row from {before.name} readable at {after.name} after {ms(times['healed'])}")
    show(lab.node(1))

    back = bench.bring_back("killed", victims)["back"]
    story.step(f"{victims[0].name} is started again: checked, caught up and spliced in {back:.1f} s after its mysqld was ready")
    show(lab.node(1))

    lab.await_writes(more=10)
    verdict = lab.verify(everything=True)
    story.step(f"the audit, of all tables on all nodes: {verdict}")
    if not verdict.ok:
        raise LabError("the ring is not as it should be")
    print(f"verdict: the ring healed in {ms(times['healed'])}, and nothing is lost, doubled or looping", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="ringlab.demo")
    parser.add_argument("--flavor", choices=["mariadb", "mysql"], required=True)
    parser.add_argument("--step", type=int, default=0, help="steps that were done before")
    parser.add_argument("--seconds", type=float, default=0, help="that they took")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab("demo")
    try:
        lab.down()  # what a demo that was killed half-way left behind
        with lab:
            tell(lab, args.flavor, Story(args.step, time.monotonic() - args.seconds))
    except LabError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("scripts/demo: interrupted; everything it started is gone", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
