"""Sessions of ONNX Runtime in this process."""

import tempfile
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from devices.foundation import first_line
from profilers.errors import UnsupportedOperationError
from profilers.runtimes._model_file import read_bounded

PROVIDERS = ["CPUExecutionProvider"]

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


def open_session(
    model: bytes, *, threads: int, is_optimised: bool, subject: object, profile: str = ""
) -> onnxruntime.InferenceSession:
    """Load a model to run it.

    Args:
        model: An ONNX file.
        threads: Threads of one call.
        is_optimised: Whether to execute it as written, without optimising it.
        subject: What it computes, for messages.
        profile: How the path of a profile of all runs begins; empty for none.

    Raises:
        UnsupportedOperationError: ONNX Runtime does not load it.
    """
    options = _options(threads)
    options.enable_profiling, options.profile_file_prefix = bool(profile), profile
    if is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _loaded(model, options, subject)


def optimised(model: bytes, *, subject: object) -> bytes:
    """Return the graph that ONNX Runtime makes of a model on this machine, as an ONNX file; not trusted.

    Args:
        model: An ONNX file.
        subject: What it computes, for messages.

    Raises:
        UnsupportedOperationError: ONNX Runtime does not load it.
        ProfilingError: The graph is too large to be read.
    """
    with tempfile.TemporaryDirectory(prefix="cars-hw-") as folder:
        path = Path(folder) / "optimised.onnx"
        options = _options(threads=1)
        options.optimized_model_filepath = str(path)
        # The graph is written before weights are laid out for the kernels, which here never run.
        options.add_session_config_entry("session.disable_prepacking", "1")
        _loaded(model, options, subject)
        return read_bounded(path, "a smaller network")


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ONLY_FATAL
    # Threads that wait actively for more work would disturb the session that is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _loaded(
    model: bytes, options: onnxruntime.SessionOptions, subject: object
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(model, options, providers=PROVIDERS)
    except ORT_ERRORS as error:
        raise UnsupportedOperationError(
            f"ONNX Runtime does not load {subject}: {first_line(error)}"
        ) from error
