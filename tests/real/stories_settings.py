"""Servers that are not fit for a ring, and what a link keeps through a repoint."""

import pathlib
import tempfile

from harness import story
from ring import expect, told
from ringlab.base import at_once, run
from stories_formation import FORMATION


@story()
def unfit_servers_are_named(ring):
    """Before the ring is formed: duplicate server_id, shared domain, log_slave_updates off, gtid_ignore_duplicates off.
    Each is named with its mend, nothing is formed; put right, the ring forms."""
    ring.up(how="none")
    wrong = {1: {"server_id": 2}, 3: {"log_slave_updates": 0}} if ring.mariadb else {1: {"server_id": 2}, 3: {"log_replica_updates": 0}}
    named = {"have the same server_id 2: give one of them another server_id",
             "db3: log_slave_updates is off.*Set log_slave_updates = ON"}
    if ring.mariadb:
        wrong[2], wrong[4] = {"gtid_ignore_duplicates": 0}, {"gtid_domain_id": 3}
        named |= {"db2: gtid_ignore_duplicates is off.*SET GLOBAL gtid_ignore_duplicates = 1",
                  "have the same gtid_domain_id 3: give each server a gtid_domain_id of its own"}
    restart_with(ring, wrong)
    ring.lab.start_agents()
    for at in (1, 4):
        for pattern in named:
            ring.await_problem(at, pattern, code=FORMATION)
    ring.quiet(1)
    expect(ring.lab.epoch() == (0, 0) and all(node.link() is None for node in ring.nodes), "a ring was formed all the same")
    restart_with(ring, {n: {option: {"server_id": n, "gtid_domain_id": n}.get(option, 1) for option in options} for n, options in wrong.items()})
    ring.whole()
    ring.flows()


def restart_with(ring, options):
    def restart(n):
        node = ring.node(n)
        node.term("mysqld")
        node.write_options(options[n])
        node.start_mysqld()
    at_once(restart, options)


@story()
def an_unfit_server_is_not_let_in(ring):
    """A server that restarts with a setting the ring cannot have stays out, named with the mend, until it is put right."""
    ring.up(nodes=3, settings=("failure.settle=200ms",))
    option = "gtid_ignore_duplicates" if ring.mariadb else "log_replica_updates"
    said_as = "gtid_ignore_duplicates" if ring.mariadb else "log_slave_updates"
    mark = ring.mark()
    restart_with(ring, {2: {option: 0}})
    said = ring.await_problem(1, f"{said_as} is off", about="db2")["text"]
    expect(f"{said_as} = " in said, f"the mend is missing: {said}")
    ring.without(2)
    ring.quiet(1.5)
    expect(ring.node(2).read_only() and not ring.node(2).link().running, f"it was let near: {ring.node(2).link()}")
    restart_with(ring, {2: {option: 1}})
    ring.whole()
    ring.flows()
    ring.expect_epochs(mark, outs=1, backs=1)


@story()
def a_link_keeps_what_it_was_told(ring):
    """TLS, credentials and timing of links that a person made survive a repoint, and the accounts demand TLS."""
    with tempfile.TemporaryDirectory(prefix="ringtls.") as folder:
        files = certificates(pathlib.Path(folder))
        ring.up(how="none", server={f"ssl_{key}": path for key, path in files.items()})
        wire_with_tls(ring, files["ca"])
        before = told(ring.node(3))
        ring.lab.start_agents()
        ring.whole()

        ring.load()
        ring.node(2).kill("mysqld")
        ring.without(2)
        after = told(ring.node(3))
        moved = {key.split("_", 1)[1] for key in before if before[key] != after[key]}
        expect(moved == {"Host"}, f"the repoint changed {moved}: {before} {after}")
        expect(files["ca"] in after.values() and "other" in after.values(), f"TLS or account are gone: {after}")
        ring.node(2).start("mysqld")
        ring.whole()
        ring.audit()
        expect(told(ring.node(3)) == before, f"the way back changed more than the source: {before} {told(ring.node(3))}")


def wire_with_tls(ring, ca):
    """A ring as a person would wire it: other account, other timing, TLS; the account demands it."""
    flavor, password = ring.lab.flavor, "another secret"
    word = flavor.upstream_word.upper()
    for node in ring.nodes:
        node.run_sql(flavor.open_up, "SET sql_log_bin=0", f"CREATE USER other@'%' IDENTIFIED BY '{password}' REQUIRE SSL",
                     "GRANT REPLICATION SLAVE ON *.* TO other@'%'")
    for node, source in zip(ring.nodes, [ring.nodes[-1], *ring.nodes]):
        change = flavor.change_source(source.address, source.mysql_port, password, 0.7)
        for old, new in (("ringagent_repl", "other"), ("SOURCE_SSL=0", "SOURCE_SSL=1"), ("CONNECT_RETRY=1", "CONNECT_RETRY=3")):
            change = change.replace(old, new)
        node.run_sql(f"{change}, {word}_SSL=1, {word}_SSL_CA='{ca}'" if ring.mariadb else f"{change}, {word}_SSL_CA='{ca}'", flavor.start_link)
    ring.await_links(ring.sources(ring.names))
    for node in ring.nodes:  # each domain has to be known everywhere
        node.run_sql(f"CREATE DATABASE own_{node.name}")
    ring.wait(lambda: all(node.vector() == ring.node(1).vector() for node in ring.nodes), 20, "all to have the first statements")


def certificates(folder):
    """A CA and one certificate that all servers of the lab share."""
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "cakey", "cert", "key", "request")}
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ring CA", "-keyout", files["cakey"], "-out", files["ca"]])
    run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ring server", "-keyout", files["key"], "-out", files["request"]])
    run(["openssl", "x509", "-req", "-days", "2", "-set_serial", "1", "-in", files["request"], "-CA", files["ca"], "-CAkey", files["cakey"],
         "-out", files["cert"]])
    return {name: files[name] for name in ("ca", "cert", "key")}
