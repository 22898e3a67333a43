"""A headless Chromium, driven over the WebDriver protocol by the standard library alone."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from ringlab.base import LabError, tail, wait

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB, ENTER = "\ue004", "\ue007"


class Browser:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ringagent-browser-"))
        self.log = self.dir / "driver.log"
        self.session = None
        with open(self.log, "wb") as log:
            self.driver = subprocess.Popen([program("chromedriver"), "--port=0"], stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.port = wait(self._port, 20, "chromedriver to listen")
            options = {"binary": program("chromium"), "args": [*FLAGS, f"--user-data-dir={self.dir / 'profile'}"]}
            made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
            self.session = f"/session/{made['sessionId']}"
        except BaseException:
            self.close()
            raise

    def _port(self):
        said = self.log.read_text(errors="replace")
        if self.driver.poll() is not None:
            raise LabError(f"chromedriver ended: {tail(self.log)}")
        marker = "successfully on port "
        return int(said.split(marker)[1].split(".")[0]) if marker in said else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            if self.session:
                self.call("DELETE", self.session)
        except (LabError, OSError, http.client.HTTPException):
            pass
        try:
            os.killpg(self.driver.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.driver.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if method == "DELETE" else json.dumps(body or {}), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and value.get("error"):
            raise LabError(f"the browser says {value['error']}: {value['message'].splitlines()[0]}")
        return value

    def at(self, path, body=None, method="POST"):
        return self.call(method, self.session + path, body)

    # ---- what a test wants

    def open(self, url):
        self.at("/url", {"url": url})

    def js(self, script, *arguments):
        """The value of a script's `return`; a promise is waited for."""
        return self.at("/execute/sync", {"script": script, "args": list(arguments)})

    def cdp(self, command, **parameters):
        return self.at("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width, height, scale=1):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def dark(self, on):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def screenshot(self, path):
        """The whole page, not the window alone."""
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.at("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def console(self):
        """What the console was told since the last question."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.at("/se/log", {"type": "browser"})]

    def accessible(self):
        """The accessibility tree as (role, name, properties), in order; what is ignored is left out."""
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [(node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""),
                 {p["name"]: p["value"].get("value") for p in node.get("properties", [])})
                for node in nodes if not node.get("ignored")]

    def wait(self, script, seconds, what, *arguments):
        return wait(lambda: self.js(script, *arguments), seconds, what, every=0.05)


def program(name):
    found = shutil.which(name)
    if not found:
        raise LabError(f"{name} is not installed; run: scripts/deps web")
    return found
