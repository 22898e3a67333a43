"""What everything here shares: one kind of error, running a command, waiting for a condition."""

import json
import os
import pathlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
REPO = SCRIPTS.parent


class LabError(Exception):
    """Something that the world caused; the text is one clear line (details may follow on further lines)."""


def run(argv, **options):
    """Run a short command and return its output; a failure names the command and what it said."""
    argv = [str(word) for word in argv]
    try:
        done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; run: scripts/servers install lab") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(argv[:6])}: {said}")
    return done.stdout


def wait(condition, seconds, what, every=0.01):
    """Wait until `condition()` is true and return its value. An exception counts as "not yet"; the last one is named
    when time is up, because it usually is the reason."""
    deadline = time.monotonic() + seconds
    while True:
        reason = ""
        try:
            value = condition()
            if value:
                return value
        except (LabError, OSError, ValueError) as error:
            reason = f" ({error})"
        if time.monotonic() >= deadline:
            raise LabError(f"waited {seconds:g} s in vain for {what}{reason}")
        time.sleep(every)


def at_once(function, items):
    """Call `function` on all items in parallel; return the results in order, raise the first error."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        return list(pool.map(function, items))


def need_root(what):
    if os.geteuid() != 0:
        raise LabError(f"{what} needs root")


def write_file(path, text, mode=0o600):
    """Write a whole file or nothing: readers never see half of it."""
    path = pathlib.Path(path)
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
        out.write(text)
    fresh.rename(path)


def read_json(path):
    """The parsed file, or None if there is none."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        return None


def write_json(path, value):
    write_file(path, json.dumps(value, indent=1) + "\n")


def tail(path, lines=12):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
