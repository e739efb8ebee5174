"""A headless Chromium driven through its debugging pipe: what a page logs, requests, shows, and how wide it is."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--remote-debugging-pipe",
)  # fmt: skip
SECONDS = 120  # for one answer


def find_browser() -> str | None:
    """The path of a Chromium or Chrome, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Seen:
    """What a page did while it was loaded."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Browser:
    """One page of one browser."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, answers: int) -> None:
        self.process, self.out = process, out
        self.file = os.fdopen(answers, "rb", buffering=0)
        self.pending, self.count, self.session = b"", 0, ""
        self.seen = Seen()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Send one command and wait for its answer; events on the way are noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == self.count)

    def open(self, path: Path, width: int = 1200, *, dark: bool = False) -> Seen:
        """Load a file at this width of the window and wait until it is complete."""
        self.seen = Seen()
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        self._until(lambda answer: answer.get("method") == "Page.loadEventFired")
        time.sleep(0.05)  # for what is said after loading
        self.evaluate("document.readyState")
        return self.seen

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _until(self, wanted: Any) -> Any:
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        try:
            while True:
                answer = self._read()
                self._note(answer)
                if wanted(answer):
                    if "error" in answer:
                        raise RuntimeError(str(answer["error"]))
                    return answer.get("result")
        finally:
            timer.cancel()

    def _read(self) -> Any:
        while b"\0" not in self.pending:
            piece = self.file.read(1 << 20)
            if not piece:
                raise RuntimeError("the browser has gone")
            self.pending += piece
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def _note(self, answer: Any) -> None:
        params, method = answer.get("params", {}), answer.get("method")
        if method == "Runtime.exceptionThrown":
            self.seen.errors.append(params["exceptionDetails"].get("text", "exception"))
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.seen.errors.append(str(params["args"]))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.seen.errors.append(params["entry"]["text"])
        if method == "Network.requestWillBeSent":
            self.seen.requests.append(params["request"]["url"])


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile, closed at the end."""
    name = find_browser()
    if name is None:
        raise FileNotFoundError("no Chromium")
    to_read, out = os.pipe()
    answers, to_write = os.pipe()
    command = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    process = subprocess.Popen(
        ["bash", "-c", command, name, *FLAGS, f"--user-data-dir={folder}"],
        pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_read)
    os.close(to_write)
    try:
        yield Browser(process, out, answers)
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(out)
