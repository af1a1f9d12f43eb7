"""TFLite on a remote device, by the stock ``benchmark_model``: each block of calls is its own process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from devices import DeviceError, RemoteDevice
from devices.foundation import one_line
from latency_tables import Conditions, OpSpec, Unit
from profilers._layout import nchw, nhwc, nhwc_shape
from profilers.errors import FellBackError, UnsupportedOperationError, WrongOutputError
from profilers.runtimes._benchmark_model.operators import operators_inside
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._benchmark_model.tool import BENCHMARK_MODEL, BenchmarkModel, Flags
from profilers.runtimes._coverage import Coverage
from profilers.runtimes._program_output import require_sha256, retried
from profilers.runtimes._programs import Installer
from profilers.runtimes._reference import Array, check_outputs, random_inputs
from profilers.runtimes._runtime import OperatorTime
from profilers.runtimes._tflite.settings import TfLiteSettings

#: First input of the models that ``profilers.lowering.tflite`` writes; the next ones are "input_1" and so on.
INPUT_NAME = "input"

#: The governor takes a few tenths of a second to raise the clock; the tool's own 0.5 s would be a third of a
#: phone's time.
_WARM_UP_S = 0.2

#: Seconds to load a model and to compile it for a GPU, and how much slower than foreseen a block may be.
_START_LIMIT_S, _SLOWEST = 60.0, 10.0

#: Half-precision kernels, which a GPU's delegate uses by default, lose three digits.
_HALF_PRECISION_SLACK = 100.0

_OUTPUT_ROOM_BYTES = 4096

_PAD = "PAD"

#: Calls that are profiled, over which the tool averages.
_FEWEST_PROFILED, _MOST_PROFILED = 5, 50


class RemoteTfLite:
    """TFLite on remote devices.

    Args:
        threads: Threads of one call.
        settings: How models are executed, and where ``benchmark_model`` is.
    """

    def __init__(self, threads: int, settings: TfLiteSettings) -> None:
        self._threads, self._settings = threads, settings
        self._installer = Installer(BENCHMARK_MODEL, settings.benchmark_binary)

    def tool(self, device: RemoteDevice) -> BenchmarkModel:
        """Return the tool on ``device``, which it is brought to the first time.

        Raises:
            DeviceError: There is none for this device, or it does not run there.
        """
        return BenchmarkModel(self._installer.on(device))

    @contextmanager
    def prepared(
        self, model: bytes, spec: OpSpec, device: RemoteDevice, *, reference: Array | None
    ) -> Iterator["RemoteModel"]:
        """Bring ``model`` to ``device``, run it once, and compare its output with ``reference``.

        Args:
            model: A .tflite file.
            spec: Gives the shapes of its inputs, NCHW; the model itself takes NHWC.
            device: Where it is to run.
            reference: What torch computes; ``None`` for a file from somewhere else.

        Raises:
            ProfilingError: It does not run there as asked for, or its output is wrong.
            DeviceError: The device was lost, or the tool cannot do what is asked for.
        """
        tool = self.tool(device)
        flags = _execution_flags(tool, self._threads, self._settings) | {"graph": device.push(model)}
        with device.scratch() as folder:
            loaded = RemoteModel(tool, flags, folder)
            loaded.check(spec, reference, self._settings)
            yield loaded

    def breakdown(self, model: bytes, device: RemoteDevice) -> list[OperatorTime]:
        """Return the time of each operator, those inside of delegates where the tool tells.

        Raises:
            UnsupportedOperationError: This build of the tool does not time operators.
            ProfilingError: It does not run the model, or what it reports cannot be trusted.
            DeviceError: The device was lost, or the tool cannot do what is asked for.
        """
        tool = self.tool(device)
        if "enable_op_profiling" not in tool.flags:
            raise UnsupportedOperationError(
                "this benchmark_model does not time its operators; get the build around TFLite's interpreter"
            )
        flags = _execution_flags(tool, self._threads, self._settings) | {"graph": device.push(model)}
        with device.scratch() as folder:
            return retried(RemoteModel(tool, flags, folder).breakdown)


class RemoteModel:
    """A model on a remote device: the ``Sampler`` of TFLite there.

    Args:
        tool: Runs it.
        flags: What every run of it has in common.
        folder: For results, on the device.
    """

    def __init__(self, tool: BenchmarkModel, flags: Flags, folder: str) -> None:
        self._tool, self._flags, self._folder = tool, flags, folder
        self._mean_s = 0.0
        self._facts: Conditions = {}

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls in a process of their own; return the median, as fine as the mean (one value)."""
        flags = {"num_runs": n, "warmup_min_secs": _WARM_UP_S}
        timings, _ = retried(lambda: self._run(flags, n))
        return (timings.latency_s,)

    def facts(self) -> Conditions:
        """Return which delegates run the model, how much of it, and whether its output was compared."""
        return self._facts

    def breakdown(self) -> list[OperatorTime]:
        """Profile some calls in a process of their own; one before says how many take about a second."""
        timings, _ = self._run({"num_runs": 1, "warmup_min_secs": 0}, 1)
        n = max(_FEWEST_PROFILED, min(_MOST_PROFILED, int(1 / max(timings.mean_s, 1e-6))))
        flags = dict[str, str | int | float](num_runs=n, warmup_min_secs=_WARM_UP_S)
        flags["enable_op_profiling"] = "true"
        _, text = self._run(flags, n)
        return [OperatorTime(one_line(node.node_type), node.mean_s) for node in operators_inside(text)]

    def check(self, spec: OpSpec, reference: Array | None, settings: TfLiteSettings) -> None:
        """Run the model once, untimed: compare its output, and find out what runs where.

        Raises:
            WrongOutputError: The output differs from ``reference``, or is not finite.
            FellBackError: A part of the model runs elsewhere than was required.
        """
        output, account = f"{self._folder}/output", f"{self._folder}/account.pb"
        flags = dict[str, str | int | float](num_runs=1, warmup_min_secs=0)
        is_compared = (
            reference is not None and {"output_filepath", "input_layer_value_files"} <= self._tool.flags
        )
        if is_compared:
            flags |= self._input_flags(spec) | {"output_filepath": output}
        account_flags = self._account_flags(account)
        account_path = account if "model_runtime_info_output_file" in account_flags else None

        def checked() -> Coverage | None:
            _, text = self._run(flags | account_flags, 1)
            coverage = self._tool.coverage(text, account_path)
            _require_coverage(coverage, settings)
            if is_compared and reference is not None:
                slack = _HALF_PRECISION_SLACK if settings.is_accelerated else 1.0
                self._compare(spec, output, reference, slack)
            return coverage

        coverage = retried(checked)
        self._facts = {"output_compared": is_compared, **(coverage.facts() if coverage else {})}

    def _compare(self, spec: OpSpec, path: str, reference: Array, slack: float) -> None:
        content = self._tool.device.pull(path, max_bytes=reference.nbytes + _OUTPUT_ROOM_BYTES)
        try:
            check_outputs(spec, [_output(content, reference)], reference, slack=slack)
        except WrongOutputError:
            require_sha256(self._tool.device, path, content)  # else it is the cable, and not the kernel
            raise

    def _run(self, flags: Flags, n: int) -> tuple[Timings, str]:
        common = {"warmup_runs": 1, "min_secs": 0}
        limit_s = _START_LIMIT_S + _SLOWEST * n * self._mean_s
        timings, text = self._tool.timings(
            {**self._flags, **common, **flags}, folder=self._folder, timeout_s=limit_s
        )
        self._mean_s = timings.mean_s
        return timings, text

    def _input_flags(self, spec: OpSpec) -> dict[str, str | int | float]:
        arrays = [nhwc(values) for values in random_inputs(spec)]
        names = [INPUT_NAME if i == 0 else f"{INPUT_NAME}_{i}" for i in range(len(arrays))]
        paths = [self._tool.device.push(values.tobytes()) for values in arrays]
        return {
            "input_layer": ",".join(names),
            "input_layer_shape": ":".join(",".join(map(str, values.shape)) for values in arrays),
            "input_layer_value_files": ",".join(
                f"{name}:{path}" for name, path in zip(names, paths, strict=True)
            ),
        }

    def _account_flags(self, path: str) -> dict[str, str | int | float]:
        """Return how this tool is asked what ran where: in a file, else in a table of operators."""
        if "model_runtime_info_output_file" in self._tool.flags:
            switch = {"export_model_runtime_info": "true"}
            known = {name: value for name, value in switch.items() if name in self._tool.flags}
            return {"model_runtime_info_output_file": path, **known}
        return {"enable_op_profiling": "true"} if "enable_op_profiling" in self._tool.flags else {}


