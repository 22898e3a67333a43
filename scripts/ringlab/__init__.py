"""A laboratory: rings of real database servers, with or without agents, on one machine.

    from ringlab import Lab
    with Lab("story") as lab:                       # down() at the end; logs are kept if the body raises
        lab.up(nodes=4, flavor="mariadb")
        lab.load_start(rate=30)
        lab.node(3).kill("mysqld")
        lab.wait(lambda: lab.node(4).link().source == lab.node(2).name, 5, "db4 to follow db2")
        lab.node(3).start("mysqld")
        assert lab.verify().ok

Rooms, each knowing only those before it: `base` (errors, waiting), `process`, `network`, `sql`, `flavor` (the two SQL
dialects), `node`, `journal`, `workload` (the writers, a process of its own), `verify`, `lab`, `cli`. Plain Python 3.11; the only
library is PyMySQL. `scripts/lab` is the same from the shell.
"""

from .base import LabError, wait
from .lab import Lab
from .node import Node
from .verify import Verdict

__all__ = ["Lab", "LabError", "Node", "Verdict", "wait"]
