"""scripts/lab: every command is a thin wrapper around Lab and Node."""

import argparse
import json
import os
import signal
import sys

from .agent_config import parse_setting
from .base import LabError
from .lab import Lab
from .selftest import selftest

EPILOG = """examples:
  scripts/lab up --nodes 4 --flavor mariadb --no-agents
  scripts/lab load start && scripts/lab kill mysqld 3 && scripts/lab start mysqld 3 && scripts/lab verify
  scripts/lab up --netns && scripts/lab partition 1,2 / 3,4 && scripts/lab heal && scripts/lab down
"""


def parser():
    top = argparse.ArgumentParser(prog="scripts/lab", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                                  description="A ring of real servers and agents on this machine, and faults for it.")
    top.add_argument("--name", default="ring", help="several labs may be up at once under different names")
    top.add_argument("--dir", help="where it lives (default: ringlab-NAME in the temporary directory)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, help, *arguments):
        sub = commands.add_parser(name, help=help)
        for words, options in arguments:
            sub.add_argument(*words, **options)
        return sub

    node = (["node"], {"metavar": "N", "help": "node, by number or name"})
    what = (["what"], {"choices": ["mysqld", "agent", "host"]})
    flag = {"action": "store_true"}
    up = command("up", "start a lab",
                 (["--nodes"], {"type": int, "default": 4}), (["--flavor"], {"choices": ["mariadb", "mysql"], "default": "mariadb"}),
                 (["--netns"], {**flag, "help": "a network namespace per node (root)"}),
                 (["--set"], {"action": "append", "default": [], "metavar": "SECTION.KEY=VALUE", "help": "agent setting"}),
                 (["--server"], {"action": "append", "default": [], "metavar": "OPTION=VALUE", "help": "server option"}),
                 (["--durable"], {**flag, "help": "sync every commit to disk"}),
                 (["--base"], {"type": int, "help": "third part of all addresses (default: a free one)"}),
                 (["--agent"], {"metavar": "PROGRAM", "help": "default: RINGAGENT_BIN, else build/ringagent"}))
    how = up.add_mutually_exclusive_group()
    for name, value, text in (("--no-agents", "bare", "a ring wired by SQL, without agents"), ("--wire", "adopt", "the same, then agents are put onto it"),
                              ("--servers-only", "none", "fresh servers, neither wired nor with agents")):
        how.add_argument(name, dest="how", action="store_const", const=value, default="form", help=text)
    command("status", "what runs and who follows whom")
    for name, text in (("kill", "SIGKILL; a host loses its cable first"), ("term", "clean shutdown"), ("stop", "SIGSTOP"),
                       ("cont", "SIGCONT"), ("start", "start it again")):
        command(name, text, what, node)
    command("cut", "pull the cable of a host (netns)", (["what"], {"choices": ["host"]}), node)
    command("join", "plug it in again", (["what"], {"choices": ["host"]}), node)
    command("partition", "nodes that cannot hear each other: 1,2 / 3,4 (netns)", (["groups"], {"nargs": "+", "metavar": "GROUP"}),
            (["--agents-only"], {**flag, "help": "only the gossip port"}), (["--mysql-only"], {**flag, "help": "only the servers' port"}),
            (["--one-way"], {**flag, "help": "only what the first group sends is lost"}))
    command("reject", "close a port of a node as a firewall does (root)", node, (["--mysql"], {**flag, "help": "the server's port (default)"}),
            (["--gossip"], flag), (["--established"], {**flag, "help": "break living connections, too"}))
    command("heal", "forget partitions and closed ports")
    command("load", "writers at all nodes", (["action"], {"choices": ["start", "stop", "status"]}), (["--rate"], {"type": float, "default": 30}),
            (["--writers"], {"type": int, "default": 1, "help": "per node"}), (["--ddl"], flag),
            (["--big-every"], {"type": int, "default": 0, "metavar": "K", "help": "every K-th transaction has 8 MB"}))
    command("verify", "stop the load, wait for agreement, audit every table",
            (["--nodes"], {"help": "the survivors (default: all that answer)"}), (["--timeout"], {"type": float, "default": 30}),
            (["--all"], {**flag, "help": "also demand what only a dead node acknowledged"}), (["--json"], flag))
    command("sql", "run SQL at a node as root", node, (["statement"], {}))
    command("exec", "run a command where a node lives (its namespace)", node, (["words"], {"nargs": argparse.REMAINDER}))
    command("collect", "copy all logs and states to one place", (["target"], {"nargs": "?"}))
    command("selftest", "does the lab work, and does its audit fail when it should?", (["--flavor"], {"choices": ["mariadb", "mysql"], "default": "mariadb"}),
            (["--netns"], flag))
    command("down", "end and remove everything of this lab", (["--keep"], {**flag, "help": "keep the directory"}))
    return top


def start(lab, args):
    server = dict(option.partition("=")[::2] for option in args.server)
    lab.up(args.nodes, args.flavor, args.netns, args.how, args.set, server, args.durable, args.base, args.agent)
    print(lab.describe())


def groups_of(words):
    """'1,2 / 3,4' in any spacing -> [['1', '2'], ['3', '4']]"""
    return [[n.strip() for n in group.split(",") if n.strip()] for group in " ".join(words).split("/")]


def load(lab, args):
    if args.action == "start":
        lab.load_start(args.rate, args.writers, ddl=args.ddl, big_every=args.big_every)
    elif args.action == "stop":
        lab.load_stop()
    print(f"load {lab.load.describe()}; acknowledged: " + ", ".join(f"{name} {count}" for name, count in lab.acked().items()))


def audit(lab, args):
    verdict = lab.verify(args.nodes.split(",") if args.nodes else None, args.all, args.timeout)
    print(json.dumps(verdict.as_dict(), indent=1) if args.json else verdict)
    return 0 if verdict.ok else 1


def execute(lab, args):
    if args.command == "up":
        return start(lab, args)
    if args.command == "selftest":
        with lab:
            return selftest(lab, args.flavor, args.netns)
    if args.command == "down":
        return lab.down(args.keep)
    if not lab.nodes:
        raise LabError(f"lab '{lab.name}' is not up (no {lab.dir}/lab.json)")
    if args.command in ("kill", "term", "stop", "cont", "start"):
        getattr(lab.node(args.node), args.command)(args.what)
        return 0
    only = "agents" if getattr(args, "agents_only", False) else "mysql" if getattr(args, "mysql_only", False) else None
    actions = {
        "status": lambda: print(lab.describe()),
        "cut": lambda: lab.node(args.node).cut(),
        "join": lambda: lab.node(args.node).join(),
        "partition": lambda: lab.partition(*groups_of(args.groups), only=only, one_way=args.one_way),
        "reject": lambda: lab.reject(args.node, "gossip" if args.gossip else "mysql", args.established),
        "heal": lab.heal,
        "load": lambda: load(lab, args),
        "verify": lambda: audit(lab, args),
        "sql": lambda: print("\n".join("\t".join(map(str, row.values())) for row in lab.node(args.node).rows(args.statement))),
        "exec": lambda: os.execvp((words := [*lab.network.enter(lab.node(args.node).n), *args.words])[0], words),
        "collect": lambda: print(lab.collect(args.target)),
    }
    return actions[args.command]()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = parser().parse_args()
    try:
        for setting in getattr(args, "set", []):
            parse_setting(setting)
        return execute(Lab(args.name, args.dir), args) or 0
    except LabError as error:
        print(f"scripts/lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
