"""The .rpm, installed by rpm on a booted host. That is a Debian, whose libraries no rpm database knows: so rpm is told not to ask
for them (packages.py compares what it requires with what the program needs), and the libraries come by apt."""

import re

from checks import run
from host import Host

CONFIG = "etc/ringagent/ringagent.toml"
# A witness needs no server, and waits for others: enough for an agent that runs.
WITNESS = ('cluster = "one"\nnode = "one"\n[gossip]\nlisten = "127.0.0.1:7946"\ninsecure = true\npeers = []\n[ring]\nrole = "witness"\n')


def test(checks, tree, packages, work):
    checks.part("the .rpm on a booted host")
    host = Host(tree, work, "rpmhost").mount()
    try:
        host.boot()
        depends = run(["dpkg-deb", "-f", packages.deb, "Depends"]).stdout
        host.run("apt-get install --no-install-recommends " + " ".join(re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)))
        (host.root / "root/ringagent.rpm").write_bytes(packages.rpm.read_bytes())
        host.run("rpm -i --nodeps ringagent.rpm")
        for path, wanted in {"/usr/bin/ringagent": "755 root:root", f"/{CONFIG}": "640 root:ringagent", "/var/lib/ringagent": "700 ringagent:ringagent",
                             "/run/ringagent": "755 ringagent:ringagent"}.items():
            checks.equal(host.stat(path), wanted, f"{path} is {wanted}")
        checks.equal(host.run("rpm -V --nodeps ringagent", check=False).stdout, "", "rpm -V finds every file as packed")
        checks.equal((host.show("ringagent", "ActiveState"), host.show("ringagent", "UnitFileState")), ("inactive", "disabled"), "nothing was started, nothing enabled")

        (host.root / CONFIG).write_text(WITNESS)
        host.run("systemctl enable --now ringagent")
        before = host.show("ringagent", "MainPID")
        host.run("rpm -U --nodeps --force ringagent.rpm")
        checks.that(host.show("ringagent", "ActiveState") == "active" and host.show("ringagent", "MainPID") != before, "upgraded: the agent that ran was restarted")
        checks.equal((host.root / CONFIG).read_text(), WITNESS, "and its edited config is as it was")
        host.run("rpm -e ringagent")
        checks.equal((host.run("pgrep -x ringagent", check=False).stdout, host.stat("/usr/bin/ringagent"), host.stat(f"/{CONFIG}.rpmsave"), host.stat("/var/lib/ringagent")),
                     ("", "none", "640 root:ringagent", "700 ringagent:ringagent"), "removed: the agent has ended, the edited config and the state are kept")
        checks.equal(host.out("ls /etc/systemd/system/multi-user.target.wants | grep ringagent || true"), "", "and it is not enabled any more")
    finally:
        host.down()
