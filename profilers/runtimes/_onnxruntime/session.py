"""Sessions of ONNX Runtime in this process."""

import platform
import re
import tempfile
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from devices.foundation import first_line, one_line
from profilers.errors import FellBackError, UnsupportedOperationError
from profilers.runtimes._model_file import read_bounded

PROVIDERS = ["CPUExecutionProvider"]

#: What ONNX Runtime says where a node would run on the processor, and must not.
FELL_BACK = re.compile(r"fallback to CPU EP has been explicitly disabled|assigned to the default CPU EP")

#: What ``/proc/cpuinfo`` tells of processors that a runtime may go by, on x86 and on ARM.
_PROCESSOR_FIELDS = frozenset(
    (
        *("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    )
)

#: Errors arrive as exceptions; ONNX Runtime would write them to the terminal as well.
_ONLY_FATAL = 4

#: What ONNX Runtime raises has no common class. ``RuntimeError`` comes from runs with bound inputs.
ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    UnicodeDecodeError,  # a message that quotes names of the file
)


class Sessions(Protocol):
    """Makes sessions that one execution provider runs."""

    @property
    def name(self) -> str:
        """The provider, as settings name it."""
        ...

    def session(
        self, model: bytes, options: onnxruntime.SessionOptions, *, is_strict: bool = True
    ) -> onnxruntime.InferenceSession:
        """Load a model; strictly, ONNX Runtime refuses it where a node is left to another provider."""
        ...

    def alone(self) -> AbstractContextManager[object]:
        """Keep other threads off while a session is made, run or dropped, where two at once may crash."""
        ...


class _OnProcessor:
    """Makes sessions of the provider that every ONNX Runtime has."""

    name = "cpu"

    def session(
        self, model: bytes, options: onnxruntime.SessionOptions, *, is_strict: bool = True
    ) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(model, options, providers=PROVIDERS)

    def alone(self) -> AbstractContextManager[object]:
        return nullcontext()


ON_PROCESSOR: Sessions = _OnProcessor()


def open_session(
    model: bytes,
    *,
    threads: int,
    is_optimised: bool,
    subject: object,
    profile: str = "",
    provider: Sessions = ON_PROCESSOR,
) -> onnxruntime.InferenceSession:
    """Load a model to run it.

    Args:
        model: An ONNX file.
        threads: Threads of one call.
        is_optimised: Whether to execute it as written, without optimising it.
        subject: What it computes, for messages.
        profile: How the path of a profile of all runs begins; empty for none.
        provider: What executes it, all of it.

    Raises:
        UnsupportedOperationError: ONNX Runtime does not load it.
        FellBackError: The provider lacks one of its operators.
    """
    options = quiet_options(threads)
    options.enable_profiling, options.profile_file_prefix = bool(profile), profile
    if is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _loaded(model, options, subject, provider)


def optimised(model: bytes, *, subject: object, provider: Sessions = ON_PROCESSOR) -> bytes:
    """Return the graph that ONNX Runtime makes of a model on this machine, as an ONNX file; not trusted.

    Args:
        model: An ONNX file.
        subject: What it computes, for messages.
        provider: What would execute it.

    Raises:
        UnsupportedOperationError: ONNX Runtime does not load it.
        FellBackError: The provider lacks one of its operators.
        ProfilingError: The graph is too large to be read.
    """
    with tempfile.TemporaryDirectory(prefix="cars-hw-") as folder:
        path = Path(folder) / "optimised.onnx"
        options = quiet_options(threads=1)
        options.optimized_model_filepath = str(path)
        # The graph is written before weights are laid out for the kernels, which here never run.
        options.add_session_config_entry("session.disable_prepacking", "1")
        with provider.alone():
            _loaded(model, options, subject, provider)
        return read_bounded(path, "a smaller network")


def optimiser_identity(provider: Sessions) -> str:
    """Return what the graph of a model follows from beside the model; empty where that is not known.

    Runtime and processors: channels are filled up to the width of their vectors.
    """
    return _identity_on_processor() if provider is ON_PROCESSOR else ""


@lru_cache(maxsize=1)
def _identity_on_processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    told = {line for line in text.splitlines() if line.partition(":")[0].strip() in _PROCESSOR_FIELDS}
    if not told:
        return ""
    build = onnxruntime.get_build_info()
    return "\n".join(["onnxruntime", onnxruntime.__version__, build, platform.machine(), *sorted(told)])


def quiet_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options of a session with all optimisations, which disturbs no other one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ONLY_FATAL
    # Threads that wait actively for more work would disturb the session that is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _loaded(
    model: bytes, options: onnxruntime.SessionOptions, subject: object, provider: Sessions
) -> onnxruntime.InferenceSession:
    try:
        return provider.session(model, options)
    except ORT_ERRORS as error:
        if FELL_BACK.search(str(error)):
            left = ", ".join(_left_to_processor(model, provider)) or "some of it"
            raise FellBackError(f"{subject}: provider {provider.name} leaves {left} to the CPU") from error
        raise UnsupportedOperationError(
            f"ONNX Runtime does not load {subject}: {first_line(error)}"
        ) from error


def _left_to_processor(model: bytes, provider: Sessions) -> list[str]:
    """Return the operators of a model that a provider lacks; none where ONNX Runtime does not tell."""
    options = quiet_options(threads=1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        assigned = provider.session(model, options, is_strict=False).get_provider_graph_assignment_info()
    except ORT_ERRORS:
        return []
    left = {
        one_line(node.op_type) for part in assigned if part.ep_name in PROVIDERS for node in part.get_nodes()
    }
    return sorted(left)
