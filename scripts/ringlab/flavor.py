"""The two SQL dialects: server options, accounts, and how a link is made, read and told to run.

The options and accounts are what a ring demands of its servers and what `ringagent setup` would create: not a privilege
more, so that one that is missing is noticed here; plus small buffers, so that five servers fit on a small machine. Servers boot read-only and without replication: whoever runs the ring opens them.
"""

import dataclasses

SCHEMA = "labload"
AGENT, REPLICATION, APP = "ringagent", "ringagent_repl", "app"


@dataclasses.dataclass
class Link:
    """One replication link as its server tells it. `source` is a node's name where the address is one of ours."""
    source: str
    io: str           # running | connecting | stopped
    sql: str          # running | stopped
    io_errno: int
    sql_errno: int
    error: str
    row: dict         # the whole row of SHOW ... STATUS

    @property
    def running(self):
        return self.io == "running" and self.sql == "running"

    def __str__(self):
        fault = f", error {self.sql_errno or self.io_errno}: {self.error}" if self.error else ""
        return f"follows {self.source}: io {self.io}, sql {self.sql}{fault}"


class Flavor:
    def options(self, n, durable):
        """Lines of the [mysqld] section that do not depend on directories and addresses."""
        common = {
            "server_id": n, "log_bin": "binlog", "binlog_format": "ROW", "relay_log": "relay", "relay_log_recovery": 1,
            "slave_type_conversions": "ALL_NON_LOSSY", "auto_increment_increment": 16, "auto_increment_offset": n,
            "sync_binlog": 1 if durable else 0, "innodb_flush_log_at_trx_commit": 1 if durable else 2,
            "skip_name_resolve": 1, "max_connections": 100, "max_allowed_packet": "64M",
            "innodb_buffer_pool_size": "64M", "innodb_buffer_pool_dump_at_shutdown": 0,
            "innodb_buffer_pool_load_at_startup": 0, "table_open_cache": 200, "table_definition_cache": 400,
        }
        return {**common, **self.own_options(n)}

    def accounts(self, passwords):
        """SQL that makes the three accounts without a trace in the binlog: the agent's, the replication's, and the
        application's, which must not be able to write past read_only."""
        grants = [
            (AGENT, ["localhost"], passwords["agent"], [f"{self.agent_grants} ON *.*", self.agent_more]),
            (REPLICATION, ["%"], passwords["replication"], [f"{self.replication_grants} ON *.*"]),
            (APP, ["localhost", "%"], passwords["app"], [f"ALL ON {SCHEMA}.*", f"{self.app_grant} ON *.*"]),
        ]
        for user, hosts, password, privileges in grants:
            for host in hosts:
                yield f"CREATE USER {user}@'{host}' IDENTIFIED BY '{password}'"
                for privilege in privileges:
                    yield f"GRANT {privilege} TO {user}@'{host}'"

    def link(self, connection):
        """The link without a channel name, or None."""
        row = next((row for row in connection.rows(self.show_link) if not row.get(self.channel)), None)
        if row is None:
            return None
        word = self.word
        io = {"Yes": "running", "No": "stopped"}.get(row[f"{word}_IO_Running"], "connecting")
        return Link(source=f"{row[f'{self.upstream_word}_Host']}:{row[f'{self.upstream_word}_Port']}", io=io,
                    sql="running" if row[f"{word}_SQL_Running"] == "Yes" else "stopped",
                    io_errno=row["Last_IO_Errno"], sql_errno=row["Last_SQL_Errno"],
                    error=row["Last_SQL_Error"] or row["Last_IO_Error"], row=row)

    def coordinates(self, connection):
        """(file, position) of the end of the binlog: grows with every event that is logged, whatever it is."""
        row = connection.rows(self.show_binlog)[0]
        return row["File"], row["Position"]


