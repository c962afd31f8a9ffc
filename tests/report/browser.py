"""A real Chromium driven over its DevTools pipe, with what it did written down."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
WHY_NOT = "no Chromium on the path (chromium, chromium-browser, google-chrome or chrome)"

_SHIM = (
    "import os, sys; r, w = int(sys.argv[1]), int(sys.argv[2]); os.dup2(r, 3); os.dup2(w, 4); "
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


@dataclass
class Seen:
    """What a page did while it was open."""

    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, those that the policy then stopped included."""
    stopped: list[str] = field(default_factory=list)
    """Addresses of requests that the content-security policy stopped before they left."""
    dialogs: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    issues: list[str] = field(default_factory=list)
    """Violations of the content-security policy, and other complaints of the browser."""
    windows: list[str] = field(default_factory=list)


class Browser:
    """One tab of a running Chromium."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._buffer = b""
        self._next_id = 0
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        self._addresses: dict[str, str] = {}
        self.seen = Seen()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Target.setDiscoverTargets", discover=True)
        self._session = session
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are noted."""
        self._next_id += 1
        message: dict[str, Any] = {"id": self._next_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write_fd, data) :]
        while True:
            answer = self._receive(60.0)
            if answer.get("id") == self._next_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def load(self, path: Path, *, settle: bool = True) -> Seen:
        """Open a file and wait until it has loaded, and for a moment more unless its scripts are switched off."""
        self.seen = Seen()
        self._events.clear()
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 60
        while not any(e["method"] == "Page.loadEventFired" for e in self._events):
            self._note(self._receive(deadline - time.monotonic()))
        return self.settle() if settle else self.seen

    def settle(self) -> Seen:
        """Let scripts and requests that are under way show themselves."""
        self.run("new Promise(r => requestAnimationFrame(() => setTimeout(r, 150)))")
        return self.seen

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, from outside its policy."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def size(self, width: int, height: int, *, dark: bool = False, media: str = "") -> None:
        """Emulate a window and a colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def click(self, x: float, y: float) -> None:
        """Move to a place and press there."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path, clip: dict[str, float] | None = None) -> None:
        """Write a picture of the whole page, or of a part."""
        more = {"clip": {**clip, "scale": 1}} if clip else {}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **more)["data"]
        path.write_bytes(base64.b64decode(data))

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read_fd], [], [], max(0.0, timeout_s))[0]:
                raise TimeoutError("Chromium gave no answer")
            chunk = os.read(self._read_fd, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium went away")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method is None:
            return
        self._events.append(event)
        if method == "Network.requestWillBeSent":
            self.seen.requests.append(params["request"]["url"])
            self._addresses[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self.seen.stopped.append(self._addresses[params["requestId"]])
        elif method == "Page.javascriptDialogOpening":
            self.seen.dialogs.append(params["message"])
            self._next_id += 1
            self._reply("Page.handleJavaScriptDialog", accept=False)
        elif method == "Runtime.consoleAPICalled":
            self.seen.console.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded":
            self.seen.console.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.seen.exceptions.append(json.dumps(params["exceptionDetails"]))
        elif method == "Audits.issueAdded":
            self.seen.issues.append(json.dumps(params["issue"]))
        elif method == "Target.targetCreated" and params["targetInfo"]["type"] == "page":
            self.seen.windows.append(params["targetInfo"]["url"])

    def _reply(self, method: str, **params: Any) -> None:
        message = {"id": -1, "method": method, "params": params, "sessionId": self._session}
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium with a fresh profile; it is stopped on leaving."""
    if BINARY is None:
        raise RuntimeError(WHY_NOT)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        child_in, child_out = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (to_read, from_write))
        command = [sys.executable, "-c", _SHIM, str(child_in), str(child_out), BINARY, *_OPTIONS]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(child_in, child_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (to_read, from_write, child_in, child_out):
            os.close(fd)
        try:
            yield Browser(from_read, to_write)
        finally:
            process.terminate()
            process.wait(timeout=30)
            os.close(to_write)
            os.close(from_read)
