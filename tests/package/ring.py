"""A new user's path, by README's own commands, on four booted hosts; then what the package promises while a ring runs."""

import json
import re
import shutil
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor

from checks import Failed, await_that
from host import Host
from texts import entries, install_path, page

from ringlab import LabError
from ringlab.network import Namespaces
from ringlab.sql import Connection

NAMES = ["db1", "db2", "db3", "db4"]
SECRETS = ("gossip.key", "replication.password")
CONFIG = "etc/ringagent/ringagent.toml"


class Network(Namespaces):
    """README's own addresses; each ring has a bridge to itself."""

    def address(self, n):
        return f"10.0.0.{n}"


def at_once(function, items):
    items = list(items)
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


class Ring:
    def __init__(self, tree, work):
        self.network = Network("pkg", 0, len(NAMES))
        self.hosts = [Host(tree, work, name, self.network.space(n)) for n, name in enumerate(NAMES, 1)]
        self.codes = set()

    def up(self):
        self.network.destroy()
        self.network.create()
        at_once(lambda host: host.mount().boot(), self.hosts)

    def down(self):
        at_once(Host.down, self.hosts)
        self.network.destroy()

    def host(self, name):
        return self.hosts[NAMES.index(name)]

    # ---- looking

    def status(self, host):
        status = json.loads(host.run("ringagent status --json", check=False).stdout or "{}")
        self.codes |= {problem["code"] for problem in status.get("problems", [])}
        return status

    def whole(self):
        """All agents say: health ok, all four in the ring."""
        statuses = at_once(self.status, self.hosts)
        return all(s.get("health") == "ok" and sorted(s["ring"]) == NAMES for s in statuses) and statuses

    def await_whole(self, what, seconds=60):
        try:
            return await_that(self.whole, seconds, what, 0.1)[1]
        except Failed as failed:
            told = "\n".join(host.run("ringagent status; systemctl status --no-pager ringagent; journalctl -u ringagent -n 20 --no-pager", check=False).stdout for host in self.hosts)
            raise Failed(f"{failed}\n{told}") from None

    def epoch(self):
        return {(s["generation"], s["epoch"]) for s in at_once(self.status, self.hosts)}

    def sql(self, host):
        return Connection("app", "app", socket=host.root_of_process() / "run/mysqld/mysqld.sock")

    def value(self, host, statement):
        with self.sql(host) as connection:
            return connection.value(statement)

    def threads(self):
        """Who runs replication at each server: connection numbers of its threads. They change when a link is only touched."""
        def of(host):
            rows = host.out("mariadb -NBe \"SELECT ID, COMMAND FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Binlog Dump', 'Slave_IO', 'Slave_SQL')\"")
            pid = host.show("mariadb", "MainPID")
            return pid, sorted(tuple(row.split("\t")) for row in rows.splitlines())
        return dict(zip(NAMES, at_once(of, self.hosts)))


class Writers:
    """An application at every node: rows of its own, one after the other; what was acknowledged is remembered."""

    def __init__(self, ring):
        self.ring, self.stop, self.acked = ring, threading.Event(), {name: 0 for name in NAMES}
        self.threads = [threading.Thread(target=self._write, args=(host,), daemon=True) for host in ring.hosts]
        for thread in self.threads:
            thread.start()

    def _write(self, host):
        while not self.stop.is_set():
            try:
                with self.ring.sql(host) as connection:
                    while not self.stop.wait(0.05):
                        connection.run(f"INSERT INTO app.t VALUES ('{host.name}', {self.acked[host.name] + 1})")
                        self.acked[host.name] += 1
            except LabError as error:
                if getattr(error, "code", 0) == 1062:   # it had arrived, and only its answer was lost
                    self.acked[host.name] += 1
                self.stop.wait(0.1)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(10)


# ---------------------------------------------------------------- README's path


def fill_in(text, wanted):
    """The sample with the values of `wanted`, edited as a person would: only the lines that are not commented out."""
    out, section = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        name = line.partition(" = ")[0]
        table = wanted.get(section, {}) if section else wanted
        out.append(f"{name} = {json.dumps(table[name])}" if name in table else line)
    return "\n".join(out) + "\n"


