"""ONNX Runtime on a remote device, by ``onnxruntime_perf_test``: each block of calls is its own process.

The tool makes its own random inputs and shows no output, so nothing can be compared with torch there; what it
does keep is the time of every single call.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import NoReturn

from devices import DeviceError, DeviceTimeoutError, RemoteDevice
from latency_tables import Conditions, OpSpec
from profilers.errors import FellBackError, GarbledOutputError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.breakdown import (
    LARGEST_PROFILE_BYTES,
    operator_times,
    profiled_calls,
    units_by_name,
)
from profilers.runtimes._onnxruntime.remote_graphs import Model, batches, optimised
from profilers.runtimes._onnxruntime.session import FELL_BACK
from profilers.runtimes._onnxruntime.settings import OnnxRuntimeSettings
from profilers.runtimes._program_output import NOT_STARTED, complaint, output_text, require_sha256, retried
from profilers.runtimes._programs import Installer, Program
from profilers.runtimes._reference import input_shapes
from profilers.runtimes._runtime import OperatorTime

PERF_TEST = Program(
    "onnxruntime_perf_test",
    variable="CARS_HW_ONNXRUNTIME_PERF_TEST",
    source="build ONNX Runtime for Android, see https://onnxruntime.ai/docs/build/android.html",
    is_it=lambda help_text: "perf_test" in help_text,
)

_SEED = 0
_LIMIT_S = 60.0

#: How much slower than foreseen a block may be.
_SLOWEST = 10.0

#: A row takes some 40 bytes.
_ROOM_BYTES, _ROW_BYTES = 4096, 128

#: Of a network whose graph is not written.
_MANY_NODES = 1000

#: Options of the tool: all optimisations, or none.
_ALL, _AS_WRITTEN = ("-o", "99"), ("-o", "0")

_SECONDS = r"[0-9]{1,9}(?:\.[0-9]{1,12})?(?:e[+-]?[0-9]{1,2})?"
_ROW = re.compile(rf"[^,\n]{{0,256}},({_SECONDS}),[0-9]{{1,20}},-?[0-9]{{1,6}},([0-9]{{1,9}})")

_UNSUPPORTED = re.compile(r"NOT_IMPLEMENTED|Could not find an implementation|not supported|INVALID_GRAPH")


class RemoteOrt:
    """ONNX Runtime on remote devices.

    Args:
        threads: Threads of one call.
        settings: Which execution provider, and where ``onnxruntime_perf_test`` is.
    """

    def __init__(self, threads: int, settings: OnnxRuntimeSettings) -> None:
        self._threads, self._settings = threads, settings
        self._installer = Installer(PERF_TEST, settings.benchmark_binary)

    def version(self, device: RemoteDevice) -> str:
        """Return what runs on ``device``: its builds report no version, so the file's hash.

        Raises:
            DeviceError: There is no tool for this device, or it does not run there.
        """
        return f"onnxruntime_perf_test, SHA-256 {self._installer.on(device).sha256}"

    @contextmanager
    def prepared(
        self, model: bytes, spec: OpSpec, device: RemoteDevice, *, is_optimised: bool = False
    ) -> Iterator["RemoteSession"]:
        """Bring ``model`` to ``device`` and run it once.

        Args:
            model: An ONNX file.
            spec: What it computes, for messages.
            device: Where it is to run.
            is_optimised: Whether it is to be executed as written.

        Raises:
            ProfilingError: It does not run there as asked for.
            DeviceError: The device was lost.
        """
        with device.scratch() as folder:
            yield self._loaded(model, spec, device, folder, _AS_WRITTEN if is_optimised else _ALL)

    def optimised(self, models: Iterable[Model], device: RemoteDevice) -> Iterator[tuple[OpSpec, bytes]]:
        """Yield, by what it computes, the graph that ONNX Runtime on ``device`` makes of each model.

        They are ONNX files, not trusted. Many are asked for in one call.

        Raises:
            ProfilingError: One does not run there; those before it were yielded.
            DeviceError: The device was lost.
        """
        argv = [*self._argv(device, _ALL), "-r", "1"]
        for batch in batches(models):
            try:
                graphs, failed = optimised(argv, batch, device)
            except (DeviceTimeoutError, GarbledOutputError):
                if len(batch) == 1:
                    raise
                for model in batch:  # whichever it was of, the others are counted
                    yield from self.optimised([model], device)
                continue
            yield from zip((model.spec for model in batch), graphs, strict=False)
            if failed is not None:
                _refuse(batch[len(graphs)].spec, failed.said, failed.exit_status)

    def breakdown(
        self, model: bytes, spec: OpSpec, device: RemoteDevice, *, is_optimised: bool = False
    ) -> list[OperatorTime]:
        """Return the time of each node, with its unit where the device writes the graph that it executes.

        Args:
            model: An ONNX file.
            spec: What it computes.
            device: Where it is to run.
            is_optimised: Whether it is to be executed as written.

        Raises:
            ProfilingError: It does not run there, or what is reported cannot be trusted.
            DeviceError: The device was lost.
        """
        level = _AS_WRITTEN if is_optimised else _ALL
        with device.scratch() as folder:
            path = f"{folder}/optimised.onnx"
            is_written = self._settings.provider == "cpu"  # the others compile, and write no graph
            loaded = self._loaded(
                model, spec, device, folder, [*level, *(["-u", path] if is_written else [])]
            )
            units = {}
            if is_written:
                most_bytes = Model(spec, model).most_bytes
                graph = retried(lambda: _pulled(device, path, max_bytes=most_bytes))
                units = units_by_name(graph, input_shapes(spec))
            return retried(lambda: loaded.breakdown(units))

    def _loaded(
        self, model: bytes, spec: OpSpec, device: RemoteDevice, folder: str, optimisation: Sequence[str]
    ) -> "RemoteSession":
        argv, content = self._argv(device, optimisation), device.push(model)
        path = f"{folder}/model.onnx"  # the tool goes by the end of the name
        linked = device.run(["ln", "-s", content, path], timeout_s=_LIMIT_S)
        if linked.exit_status != 0:
            raise DeviceError(f"no link can be made on the device: {complaint(output_text(linked))}")
        loaded = RemoteSession(device, argv, model=path, folder=folder, spec=spec)
        loaded(1)
        return loaded

    def _argv(self, device: RemoteDevice, optimisation: Sequence[str]) -> list[str]:
        """Return the tool on ``device`` and the options of every run."""
        tool, provider = self._installer.on(device), self._settings.provider
        argv = [tool.path, "-e", provider, "-m", "times", "-x", str(self._threads), "-y", "1", "-I"]
        argv += ["-S", str(_SEED), *optimisation]
        return argv if provider == "cpu" else [*argv, "-C", "session.disable_cpu_ep_fallback|1"]


class RemoteSession:
    """A model on a remote device: the ``Sampler`` of ONNX Runtime there.

    Args:
        device: Where it is.
        argv: The tool and the options of every run.
        model: The model's file there.
        folder: For results, on the device.
        spec: What it computes, for messages.
    """

    def __init__(
        self, device: RemoteDevice, argv: Sequence[str], *, model: str, folder: str, spec: OpSpec
    ) -> None:
        self._device, self._argv, self._model, self._folder = device, list(argv), model, folder
        self._spec = spec
        self._call_s = 0.0

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls in a process of their own; return their median (one value)."""
        self._call_s = median(retried(lambda: self._run(n)))
        return (self._call_s,)

    def facts(self) -> Conditions:
        """Return that no output was compared."""
        return {"output_compared": False}

    def breakdown(self, units: Mapping[str, OpSpec]) -> list[OperatorTime]:
        """Profile some calls in a process of their own.

        Args:
            units: Of the nodes, by name.
        """
        name = f"profile-{secrets.token_hex(8)}"
        n = profiled_calls(self._call_s, len(units) or _MANY_NODES)
        self._run(n, "-p", f"{self._folder}/{name}")
        path = f"{self._folder}/{self._written(name)}"
        content = _pulled(self._device, path, max_bytes=LARGEST_PROFILE_BYTES)
        return operator_times(content, n, units)

    def _written(self, name: str) -> str:
        """Return the name of the profile, to whose beginning the tool adds the time."""
        listed = self._device.run(["ls", "-1", self._folder], timeout_s=_LIMIT_S)
        pattern = re.compile(rf"{name}[0-9A-Za-z_-]{{0,64}}\.json")
        found = [line for line in output_text(listed).splitlines() if pattern.fullmatch(line.strip())]
        if len(found) != 1:
            raise GarbledOutputError(
                f"onnxruntime_perf_test wrote {len(found)} profiles, not 1; run it again"
            )
        return found[0].strip()

    def _run(self, n: int, *options: str) -> list[float]:
        result = f"{self._folder}/{secrets.token_hex(8)}.csv"
        limit_s = _LIMIT_S + _SLOWEST * n * self._call_s
        done = self._device.run([*self._argv, *options, "-r", str(n), self._model, result], timeout_s=limit_s)
        text = output_text(done)
        if done.exit_status in NOT_STARTED:
            raise DeviceError(f"onnxruntime_perf_test does not start on this device: {complaint(text)}")
        if done.exit_status != 0:
            _refuse(self._spec, text, done.exit_status)
        return samples_s(_pulled(self._device, result, max_bytes=_ROOM_BYTES + _ROW_BYTES * n), n)


