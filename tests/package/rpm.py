"""The .rpm, installed by rpm itself into a tree, with its scripts. The tree is a Debian, whose libraries no rpm database knows:
so rpm is told not to ask for them (packages.py compares what it requires with what the program needs)."""

from checks import run
from host import Host

CONFIG = "etc/ringagent/ringagent.toml"


def test(checks, tree, packages, work):
    checks.part("the .rpm in a tree")
    host = Host(tree, work, "rpmhost").mount()
    try:
        rpm = ["rpm", "--root", host.root, "--dbpath", "/var/lib/rpm"]

        def stat(path):
            return run(["chroot", host.root, "stat", "-c", "%a %U:%G", path], check=False).stdout.strip() or "none"

        run(["mount", "-t", "proc", "proc", host.root / "proc"])
        run([*rpm, "--initdb"])
        run([*rpm, "-i", "--nodeps", packages.rpm])
        for path, wanted in {"/usr/bin/ringagent": "755 root:root", f"/{CONFIG}": "640 root:ringagent", "/var/lib/ringagent": "700 ringagent:ringagent",
                             "/run/ringagent": "755 ringagent:ringagent"}.items():
            checks.equal(stat(path), wanted, f"{path} is {wanted}")
        checks.equal(run([*rpm, "-V", "--nodeps", "ringagent"], check=False).stdout, "", "rpm -V finds every file as packed")
        with open(host.root / CONFIG, "a") as config:
            config.write("# mine\n")
        run([*rpm, "-U", "--nodeps", "--force", packages.rpm])
        checks.that((host.root / CONFIG).read_text().endswith("# mine\n"), "installed again: the edited config stays")
        run([*rpm, "-e", "ringagent"])
        checks.equal((stat("/usr/bin/ringagent"), stat(f"/{CONFIG}.rpmsave"), stat("/var/lib/ringagent")),
                     ("none", "640 root:ringagent", "700 ringagent:ringagent"), "removed: the program is gone, the edited config and the state are kept")
    finally:
        host.down()