def configure(ring, text):
    wanted = tomllib.loads(text)
    for n, host in enumerate(ring.hosts, 1):
        for section, port in (("gossip", 7946), ("mysql", 3306)):
            wanted[section]["advertise"] = f"{ring.network.address(n)}:{port}"
        path = host.root / CONFIG
        path.write_text(fill_in(path.read_text(), wanted))   # in place: owner and mode stay


def hand_out(ring):
    """"Copy the package and these two files to all hosts, in any way that you trust"."""
    first = ring.hosts[0].root / "root"
    for host in ring.hosts[1:]:
        for name in SECRETS:
            shutil.copy(first / name, host.root / "root" / name)


def fresh_install(checks, host):
    """What the package has done by itself, and that an agent without a config is no trouble."""
    for path, wanted in {"/etc/ringagent": "755 root:root", f"/{CONFIG}": "640 root:ringagent", "/var/lib/ringagent": "700 ringagent:ringagent",
                         "/run/ringagent": "755 ringagent:ringagent", "/usr/bin/ringagent": "755 root:root"}.items():
        checks.equal(host.stat(path), wanted, f"{path} is {wanted}")
    checks.that(re.fullmatch(r"ringagent:x:\d+:\d+:RingAgent:/var/lib/ringagent:/\S*nologin", host.out("getent passwd ringagent")), "the account cannot log in")
    checks.equal((host.show("ringagent", "ActiveState"), host.show("ringagent", "UnitFileState")), ("inactive", "disabled"), "nothing was started, nothing enabled")
    checks.equal(host.out("systemctl --failed --plain --no-legend"), "", "no unit has failed")
    checks.equal(host.run("dpkg --verify ringagent").stdout, "", "dpkg --verify finds every file as packed")
    began = host.run("systemctl start ringagent", check=False)
    time.sleep(2.5)   # two times RestartSec: a loop would be seen
    state = tuple(host.show("ringagent", what) for what in ("ActiveState", "ExecMainStatus", "NRestarts"))
    checks.equal((began.returncode != 0, state), (True, ("failed", "78", "0")), "started with the unedited sample it fails once, with 78, and does not loop")
    checks.that("gossip.key" in host.out("journalctl -u ringagent --no-pager"), "and the journal names the file that is missing")
    host.run("systemctl reset-failed ringagent")


def new_user(checks, ring, packages):
    """Every block of README's "Install", in order. Returns what the blocks for one host said."""
    for host in ring.hosts:
        shutil.copy(packages.deb, host.root / "root/ringagent.deb")
    said, configured = [], False
    for hosts, body in install_path():
        if hosts == "toml":
            configure(ring, body)
            configured = True
            continue
        if "kill" in body:
            return said, (hosts, body)
        results = at_once(lambda name, script=body: ring.host(name).run(f"set -e\n{script}", seconds=240), hosts)
        said.append((body, results[0].stdout))
        if not configured and hosts == ["db1"]:
            fresh_install(checks, ring.host("db1"))
            hand_out(ring)
        if "enable --now" in body:
            checks.equal({host.show("ringagent", "ActiveState") for host in ring.hosts}, {"active"}, "systemd has READY from all four agents")
            took = ring.await_whole("the ring to be formed")
            checks.that(True, f"the agents formed the ring ({took:.1f} s after they were started)")
    raise Failed("README kills no server")


def formed(checks, ring, said):
    commands, shown = said[-1]
    checks.that("ringagent check" in commands and "nothing found" in shown and "shop: ok" in shown, "README's check finds no error, and its status says ok", shown)
    ring.host("db1").run("mariadb -e \"CREATE DATABASE app; CREATE TABLE app.t (who VARCHAR(8), n INT, PRIMARY KEY (who, n)); CREATE USER app@localhost IDENTIFIED BY 'app'; "
                         "GRANT ALL ON app.* TO app@localhost\"")
    await_that(lambda: all(ring.value(host, "SELECT COUNT(*) FROM app.t") == 0 for host in ring.hosts), 10, "the application's table on all nodes")


