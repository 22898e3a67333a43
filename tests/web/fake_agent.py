"""An agent that says whatever a test wants: the real page over a made-up ring."""

import http.server
import json
import pathlib
import threading

WEB = pathlib.Path(__file__).resolve().parent.parent.parent / "agent" / "web"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def node(name, upstream, **changes):
    return {"name": name, "id": "0", "role": "ring", "in": True, "vote": False, "reason": None, "agent": "alive", "agent_version": "0.1.0",
            "gossip_address": "10.0.0.1:7946", "mysql": "up", "mysql_why": None, "mysql_version": "10.11.19-MariaDB", "server_id": 1,
            "address": "10.0.0.1:3306", "read_only": False, "upstreams": [link(upstream)] if upstream else [],
            "position": {"mode": "gtid", "value": "1-1-1002,2-2-50411,3-3-871"}, "stranded": 0, "rejoin_in_ms": None, "phase": "none",
            "blocked": None, "foreign": None, **changes}


def link(upstream, **changes):
    return {"node": upstream, "io": "running", "sql": "running", "lag_ms": 12, "errno": 0, "error": None, "desired": True, **changes}


def ring(size, names=None, **changes):
    names = names or [f"db{n}" for n in range(1, size + 1)]
    voters = names[:(size - 1) // 2 * 2 + 1]
    nodes = [node(name, names[i - 1], vote=name in voters, server_id=i + 1, address=f"10.0.0.{i + 1}:3306") for i, name in enumerate(names)]
    return {"format": 1, "cluster": "shop", "node": names[0], "version": "0.1.0", "generation": 0, "epoch": 7, "head": "0a1b2c3d",
            "confirmed": True, "age_ms": 0, "health": "ok", "problems": [],
            "quorum": {"voters": voters, "needed": len(voters) // 2 + 1, "reachable": len(voters), "held": True}, "paused": False,
            "paused_why": None, "ring": list(names), "nodes": nodes, **changes}


def problem(severity, code, name, text, means="what it means", do="what to do"):
    return {"severity": severity, "code": code, "node": name, "text": text, "means": means, "do": do}


def take_out(status, i, **changes):
    """Node number `i` is dead and out, and the others have closed the ring."""
    name = status["nodes"][i]["name"]
    status["ring"].remove(name)
    status["nodes"][i] |= {"in": False, "vote": False, "reason": "mysqld_down", "mysql": "down", "mysql_why": "connection refused",
                           "read_only": None, "upstreams": [], **changes}
    for k, inside in enumerate(status["ring"]):
        view = next(n for n in status["nodes"] if n["name"] == inside)
        view["upstreams"][0]["node"] = status["ring"][k - 1]
    status["health"] = "degraded"
    status["problems"].append(problem("warning", "node_out", name, f"{name} is out: mysqld_down (connection refused) for 12 s",
                                      "the others replicate past it; what it had not sent to anybody comes back when it does",
                                      "bring back what the text names; then it is checked, catches up and is taken in by itself"))
    return status


class FakeAgent:
    def __init__(self):
        self.status, self.history, self.silent = ring(4), [], False
        self.changed = threading.Condition()
        self.version, self.streams_max, self.open, self.age_ms = 0, 8, 0, 100
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def say(self, status):
        with self.changed:
            self.status, self.version = status, self.version + 1
            self.changed.notify_all()

    def answer(self, request):
        path = request.path.partition("?")[0]
        name = "index.html" if path == "/" else path[1:]
        if path == "/events":
            self.stream(request)
        elif path in ("/status", "/history"):
            self.give(request, "application/json", json.dumps(self.status if path == "/status" else self.history).encode())
        elif (WEB / name).is_file():
            self.give(request, TYPES[pathlib.Path(name).suffix], (WEB / name).read_bytes())
        else:
            request.send_error(404)

    @staticmethod
    def give(request, kind, body):
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stream(self, request):
        with self.changed:
            full = self.open >= self.streams_max
            self.open += not full
        if full:
            request.send_error(503)
            return
        try:
            request.send_response(200)
            request.send_header("Content-Type", "text/event-stream")
            request.end_headers()
            seen = None
            while True:
                with self.changed:
                    if seen == self.version:
                        self.changed.wait(1)
                    fresh, seen = seen != self.version, self.version
                    status, silent, count = self.status, self.silent, len(self.history)
                if silent:
                    continue
                text = f"event: history\ndata: {count}\n\nevent: status\ndata: {json.dumps(status)}\n\n" if fresh else f'event: beat\ndata: {{"age_ms": {self.age_ms}}}\n\n'
                request.wfile.write(text.encode())
                request.wfile.flush()
        except OSError:
            pass
        finally:
            with self.changed:
                self.open -= 1
