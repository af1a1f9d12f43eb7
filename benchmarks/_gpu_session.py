"""Stages, each a process with a time limit: what each came to is kept, and a later session goes on.

Nothing but Python's own modules is needed here, so that a session begins before anything is installed.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LONGEST_REASON = 400

#: Passes over timed architectures in which they are new: in the third, CUDA graphs are recorded.
NEW_PASSES = 3


@dataclass(frozen=True)
class Stage:
    """A part of a session.

    Attributes:
        name: Of its files: ``NAME.json``, which it writes, and ``NAME.log``.
        limit_s: Seconds that it may take, those for putting things back among them.
        folder: Of its files. One that is done there is not run again.
        command: What it runs. It writes what it has found so far into ``NAME.json``, as often as it likes.
        environment: Variables of its own.
        needs: Stages that must be done before.
    """

    name: str
    limit_s: float
    folder: Path
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()


class Session:
    """Runs stages one after another until the time is over.

    Args:
        seconds: All that the session may take.
        environment: Variables of every stage.
        tell: Gets a line of progress.
        grace_s: Seconds of its limit that a stage has to put things back after it is interrupted, before it
            is killed. A stage is not begun for less than twice as many.
    """

    def __init__(
        self,
        seconds: float,
        *,
        environment: Mapping[str, str],
        tell: Callable[[str], None],
        grace_s: float = 10.0,
    ) -> None:
        self._environment, self._tell = dict(environment), tell
        self._start_s, self._seconds, self._grace_s = time.monotonic(), seconds, grace_s

    @property
    def spent_s(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self._start_s

    def run(self, stages: Sequence[Stage]) -> dict[str, dict[str, Any]]:
        """Run those of ``stages`` that are not done yet; return what each came to.

        Returns:
            By the name of each: ``status``, which is ``done``, ``failed``, ``stopped`` at its limit, or
            ``left out``; the ``reason`` where it is not done; ``seconds``; and the ``result`` as far as it
            came.
        """
        outcomes: dict[str, dict[str, Any]] = {}
        for stage in stages:
            there = _kept(stage)
            if there is not None:
                self._tell(f"{stage.name}: done before")
                outcomes[stage.name] = there
                continue
            self._tell(f"{stage.name}: at most {max(self._limit_s(stage), 0):.0f} s")
            outcomes[stage.name] = outcome = self._outcome(stage, outcomes)
            whole_json(_outcome_path(stage), outcome)
            reason = f": {outcome['reason']}" if outcome["reason"] else ""
            self._tell(f"{stage.name}: {outcome['status']} after {outcome['seconds']:.1f} s{reason}")
        return outcomes

    def once(self, stage: Stage) -> dict[str, Any]:
        """Run ``stage`` whether it was done before or not, and return what it came to."""
        return self._outcome(stage, {})

    def _outcome(self, stage: Stage, before: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        lacking = [name for name in stage.needs if before.get(name, {}).get("status") != "done"]
        if lacking:
            return _ended("left out", f"it needs {', '.join(lacking)}", 0.0, {})
        limit_s = self._limit_s(stage)
        if limit_s < 2 * self._grace_s:
            return _ended("left out", "the time of the session is over", 0.0, {})
        start_s = time.monotonic()
        status, reason = self._ran(stage, limit_s - self._grace_s)
        return _ended(status, reason, time.monotonic() - start_s, _result(stage))

    def _limit_s(self, stage: Stage) -> float:
        return min(stage.limit_s, self._seconds - self.spent_s)

    def _ran(self, stage: Stage, limit_s: float) -> tuple[str, str]:
        """Run the process of a stage; return its status, and the reason of one that is not done."""
        stage.folder.mkdir(parents=True, exist_ok=True)
        _result_path(stage).unlink(missing_ok=True)
        log = stage.folder / f"{stage.name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                list(stage.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # What it prints is written in the order of being said: the last line tells why it ended.
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment, **stage.environment},
                start_new_session=True,
            )
            try:
                process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                return "stopped", f"it took over {limit_s:.0f} s"
            finally:
                _end(process, self._grace_s)
        if process.returncode:
            return "failed", f"exit status {process.returncode}: {_last_line(log)}"
        return "done", ""


def whole_json(path: Path, content: object) -> None:
    """Write ``content`` so that whoever reads the file finds all of it, or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


def _kept(stage: Stage) -> dict[str, Any] | None:
    """Return what an earlier session left of a stage that is done."""
    path = _outcome_path(stage)
    if not path.exists():
        return None
    outcome: dict[str, Any] = json.loads(path.read_text())
    return outcome if outcome["status"] == "done" else None


def _result(stage: Stage) -> dict[str, Any]:
    path = _result_path(stage)
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _outcome_path(stage: Stage) -> Path:
    return stage.folder / f"{stage.name}.outcome.json"


def _result_path(stage: Stage) -> Path:
    return stage.folder / f"{stage.name}.json"


def _ended(status: str, reason: str, seconds: float, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": status, "reason": reason, "seconds": seconds, "result": dict(result)}


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """End the process and all that it started: interrupted, so that it puts things back; then killed."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next(
        (line.strip()[:_LONGEST_REASON] for line in reversed(lines) if line.strip()), "it said nothing"
    )
