"""What the simulator's model of a server (tests/sim/model_server.h) and the room mysql/ take for granted, asked of real ones: no
agent is there."""

import os
import subprocess
import threading

from harness import story
from ring import expect
from ringlab.base import REPO
from ringlab.sql import SqlError

TABLE = "pinned.row_"


def three_servers(ring):
    """Servers without agents; db1 takes writes, db2 follows it, db3 is alone."""
    ring.up(nodes=3, how="none")
    source, replica, third = ring.nodes
    source.run_sql(source.flavor.open_up, "CREATE DATABASE pinned", f"CREATE TABLE {TABLE} (i INT)")
    replica.follow(source)
    ring.wait(lambda: has(replica, 0), 10, "db2 to have the table")
    return source, replica, third


def has(node, rows):
    """Whether it has the table, with so many rows."""
    there = node.value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'pinned'")
    return there and node.value(f"SELECT COUNT(*) FROM {TABLE}") == rows


def write(node, rows):
    node.run_sql(*(f"INSERT INTO {TABLE} VALUES ({i})" for i in range(rows)))


def relay_space(node):
    return node.link().row["Relay_Log_Space"]


def received(node):
    """How far its receiver has come, in the server's words. (MariaDB's still says so when a CHANGE has emptied the relay log.)"""
    row = node.link().row
    return row["Gtid_IO_Pos"] if node.flavor.name == "mariadb" else row["Retrieved_Gtid_Set"]


def stop(node, thread=""):
    """Both threads, or the one that is named."""
    node.run_sql(f"{node.flavor.stop_link} {thread}")


def start(node):
    node.run_sql(node.flavor.start_link)


def receive_without_applying(ring, source, replica, rows):
    """The receiver of db2 has `rows` more than its applier, which is stopped."""
    stop(replica, "SQL_THREAD")
    write(source, rows)
    (written,) = source.vector().values()  # MariaDB: the last number; MySQL: all of them, 1-5
    last = str(written).rpartition("-")[2]
    ring.wait(lambda: received(replica).endswith(last), 10, "db2 to receive what db1 wrote")


@story()
def model_of_a_relay_log(ring):
    """What a repoint and a restart of the threads do to a relay log that is not applied yet, by flavor."""
    source, replica, _ = three_servers(ring)
    receive_without_applying(ring, source, replica, 3)
    stop(replica)
    space = relay_space(replica)
    replica.point_at(source)
    expect(relay_space(replica) < 300 < space, f"a CHANGE with both threads stopped begins the relay log anew: {space}, {relay_space(replica)} bytes")
    start(replica)
    ring.wait(lambda: has(replica, 3), 10, "the rows to be fetched again")

    receive_without_applying(ring, source, replica, 2)
    stop(replica)
    source.kill("mysqld")
    start(replica)
    if ring.mariadb:
        ring.wait(lambda: "waiting for" in replica.link().row["Slave_SQL_State"], 10, "the applier to be at the end")
        expect(has(replica, 3), "MariaDB throws the relay log away when both threads start: nothing can have been applied")
    else:
        ring.wait(lambda: has(replica, 5), 10, "MySQL to apply what it had received from a source that is dead")
    source.start("mysqld")
    ring.wait(lambda: has(replica, 5), 15, "db2 to have all rows")


@story()
def model_of_a_repoint_while_the_applier_runs(ring):
    """MariaDB refuses to change the source while the applier runs; MySQL does it and keeps its relay log."""
    source, replica, _ = three_servers(ring)
    replica.run_sql(replica.flavor.open_up)  # else MySQL locks no table
    with replica.sql(seconds=30) as holder:
        holder.run(f"LOCK TABLES {TABLE} WRITE")
        before = received(replica)
        write(source, 1)
        ring.wait(lambda: received(replica) != before, 10, "db2 to receive the row")
        got = received(replica)
        stop(replica, "IO_THREAD")
        where = f"HOST='{source.address}', {{0}}PORT={source.mysql_port}"
        if ring.mariadb:
            expect(refusal(replica, "CHANGE MASTER TO MASTER_" + where.format("MASTER_")) == 1198, "MariaDB should have refused with 1198")
        else:
            replica.run_sql("CHANGE REPLICATION SOURCE TO SOURCE_" + where.format("SOURCE_"))
            expect(received(replica) == got, f"MySQL should have kept what it had received: {received(replica)!r}, not {got!r}")
    ring.wait(lambda: has(replica, 1), 10, "the row to be applied")


def refusal(node, *statements):
    """The number of the error, or None."""
    try:
        node.run_sql(*statements)
    except SqlError as error:
        return error.code
    return None


@story()
def model_of_what_a_source_refuses(ring):
    """1236 on MariaDB and 13114 on MySQL for what was purged; MySQL also if a replica has more of the source's own than it has."""
    source, replica, third = three_servers(ring)
    refused = 1236 if ring.mariadb else 13114
    write(source, 2)
    source.run_sql("FLUSH BINARY LOGS")
    write(source, 1)
    ring.wait(lambda: has(replica, 3), 10, "db2 to have all rows")

    def purged():  # not while another one reads it
        source.run_sql(f"PURGE BINARY LOGS TO '{source.coordinates()[0]}'")
        return len(source.rows("SHOW BINARY LOGS")) == 1
    ring.wait(purged, 10, "db1's older binary logs to be gone")
    third.follow(source)
    ring.wait(lambda: third.link().io_errno == refused, 10, f"db3 to be refused with {refused}: what it lacks is purged")

    if ring.mariadb:
        # Who has a domain of which the source has nothing at all is served, until the source gets the first of it.
        stop(replica)
        replica.follow(third)
        ring.wait(lambda: replica.link().running and int(replica.link().row["Slave_received_heartbeats"]) > 1, 10, "db2 to be served by db3")
        stream, = replica.vector()
        as_db1 = "SET SESSION gtid_domain_id = {}, SESSION server_id = {}".format(*stream.split("-"))
        third.run_sql(third.flavor.open_up, as_db1, "CREATE DATABASE first_of_it")
        ring.wait(lambda: replica.link().io_errno == refused, 10, f"db3 to stop db2's link with {refused}: it has the domain now, not the position")
        start(replica)  # with gtid_ignore_duplicates a source may be behind its replica
        ring.wait(lambda: replica.link().running and int(replica.link().row["Slave_received_heartbeats"]) > 1, 10, "db2 to be served again")
        return
    stop(third)
    third.run_sql(third.flavor.open_up, f"SET GTID_NEXT = '{replica.value('SELECT @@global.server_uuid')}:77'", "BEGIN", "COMMIT")
    third.follow(replica)
    ring.wait(lambda: third.link().io_errno == refused, 10, f"db3 to be refused with {refused}: it has more of db2's than db2")


