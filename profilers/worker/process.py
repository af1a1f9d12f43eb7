"""A process of its own that measures, as its host sees it: asked over pipes, and ended with its host."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from devices import DeviceError, DeviceTimeoutError, ThreadUse
from devices.foundation import CarsHwError, plugin_name
from latency_tables import Conditions, OpSpec, TableError
from profilers import errors
from profilers._messages import PLACE, Message, receive, send, signal_name
from profilers.errors import GarbledOutputError, ProfilingError
from profilers.runtimes._runtime import LoweredModel, Runtime
from profilers.worker.contract import MEASURING_ERRORS, Block, MeasuringError

#: Longest that an answer takes. A message of blocks takes seconds; loading the largest models, a minute.
LIMIT_S = 600.0

_GONE_S = 10.0
_MOST_WORDS, _LONGEST_LINE = 1 << 16, 200

#: What a worker may tell, by name; anything else is a ``ProfilingError``.
_KINDS: Mapping[str, type[CarsHwError]] = {
    kind.__name__: kind
    for kind in (
        errors.UnsupportedOperationError,
        errors.FellBackError,
        errors.GarbledOutputError,
        errors.WrongOutputError,
        DeviceTimeoutError,
        DeviceError,
        TableError,
    )
}


class WorkerEndedError(Exception):
    """A worker's process has ended, or was ended because it hung.

    Attributes:
        place: What it was loading or running; ``None`` if nothing.
        error: What that means for this workload.
    """

    def __init__(self, place: int | None, error: MeasuringError) -> None:
        super().__init__(str(error))
        self.place, self.error = place, error


class WorkerProcess:
    """A process that loads models and runs blocks, on the processors of the thread that asks it first.

    It begins to start at once, and is waited for at the first request.

    Args:
        runtime: What executes, a plug-in.
        address: Of the device, there.
        number: Of this process among those of a measurement.
        limit_s: Longest that an answer takes.
    """

    def __init__(self, runtime: Runtime, address: str, number: int, *, limit_s: float = LIMIT_S) -> None:
        self.number, self._limit_s = number, limit_s
        self._is_ready = False
        with ExitStack() as on_error:
            self._words = on_error.enter_context(tempfile.TemporaryFile())
            asked, self._asking = _pipe(on_error)
            self._answers, answering = _pipe(on_error)
            self._progress, telling = _pipe(on_error)
            for end in (self._progress, telling):
                os.set_blocking(end, False)
            self._process = subprocess.Popen(  # noqa: S603  (this package, by this Python)
                [sys.executable, "-P", "-m", "profilers.worker", str(os.getpid()), str(telling)],
                stdin=asked,
                stdout=answering,
                stderr=self._words,
                pass_fds=[telling],
                env=_environment(),
            )
            on_error.pop_all()
        for end in (asked, answering, telling):
            os.close(end)
        with suppress(BrokenPipeError):  # the first request tells why
            self._send_begin(runtime, address)

    def load(self, place: int, spec: OpSpec, model: LoweredModel) -> Conditions:
        """Load a model; return what is kept with its entry.

        Raises:
            WorkerEndedError: That ended the process.
            ProfilingError: It does not run there, or gives wrong numbers.
            DeviceError: The device lacks what it needs.
        """
        reference = model.reference
        fields = {
            "do": "load",
            "place": place,
            "spec": str(spec),
            "model_bytes": len(model.content),
            "is_optimised": model.is_optimised,
            "reference": None if reference is None else list(reference.shape),
        }
        contents = [model.content, b"" if reference is None else reference.tobytes()]
        answer = self._answer(fields, contents)
        if "error" in answer:
            raise _error(answer)
        match answer:
            case {"facts": dict(facts)}:
                return facts
        raise self._garbled(answer)

    def run(self, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks of what was loaded; return of each what it gave, or what ended its workload.

        Raises:
            WorkerEndedError: One of them ended the process.
            DeviceError: The device was lost.
        """
        answer = self._answer({"do": "run", "blocks": [list(block) for block in blocks]})
        if "error" in answer:
            raise _error(answer)
        match answer:
            case {"blocks": list(found)} if len(found) == len(blocks):
                return [self._block(one, n) for one, (_, n) in zip(found, blocks, strict=True)]
        raise self._garbled(answer)

    def unload(self, place: int) -> None:
        """Forget what was loaded.

        Raises:
            WorkerEndedError: The process has ended.
        """
        self._answer({"do": "unload", "place": place})

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._words.close()
        for end in (self._asking, self._answers, self._progress):
            os.close(end)

    def _answer(self, fields: Mapping[str, object], contents: Sequence[bytes] = ()) -> Mapping[str, Any]:
        """Return the answer to a request, the first of which waits for the process to have started.

        Raises:
            WorkerEndedError: There is none.
            DeviceError: The process does not start.
        """
        if not self._is_ready:
            self._wait_for_start()
        self._last_place()
        return self._exchange(fields, contents).fields

    def _send_begin(self, runtime: Runtime, address: str) -> None:
        fields = {
            "runtime": plugin_name(type(runtime)),
            "threads": runtime.threads,
            "settings": dict(runtime.settings.values()),
            "device": address,
        }
        send(self._write, fields)

    def _wait_for_start(self) -> None:
        """Wait until the process has loaded its runtime, and give it the affinity of this thread."""
        processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        try:
            self._received()
            self._exchange({"do": "pin", "processors": processors}, ())
        except WorkerEndedError as ended:
            raise DeviceError(f"the process that measures does not start: {ended}") from ended
        self._is_ready = True

    def _exchange(self, fields: Mapping[str, object], contents: Sequence[bytes]) -> Message:
        with suppress(BrokenPipeError):  # it has ended: so do its answers
            send(self._write, fields, contents)
        return self._received()

    def _received(self) -> Message:
        try:
            message = receive(self._reading(time.monotonic() + self._limit_s))
        except GarbledOutputError as error:
            raise WorkerEndedError(self._last_place(), error) from error
        except TimeoutError as error:
            hung = DeviceTimeoutError(f"no answer of the process that measures it in {self._limit_s:g} s")
            raise WorkerEndedError(self._last_place(), hung) from error
        if message is None:
            raise WorkerEndedError(self._last_place(), ProfilingError(self._how_it_ended()))
        return message

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[os.write(self._asking, left) :]

    def _reading(self, until_s: float) -> Callable[[int], bytes]:
        """Return what reads answers, but waits no longer than until the time ``until_s``."""

        def read(n: int) -> bytes:
            left_s = max(0.0, until_s - time.monotonic())
            if not select.select([self._answers], [], [], left_s)[0]:
                raise TimeoutError
            return os.read(self._answers, n)

        return read

    def _last_place(self) -> int | None:
        """Return what was begun last since this was asked before; ``None`` if nothing."""
        found = b""
        with suppress(BlockingIOError):
            while piece := os.read(self._progress, 1 << 16):
                found += piece
        return PLACE.unpack(found[-PLACE.size :])[0] if len(found) >= PLACE.size else None

    def _how_it_ended(self) -> str:
        """Return by what the process ended, with the last words of one that ended itself."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GONE_S)
        status = self._process.returncode
        if status is not None and status < 0:
            return f"it crashed the process that measured it: {signal_name(-status)}"
        self._words.seek(0)
        lines = self._words.read()[-_MOST_WORDS:].decode(errors="replace").strip().splitlines()
        last = lines[-1][:_LONGEST_LINE] if lines else "without a word"
        return f"it ended the process that measured it ({status}): {last}"

    def _block(self, found: object, n: int) -> Block | MeasuringError:
        match found:
            case {"error": str(kind), "message": str(message)}:
                error = _error({"error": kind, "message": message})
                return error if isinstance(error, MEASURING_ERRORS) else ProfilingError(str(error))
            case {"latency_s": float(latency_s), "used": used, "disturbance": None | str() as disturbance}:
                return Block(latency_s, n, self._thread_use(used), self.number, disturbance)
        raise self._garbled(found)

    def _thread_use(self, found: object) -> ThreadUse | None:
        match found:
            case None:
                return None
            case [int(switches), float(cpu_s)]:
                return ThreadUse(switches, cpu_s)
        raise self._garbled(found)

    def _garbled(self, found: object) -> WorkerEndedError:
        return WorkerEndedError(None, GarbledOutputError(f"{found!r:.80} is no answer"))


def _pipe(on_error: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        on_error.callback(os.close, end)
    return ends


def _error(answer: Mapping[str, Any]) -> CarsHwError:
    return _KINDS.get(str(answer["error"]), ProfilingError)(str(answer.get("message")))


def _environment() -> dict[str, str]:
    """Return this process's environment, where modules are found as here.

    ONNX Runtime's telemetry is off unless the environment says otherwise: it takes processor time.
    """
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    return {"ORT_DISABLE_TELEMETRY": "1", **os.environ, "PYTHONPATH": path}
