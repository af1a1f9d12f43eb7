"""A Chromium without a window, driven over a pipe by its DevTools protocol, for tests and pictures of pages.

https://chromedevtools.github.io/devtools-protocol/: commands and answers are JSON, each ended by a zero byte;
Chromium reads them from file descriptor 3, and writes to 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

_TIMEOUT_S = 180.0
#: Chromium writes much; what it could not write keeps it waiting.
_CHUNK = 1 << 20
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_KEYS = {"Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}


class BrowserError(Exception):
    """The browser cannot be started, does not answer, or refuses a command."""


@dataclass
class Browser:
    """A browser that was started; closed when its block is left.

    Attributes:
        program: Chromium's.
    """

    program: str = "chromium"
    _number: int = 0
    _pending: bytes = b""
    _answers: dict[int, dict[str, JsonValue]] = field(default_factory=dict)
    _tabs: dict[str, "Tab"] = field(default_factory=dict)

    def __enter__(self) -> Self:
        found = shutil.which(self.program)
        if found is None:
            raise BrowserError(f"{self.program} is not installed (Debian package chromium)")
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read_here, self._out = os.pipe()
        self._in, write_here = os.pipe()
        script = f'exec "$@" 3</proc/self/fd/{read_here} 4>/proc/self/fd/{write_here}'
        command = ["/bin/sh", "-c", script, "sh", found, *_OPTIONS, f"--user-data-dir={self._folder.name}"]
        self._process = subprocess.Popen(  # noqa: S603
            command, pass_fds=(read_here, write_here), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_here)
        os.close(write_here)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(BrowserError):
            self.call("Browser.close")
        os.close(self._out)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._folder.cleanup()

    @contextmanager
    def tab(self, width: int, height: int, *, scheme: str = "light") -> Iterator["Tab"]:
        """Open a tab of a size, CSS pixels, in which nothing moves; ``scheme``: ``"light"`` or ``"dark"``."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[str(session)] = Tab(self, str(session))
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height)
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features: list[JsonValue] = [{"name": name, "value": value} for name, value in media.items()]
        tab.call("Emulation.setEmulatedMedia", features=features)
        try:
            yield tab
        finally:
            self.call("Target.closeTarget", targetId=target)

    def call(self, method: str, session: str | None = None, **values: JsonValue) -> dict[str, JsonValue]:
        """Give a command, and return its result.

        Raises:
            BrowserError: It is refused, or there is no answer.
        """
        self._number += 1
        number = self._number
        message: dict[str, JsonValue] = {"id": number, "method": method, "params": values}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _TIMEOUT_S
        while number not in self._answers:
            self.listen(deadline - time.monotonic())
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result = answer["result"]
        assert isinstance(result, dict)  # noqa: S101 -- the protocol's own form
        return result

    def listen(self, timeout_s: float) -> None:
        """Take in what the browser says, waiting for it at most ``timeout_s``.

        Raises:
            BrowserError: It says nothing, or is gone.
        """
        ready, _, _ = select.select([self._in], [], [], max(timeout_s, 0))
        content = os.read(self._in, _CHUNK) if ready else b""
        if not content:
            raise BrowserError("the browser does not answer" if not ready else "the browser is gone")
        *messages, self._pending = (self._pending + content).split(b"\0")
        for text in messages:
            message: dict[str, JsonValue] = json.loads(text)
            if "id" in message:
                self._answers[int(str(message["id"]))] = message
            elif str(message.get("sessionId")) in self._tabs:
                self._tabs[str(message["sessionId"])].events.append(message)


@dataclass
class Tab:
    """A tab.

    Attributes:
        browser: That it is of.
        session: Its name there.
        events: What was told of it since it is open.
    """

    browser: Browser
    session: str
    events: list[dict[str, JsonValue]] = field(default_factory=list)

    def call(self, method: str, **values: JsonValue) -> dict[str, JsonValue]:
        """Give a command to this tab, and return its result."""
        return self.browser.call(method, self.session, **values)

    def open(self, path: Path, *, runs_scripts: bool = True) -> None:
        """Open a file, with or without its scripts, and wait until it is loaded and drawn."""
        self.events.clear()
        self.call("Emulation.setScriptExecutionDisabled", value=not runs_scripts)
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + _TIMEOUT_S
        while not self.told("Page.loadEventFired"):
            self.browser.listen(deadline - time.monotonic())
        if runs_scripts:
            self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, width: int, height: int) -> None:
        """Give the window a size, CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def evaluate(self, expression: str) -> JsonValue:
        """Return the value of an expression in the page; a promise is awaited.

        Raises:
            BrowserError: It throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(json.dumps(answer["exceptionDetails"])[:2000])
        result = answer["result"]
        assert isinstance(result, dict)  # noqa: S101 -- the protocol's own form
        return result.get("value")

    def point_at(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        self.point_at(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key by its name."""
        text: dict[str, JsonValue] = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
                **text,
            )

    def told(self, method: str) -> list[dict[str, JsonValue]]:
        """Return what was told under a name."""
        return [event for event in self.events if event["method"] == method]

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen as a PNG; with ``whole``, the page to its end."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(str(answer["data"])))