def with_units(times: Sequence[OperatorTime], units: Sequence[OpSpec]) -> list[OperatorTime]:
    """Return operators with the units that they are, where the tool ran exactly those, in their order.

    A PAD that is one unit with the convolution after it is added to that. What delegates run has other names,
    and stays without units.

    Args:
        times: What the tool said.
        units: Keys of what the graph executes, in order.
    """
    found: list[OperatorTime] = []
    padding_s, waiting = 0.0, list(reversed(units))
    for time in times:
        is_own = bool(waiting) and Unit.of(waiting[-1]).operator == time.operator
        if not is_own and time.operator != _PAD:
            return list(times)
        if is_own:
            found.append(OperatorTime(time.operator, time.mean_s + padding_s, waiting.pop()))
        padding_s = 0.0 if is_own else padding_s + time.mean_s
    return list(times) if waiting or padding_s else found


def _execution_flags(
    tool: BenchmarkModel, threads: int, settings: TfLiteSettings
) -> dict[str, str | int | float]:
    """Return the flags that make ``tool`` execute models as ``settings`` say.

    Raises:
        DeviceError: It cannot.
    """
    flags: dict[str, str | int | float] = {"num_threads": threads}
    if not settings.xnnpack:
        flags["use_xnnpack"] = "false"  # left out means true; given, it would be applied a second time
    if settings.is_accelerated:
        flags[f"use_{settings.delegate}"] = "true"
        if tool.is_compiled_model:
            flags["use_cpu"] = "false" if settings.require_full_delegation else "true"
        if settings.delegate == "nnapi":
            flags["disable_nnapi_cpu"] = "true"
        if settings.require_full_delegation:
            flags["require_full_delegation"] = "true"
    unknown = sorted(flags.keys() - tool.flags)
    if unknown:
        raise DeviceError(f"this benchmark_model has no --{unknown[0]}; get a build that has it")
    return flags


def _output(content: bytes, reference: Array) -> Array:
    """Read the tool's output, raw float32 in (n, h, w, c), in the shape of ``reference``, (n, c, h, w).

    An output of another size stays a row of numbers, which the comparison refuses by its shape.
    """
    values = np.frombuffer(content[: len(content) // 4 * 4], dtype="<f4").astype(np.float32)
    if values.size != reference.size:
        return values
    return nchw(values.reshape(nhwc_shape(reference.shape)))


def _require_coverage(coverage: Coverage | None, settings: TfLiteSettings) -> None:
    """Check that the delegate asked for runs the model, all of it where that is required."""
    if not settings.is_accelerated:
        return
    if coverage is None:
        raise FellBackError(
            f"benchmark_model does not report what the {settings.delegate} delegate runs; get a newer build"
        )
    asked = [name for name in coverage.delegates if settings.delegate in name.lower()]
    is_enough = coverage.is_full if settings.require_full_delegation else True
    if not asked or not is_enough:
        outside = "some" if coverage.nodes_outside is None else coverage.nodes_outside
        raise FellBackError(
            f"the {settings.delegate} delegate runs {coverage.partitions} pieces of the model, and "
            f"{outside} nodes run elsewhere; require_full_delegation = false records that instead"
        )
