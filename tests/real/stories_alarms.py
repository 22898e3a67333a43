"""What looks like a death and is none: nothing may be decided."""

from harness import story
from ring import expect, kill_sessions, sessions_of
from ringlab.flavor import AGENT
from ringlab.sql import SqlError
from stories_quiet import QUIET, WINDOW


def false_alarm(ring, trouble, relief):
    """Under load: the trouble, a while, the relief, and nothing was done."""
    ring.load()
    mark = ring.mark()
    trouble()
    ring.quiet(WINDOW)
    relief()
    ring.whole()
    ring.lab.await_writes(more=3)
    ring.audit()
    ring.expect_nothing(mark)


@story(QUIET)
def a_firewall_rejects_one_port(ring):
    """A firewall refuses new connections to one server's port while that node's agent is restarted: no death."""
    node = ring.node(2)

    def trouble():
        ring.lab.reject(2)
        node.kill("agent")

    def relief():
        node.start("agent")
        ring.wait(lambda: node.ask("/status"), 10, "the agent of db2 to answer")
        ring.quiet(1)
        ring.lab.heal()
    false_alarm(ring, trouble, relief)


@story(QUIET)
def max_connections_reached(ring):
    """One server has no connection to spare, not even for its agent, which lost its own: it lives all the same."""
    node, crowd = ring.node(3), []
    admin = node.sql()
    limit = admin.value("SELECT @@global.max_connections")

    def fill():
        # The privileged have one connection more.
        for user in ("app", "root"):
            try:
                while True:
                    crowd.append(node.sql(user))
            except SqlError as error:
                expect(error.code == 1040, f"too many connections were to be expected: {error}")

    def trouble():
        admin.run("SET GLOBAL max_connections=20")
        for _ in range(4):
            fill()
            for row in admin.rows("SHOW PROCESSLIST"):
                if row["User"] == AGENT:
                    admin.run(f"KILL {row['Id']}")
        fill()

    def relief():
        admin.run(f"SET GLOBAL max_connections={limit}")
        for connection in crowd + [admin]:
            connection.close()
    false_alarm(ring, trouble, relief)


@story(QUIET)
def the_session_of_the_agent_is_killed(ring):
    """Somebody kills the agent's connections, again and again: it connects anew."""
    node = ring.node(1)

    def trouble():
        for _ in range(5):
            ring.wait(lambda: sessions_of(node, AGENT), 5, "the agent to connect again")
            kill_sessions(node, AGENT)
    false_alarm(ring, trouble, lambda: None)


@story(QUIET)
def the_socket_file_is_removed(ring):
    """The server's socket file is gone and the agent has to connect anew: the port still answers, so the server lives."""
    node = ring.node(4)
    aside = node.socket.with_name("aside.sock")

    def trouble():
        with node.sql() as admin:
            node.socket.rename(aside)
            for row in admin.rows("SHOW PROCESSLIST"):
                if row["User"] == AGENT:
                    admin.run(f"KILL {row['Id']}")
        ring.await_problem(1, "socket", about="db4")

    false_alarm(ring, trouble, lambda: aside.rename(node.socket))


@story(QUIET)
def tables_are_locked_for_a_backup(ring):
    """FLUSH TABLES WITH READ LOCK for 12 s, as a backup does: writes and the applier wait, nobody is taken out."""
    holder = ring.node(2).sql(seconds=30)

    def trouble():
        holder.run("FLUSH TABLES WITH READ LOCK")
        ring.quiet(8)

    def relief():
        holder.run("UNLOCK TABLES")
        holder.close()
    false_alarm(ring, trouble, relief)
