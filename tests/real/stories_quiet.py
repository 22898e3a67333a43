"""Trouble among the agents, or none at all: the ring of databases is left alone."""

import os
import pathlib
import re
import signal
import time

from harness import Shared, story
from ring import expect
from ringlab.base import at_once

QUIET = Shared("quiet")
# Longer than `silence` (2.5 s), shorter than 10 s, when votes may move away from an agent that does not answer.
WINDOW = 4.0


@story(QUIET)
def agents_at_rest_cost_little(ring):
    """An agent at rest in a ring of four: at most 20 MB of memory, 1 % of a core, and 2 KB/s of gossip sent."""
    ring.quiet(3)
    before, began = at_once(figures, ring.nodes), time.monotonic()
    ring.quiet(8)
    after, seconds = at_once(figures, ring.nodes), time.monotonic() - began
    for node, (cpu_then, sent_then, _), (cpu, sent, rss_kb) in zip(ring.nodes, before, after):
        core, gossip = 100 * (cpu - cpu_then) / seconds, (sent - sent_then) / seconds
        told = f"{node.name}: {rss_kb / 1024:.1f} MB, {core:.2f} % of a core, {gossip:.0f} bytes/s of gossip"
        print(f"       {told}")
        expect(rss_kb <= 20 * 1024 and core <= 1.0 and gossip <= 2048, told)


def figures(node):
    """CPU seconds so far, gossip bytes sent so far, resident memory in kB."""
    pid = node.agent.pid()
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
    sent = float(re.search(r"^ringagent_sent_bytes_total (\S+)", node.ask("/metrics"), re.M)[1])
    return cpu, sent, rss


@story(QUIET)
def an_agent_is_killed(ring):
    """An agent is killed while its mysqld lives: writes go on through its node, status says so, and nothing is changed."""
    ring.load()
    mark = ring.mark()
    ring.node(2).kill("agent")
    ring.quiet(WINDOW)
    ring.await_problem(1, "the agent of db2 does not answer", code="agent_dead", about="db2")
    ring.lab.await_writes(more=5)
    ring.flows()
    ring.node(2).start("agent")
    ring.whole()
    ring.audit()
    ring.expect_nothing(mark)


@story(QUIET)
def an_agent_is_stopped(ring):
    """An agent that stands still (SIGSTOP), longer than `silence` or less, while its mysqld lives changes nothing, and says how
    long it was."""
    ring.load()
    mark = ring.mark()
    node = ring.node(3)

    def standstills():
        return [int(ms) for ms in re.findall(r"this agent stood still for (\d+) ms", node.agent.log.read_text())]
    for pause in (WINDOW, 0.8):
        before, began = len(standstills()), time.monotonic()
        node.stop("agent")
        ring.quiet(pause)
        if pause == WINDOW:
            ring.lab.await_writes(more=5)
        node.cont("agent")
        took = (time.monotonic() - began) * 1000
        ring.wait(lambda: standstills()[before:], 5, "db3's agent to say that it stood still")
        said = max(standstills()[before:])
        # It may have meant to sleep for up to 250 ms.
        expect(pause * 1000 - 250 <= said <= took + 200, f"db3's agent stood still for {pause} to {took / 1000} s and says {said} ms")
    ring.whole()
    ring.audit()
    ring.expect_nothing(mark)


@story(QUIET)
def all_agents_restart(ring):
    """All agents are restarted one by one, as in an upgrade: each ends with 0, however often it is told to, and nothing
    is changed."""
    ring.load()
    mark = ring.mark()
    for node in ring.nodes:
        child = node.agent.child
        while node.agent.send(signal.SIGTERM):
            pass
        node.agent.end(signal.SIGTERM)
        expect(child.returncode == 0, f"the agent of {node.name} ended with {child.returncode}")
        node.start("agent")
        ring.whole()
    ring.audit()
    ring.expect_nothing(mark)


@story(QUIET)
def a_node_pauses(ring):
    """A whole node stands still for 2 s, as a virtual machine does while it is moved: nothing is changed."""
    ring.load()
    mark = ring.mark()
    for n in (1, 4):
        ring.node(n).stop("host")
        ring.quiet(2.0)
        ring.node(n).cont("host")
        ring.lab.await_writes(more=5)
        ring.quiet(1.5)
    ring.whole()
    ring.audit()
    ring.expect_nothing(mark)


@story(QUIET)
def replication_is_stopped_by_hand(ring):
    """An operator stops replication: reported, left alone, and started again by `ringagent resume`."""
    ring.load()
    mark = ring.mark()
    ring.node(3).run_sql(ring.lab.flavor.stop_link)
    said = ring.await_problem(1, "stopped by hand", code="foreign_change", about="db3")["text"]
    expect("ringagent resume" in said, f"the mend is missing: {said}")
    ring.quiet(WINDOW)
    link = ring.node(3).link()
    expect((link.io, link.sql) == ("stopped", "stopped"), f"it was not left alone: {link}")
    code, out, _ = ring.node(3).agent_command("plan")
    expect(code == 0 and "resume" in out, f"`ringagent plan` should say why nothing is done: {out}")
    ring.expect_nothing(mark)
    code, out, errors = ring.node(3).agent_command("resume")
    expect(code == 0, f"`ringagent resume` says: {out}{errors}")
    ring.whole()
    ring.audit()
    expect(not ring.epochs_since(mark) and {entry["what"] for _, entry in ring.actions_since(mark)} == {"start link"},
           f"resume should have started the link and nothing else: {ring.epochs_since(mark)} {ring.actions_since(mark)}")
