"""Collects stories, gives each a ring, runs them, and tells how it went.

A story is a function with a one-line docstring. It gets a Ring: one of its own, not yet up (`@story()`), or one that it
shares with other stories, up and whole (`@story(RING)`); a story on a shared ring leaves it whole. After a failure the
logs are collected, and the next story on that ring gets a new one.
"""

import os
import sys
import time
import traceback

from ring import Failed, Ring
from ringlab import LabError

STORIES = []


class Shared:
    """A kind of ring that several stories use one after another."""

    def __init__(self, name, **options):
        self.name, self.options = name, options


def story(on=None):
    def register(function):
        STORIES.append((function, on))
        return function
    return register


def title(function):
    return function.__doc__.strip().splitlines()[0]


def chosen(only):
    known = [function.__name__ for function, _ in STORIES]
    missing = [name for name in only or [] if name not in known]
    if missing:
        raise LabError(f"there is no story {', '.join(missing)}; see --list")
    return [(function, on) for function, on in STORIES if not only or function.__name__ in only]


class Runner:
    def __init__(self, flavor):
        self.flavor = flavor
        self.ring, self.kind, self.made = None, None, 0

    def ring_for(self, on):
        """The shared ring if it is up, else a new one."""
        if self.ring and self.kind is on and on is not None:
            return self.ring
        self.drop()
        self.made += 1
        self.ring, self.kind = Ring(self.flavor, f"t{self.flavor[:2]}{os.getpid()}n{self.made}"), on
        if on is not None:
            self.ring.up(**on.options).whole()
        return self.ring

    def drop(self):
        if self.ring:
            self.ring.lab.down()
        self.ring = None

    def run(self, function, on):
        """None, or why it failed."""
        try:
            ring = self.ring_for(on)
            function(ring)
        except Exception as error:  # whatever it is, the other stories have to be told
            reason = str(error) if isinstance(error, (LabError, Failed)) else traceback.format_exc()
            where = traceback.extract_tb(error.__traceback__)
            line = next((frame for frame in reversed(where) if "stories_" in frame.filename), where[-1])
            reason += f"\nat {os.path.basename(line.filename)}:{line.lineno}: {line.line}"
            return reason + self.collect()
        if on is None:
            self.drop()
        return None

    def collect(self):
        if not (self.ring and self.ring.nodes):
            self.drop()
            return ""
        try:
            return f"\nlogs: {self.ring.lab.collect()}"
        finally:
            self.drop()


def run_all(flavor, only, fail_fast, tries=1, repeat=1):
    """With `tries` of 2 a story that fails is told again on a new ring. Both outcomes are printed: real servers on a busy
    machine miss deadlines now and then, but what fails twice is broken."""
    runner, durations, failed, second = Runner(flavor), [], [], []
    began = time.monotonic()
    try:
        for function, on in chosen(only) * repeat:
            start = time.monotonic()
            reason = runner.run(function, on)
            if reason and tries > 1:
                print(f"again  {time.monotonic() - start:6.1f} s  {function.__name__} failed at the first try:", flush=True)
                print("     " + reason.replace("\n", "\n     "), flush=True)
                second.append(function.__name__)
                reason = runner.run(function, on)
            took = time.monotonic() - start
            durations.append((took, function.__name__))
            print(f"{'FAIL' if reason else 'ok  '} {took:6.1f} s  {function.__name__}: {title(function)}", flush=True)
            if reason:
                failed.append(function.__name__)
                print("     " + reason.replace("\n", "\n     "), flush=True)
                if fail_fast:
                    break
    finally:
        runner.drop()
    print(f"slowest: {', '.join(f'{name} {took:.0f} s' for took, name in sorted(durations, reverse=True)[:8])}")
    if second:
        print(f"told twice: {' '.join(second)}")
    if failed:
        print(f"failed: {' '.join(failed)}")
    print(f"{flavor}: {len(durations)} stories in {time.monotonic() - began:.0f} s")
    print(f"{len(durations) - len(failed)} passed, {len(failed)} failed")
    sys.stdout.flush()
    return 1 if failed else 0
