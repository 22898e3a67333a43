"""The units, as systemd judges them."""

import re

from checks import run

EXPOSURE_MAX = 2.0
UNITS = ("ringagent.service", "ringagent@.service")


def test(checks, host):
    """On a host with the package installed."""
    checks.part("units")
    for unit in UNITS:
        instance = unit.replace("@.", "@db1.")
        path = f"/usr/lib/systemd/system/{unit}"
        said = host.run(f"systemd-analyze verify --man=no {path.replace('@.', '@db1.')}", check=False)
        checks.none((said.stdout + said.stderr).splitlines() + ([] if said.returncode == 0 else [f"exit {said.returncode}"]), f"systemd-analyze verify is silent about {unit}")
        told = host.run(f"systemd-analyze security --no-pager {instance}", check=False).stdout
        score = re.search(r"exposure level for \S+: ([\d.]+)", told)
        checks.that(score and float(score[1]) <= EXPOSURE_MAX, f"exposure of {unit} is {score[1] if score else '?'}, at most {EXPOSURE_MAX}", told[-1500:])
    checks.none([word for word in ("User=root", "CAP_") if run(["grep", "-c", word, host.root / "usr/lib/systemd/system/ringagent.service"], check=False).stdout.strip() != "0"],
                "no unit asks for root or a capability")