@story()
def model_of_a_lock(ring):
    """LOCK TABLES holds up the applier, STOP and read_only, as long as it is held; asking for the state it does not."""
    source, replica, _ = three_servers(ring)
    replica.run_sql(replica.flavor.open_up)
    with replica.sql() as holder:
        holder.run(f"LOCK TABLES {TABLE} WRITE")
        write(source, 1)
        waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE '%waiting for%lock%'"
        ring.wait(lambda: replica.value(waits) == 1, 10, "the applier of db2 to wait for the lock")
        read_only = "SET GLOBAL read_only = 1" if ring.mariadb else "SET GLOBAL super_read_only = 1"
        expect(refusal(replica, "SET SESSION lock_wait_timeout = 1", read_only) == 1205, "read_only should wait as long as it may")
        stopping = threading.Thread(target=stop, args=(replica,))
        stopping.start()
        stopping.join(1.5)
        expect(stopping.is_alive() and replica.link().io_errno == 0, "STOP should wait for the transaction that waits for the lock")
    stopping.join(10)
    expect(not stopping.is_alive(), "STOP should have ended with the lock")


@story()
def model_of_a_position(ring):
    """In strict mode MariaDB takes no gtid_slave_pos that is behind its own binary log, nor one without its domain."""
    _, _, third = three_servers(ring)
    if not ring.mariadb:
        return  # MySQL has no such position
    third.run_sql(third.flavor.open_up, "CREATE DATABASE other", "CREATE DATABASE more")
    (own, last), = third.vector().items()
    expect(refusal(third, f"SET GLOBAL gtid_slave_pos = '{own}-{last - 1}'") == 1947, "behind its binary log: 1947")
    expect(refusal(third, "SET GLOBAL gtid_slave_pos = '99-99-7'") == 1948, "without its domain: 1948")
    expect(refusal(third, "SET GLOBAL gtid_slave_pos = CONCAT(@@global.gtid_binlog_pos, ',99-99-7')") is None, "with both it is taken")


@story()
def model_of_what_is_ignored(ring):
    """What a link ignores is not asked for again once it ignores nothing any more (MariaDB); with GTIDs MySQL has no such option."""
    source, replica, _ = three_servers(ring)
    stop(replica)
    change = "CHANGE MASTER TO" if ring.mariadb else "CHANGE REPLICATION SOURCE TO"
    ids = source.value("SELECT @@global.server_id")
    refused = refusal(replica, f"{change} IGNORE_SERVER_IDS = ({ids})")
    if not ring.mariadb:
        expect(refused is not None, "MySQL should refuse IGNORE_SERVER_IDS where GTIDs are on")
        return
    start(replica)
    write(source, 1)
    ring.wait(lambda: replica.value("SELECT @@global.gtid_slave_pos") == source.value("SELECT @@global.gtid_binlog_pos"), 10, "db2 to pass over the row")
    stop(replica)
    replica.run_sql(f"{change} IGNORE_SERVER_IDS = ()")
    start(replica)
    write(source, 1)
    ring.wait(lambda: replica.value(f"SELECT COUNT(*) FROM {TABLE}") == 1, 10, "db2 to get the second row, and not the first")


@story()
def model_of_what_comes_back(ring):
    """What a server wrote and gets back from the other side of a ring is not applied a second time."""
    source, replica, _ = three_servers(ring)
    source.follow(replica)
    write(source, 4)
    ring.wait(lambda: has(replica, 4), 10, "db2 to have the rows")
    replica.run_sql(replica.flavor.open_up)
    write(replica, 1)
    ring.wait(lambda: not has(source, 4), 10, "db1 to apply what db2 wrote after them")
    expect(has(source, 5) and source.link().running, f"db1 should have each row once: {source.value(f'SELECT COUNT(*) FROM {TABLE}')} of 5")


@story()
def what_the_mysql_room_knows(ring):
    """The probes of mysql/ (server_probe.cpp, link_probe.cpp): deadlines, statements behind a lock, TLS, a server that hangs."""
    ring.up(nodes=2, how="none")
    first, second = ring.nodes
    done = subprocess.run([str(REPO / "build" / "tests" / "real" / "real_mysql_tests")], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RINGAGENT_REAL_SOCKET": str(first.socket), "RINGAGENT_REAL_HOST": first.address,
                               "RINGAGENT_REAL_SOCKET_2": str(second.socket), "RINGAGENT_REAL_HOST_2": second.address,
                               "RINGAGENT_REAL_STOP": "1"})
    failed = [case for case in done.stdout.split("=" * 79) if "ERROR: " in case] or [done.stdout[-4000:]]
    expect(done.returncode == 0, f"the probes end with {done.returncode}:\n{''.join(failed)}{done.stderr[-1000:]}")