class MariaDB(Flavor):
    name, program = "mariadb", "mariadbd"
    word, upstream_word, channel = "Slave", "Master", "Connection_name"
    show_link, show_binlog = "SHOW ALL SLAVES STATUS", "SHOW MASTER STATUS"
    start_link, stop_link = "START SLAVE", "STOP SLAVE"
    open_up, shut = "SET GLOBAL read_only=0", "SET GLOBAL read_only=1"
    agent_grants = "REPLICATION SLAVE ADMIN, BINLOG MONITOR, READ_ONLY ADMIN, CONNECTION ADMIN, REPLICA MONITOR"
    agent_more = "DROP ON ringagent.*"
    replication_grants = "REPLICATION SLAVE, BINLOG MONITOR, SELECT, SHOW VIEW, TRIGGER, EVENT"
    app_grant = "BINLOG ADMIN"  # to choose the binlog format of a session

    def own_options(self, n):
        return {"gtid_domain_id": n, "gtid_strict_mode": 1, "gtid_ignore_duplicates": 1, "log_slave_updates": 1,
                "skip_slave_start": 1, "read_only": 1, "slave_net_timeout": 10, "master_retry_count": 0, "innodb_log_file_size": "48M",
                "key_buffer_size": "1M", "aria_pagecache_buffer_size": "1M"}

    def change_source(self, host, port, password, heartbeat):
        return (f"CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='{REPLICATION}', "
                f"MASTER_PASSWORD='{password}', MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD={heartbeat}, "
                "MASTER_USE_GTID=slave_pos")

    def vector(self, connection):
        """What the server has: the highest sequence number per (domain, origin)."""
        text = connection.value("SELECT @@global.gtid_binlog_state") or ""
        entries = (entry.strip().split("-") for entry in text.split(",") if entry.strip())
        return {f"{domain}-{origin}": int(number) for domain, origin, number in entries}


class MySQL(Flavor):
    name, program = "mysql", "mysqld"
    word, upstream_word, channel = "Replica", "Source", "Channel_Name"
    show_link, show_binlog = "SHOW REPLICA STATUS", "SHOW BINARY LOG STATUS"
    start_link, stop_link = "START REPLICA", "STOP REPLICA"
    open_up, shut = "SET GLOBAL read_only=0", "SET GLOBAL super_read_only=1"
    agent_grants = "REPLICATION CLIENT, REPLICATION SLAVE, REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN"
    agent_more = "SELECT ON performance_schema.*"
    replication_grants = "REPLICATION SLAVE, BACKUP_ADMIN, REFERENCES"
    app_grant = "SESSION_VARIABLES_ADMIN"

    def own_options(self, n):
        # The event scheduler has no place in a ring (every node would run the event), and 9.7 with replication and the
        # scheduler on takes 10 s to shut down, most of it waiting for the scheduler's thread.
        return {"event_scheduler": "OFF", "gtid_mode": "ON", "enforce_gtid_consistency": "ON", "log_replica_updates": 1, "skip_replica_start": 1,
                "super_read_only": 1, "replica_net_timeout": 10, "mysqlx": 0, "innodb_redo_log_capacity": "64M",
                "plugin_load_add": "auth_socket.so;mysql_clone.so", "host_cache_size": 0}

    def change_source(self, host, port, password, heartbeat):
        return (f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port}, SOURCE_USER='{REPLICATION}', "
                f"SOURCE_PASSWORD='{password}', SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400, "
                f"SOURCE_HEARTBEAT_PERIOD={heartbeat}, SOURCE_SSL=0, GET_SOURCE_PUBLIC_KEY=1, SOURCE_AUTO_POSITION=1")

    def vector(self, connection):
        """What the server has: the intervals per server_uuid."""
        text = (connection.value("SELECT @@global.gtid_executed") or "").replace("\n", "")
        entries = (entry.strip().partition(":") for entry in text.split(",") if entry.strip())
        return {uuid: intervals for uuid, _, intervals in entries}


FLAVORS = {"mariadb": MariaDB(), "mysql": MySQL()}
