"""What a person reads must know everything that the program knows: man pages, completion, README."""

import pathlib
import re
import tomllib

from checks import run

REPO = pathlib.Path(__file__).resolve().parents[2]
BINARY = REPO / "build" / "ringagent"


def arguments(call):
    """The arguments of a C++ call, split at the commas that are its own."""
    out, depth, text, at = [], 0, False, ""
    for char in call:
        if char == '"':
            text = not text
        if not text and char in "([{":
            depth += 1
        if not text and char in ")]}":
            depth -= 1
            if depth < 0:
                break
        if char == "," and depth == 0 and not text:
            out.append(at.strip())
            at = ""
        else:
            at += char
    return [*out, at.strip()]


def words(argument):
    """Literals that the argument can be, without those that it is compared with."""
    return set(re.findall(r'"([a-z_]+)"', re.sub(r'[!=]=\s*"[^"]*"', "", argument)))


def problem_codes(repo=REPO):
    """Every code that status and check can tell, read from the sources."""
    def calls(path, name):
        text = (repo / path).read_text()
        return [arguments(text[hit.end():]) for hit in re.finditer(rf"\b{name}\(", text)]

    codes = set()
    for call in calls("agent/node_status.cpp", "add"):
        if call[0] == "s":
            codes |= words(call[2])
    for call in calls("agent/check.cpp", "add"):
        if call[0] == "findings":
            codes |= words(call[3])
    for name in ("error", "warn"):
        for call in calls("mysql/preconditions.cpp", name):
            codes |= words(call[0])
    for path in sorted((repo / "agent").glob("*.cpp")):
        codes |= set(re.findall(r'push_back\(\{\d+, "([a-z_]+)"', path.read_text()))
    return codes


def page(name):
    return run([REPO / "scripts" / "man", "--print", name]).stdout


def entries(roff, section):
    """The bold tags of a section."""
    part = re.search(rf"^\.SH {section}\n(.*?)(?=^\.SH |\Z)", roff, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\.TP\n\\fB([^\\\n]+)", part[1] if part else "", re.MULTILINE))


def part_of(roff, command):
    """What ringagent(1) says of one command."""
    part = re.search(rf"^\.SS {re.escape(command.replace('-', chr(92) + '-'))}\n(.*?)(?=^\.S[SH] )", roff, re.MULTILINE | re.DOTALL)
    return part[1] if part else ""


def help_of(*command):
    """(commands, options) that --help knows."""
    text = run([BINARY, *command, "--help"]).stdout
    listed = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^  ([a-z][a-z-]*)", listed, re.MULTILINE)), set(re.findall(r"^  (?:-h,)?(--?[a-z][a-z-]*)", text, re.MULTILINE))


def walk(*above):
    """Every command, and every command of a command, as words."""
    for name in help_of(*above)[0]:
        yield " ".join([*above, name])
        yield from walk(*above, name)


def completed(line):
    """What bash offers after these words."""
    script = (f'PATH={BINARY.parent}:$PATH; source {REPO}/config/dist/ringagent.bash; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n'
              '_ringagent; printf "%s\\n" "${COMPREPLY[@]}"')
    return set(run(["bash", "-c", script]).stdout.split())


def install_path():
    """The blocks of README's "Install", in order: (hosts, commands) or the config, as text."""
    part = re.search(r"^## Install\n(.*?)(?=^## )", (REPO / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    blocks = []
    for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL):
        head = re.match(r"# on ([a-z0-9 ]+)\n", body)
        blocks.append((head[1].split() if head else None, body) if kind == "sh" else (kind, body))
    return blocks


def sample_keys():
    """{(section, key)} of the sample that must be filled in, and the text of all lines."""
    text = (REPO / "config/dist/ringagent.toml").read_text()
    return flat(tomllib.loads(text))


def flat(table):
    return {(section, key) if isinstance(value, dict) else ("", section) for section, value in table.items()
            for key in (value if isinstance(value, dict) else [None])}


def test(checks):
    checks.part("man pages, completion, README")
    manual, keys_page = page("ringagent.1"), page("ringagent.toml.5")
    for name, text in (("ringagent.1", manual), ("ringagent.toml.5", keys_page)):
        lint = run(["mandoc", "-T", "lint", "-W", "warning"], check=False, input=text)
        checks.none(lint.stdout.splitlines(), f"mandoc has no warning about {name}")
        told = run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"], check=False, input=text, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
        checks.none(told.stderr.splitlines() + ([f"exit {told.returncode}"] if told.returncode else []), f"man --warnings is silent about {name}")

    known, _ = help_of()
    every = sorted(walk())
    checks.that(len(known) >= 11, f"--help knows commands ({len(known)})", sorted(known))
    checks.equal(set(re.findall(r"^\.SS (.*)$", manual.partition(".SH COMMANDS")[2].partition("\n.SH ")[0], re.MULTILINE)), {name.replace("-", "\\-") for name in every}, "ringagent(1) has every command")
    options = {command: help_of(*command.split())[1] for command in every}
    checks.none([f"{command} {word}" for command, words_ in options.items() for word in sorted(words_ - {"--help"})
                 if f"\\fB{word.replace('-', chr(92) + '-')}\\fR" not in part_of(manual, command)], "ringagent(1) has every option of every command")
    codes = problem_codes()
    listed = entries(manual, "PROBLEMS") | entries(manual, "FINDINGS")
    checks.that(len(codes) > 50, f"the sources tell problem codes ({len(codes)})", sorted(codes))
    checks.none(sorted(codes - listed), "ringagent(1) explains every problem code")
    checks.none(sorted(listed - codes), "ringagent(1) explains none that does not exist")

    sample = (REPO / "config/dist/ringagent.toml").read_text()
    keys = re.findall(r"^#?([a-z_]+) = ", sample, re.MULTILINE)
    checks.equal(re.findall(r"^\.TP\n\\fB(.*)\\fR", keys_page, re.MULTILINE), keys, f"ringagent.toml(5) has every key ({len(keys)}), in the sample's order")

    checks.equal(completed('ringagent ""'), known, "completion offers every command")
    checks.none([f"{command}: {' '.join(sorted((words_ | {'--socket', '--config'}) - completed(f'ringagent {command} -')))}" for command, words_ in options.items()
                 if not words_ | {"--socket", "--config"} <= completed(f"ringagent {command} -")], "completion offers every option of every command")
    checks.equal(completed("ringagent --socket /x stat"), {"status"}, "completion skips the value of an option")
    checks.equal(completed('ringagent stranded ""'), {"show", "replay", "discard"}, "what can be done with stranded transactions is offered")
    checks.equal(completed("ringagent history -n 5 --fo"), {"--follow"}, "and of an option of a command")

    blocks = install_path()
    configs = [tomllib.loads(body) for kind, body in blocks if kind == "toml"]
    checks.equal([flat(config) for config in configs], [sample_keys()], "README fills in exactly the keys that the sample wants filled in")
    checks.none([body for hosts, body in blocks if hosts is None], "README says of each command on which host")
