"""`ringagent status` and `watch` in a terminal and in a pipe."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from ringlab import wait
from world import check, expect

PAINT = re.compile(r"\x1b\[[0-9;]*[mKHJ]")


class Terminal:
    """A command in a terminal of 80 columns."""

    def __init__(self, world, *words, **environment):
        self.text, (self.end, inner) = "", pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        environment = {**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, **environment}
        self.process = subprocess.Popen([str(world.lab.agent_binary), *words, "--socket", str(world.node(1).agent_socket)],
                                        stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True)
        os.close(inner)

    def read(self, seconds=0.05):
        try:
            while select.select([self.end], [], [], seconds)[0]:
                self.text += os.read(self.end, 65536).decode()
        except OSError:  # how a terminal says that nobody is at its other end
            pass
        return self.text

    def finish(self):
        self.process.wait(timeout=10)
        return self.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.end)


@check
def terminal(world):
    """`status` is coloured in a terminal, plain in a pipe and with NO_COLOR, never wider than 80 columns; a dead node shows in
    `watch` within two seconds, with what it means and what to do; the exit code tells how bad it is."""
    code, plain, _ = world.node(1).agent_command("status")
    expect(code == 0 and "\x1b" not in plain and "-->" in plain, f"in a pipe, exit {code}: {plain}")
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        shown = Terminal(world, "status", **environment)
        text = shown.finish().replace("\r\n", "\n")
        shown.close()
        expect(("\x1b[32m" in text) == coloured, f"{environment}: colours are {'missing' if coloured else 'there'}")
        expect(len(PAINT.sub("", text).splitlines()) == len(plain.splitlines()), f"the terminal shows something else: {text}")
    watch = Terminal(world, "watch")
    wait(lambda: "epoch" in watch.read(), 5, "watch to show the ring")
    world.node(3).kill("mysqld")
    killed = time.monotonic()
    mark = len(watch.text)
    wait(lambda: "db3 is out" in watch.read()[mark:], 2, "watch to show the death")
    seen = time.monotonic() - killed
    world.out(3)
    code, plain, _ = world.node(1).agent_command("status")
    expect(code == 1, f"a degraded ring exits with {code}")
    for words in ("warning: db3 is out: mysqld_down", "    means: ", "    do: bring back what the text names", "db3   out"):
        expect(words in plain, f"\"{words}\" is not in:\n{plain}")
    world.node(3).start("mysqld")
    world.whole()
    watch.close()
    lines = PAINT.sub("", plain + watch.text.replace("\r\n", "\n")).splitlines()
    expect(max(map(len, lines)) <= 80, f"too wide: {max(lines, key=len)}")
    yield f"watch showed the death after {seen * 1000:.0f} ms"
