"""Checks: each prints one line when it is done, and a failed one says what was there instead."""

import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

from ringlab import LabError  # noqa: E402

class Failed(LabError):
    """Something that later checks build upon did not come about."""


class Checks:
    def __init__(self):
        self.began, self.passed, self.failures = time.monotonic(), 0, []

    def part(self, title):
        print(f"--- [{time.monotonic() - self.began:4.0f} s] {title}", flush=True)

    def that(self, good, what, seen=""):
        """One check. Returns whether it held."""
        if good:
            self.passed += 1
        else:
            self.failures.append(what)
        detail = str(seen).strip()
        print(("ok      " if good else "FAILED  ") + what + (f"\n{detail}" if detail and not good else ""), flush=True)
        return bool(good)

    def equal(self, seen, wanted, what):
        return self.that(seen == wanted, what, f"        seen:   {seen!r}\n        wanted: {wanted!r}")

    def none(self, found, what):
        """`found` is a list of complaints."""
        found = list(found)
        return self.that(not found, what, "\n".join(f"        {line}" for line in found[:20]))

    def say(self, text):
        print(f"        {text}", flush=True)


def run(argv, check=True, **options):
    """Runs a command; returns what it did. A failure stops the tests unless `check` is False."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, text=True, capture_output=True, check=False, **options)
    if check and done.returncode:
        raise Failed(f"{' '.join(argv)[:400]}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def await_that(condition, seconds, what, every=0.05):
    """Waits for it and returns its value and how long that took."""
    began = time.monotonic()
    while True:
        try:
            value = condition()
        except (LabError, OSError, ValueError) as error:
            value, last = None, f" ({error})"
        else:
            last = ""
        if value:
            return value, time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise Failed(f"waited {seconds} s in vain for {what}{last}")
        time.sleep(every)
