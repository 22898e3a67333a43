"""Metrics, config/dist/prometheus.yml, the alerts and the dashboard, in the real Prometheus."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from browser import program
from checks_haproxy import free_port
from ringlab import wait
from world import DIST, check, expect

NAME = re.compile(r"\bringagent_[a-z_]+")


def promtool(*words, text=None):
    done = subprocess.run([program("promtool"), *map(str, words)], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def families(text):
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def dashboard_queries():
    board = json.loads((DIST / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [note["expr"] for note in board["annotations"]["list"]]
    expect(len(queries) > 15, "the dashboard is empty")
    return queries


@check
def metrics(world):
    """promtool finds nothing to say about /metrics; rules and config are sound, each alert fires for its case and no other;
    every metric that rules and dashboard name is there."""
    _, _, text = world.get(2, "/metrics")
    code, said = promtool("check", "metrics", text=text)
    expect(code == 0 and said == "", f"promtool check metrics: {said}")
    there = families(text)
    expect(len(there) > 20, f"{there}")
    shutil.copy(DIST / "ringagent.rules.yml", world.dir)
    tests = shutil.copy(DIST.parent.parent / "tests" / "web" / "rules_test.yml", world.dir)
    for words in (["check", "rules", world.dir / "ringagent.rules.yml"], ["check", "config", world.sample("prometheus.yml")], ["test", "rules", tests]):
        code, said = promtool(*words)
        expect(code == 0, f"promtool {words[0]} {words[1]}: {said}")
    rules = (DIST / "ringagent.rules.yml").read_text()
    alerts, tested = re.findall(r"- alert: (\w+)", rules), pathlib_text(tests)
    expect(len(alerts) > 10 and all(tested.count(f"alertname: {alert}") >= 2 for alert in alerts), "an alert has no test that it fires and is silent")
    named = set(NAME.findall(rules)) | set(NAME.findall("\n".join(dashboard_queries())))
    expect(len(named) > 15 and named <= there, f"rules and dashboard name what /metrics does not have: {named - there}")


def pathlib_text(path):
    with open(path) as file:
        return file.read()


@check
def prometheus(world):
    """Prometheus with the sample config scrapes all four agents; every query of the dashboard has an answer, every rule is
    healthy, and a dead node has its alert on the way."""
    port = free_port()
    config = world.sample("prometheus.yml", [("scrape_interval: 5s", "scrape_interval: 1s"), ("evaluation_interval: 5s", "evaluation_interval: 1s")])
    shutil.copy(DIST / "ringagent.rules.yml", world.dir)
    process = world.program("prometheus", [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={world.dir / 'tsdb'}",
                                           f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"])

    def ask(path, **parameters):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
        try:
            return json.loads(urllib.request.urlopen(url, timeout=10).read())["data"]
        except urllib.error.HTTPError as error:
            raise OSError(f"{path} {parameters}: {error.read().decode()[:300]}") from None

    def healthy():
        targets = ask("targets")["activeTargets"]
        expected = {"{}:{}".format(*world.http(node.n)) for node in world.lab.nodes}
        return {t["labels"]["instance"] for t in targets if t["health"] == "up"} == expected and all(t["labels"]["cluster"] == "shop" for t in targets)
    wait(healthy, 30, "four healthy targets")
    expect(ask("query", query='sum(ringagent_health{state="ok"})')["result"][0]["value"][1] == "4", "not all agents say ok")
    empty = set(dashboard_queries())

    def answered():
        for query in list(empty):
            sets = ask("query", query=query.replace("$cluster", "shop"))
            if sets["result"] or query.startswith("changes("):  # there may have been no change
                empty.discard(query)
        return not empty
    try:
        wait(answered, 20, "answers to all queries of the dashboard", every=0.5)
    except Exception as error:
        raise OSError(f"{error}; none to: {empty}") from None
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    expect(len(rules) > 10 and all(rule["health"] == "ok" for rule in rules), f"{[(r['name'], r['health'], r.get('lastError')) for r in rules]}")
    expect(not ask("alerts")["alerts"], f"alerts in a healthy ring: {ask('alerts')['alerts']}")
    world.node(4).kill("mysqld")

    def on_the_way():
        return [a for a in ask("alerts")["alerts"] if a["labels"]["alertname"] == "RingNodeOut" and a["labels"]["member"] == "db4"]
    alerts = wait(on_the_way, 15, "an alert for db4", every=0.1)
    expect(len(alerts) == 1 and alerts[0]["state"] == "pending", f"{alerts}")
    world.node(4).start("mysqld")
    world.whole()
    wait(lambda: not on_the_way(), 15, "the alert to go away", every=0.1)
    process.end()
