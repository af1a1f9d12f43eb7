"""The program that measures on a board: one file, which needs numpy and a runtime, and nothing of ours.

It runs under Python 3.8 and later, and answers messages: a JSON object and raw bytes, each with its length
ahead. It loads models, runs blocks of calls in the order that is given, and returns each raw figure with what
disturbed it. It decides nothing: what it computed is compared where it is asked from.

It is two processes. The one that was started has a thread that reads standard input and passes it on to the
other, and when that input ends it kills the other and ends, whatever that does: a connection that breaks
leaves nothing at work. The other one loads the runtime and answers. How it ended is a message too, since what
carries the messages tells of several ends by one number; so is what it was at, which it keeps in memory that
both share.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import platform
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

try:
    import resource
except ImportError:  # no system that boards run
    resource = None  # type: ignore[assignment]

_HEAD = struct.Struct(">4sIQ")
_MARK = b"CHW1"
_PLACE = struct.Struct("=q")
_PIECE_BYTES = 1 << 20

#: Nothing is at work.
_IDLE = -1

_SET_PARENT_DEATH_SIGNAL = 1

#: Of TFLite, both with the same interface.
_TFLITE = ("ai_edge_litert", "tflite_runtime")

#: ONNX Runtime would write its errors to the terminal as well.
_ONLY_FATAL = 4

if TYPE_CHECKING:  # Python 3.8 cannot make it
    Fields = Mapping[str, Any]


class RefusedError(Exception):
    """What was asked for cannot be done.

    Args:
        kind: Name of the error that this is where it was asked for.
        message: One line.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message.strip().partition("\n")[0])
        self.kind = kind


def main() -> None:
    """Serve standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it takes processor time, and leaves files
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    shared = mmap.mmap(-1, _PLACE.size)
    asked, passed_on = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(passed_on)
        _end_with(parent)
        _serve_and_exit(asked, answers, shared)
    os.close(asked)
    threading.Thread(target=_pass_on, args=(passed_on, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    _send(answers, {"ended": ended, "place": _PLACE.unpack(shared[: _PLACE.size])[0]})
    os._exit(0)  # not waiting for the thread that reads


def _pass_on(target: int, child: int) -> None:
    """Pass standard input on, and end everything when it ends."""
    piece = b"-"
    while piece:
        piece = os.read(0, _PIECE_BYTES)
        try:
            _write(target, piece)
        except BrokenPipeError:
            return  # the other process has ended, which is told
    try:
        os.kill(child, signal.SIGKILL)
    finally:  # the child may have ended by itself just before
        os._exit(0)


def _end_with(parent: int) -> None:
    """Have the system kill this process with the one that started it, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve_and_exit(asked: int, answers: int, shared: mmap.mmap) -> None:
    try:
        serve(asked, answers, shared)
        os._exit(0)
    finally:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def serve(asked: int, answers: int, shared: mmap.mmap) -> None:
    """Answer each message, the first of which says with what everything is run.

    Args:
        asked: Where messages are read.
        answers: Where answers are written.
        shared: Holds the number of what is at work.
    """
    worker = None
    while True:
        shared[: _PLACE.size] = _PLACE.pack(_IDLE)
        message = _receive(asked)
        if message is None:
            return
        fields, content = message
        answer: Mapping[str, object]
        contents: list[bytes] = []
        try:
            if fields["do"] == "look":
                answer = look()
            elif worker is None:
                worker = Worker(fields, shared)
                answer = worker.identity()
            else:
                answer, contents = worker.answer(fields, content)
        except RefusedError as error:
            answer = {"error": error.kind, "message": str(error)}
        _send(answers, answer, contents)


def look() -> dict[str, object]:
    """Return what is here: a version of each, or nothing where it is not there, or why it does not load."""
    found: dict[str, object] = {"python": platform.python_version()}
    for name, version in (
        ("numpy", _numpy_version),
        ("onnxruntime", _ort_version),
        ("tflite", _tflite_version),
    ):
        try:
            found[name] = version()
        except ImportError as error:
            is_absent = isinstance(error, ModuleNotFoundError)
            found[name] = None if is_absent else {"why": str(error).strip().partition("\n")[0]}
    return found


