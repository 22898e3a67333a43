"""Writes ringagent.toml for a node, with overrides given as section.key=value."""

import json
import tomllib

from .base import LabError
from .flavor import AGENT, REPLICATION


def parse_setting(text):
    """'failure.silence=4s' -> ('failure', 'silence', '4s'); a value that is no TOML is a string, as in a shell."""
    key, sign, raw = text.partition("=")
    section, _, name = key.strip().rpartition(".")
    if not sign or not name:
        raise LabError(f"'{text}' is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    return section, name, value


def agent_toml(node, settings):
    lab, net = node.lab, node.lab.network
    sections = {
        "": {"cluster": lab.name, "node": node.name, "state_dir": node.dir / "state", "socket": node.agent_socket},
        "gossip": {
            "listen": f"{node.address}:{net.gossip_port}", "key_file": lab.dir / "gossip.key",
            "peers": [f"{peer.address}:{net.gossip_port}" for peer in lab.nodes if peer.n != node.n],
        },
        "mysql": {"socket": node.socket, "user": AGENT, "password_file": node.dir / "mysql.password", "advertise": node.mysql_address},
        "replication": {"user": REPLICATION, "password_file": node.dir / "replication.password"},
        "ring": {"initial": [peer.name for peer in lab.nodes]},
        "http": {"listen": f"{node.address}:{net.http_port}"},
        "hooks": {"state_file": node.dir / "ring.json"},
    }
    for section, name, value in map(parse_setting, settings):
        sections.setdefault(section, {})[name] = value
    lines = []
    for section, entries in sections.items():
        lines += ([f"\n[{section}]"] if section else []) + [f"{key} = {toml(value)}" for key, value in entries.items()]
    return "\n".join(lines) + "\n"


def toml(value):
    if isinstance(value, bool | int | float | list):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
