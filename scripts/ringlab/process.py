"""Processes that the lab started, and no others.

A process outlives the command that started it, so it is known by a record on disk: its pid and the kernel's start time
of that pid. A pid that was given to somebody else has another start time and is never signalled; signals go through a
pidfd, so that there is no moment in between. Every process also carries RINGLAB_DIR in its environment: whatever a
half-failed start left behind is found by that.
"""

import os
import pathlib
import select
import signal
import subprocess

from .base import LabError, read_json, write_json

MARK = "RINGLAB_DIR"


def start_time(pid):
    """The kernel's start time of a pid in clock ticks since boot, or None if there is no such process."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None


class Process:
    def __init__(self, record, log):
        self.record = pathlib.Path(record)
        self.log = pathlib.Path(log)
        self.child = None  # only in the program that started it, which also has to reap it

    def start(self, argv, mark, env=None):
        if self.alive():
            raise LabError(f"{self.record.stem} is already running (pid {self.pid()})")
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd="/", env={**os.environ, **(env or {}), MARK: str(mark)})
        write_json(self.record, {"pid": self.child.pid, "start": start_time(self.child.pid)})

    def _open(self):
        """A pidfd of our process, or None if it is gone. It turns readable when the last thread has gone."""
        known = read_json(self.record)
        if not known or known["start"] is None:
            return None
        try:
            fd = os.pidfd_open(known["pid"])
        except OSError:
            return None
        if start_time(known["pid"]) == known["start"] and not select.select([fd], [], [], 0)[0]:
            return fd
        os.close(fd)
        return None

    def alive(self):
        fd = self._open()
        if fd is None:
            if self.child:
                self.child.poll()
            return False
        os.close(fd)
        return True

    def pid(self):
        return read_json(self.record)["pid"] if self.alive() else None

    def stopped(self):
        """Is it held by SIGSTOP?"""
        pid = self.pid()
        try:
            return pid is not None and pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"
        except OSError:
            return False

    def send(self, number):
        """False if the process was gone already."""
        fd = self._open()
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)

    def end(self, number=signal.SIGKILL, seconds=60):
        """Signal it and wait until the kernel has torn it down: its files, locks and sockets are free then."""
        fd = self._open()
        if fd is not None:
            try:
                signal.pidfd_send_signal(fd, number)
                if not select.select([fd], [], [], seconds)[0]:
                    raise LabError(f"{self.record.stem} (pid {self.pid()}) did not end within {seconds:g} s of {number.name}")
            except ProcessLookupError:
                pass
            finally:
                os.close(fd)
        if self.child:
            self.child.wait()
            self.child = None

    def describe(self):
        if not self.alive():
            return "down"
        return "stopped" if self.stopped() else "up"


def end_marked(directory):
    """Kill whatever still carries our mark for this directory; returns how many there were."""
    wanted = f"{MARK}={directory}".encode()
    count = 0
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            fd = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                select.select([fd], [], [], 60)
                count += 1
        except OSError:
            pass
        finally:
            os.close(fd)
    return count
