"""Hosts as the package meets them: a Debian tree in an overlay, booted, so that systemd, apt and the units are the real ones.

The tree is made once by mmdebstrap, from the apt sources of this machine, and kept in the cache. A host is a layer above it and
a container of systemd-nspawn, which is left alone: each has a cgroup and a network namespace of its own. No network leads out of a
host; what apt needs besides the package was put into the tree's cache before.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

from checks import Failed, await_that, run

INCLUDE = "systemd,systemd-sysv,dbus,iproute2,procps,mariadb-server,rpm"


def cache():
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return pathlib.Path(os.environ.get("RINGAGENT_CACHE") or home / "ringagent" / "servers")


class Tree:
    """A Debian of this machine's release with MariaDB in it; read only."""

    def __init__(self):
        release = re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)[1]
        mark = hashlib.sha256(INCLUDE.encode()).hexdigest()[:8]
        self.release, self.path = release, cache() / f"tree-{release}-{mark}"

    def make(self):
        if self.path.is_dir():
            return
        sources = [path for path in (pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*")))
                   if path.is_file() and path.suffix in (".list", ".sources") and self.release in path.read_text()]
        if not sources:
            raise Failed(f"no apt source of this machine is for {self.release}")
        fresh = self.path.with_name(self.path.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        run(["mmdebstrap", "--variant=minbase", f"--include={INCLUDE}", "--skip=cleanup/apt/lists", "--skip=cleanup/apt/cache", self.release, fresh, *sources])
        for old in (fresh / "var/cache/apt/archives").glob("*.deb"):
            old.unlink()
        fresh.rename(self.path)

    def fetch_for(self, deb):
        """Puts what the package depends on into the tree's apt cache, so that hosts without a network can install it."""
        depends = run(["dpkg-deb", "-f", deb, "Depends", "Pre-Depends"]).stdout
        mark = self.path / "var/cache" / f"ringagent-{hashlib.sha256(depends.encode()).hexdigest()[:16]}"
        if mark.exists():
            return
        shutil.copy(deb, self.path / "tmp/ringagent.deb")
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.path / "etc" / name)
        command = "apt-get update -q && apt-get install -q -y -d --no-install-recommends /tmp/ringagent.deb"
        run(["chroot", self.path, "sh", "-c", command], env=host_environment())
        (self.path / "tmp/ringagent.deb").unlink()
        mark.touch()


def host_environment():
    """For what runs inside: nothing of the caller's but the way to the packages."""
    kept = {key: value for key, value in os.environ.items() if key.lower() in ("http_proxy", "https_proxy", "no_proxy")}
    return {**kept, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb",
            "DEBIAN_FRONTEND": "noninteractive"}


def cgroups():
    """Where this process is in each hierarchy, as a path. cpuset is left out: a new one has no processors."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, names, at = line.split(":", 2)
        for _, where, kind, options, *_ in mounts:
            if (kind == "cgroup2" and not names) or (kind == "cgroup" and names and "cpuset" not in names and set(names.split(",")) <= set(options.split(","))):
                yield pathlib.Path(where + at.rstrip("/"))
                break


class Host:
    """One machine: `root` is its file system as seen from here, `run` a shell in it."""

    def __init__(self, tree, work, name, space=None):
        self.tree, self.name, self.space = tree, name, space
        self.dir = work / name
        self.root = self.dir / "root"
        self.nspawn = self.leader = None
        self.groups = []

    def mount(self):
        for part in ("root", "upper", "scratch"):
            (self.dir / part).mkdir(parents=True)
        run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={self.tree.path},upperdir={self.dir / 'upper'},workdir={self.dir / 'scratch'}", self.root])
        (self.root / "etc/hostname").write_text(self.name + "\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (self.root / "etc/machine-id").write_text("")
        (self.root / "etc/apt/apt.conf.d/90yes").write_text('APT::Get::Assume-Yes "true";\n')   # what a user answers at the terminal
        return self

    def boot(self):
        self.groups = [path / f"ringagent-test-{os.getpid()}-{self.name}" for path in cgroups()]
        for group in self.groups:
            group.mkdir()

        def enter():
            for group in self.groups:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={self.root}", f"--machine={self.name}",
                 "--console=pipe", "--resolv-conf=off", "--link-journal=no", *([f"--network-namespace-path=/run/netns/{self.space}"] if self.space else [])]
        with open(self.dir / "console", "wb") as console:
            self.nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=enter, start_new_session=True)
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")

        def leader():
            if self.nspawn.poll() is not None:
                raise Failed(f"{self.name} did not boot:\n{(self.dir / 'console').read_text(errors='replace')[-1500:]}")
            for pid in children.read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
            return None

        self.leader, _ = await_that(leader, 30, f"{self.name} to have a systemd")
        await_that(lambda: (self.root_of_process() / "run/systemd/private").exists(), 30, f"the systemd of {self.name}")
        self.run("systemctl is-system-running --wait || true", seconds=90)
        return self

    def root_of_process(self):
        """Its files with everything that is mounted inside, as /run is."""
        return pathlib.Path(f"/proc/{self.leader}/root")

    def command(self, script):
        return ["nsenter", f"--target={self.leader}", "--all", "--wdns=/root", "bash", "-c", script]

    def run(self, script, check=True, seconds=120):
        try:
            done = run(self.command(script), check=False, env=host_environment(), timeout=seconds, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: {script}: no end within {seconds} s") from None
        if check and done.returncode:
            raise Failed(f"{self.name}: {script}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def out(self, script):
        return self.run(script).stdout.strip()

    def show(self, unit, what):
        """A property of a unit, as systemd tells it."""
        return self.out(f"systemctl show --property={what} --value {unit}")

    def stat(self, path):
        """'mode owner:group', or 'none'."""
        return self.run(f"stat -c '%a %U:%G' {path}", check=False).stdout.strip() or "none"

    def down(self):
        if self.nspawn:
            if self.leader and self.nspawn.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGKILL)   # the first process of its pid namespace: all of it ends
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.nspawn.wait(15)
            if self.nspawn.poll() is None:
                self.nspawn.kill()
                self.nspawn.wait()
            self.nspawn = None
        for group in self.groups:
            for path, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        if self.root.is_dir() and os.path.ismount(self.root):
            run(["umount", "--recursive", self.root], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
