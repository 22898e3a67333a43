"""Hosts that vanish, and networks that part: each node in a network namespace of its own."""

import re
import time

from harness import Shared, story
from ring import LINK_WORK, expect
from ringlab.base import at_once
from stories_deaths import dies_and_returns, killed

FIVE = Shared("five", nodes=5, netns=True, settings=("failure.settle=200ms",))
FOUR = Shared("four", nodes=4, netns=True, settings=("failure.settle=200ms",))


@story(FIVE)
def a_host_is_cut_off(ring):
    """The cable of a host is pulled while its application goes on writing: out after `silence`; back with all it wrote."""
    node = ring.node(3)

    def plug_in():
        ring.await_problem(3, "no quorum", code="no_quorum")
        ring.lab.await_writes("db3", more=3)
        node.join()
    dies_and_returns(ring, node.cut, [3], plug_in)


@story(FIVE)
def two_hosts_of_five_die(ring):
    """Two hosts of five lose their power at once: the other three heal, and both come back."""
    killed(ring, [2, 4], "host", outs=range(1, 3))


@story(FIVE)
def the_mesh_is_partitioned(ring):
    """The agents are split 2|3 while the links between the databases are fine: nothing is changed."""
    ring.load()
    mark = ring.mark()
    ring.lab.partition([1, 2], [3, 4, 5], only="agents")
    ring.await_problem(1, "no quorum", code="no_quorum")
    ring.quiet(3)
    ring.lab.await_writes(more=3)
    ring.flows()
    ring.lab.heal()
    ring.whole()
    ring.audit()
    ring.expect_nothing(mark)


@story(FOUR)
def two_hosts_of_four_with_the_non_voter(ring):
    """Two hosts of four die, one of them the one without a vote: two of three voters are left, and the ring heals."""
    voters = ring.node(1).ask("/status")["quorum"]["voters"]
    silent = ring.others(*voters)
    expect(len(voters) == 3, f"three of four should vote: {voters}")
    killed(ring, [voters[0], silent[0]], "host", outs=range(1, 3))


@story(FOUR)
def two_voting_hosts_of_four(ring):
    """Both dead hosts had votes: no quorum, nothing is changed, status is critical and says whom to bring back; when one
    of them is back, the ring heals."""
    ring.load()
    voters = ring.node(1).ask("/status")["quorum"]["voters"]
    first, second = ring.node(voters[0]), ring.node(voters[1])
    left = ring.others(first.name, second.name)
    mark = ring.mark()
    at_once(lambda node: node.kill("host"), [first, second])
    for name in left:
        said = ring.await_problem(name, "no quorum: 1 of 3 voters answer, 2 are needed", code="no_quorum")["text"]
        expect(first.name in said and second.name in said, f"it should name both: {said}")
        code, _, _ = ring.node(name).agent_command("status")
        expect(code == 2, f"`ringagent status` at {name} exits with {code}, not 2")
    ring.quiet(3)
    ring.expect_nothing(mark)
    ring.flows([left[0]])
    started = time.time()
    first.start("host")
    ring.without(second.name)
    second.start("host")
    ring.whole()
    ring.audit()
    early = [(name, entry) for name, entry in ring.actions_since(mark, *LINK_WORK) if entry["time"] < iso(started)]
    expect(not early, f"something was done without a quorum: {early}")


@story()
def two_servers_and_a_witness(ring):
    """A third host without a MySQL votes: the host of either server dies under load, the other goes on alone and takes it back."""
    ring.up(nodes=3, netns=True, how="none", settings=("failure.settle=200ms",))
    ring.lab.prepare_agents()
    config = ring.node(3).agent_config
    without_server = re.sub(r"\n\[(mysql|replication)\]\n[^\[]*", "", config.read_text())
    config.write_text(without_server.replace("[ring]\n", '[ring]\nrole = "witness"\n'))
    ring.node(3).term("mysqld")
    ring.lab.start_agents()
    pair = ["db1", "db2"]
    ring.lab.await_ring(60, pair)
    ring.await_links(ring.sources(pair))
    ring.load(nodes=pair)
    for dead, alive in (pair, pair[::-1]):
        ring.node(dead).kill("host")
        ring.wait(lambda name=alive: (ring.node(name).ask("/status") or {}).get("ring") == [name], 15, f"{alive} to be the ring")
        ring.lab.await_writes(alive, more=5)
        ring.node(dead).start("host")
        ring.lab.await_ring(60, pair)
        ring.await_links(ring.sources(pair))
        ring.lab.await_writes(*pair, more=3)
    ring.flows(pair)
    ring.audit(survivors=pair)


def iso(wall):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall)) + f".{int(wall % 1 * 1000):03d}Z"
