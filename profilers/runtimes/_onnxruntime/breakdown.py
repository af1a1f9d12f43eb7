"""What ONNX Runtime's profiler writes of a session: a JSON file of events, one for each node and call."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime

from devices.foundation import one_line
from latency_tables import OpSpec, TableError
from profilers.errors import GarbledOutputError, ProfilingError
from profilers.runtimes._onnxruntime.call import Shape
from profilers.runtimes._onnxruntime.executed import named_units
from profilers.runtimes._onnxruntime.session import ON_PROCESSOR, Sessions, open_session
from profilers.runtimes._runtime import OperatorTime

#: Calls that are profiled, over which means are taken, at least and at most: for about a second of them, and
#: so many events. A file has some 600 bytes of each.
_FEWEST_CALLS, _MOST_CALLS, _PROFILED_S, _MOST_EVENTS = 5, 50, 1.0, 20_000
LARGEST_PROFILE_BYTES = 1 << 26

#: Before calls are profiled.
WARM_UP_CALLS = 3

#: Its clock's step; it cuts off what is less.
_STEP_S = 1e-6

#: A node that takes longer in one call is no measurement.
_LONGEST_S = 3600.0

_KERNEL, _CALL = "_kernel_time", "model_run"

#: A node of one call: its name, operator and microseconds.
_Event = tuple[str, str, float]


class ProfiledSession:
    """A session whose runs are profiled.

    Args:
        session: It was opened with a profile.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session

    def content(self) -> bytes:
        """End profiling, and return the profile.

        Raises:
            GarbledOutputError: It is too large to be read.
        """
        path = Path(self.session.end_profiling())
        if path.stat().st_size > LARGEST_PROFILE_BYTES:
            raise GarbledOutputError(f"ONNX Runtime's profile has over {LARGEST_PROFILE_BYTES} bytes")
        return path.read_bytes()


@contextmanager
def profiled_session(
    model: bytes, *, threads: int, is_optimised: bool, subject: object, provider: Sessions = ON_PROCESSOR
) -> Iterator[ProfiledSession]:
    """Load a model to profile it, as ``open_session`` loads it to run it; leaving forgets the profile."""
    with tempfile.TemporaryDirectory(prefix="cars-hw-") as folder:
        profile = str(Path(folder) / "profile")
        session = open_session(
            model,
            threads=threads,
            is_optimised=is_optimised,
            subject=subject,
            profile=profile,
            provider=provider,
        )
        yield ProfiledSession(session)


def profiled_calls(call_s: float, nodes: int) -> int:
    """Return how many calls to profile of a network that takes ``call_s`` and has about so many nodes."""
    wanted = min(_PROFILED_S / max(call_s, 1e-9), _MOST_EVENTS / max(nodes, 1), _MOST_CALLS)
    return max(_FEWEST_CALLS, int(wanted))


def units_by_name(graph: bytes, input_shapes: Sequence[Shape]) -> dict[str, OpSpec]:
    """Return the units of an optimised graph by the names of its nodes; none where it has one without a key.

    Args:
        graph: What ONNX Runtime wrote; not trusted.
        input_shapes: Of the inputs of the network.
    """
    try:
        return named_units(graph, input_shapes)
    except (
        ProfilingError,
        TableError,
    ):  # the profile says of each node what it is called and costs, all the same
        return {}


def operator_times(content: bytes, n: int, units: Mapping[str, OpSpec] | None = None) -> list[OperatorTime]:
    """Return the mean time of each node over the last ``n`` calls, in the order in which they ran.

    Args:
        content: What the profiler wrote, not trusted; whole microseconds, to which half a step is added.
        n: Calls that count; earlier ones warm up.
        units: Of nodes, by name.

    Raises:
        GarbledOutputError: It is no such file, it has less than ``n`` calls, or they differ in their nodes.
    """
    calls = list(_calls(content))[-n:]
    if len(calls) < n or not calls[0]:
        raise GarbledOutputError(f"ONNX Runtime's profile does not tell {n} calls of all nodes")
    first, *others = ([event[:2] for event in call] for call in calls)
    if any(other != first for other in others):
        raise GarbledOutputError("the calls in ONNX Runtime's profile do not run the same nodes")
    known = units or {}
    return [
        OperatorTime(
            one_line(operator),
            math.fsum(call[i][2] for call in calls) / n / 1e6 + _STEP_S / 2,
            known.get(name),
        )
        for i, (name, operator) in enumerate(first)
    ]


def ran_by(content: bytes) -> dict[str, set[str]]:
    """Return which operators each execution provider ran, by the names that the profile gives both.

    Args:
        content: What the profiler wrote, not trusted.

    Raises:
        GarbledOutputError: It is no such file, or does not tell of some node, or of any.
    """
    found: dict[str, set[str]] = {}
    for event in _events(content):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL):
            _, operator, _ = _node(event)
            provider = event["args"].get("provider")
            if not isinstance(provider, str):
                raise GarbledOutputError("ONNX Runtime's profile does not tell what ran a node")
            found.setdefault(provider, set()).add(one_line(operator))
    if not found:
        raise GarbledOutputError("ONNX Runtime's profile has no node")
    return found


def _calls(content: bytes) -> Iterator[list[_Event]]:
    """Yield the nodes of each call, which end where the call itself is told."""
    nodes: list[_Event] = []
    for event in _events(content):
        if event.get("cat") == "Session" and event.get("name") == _CALL:
            yield nodes
            nodes = []
        elif event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL):
            nodes.append(_node(event))


def _node(event: Mapping[str, Any]) -> _Event:
    try:
        name, operator, time_us = event["name"], event["args"]["op_name"], float(event["dur"])
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledOutputError("an event of ONNX Runtime's profile is incomplete") from error
    if not isinstance(operator, str) or not 0 <= time_us <= _LONGEST_S * 1e6:
        raise GarbledOutputError("an event of ONNX Runtime's profile has no operator, or no time")
    return str(name).removesuffix(_KERNEL), operator, time_us


def _events(content: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        events = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GarbledOutputError("ONNX Runtime's profile is no JSON") from error
    if not isinstance(events, list):
        raise GarbledOutputError("ONNX Runtime's profile is no list of events")
    for event in events:
        if isinstance(event, dict):
            yield event