def confined(checks, ring):
    """The agent as it runs: whose it is and what it may."""
    host = ring.host("db2")
    pid = host.show("ringagent", "MainPID")
    status = dict(line.split(":\t") for line in host.out(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    checks.equal(host.out(f"stat -c %U /proc/{pid}"), "ringagent", "the agent runs as ringagent")
    checks.equal([int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")], [0] * 4, "without any capability, and can gain none")
    checks.equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "with no_new_privs and a system call filter")
    # A container must have CAP_SYS_RESOURCE for the score itself, and not every machine that runs tests gives that.
    checks.equal(host.show("ringagent", "OOMScoreAdjust"), "-900", "and is to be the last that is killed when memory is short")
    checks.that("[pidfd]" in host.out(f"ls -l /proc/{pid}/fd"), "it holds the pidfd of its mysqld, which tells at once when that ends")
    checks.equal(host.stat("/run/ringagent/ringagent.sock"), "660 ringagent:ringagent", "its socket is open to its group")
    ring_file = json.loads(host.out("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /run/ringagent/ring.json"))
    checks.that("db1" in json.dumps(ring_file), "and its list of servers to everybody")
    checks.that(host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups ls /var/lib/ringagent", check=False).returncode != 0, "its state to nobody else")


# ---------------------------------------------------------------- while the ring runs


def heal(checks, ring, kill):
    """README's kill. The ring closes, and the server comes back."""
    hosts, body = kill
    (victim,) = hosts
    before, after = "db2", "db4"
    epochs = ring.epoch()
    began = time.monotonic()
    ring.host(victim).run(body)
    ring.value(ring.host(before), "SELECT 1")
    with ring.sql(ring.host(before)) as source, ring.sql(ring.host(after)) as sink:
        source.run("INSERT INTO app.t VALUES ('kill', 1)")
        await_that(lambda: sink.value("SELECT COUNT(*) FROM app.t WHERE who = 'kill'") == 1, 4, f"a row from {before} at {after}", 0.005)
    took = time.monotonic() - began

    def closed():
        status = ring.status(ring.host("db1"))
        return victim not in status["ring"] and status["health"] == "degraded" and status["ring"]

    ring_now, _ = await_that(closed, 4, f"status to say that {victim} is out and the others are whole")
    checks.that(took < 4, f"healed in {took:.2f} s to {' -> '.join(ring_now)}, before systemd started the server of {victim} again")
    back = ring.await_whole(f"{victim} to come back")
    checks.that(ring.epoch() != epochs, f"{victim} is in again {back:.1f} s later")


def history(checks, ring, body):
    told = ring.host("db1").out(body)
    checks.that("db3" in told and "epoch" in told, "README's status and history tell of it", told)


def shut_down(checks, ring):
    """What a host does when it is switched off: the agent outlives its server, and says that it has ended."""
    host = ring.host("db3")
    host.run("systemctl stop mariadb ringagent")
    server_ended, agent_asked = int(host.show("mariadb", "InactiveEnterTimestampMonotonic")), int(host.show("ringagent", "ActiveExitTimestampMonotonic"))
    checks.that(0 < server_ended <= agent_asked, "server and agent stopped together: the agent is asked when the server has ended", f"{server_ended} {agent_asked}")

    def told():
        node = next(node for node in ring.status(ring.host("db1"))["nodes"] if node["name"] == "db3")
        return not node["in"] and node["reason"]

    reason, _ = await_that(told, 20, "db3 to be out")
    checks.equal(reason, "mysqld_down", "and the ring knows that the server ended")
    host.run("systemctl start mariadb ringagent")
    ring.await_whole("db3 to come back")


def untouched(checks, ring, what, deed):
    """Does something to agents while applications write, and demands that no server and no link has noticed."""
    threads, epochs = ring.threads(), ring.epoch()
    began = time.monotonic()
    deed()
    ring.await_whole(f"the ring after {what}")
    took = time.monotonic() - began
    checks.equal(ring.epoch(), epochs, f"{what}: no epoch ({took:.1f} s)")
    checks.equal(ring.threads(), threads, f"{what}: the same mysqld processes and the same replication threads as before")


def upgrade(checks, ring, packages):
    def one(host):
        shutil.copy(packages.newer, host.root / "root/ringagent.deb")
        host.run("apt install ./ringagent.deb", seconds=240)
        await_that(lambda: ring.status(host).get("version") == packages.newer_version, 10, f"the new agent of {host.name}")

    edited = ring.host("db1").out(f"sha256sum /{CONFIG}")
    untouched(checks, ring, "upgraded one after the other", lambda: [one(host) for host in ring.hosts])
    checks.equal({s["version"] for s in at_once(ring.status, ring.hosts)}, {packages.newer_version}, "all agents are new")
    checks.equal(ring.host("db1").out(f"sha256sum /{CONFIG}; stat -c '%a %U:%G' /{CONFIG}"), f"{edited}\n640 root:ringagent", "the edited config is as it was")
    checks.equal({host.show("ringagent", "NRestarts") for host in ring.hosts}, {"0"}, "no agent had to be restarted by systemd")

    def all_back(host):
        shutil.copy(packages.deb, host.root / "root/ringagent.deb")
        host.run("apt install --allow-downgrades ./ringagent.deb", seconds=240)

    untouched(checks, ring, "and back, all four at once", lambda: at_once(all_back, ring.hosts))


def restarts(checks, ring):
    host = ring.host("db2")
    host.run("mkdir -p /run/systemd/system/ringagent.service.d; printf '[Service]\\nWatchdogSec=2\\n' > /run/systemd/system/ringagent.service.d/fast.conf; "
             "systemctl daemon-reload; systemctl restart ringagent")
    ring.await_whole("the ring with a quicker watchdog")

    def frozen():
        pid = host.show("ringagent", "MainPID")
        host.run("systemctl kill --signal=STOP ringagent")
        await_that(lambda: host.show("ringagent", "MainPID") not in (pid, "0"), 30, "the watchdog to restart a frozen agent", 0.2)

    untouched(checks, ring, "an agent that froze was restarted by the watchdog", frozen)
    checks.that("Watchdog timeout" in host.out("journalctl -u ringagent --no-pager"), "and it was the watchdog")

    def killed():
        pid = host.show("ringagent", "MainPID")
        host.run("systemctl kill --signal=KILL ringagent")
        await_that(lambda: host.show("ringagent", "MainPID") not in (pid, "0"), 10, "systemd to restart a killed agent")

    untouched(checks, ring, "an agent that was killed was restarted", killed)
    checks.that(host.run("systemctl reload ringagent && sleep 0.3 && journalctl -u ringagent --no-pager | grep 'the config was read again'", check=False).returncode == 0,
                "systemctl reload makes the agent read its config again")


def second_server(checks, ring):
    """ringagent@NAME, here a witness, which needs no server."""
    host = ring.host("db1")
    (host.root / "etc/ringagent/two.toml").write_text(
        'cluster = "two"\nnode = "two"\nstate_dir = "/var/lib/ringagent/two"\nsocket = "/run/ringagent/two.sock"\n[gossip]\nlisten = "127.0.0.1:8946"\n'
        'insecure = true\npeers = []\n[ring]\nrole = "witness"\n[http]\nlisten = ""\n[hooks]\nstate_file = "/run/ringagent/two.json"\n')
    host.run("systemctl start ringagent@two")
    checks.equal((host.show("ringagent@two", "ActiveState"), host.stat("/var/lib/ringagent/two"), host.stat("/run/ringagent/two.sock"), host.stat("/var/lib/ringagent")),
                 ("active", "700 ringagent:ringagent", "660 ringagent:ringagent", "700 ringagent:ringagent"), "ringagent@two runs beside ringagent, with a state of its own")
    told = host.run("ringagent --socket /run/ringagent/two.sock status", check=False)
    checks.that(told.returncode == 2 and "no ring has been formed yet" in told.stdout, "and answers at its socket", told.stdout)
    host.run("systemctl stop ringagent@two")
    checks.that(host.run("ringagent status", check=False).returncode == 0 and host.show("ringagent", "ActiveState") == "active", "and its end is nothing to the other")


def removed(checks, ring, packages):
    host = ring.host("db4")
    ring.host("db1").run("ringagent pause --reason removing")   # so that nothing is decided about it meanwhile
    threads = ring.threads()
    host.run("apt remove ringagent", seconds=240)
    checks.equal((host.stat("/usr/bin/ringagent"), host.run("pgrep -x ringagent", check=False).stdout, host.stat(f"/{CONFIG}"), host.stat("/var/lib/ringagent")),
                 ("none", "", "640 root:ringagent", "700 ringagent:ringagent"), "removed: the agent has ended, config and state are kept")
    host.run("apt install ./ringagent.deb", seconds=240)
    checks.equal(host.show("ringagent", "UnitFileState"), "enabled", "installed again: still enabled, with its config")
    host.run("systemctl start ringagent")
    ring.host("db1").run("ringagent resume")
    ring.await_whole("the ring with the agent that was installed again")
    host.run("apt purge ringagent", seconds=240)
    left = host.out("find / -xdev -name '*ringagent*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/cache/*' -not -path '/etc/mysql/*' -not -path '/var/lib/mysql/*' "
                    "-not -path '/var/log/*' -not -path '/sys/*' | sort").splitlines()
    checks.equal(left, [], "purged: nothing of it is left")
    checks.equal(host.stat("/run/ringagent"), "none", "nor in /run")
    checks.that(host.out("getent passwd ringagent") and host.stat("/etc/mysql/mariadb.conf.d/90-ringagent.cnf") != "none",
                "but the account, as Debian's packages leave it, and what `setup` gave the server")
    checks.equal(ring.threads(), threads, "the server and its links did not notice any of it")


def whole_audit(checks, ring, writers):
    """Every acknowledged row on every node, once (the key sees to that), and nothing else."""
    writers.end()
    least = min(writers.acked.values())
    checks.that(least > 20, f"applications wrote at all nodes ({', '.join(f'{name} {count}' for name, count in writers.acked.items())})")

    def counts(host):
        with ring.sql(host) as connection:
            return {row["who"]: (row["n"], row["last"]) for row in connection.rows("SELECT who, COUNT(*) AS n, MAX(n) AS last FROM app.t WHERE who LIKE 'db%' GROUP BY who")}

    def right():
        seen = [counts(host) for host in ring.hosts]
        return all(one == seen[0] for one in seen) and seen[0]

    seen, _ = await_that(right, 20, "the same rows on all nodes", 0.2)
    checks.none([f"{name}: {count} were acknowledged, {seen.get(name)} are there" for name, count in writers.acked.items()
                 if seen.get(name) not in ((count, count), (count + 1, count + 1))], "every acknowledged row is on every node, once")


def test(checks, tree, packages, work, units, newer_is_built):
    checks.part("four hosts, README's path")
    ring = Ring(tree, work)
    try:
        ring.up()
        checks.that(all(host.out("systemctl is-active mariadb") == "active" for host in ring.hosts), "four hosts are booted by systemd, each with Debian's own MariaDB")
        said, kill = new_user(checks, ring, packages)
        formed(checks, ring, said)
        confined(checks, ring)
        newer_is_built()   # before applications write, and times are taken
        writers = Writers(ring)
        heal(checks, ring, kill)
        history(checks, ring, install_path()[-1][1])
        shut_down(checks, ring)
        units(checks, ring.host("db1"))
        checks.part("upgraded, restarted, removed while applications write")
        upgrade(checks, ring, packages)
        restarts(checks, ring)
        second_server(checks, ring)
        removed(checks, ring, packages)
        whole_audit(checks, ring, writers)
        manual = page("ringagent.1")
        checks.none(sorted(ring.codes - entries(manual, "PROBLEMS") - entries(manual, "FINDINGS")), f"every problem that came up is explained in ringagent(1): {', '.join(sorted(ring.codes))}")
    finally:
        ring.down()