def _refuse(spec: OpSpec, text: str, exit_status: int) -> NoReturn:
    """Say why the tool did not run a model, by what it printed."""
    if FELL_BACK.search(text):
        raise FellBackError(f"the provider does not run all of {spec}: {complaint(text)}")
    if _UNSUPPORTED.search(text):
        raise UnsupportedOperationError(f"ONNX Runtime does not run {spec}: {complaint(text)}")
    raise ProfilingError(f"onnxruntime_perf_test ended with exit status {exit_status}: {complaint(text)}")


def _pulled(device: RemoteDevice, path: str, max_bytes: int) -> bytes:
    content = device.pull(path, max_bytes=max_bytes)
    require_sha256(device, path, content)
    return content


def samples_s(content: bytes, n: int) -> list[float]:
    """Read the seconds of ``n`` calls from a file of results; statistics may follow after an empty line.

    Raises:
        GarbledOutputError: It has not exactly one row for each call, in order.
    """
    rows = content.decode("utf-8", errors="replace").replace("\r\n", "\n").partition("\n\n")[0].splitlines()
    found = [match for row in rows if (match := _ROW.fullmatch(row))]
    if len(rows) != n or [int(match[2]) for match in found] != list(range(n)) or not content.endswith(b"\n"):
        raise GarbledOutputError(
            f"onnxruntime_perf_test wrote {len(found)} rows of results, not {n}; run it again"
        )
    return [float(match[1]) for match in found]
