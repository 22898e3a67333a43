"""Commands that a person types at a node."""

import subprocess

from ring import expect
from ringlab.base import LabError, wait


def obeyed(node, *words, seconds=60):
    """A command that has to succeed; what it says."""
    code, out, err = node.agent_command(*words, seconds=seconds)
    expect(code == 0, f"`ringagent {' '.join(words)}` at {node.name} exits with {code}: {out}{err}")
    return out


class Typed:
    """A command of one of the longer kind (join, reseed), while it runs."""

    def __init__(self, node, *words):
        self.node = node
        self.log = node.dir / f"{words[0]}.txt"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*node.lab.network.enter(node.n), str(node.lab.agent_binary), *words, "--config", str(node.agent_config)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def said(self):
        return self.log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, seconds=60):
        """Its exit code. CLONE ends a mysqld that nothing restarts: here somebody starts it again, as the command asks."""
        def ended():
            if self.process.poll() is not None:
                return True
            if not self.node.mysqld.alive():
                self.node.start_mysqld(ready=False)
            return False
        try:
            wait(ended, seconds, "the command to end", every=0.1)
        except LabError as error:
            raise LabError(f"{error}; it says:\n{self.said()}") from None
        finally:
            if self.process.poll() is None:
                self.kill()
        return self.process.returncode

    def succeeds(self, pattern):
        code = self.end()
        expect(code == 0 and pattern in self.said(), f"exit {code}, without '{pattern}':\n{self.said()}")
