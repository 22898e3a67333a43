"""The packages as files: the same bytes from another directory, what lintian says, what they need and hold."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

from checks import Failed, run
from host import cache
from texts import REPO

SIZE_MAX_KB = 8192
LOADER = "ld-linux-x86-64.so.2"   # it is needed, and belongs to the C library


class Packages:
    """`deb` and `rpm` of this version, and `newer`: a .deb of the same sources with a higher version."""

    def __init__(self, work):
        self.out = REPO / "build" / "packages"
        self.second = work / "second"
        self.version = run([REPO / "build/ringagent", "version"]).stdout.split()[1]
        self.newer_version = self.version + ".1"
        self.child = None

    def build(self):
        run([REPO / "scripts/package"])
        self.deb, self.rpm = only(self.out, "*.deb"), only(self.out, "*.rpm")

    def build_second(self):
        """The same sources in another directory, with another umask, clock zone and language. Always the same one: so the
        compiler cache keeps its objects apart from those of the first."""
        source = cache() / "second-source"
        files = run(["git", "ls-files", "-z"], cwd=REPO).stdout.split("\0")
        wanted = {name for name in files if name and (REPO / name).is_file()}
        source.mkdir(parents=True, exist_ok=True)
        for path in source.rglob("*"):
            if path.is_file() and str(path.relative_to(source)) not in wanted and "build" not in path.relative_to(source).parts:
                path.unlink()
        for name in wanted:   # what is the same keeps its time, so that ninja does not build it again
            there = source / name
            if there.is_file() and there.read_bytes() == (REPO / name).read_bytes():
                there.chmod((REPO / name).stat().st_mode)
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, there)
        epoch = os.environ.get("SOURCE_DATE_EPOCH") or run(["git", "log", "-1", "--format=%ct"], cwd=REPO).stdout.strip()
        environment = {**{k: v for k, v in os.environ.items() if k != "CCACHE_BASEDIR"}, "SOURCE_DATE_EPOCH": epoch, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        script = ["nice", "-n", "10", source / "scripts/package"]
        self._package([*script, "--out", self.second], environment)
        self.second_deb, self.second_rpm = only(self.second, "*.deb"), only(self.second, "*.rpm")
        self._package([*script, "--version", self.newer_version, "--out", self.second / "newer"], environment)
        self.newer = only(self.second / "newer", "*.deb")

    def _package(self, words, environment):
        self.child = subprocess.Popen(words, env=environment, umask=0o077, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = self.child.communicate()
        if self.child.returncode:
            raise Failed(f"{words}: exit {self.child.returncode}\n{said[-3000:]}")

    def stop(self):
        """Ends a build that is still going on, with the compilers that it started."""
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGTERM)


def only(directory, pattern):
    found = sorted(pathlib.Path(directory).glob(pattern))
    if len(found) != 1:
        raise Failed(f"{directory}: one {pattern} was expected, there are {found}")
    return found[0]


def listing(deb):
    """path -> (mode, owner) of what the .deb holds."""
    out = {}
    for line in run(["dpkg-deb", "-c", deb]).stdout.splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        out[path.removeprefix(".").split(" -> ")[0]] = (mode, owner)
    return out


FILES = {
    "/usr/bin/ringagent": "-rwxr-xr-x", "/etc/ringagent/ringagent.toml": "-rw-r-----",
    "/usr/lib/systemd/system/ringagent.service": "-rw-r--r--", "/usr/lib/systemd/system/ringagent@.service": "-rw-r--r--",
    "/usr/lib/sysusers.d/ringagent.conf": "-rw-r--r--", "/usr/lib/tmpfiles.d/ringagent.conf": "-rw-r--r--",
    "/usr/share/bash-completion/completions/ringagent": "-rw-r--r--", "/usr/share/man/man1/ringagent.1.gz": "-rw-r--r--",
    "/usr/share/man/man5/ringagent.toml.5.gz": "-rw-r--r--", "/usr/share/doc/ringagent/copyright": "-rw-r--r--",
    "/usr/share/lintian/overrides/ringagent": "-rw-r--r--", "/usr/share/doc/ringagent/changelog.gz": "-rw-r--r--", "/usr/share/doc/ringagent/changelog.Debian.gz": "-rw-r--r--",
    **{f"/usr/share/doc/ringagent/examples/{name}": "-rw-r--r--" for name in ("haproxy.cfg", "prometheus.yml", "ringagent.rules.yml", "grafana-dashboard.json")},
}


def owner_of(library):
    """The Debian package that a library is of; a path may be listed from before /lib became /usr/lib."""
    real = str(pathlib.Path(library).resolve())
    return run(["dpkg-query", "-S", f"*{real.removeprefix('/usr')}"]).stdout.split(":")[0]


def needed(binary):
    """The libraries that a program names."""
    return set(re.findall(r"NEEDED\s+(\S+)", run(["objdump", "-p", binary]).stdout))


def test_bytes(checks, packages):
    checks.part("packages: bytes")
    for kind, one, other in (("deb", packages.deb, packages.second_deb), ("rpm", packages.rpm, packages.second_rpm)):
        same = one.read_bytes() == other.read_bytes()
        checks.that(same, f"the same .{kind} from another directory, umask, time zone and language", f"        {one}\n        {other}")
        checks.that(one.stat().st_size < SIZE_MAX_KB * 1024, f"the .{kind} is small ({one.stat().st_size // 1024} KB)")
    checks.that(packages.newer.read_bytes() != packages.deb.read_bytes(), "another version is another package")


def test_contents(checks, packages, work):
    checks.part("packages: contents")
    said = run(["lintian", "--no-cfg", "--allow-root", "--tag-display-limit", "0", packages.deb], check=False)
    lines = (said.stdout + said.stderr).splitlines()
    checks.none([line for line in lines if line.startswith("E:") or not re.match(r"[WEINPXO]: ", line)], "lintian finds no error")
    checks.none([line for line in lines if line.startswith("W:")], "and no warning")

    files = listing(packages.deb)
    held = {path: mode for path, (mode, _) in files.items() if not path.endswith("/")}
    checks.equal(held, FILES, f"the .deb holds the {len(FILES)} files with their modes")
    checks.equal({owner for _, owner in files.values()}, {"root/root"}, "all of it belongs to root")
    checks.equal({mode for path, (mode, _) in files.items() if path.endswith("/")}, {"drwxr-xr-x"}, "directories are 0755")
    checks.equal(run(["dpkg-deb", "-I", packages.deb, "conffiles"]).stdout.split(), ["/etc/ringagent/ringagent.toml"], "the config is a conffile")
    rpm_files = {}
    for line in run(["rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]", packages.rpm]).stdout.splitlines():
        mode, owner, *flags, path = line.split()
        rpm_files[path] = (mode, owner, "".join(flags))
    plain = {path: mode for path, (mode, _, _) in rpm_files.items() if mode.startswith("-")}
    checks.equal(plain, FILES, "the .rpm holds the same files with the same modes")
    checks.equal(rpm_files["/etc/ringagent/ringagent.toml"][1:], ("root:ringagent", "cn"), "its config belongs to root:ringagent and is %config(noreplace)")

    unpacked = work / "unpacked"
    run(["dpkg-deb", "-x", packages.deb, unpacked])
    libraries = needed(unpacked / "usr/bin/ringagent")
    depends = run(["dpkg-deb", "-f", packages.deb, "Depends"]).stdout
    files_of = dict(re.findall(r"^\s*(\S+) => (/\S+)", run(["ldd", unpacked / "usr/bin/ringagent"]).stdout, re.MULTILINE))
    owners = {owner_of(files_of[name]) for name in libraries - {LOADER}}
    checks.none(sorted(name for name in owners if not re.search(rf"\b{re.escape(name)}\b", depends)), f"the .deb depends on the packages of all {len(libraries)} libraries")
    requires = run(["rpm", "-qp", "--requires", packages.rpm]).stdout
    checks.none(sorted(name for name in libraries - {LOADER} if f"{name}(" not in requires), "the .rpm requires all of them")
    checks.that(not (run(["strings", "-a", unpacked / "usr/bin/ringagent"]).stdout.count(str(REPO))), "the program holds no path of the place where it was built")
