"""What ONNX Runtime's profiler writes of a session: a JSON file of events, one for each node and call."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime

from profilers.errors import GarbledOutputError
from profilers.runtimes._onnxruntime.session import open_session
from profilers.runtimes._runtime import OperatorTime

#: Calls that are profiled, over which means are taken; a session runs one more before, to warm up.
PROFILED_CALLS = 50

#: Its clock's step; it cuts off what is less.
_STEP_S = 1e-6

_KERNEL = "_kernel_time"


class ProfiledSession:
    """A session whose runs are profiled.

    Args:
        session: It was opened with a profile.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session

    def operator_times(self) -> list[OperatorTime]:
        """Return the mean time of each node over the last ``PROFILED_CALLS`` runs; no more are profiled."""
        return operator_times(Path(self.session.end_profiling()).read_bytes(), PROFILED_CALLS)


@contextmanager
def profiled_session(
    model: bytes, *, threads: int, is_optimised: bool, subject: object
) -> Iterator[ProfiledSession]:
    """Load a model to profile it, as ``open_session`` loads it to run it; leaving forgets the profile."""
    with tempfile.TemporaryDirectory(prefix="cars-hw-") as folder:
        profile = str(Path(folder) / "profile")
        session = open_session(
            model, threads=threads, is_optimised=is_optimised, subject=subject, profile=profile
        )
        yield ProfiledSession(session)


def operator_times(content: bytes, n: int) -> list[OperatorTime]:
    """Return the mean time of each node over the last ``n`` calls, in the order in which they ran.

    Args:
        content: What the profiler wrote; whole numbers of microseconds, to which half a step is added.
        n: Calls that count; earlier ones warm up.

    Raises:
        GarbledOutputError: It is no such file, or a node has less than ``n`` events.
    """
    operators: dict[str, str] = {}
    times_us: defaultdict[str, list[float]] = defaultdict(list)
    for event in _events(content):
        try:
            name, operator, time_us = event["name"], event["args"]["op_name"], float(event["dur"])
        except (KeyError, TypeError, ValueError) as error:
            raise GarbledOutputError("an event of ONNX Runtime's profile is incomplete") from error
        operators.setdefault(name, operator)
        times_us[name].append(time_us)
    if not operators or min(map(len, times_us.values())) < n:
        raise GarbledOutputError(f"ONNX Runtime's profile does not tell {n} calls of all nodes")
    means_us = {name: sum(times[-n:]) / n for name, times in times_us.items()}
    return [OperatorTime(operators[name], mean_us / 1e6 + _STEP_S / 2) for name, mean_us in means_us.items()]


def _events(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the events of kernels."""
    try:
        events = json.loads(content)
    except ValueError as error:
        raise GarbledOutputError("ONNX Runtime's profile is no JSON") from error
    if not isinstance(events, list):
        raise GarbledOutputError("ONNX Runtime's profile is no list of events")
    for event in events:
        if isinstance(event, dict) and event.get("cat") == "Node" and _is_kernel(event):
            yield event


def _is_kernel(event: Mapping[str, Any]) -> bool:
    return str(event.get("name", "")).endswith(_KERNEL)
