"""The HTTP API over TCP: what it answers, and what it bears."""

import json
import os
import random
import select
import socket
import time

from ringlab import wait
from world import check, expect

HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
           "Cross-Origin-Resource-Policy": "same-origin"}
CONNECTIONS_MAX, STREAMS_MAX = 64, 8


@check
def api_answers(world):
    """Every address answers with its type and the security headers; nothing can be changed, no other site may read."""
    types = {"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css", "/status": "application/json",
             "/metrics": "text/plain; version=0.0.4", "/history": "application/json", "/health": "text/plain", "/writable": "text/plain",
             "/readable?max_lag=10s": "text/plain"}
    for path, kind in types.items():
        status, headers, body = world.get(1, path, headers={"Origin": "http://elsewhere.example"})
        expect(status == 200 and headers["Content-Type"].startswith(kind) and body, f"{path}: {status} {headers} {body[:80]}")
        for name, value in HEADERS.items():
            expect(headers.get(name) == value, f"{path}: {name} is {headers.get(name)}")
        policy = headers["Content-Security-Policy"]
        expect("default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy, policy)
        expect(not any(name.lower().startswith("access-control") for name in headers), f"{path} lets other sites in: {headers}")
        status, headers, body = world.get(1, path, "HEAD")
        expect(status == 200 and body == "" and int(headers["Content-Length"]) > 0, f"HEAD {path}: {status} {headers}")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, _ = world.get(1, "/status", method, body="{}")
        expect(status == 405 and headers["Allow"] == "GET, HEAD, OPTIONS", f"{method}: {status}")
    expect(world.get(1, "/command", "POST", body='{"name": "pause"}')[0] == 405, "TCP takes commands")
    expect(world.get(1, "/", "OPTIONS")[0] == 200 and world.get(1, "/plan")[0] == 404, "OPTIONS or /plan")
    expect(world.get(1, "/" + "a" * 2000)[0] == 414 and world.get(1, "/", headers={"X": "x" * 20000})[0] == 431, "too long is not refused")
    expect(world.get(1, "/health", body="x" * 100000)[0] == 413, "a body is not refused")
    address = "%s:%d" % world.http(1)
    for host in (address, "localhost", "ringagent", socket.gethostname(), "db1", "[::1]:7947"):
        expect(world.get(1, "/status", headers={"Host": host})[0] == 200, f"{host} is not answered")
    for host in ("elsewhere.example", "db1.elsewhere.example:7947", f"{address}.elsewhere.example"):
        status, _, body = world.get(1, "/status", headers={"Host": host})
        expect(status == 421 and body.count("\n") == 1, f"a page of {host} may read: {status} {body}")
    problems = json.loads(world.get(1, "/status")[2])["problems"]
    expect(problems == [], f"a healthy ring has problems: {problems}")


def connect(world, which=1):
    client = socket.socket()
    client.settimeout(5)
    client.connect(world.http(which))
    return client


def question_takes(world):
    began = time.monotonic()
    status, _, _ = world.get(1, "/writable")
    expect(status == 200, f"/writable says {status}")
    return time.monotonic() - began


@check
def hostile_clients(world):
    """A load balancer gets its answers while hundreds of clients are silent, slow, greedy or talk nonsense; all are cut off
    in time, and the agent holds no more than it said."""
    agent = world.node(1).agent.pid()

    def held():
        return len(os.listdir(f"/proc/{agent}/fd"))

    def memory():
        return int(next(line for line in open(f"/proc/{agent}/status") if line.startswith("VmRSS")).split()[1])
    before, size = held(), memory()
    crowd, slowest, most = [], 0.0, 0
    rolls = random.Random(1)
    for i in range(400):
        client = connect(world)
        crowd.append(client)
        said = [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET /history HTTP/1.0\r\n\r\n", b"GET /events HTTP/1.0\r\n\r\n", rolls.randbytes(300)][i % 5]
        try:
            client.sendall(said)
        except OSError:
            pass
        if i % 20 == 19:
            slowest = max(slowest, question_takes(world))
            most = max(most, held() - before)
    expect(slowest < 0.5, f"an honest question took {slowest:.2f} s")
    expect(most <= CONNECTIONS_MAX + 8, f"{most} descriptors are held")
    # Those who send a byte now and then are cut off as well.
    began = time.monotonic()
    while time.monotonic() - began < 12:
        open_ones = [client for client in crowd if client.fileno() >= 0]
        for client in open_ones:
            try:
                client.send(b"a")
                while select.select([client], [], [], 0)[0]:
                    if not client.recv(65536):
                        raise OSError("ended")
            except OSError:
                client.close()
        if not any(client.fileno() >= 0 for client in crowd):
            break
        slowest = max(slowest, question_takes(world))
    took = time.monotonic() - began
    expect(not any(client.fileno() >= 0 for client in crowd), "somebody is never cut off")
    wait(lambda: held() <= before, 5, "the agent to let go of all connections")
    expect(memory() - size < 16384, f"the agent has grown by {memory() - size} KB")
    yield f"slowest honest answer {slowest * 1000:.0f} ms, at most {most} connections held, all cut off after {took:.1f} s"


@check
def streams(world):
    """/events: the status at once and at each change, a sign of life at rest, eight readers and no more, an end within a
    second when the agent ends."""
    readers = []
    for _ in range(STREAMS_MAX):
        client = connect(world, 4)
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        readers.append(client)
        text = b""
        while b"event: status" not in text:
            text += client.recv(65536)
        expect(text.startswith(b"HTTP/1.1 200 ") and b"text/event-stream" in text, f"no stream: {text[:200]}")
    with connect(world, 4) as late:
        late.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        expect(late.recv(64).startswith(b"HTTP/1.1 503 "), "there is no limit to streams")
    expect(world.get(4, "/health")[0] == 200, "streams keep others out")
    text = b""
    while b": beat\nevent: beat\ndata: {\"age_ms\": " not in text:
        text += readers[0].recv(65536)
    began = time.monotonic()
    world.node(4).term("agent")
    ended = time.monotonic() - began
    for client in readers:
        while client.recv(65536):
            pass
    expect(time.monotonic() - began < 2 and ended < 2, f"the agent took {ended:.1f} s to end")
    world.node(4).start("agent")
    world.whole()
    yield f"an agent with {STREAMS_MAX} open streams ended within {ended * 1000:.0f} ms"