class Worker:
    """Holds models and runs blocks of their calls.

    Args:
        fields: The runtime by its name, its threads and settings, and the longest time of a step.
        shared: Is told what is at work.
    """

    def __init__(self, fields: Fields, shared: mmap.mmap) -> None:
        self._shared, self._limit_s = shared, float(fields["limit_s"])
        self._models: dict[int, Any] = {}
        name = fields["runtime"]
        try:
            self._numpy = importlib.import_module("numpy")
            self._runtime: Any = {"onnxruntime": OnnxRuntime, "tflite": TfLite}[name](fields)
        except ModuleNotFoundError as error:
            raise RefusedError("Missing", str(error.name)) from error
        except ImportError as error:
            raise RefusedError("DeviceError", f"{name} does not load: {error}") from error

    def identity(self) -> dict[str, object]:
        """Return what runs here."""
        return {
            "process": os.getpid(),
            "version": self._runtime.version(),
            "python": platform.python_version(),
            "numpy": self._numpy.__version__,
        }

    def answer(self, fields: Fields, content: bytes) -> tuple[Mapping[str, object], list[bytes]]:
        """Return what is answered to a request: its JSON object and its raw bytes."""
        do = fields["do"]
        if do == "load":
            return self._load(fields, content)
        if do == "run":
            return {"blocks": [self._block(place, n) for place, n in fields["blocks"]]}, []
        if do == "unload":
            self._models.pop(fields["place"], None)
            return {}, []
        if do == "optimised":
            return {}, [self._timely(_IDLE, lambda: self._runtime.optimised(content, fields["folder"]))]
        if do == "profiled":
            return {}, [self._models[fields["place"]].profiled()]
        raise RefusedError("ProfilingError", f"{do!r} is no request")

    def _load(self, fields: Fields, content: bytes) -> tuple[Mapping[str, object], list[bytes]]:
        place, end = fields["place"], fields["model_bytes"]
        model = content[:end]
        inputs = []
        for kind, shape in fields["inputs"]:
            count = 1
            for size in shape:
                count *= size
            values = self._numpy.frombuffer(content, kind, count, offset=end)
            inputs.append(values.reshape(shape))
            end += values.nbytes

        def loaded() -> list[Any]:
            made = self._runtime.load(model, inputs, fields)
            outputs: list[Any] = made.outputs()
            self._models[place] = made  # one that does not run is not kept
            return outputs

        outputs = [self._number_array(output) for output in self._timely(place, loaded)]
        answer = {
            "outputs": [[values.dtype.name, list(values.shape)] for values in outputs],
            "nodes": self._models[place].nodes(),
        }
        return answer, [values.tobytes() for values in outputs]

    def _number_array(self, output: object) -> Any:
        """Return an output as an array; text, which is no number, as no numbers at all."""
        values = self._numpy.asarray(output)
        return values if values.dtype.kind in "biuf" else self._numpy.zeros(0, "float32")

    def _block(self, place: int, n: int) -> Mapping[str, object]:
        """Time ``n`` calls; one runs before, since other models have emptied the caches."""
        try:
            block: Mapping[str, object] = self._timely(place, lambda: _timed(self._models[place].run, n))
            return block
        except RefusedError as error:
            return {"error": error.kind, "message": str(error)}

    def _timely(self, place: int, do: Callable[[], Any]) -> Any:
        """Do something; the system ends this process where it takes too long."""
        self._shared[: _PLACE.size] = _PLACE.pack(place)
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        try:
            return do()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)


def _timed(run: Callable[[int], None], n: int) -> Mapping[str, object]:
    run(1)
    before = _used()
    start_s = time.perf_counter()
    run(n)
    latency_s = (time.perf_counter() - start_s) / n
    after = _used()
    used = None
    if before is not None and after is not None:
        used = [after[0] - before[0], after[1] - before[1]]
    return {"latency_s": latency_s, "used": used}


def _used() -> tuple[int, float] | None:
    """Return how often this thread was taken off its processor, and for how many seconds it ran."""
    if resource is None or not hasattr(resource, "RUSAGE_THREAD"):
        return None
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw, time.thread_time()


class OnnxRuntime:
    """ONNX Runtime on the processors.

    Args:
        fields: Its threads.
    """

    def __init__(self, fields: Fields) -> None:
        self._ort = importlib.import_module("onnxruntime")
        state = self._ort.capi.onnxruntime_pybind11_state
        names = (
            *("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf"),
            *("NotImplemented", "RuntimeException"),
        )
        own = [getattr(state, name) for name in names if hasattr(state, name)]
        self.errors: tuple[type[Exception], ...] = (*own, RuntimeError, UnicodeDecodeError)
        self._threads = fields["threads"]

    def version(self) -> str:
        """Return its version."""
        return str(self._ort.__version__)

    def load(self, content: bytes, inputs: Sequence[Any], fields: Fields) -> OnnxModel:
        """Load a model, to be profiled where a folder for that is given."""
        options = self._options(self._threads)
        if fields["is_optimised"]:
            options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if fields["profile_folder"]:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(fields["profile_folder"], "profile")
        return OnnxModel(self._session(content, options), inputs, self.errors)

    def optimised(self, content: bytes, folder: str) -> bytes:
        """Return the graph that it makes of a model here."""
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = os.path.join(own, "optimised.onnx")
            options = self._options(1)
            options.optimized_model_filepath = path
            # The graph is written before weights are laid out for the kernels, which here never run.
            options.add_session_config_entry("session.disable_prepacking", "1")
            self._session(content, options)
            with open(path, "rb") as file:
                return file.read()

    def _options(self, threads: int) -> Any:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ONLY_FATAL
        # Threads that wait actively for more work would disturb the session that is measured next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return options

    def _session(self, content: bytes, options: Any) -> Any:
        try:
            return self._ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except self.errors as error:
            raise RefusedError(
                "UnsupportedOperationError", f"ONNX Runtime does not load it: {error}"
            ) from error


class OnnxModel:
    """A session with its inputs in place.

    Args:
        session: Of ONNX Runtime.
        inputs: In the model's order; the binding refers to their memory.
        errors: What it raises.
    """

    def __init__(self, session: Any, inputs: Sequence[Any], errors: tuple[type[Exception], ...]) -> None:
        self._session, self._inputs, self._errors = session, inputs, errors
        self._binding = session.io_binding()
        nodes = session.get_inputs()
        _require_count(len(nodes), len(inputs))
        for i, node in enumerate(nodes):
            self._binding.bind_cpu_input(node.name, inputs[i])
        for node in session.get_outputs():
            self._binding.bind_output(node.name)

    def run(self, n: int) -> None:
        """Run ``n`` calls."""
        run, binding = self._session.run_with_iobinding, self._binding
        try:
            for _ in range(n):
                run(binding)
        except self._errors as error:
            raise RefusedError("ProfilingError", f"ONNX Runtime failed: {error}") from error

    def outputs(self) -> list[Any]:
        """Run one call, and return what it computed."""
        self.run(1)
        outputs: list[Any] = self._binding.copy_outputs_to_cpu()
        return outputs

    def nodes(self) -> None:
        """Return nothing: a session of one provider has no choice."""

    def profiled(self) -> bytes:
        """Return the profile of all calls so far, and end it."""
        with open(self._session.end_profiling(), "rb") as file:
            return file.read()


class TfLite:
    """LiteRT, or the older tflite_runtime.

    Args:
        fields: Its threads, and whether XNNPACK runs what it can.
    """

    def __init__(self, fields: Fields) -> None:
        self._module = _tflite_module()
        self._fields = fields

    def version(self) -> str:
        """Return the package and its version."""
        return _tflite_version()

    def load(self, content: bytes, inputs: Sequence[Any], fields: Fields) -> TfLiteModel:
        """Load a model, whose inputs are (n, h, w, c)."""
        kinds = self._module.OpResolverType
        kind = kinds.AUTO if self._fields["xnnpack"] else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            interpreter = self._module.Interpreter(
                model_content=content,
                num_threads=self._fields["threads"],
                experimental_op_resolver_type=kind,
            )
            _require_count(len(interpreter.get_input_details()), len(inputs))
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RefusedError("UnsupportedOperationError", f"TFLite does not load it: {error}") from error
        except AttributeError as error:  # its extension was built for another numpy
            raise RefusedError("DeviceError", f"TFLite does not work with this numpy: {error}") from error
        return TfLiteModel(interpreter, inputs)

    def optimised(self, content: bytes, folder: str) -> bytes:
        """Refuse: it runs the graph as it is written."""
        raise RefusedError("UnsupportedOperationError", "TFLite writes no optimised graph")


class TfLiteModel:
    """An interpreter with its inputs in place, which calls leave as they are.

    Args:
        interpreter: With its tensors allocated.
        inputs: In the model's order.
    """

    def __init__(self, interpreter: Any, inputs: Sequence[Any]) -> None:
        self._interpreter = interpreter
        try:
            for i, tensor in enumerate(interpreter.get_input_details()):
                interpreter.set_tensor(tensor["index"], inputs[i])
        except ValueError as error:
            raise RefusedError("ProfilingError", f"the model takes other inputs: {error}") from error

    def run(self, n: int) -> None:
        """Run ``n`` calls."""
        invoke = self._interpreter.invoke
        try:
            for _ in range(n):
                invoke()
        except RuntimeError as error:
            raise RefusedError("ProfilingError", f"TFLite failed: {error}") from error

    def outputs(self) -> list[Any]:
        """Run one call, and return what it computed."""
        self.run(1)
        details = self._interpreter.get_output_details()
        return [self._interpreter.get_tensor(tensor["index"]) for tensor in details]

    def nodes(self) -> list[dict[str, object]]:
        """Return the operations, those of delegates among them: nothing public lists them."""
        return [
            {
                "op_name": str(node["op_name"]),
                "inputs": [int(tensor) for tensor in node["inputs"]],
                "outputs": [int(tensor) for tensor in node["outputs"]],
            }
            for node in self._interpreter._get_ops_details()
        ]

    def profiled(self) -> bytes:
        """Refuse: the package for Python times no operators."""
        raise RefusedError(
            "UnsupportedOperationError", "TFLite's package for Python does not time its operators"
        )


def _require_count(taken: int, given: int) -> None:
    if taken != given:
        raise RefusedError("ProfilingError", f"the model takes {taken} inputs, but {given} are given")


def _numpy_version() -> str:
    return str(importlib.import_module("numpy").__version__)


def _ort_version() -> str:
    return str(importlib.import_module("onnxruntime").__version__)


def _tflite_version() -> str:
    package = _tflite_module().__name__.partition(".")[0]
    distribution = package.replace("_", "-")
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:  # it came by another name, as that of a nightly build
        return f"{distribution} {getattr(importlib.import_module(package), '__version__', 'unknown')}"


def _tflite_module() -> Any:
    """Return the package that runs TFLite.

    Raises:
        ModuleNotFoundError: There is none; it names the one to install.
    """
    for package in _TFLITE:
        try:
            return importlib.import_module(package + ".interpreter")
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError("nothing runs TFLite", name=_TFLITE[0])


def _receive(source: int) -> tuple[Fields, bytes] | None:
    head = _exactly(source, _HEAD.size)
    if not head:
        return None
    mark, text_bytes, content_bytes = _HEAD.unpack(head)
    if mark != _MARK:
        raise ValueError("what arrived is no message")
    return json.loads(_exactly(source, text_bytes)), _exactly(source, content_bytes)


def _exactly(source: int, n: int) -> bytes:
    found = bytearray()
    while len(found) < n:
        piece = os.read(source, min(_PIECE_BYTES, n - len(found)))
        if not piece:
            break
        found += piece
    return bytes(found)


def _send(target: int, fields: Mapping[str, object], contents: Sequence[bytes] = ()) -> None:
    text = json.dumps(fields).encode()
    _write(target, _HEAD.pack(_MARK, len(text), sum(map(len, contents))) + text)
    for content in contents:
        _write(target, content)


def _write(target: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(target, left) :]


if __name__ == "__main__":
    main()
