"""The program on a board, as this side of it sees it: asked over its standard input, and not trusted."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from devices import DeviceError, RemoteHost, ThreadUse
from devices.foundation import one_line
from latency_tables import Conditions, OpSpec
from profilers._messages import Message
from profilers.errors import GarbledOutputError, ProfilingError, WrongOutputError
from profilers.runtimes._board.conversation import MissingPackageError, Program, ProgramEndedError, told
from profilers.runtimes._board.installed import does_not_run, install
from profilers.runtimes._on_board import Execution, Loaded
from profilers.runtimes._reference import INPUT_TYPES, Values
from profilers.runtimes._runtime import LoweredModel, Timed

#: Longest that one load, or one block, takes on the board; the program there is killed by then.
LIMIT_S = 600.0

#: No call takes longer.
_LONGEST_S = 86400.0

_HIGHEST_RANK = 16

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z .+!_-]{0,63}")


class BoardProcess:
    """A program that loads models and runs blocks on a board, on the processors that ``quiet`` chose.

    Args:
        device: The board.
        execution: What executes there.
        limit_s: Longest that a load, or a block, takes.

    Attributes:
        version: Of the runtime there.

    Raises:
        DeviceError: The program does not start, the board lacks what it needs, or was lost.
    """

    def __init__(self, device: RemoteHost, execution: Execution, *, limit_s: float = LIMIT_S) -> None:
        self._device, self._execution, self._limit_s = device, execution, limit_s
        self._program = Program(device, limit_s)
        with ExitStack() as on_error:
            on_error.callback(self._program.close)
            self.version = self._begun()
            on_error.pop_all()

    def load(self, place: int, spec: OpSpec, model: LoweredModel, *, profile_folder: str = "") -> Conditions:
        """Load a model, run it once and compare its output; return what is kept with its entry.

        Args:
            place: Its number, which nothing else has.
            spec: Gives the shapes of its inputs.
            model: In the runtime's format.
            profile_folder: Where all of its calls are profiled, on the board; empty: nowhere.

        Raises:
            ProgramEndedError: That ended the program.
            ProfilingError: It does not run there, or gives wrong numbers.
            DeviceError: The board lacks what it needs, or was lost.
        """
        inputs = self._execution.inputs(spec)
        fields = {
            "do": "load",
            "place": place,
            "model_bytes": len(model.content),
            "is_optimised": model.is_optimised,
            "inputs": [[values.dtype.name, list(values.shape)] for values in inputs],
            "profile_folder": profile_folder,
        }
        contents = [model.content, *(values.tobytes() for values in inputs)]
        try:
            answer = self._program.ask(fields, contents, places=[place])
        except ProfilingError as error:
            raise type(error)(f"{spec} on the board: {error}") from error
        try:
            with _understood():
                return self._execution.checked(spec, _loaded(answer), model.reference)
        except WrongOutputError:
            self.unload(place)  # nobody else does: what was refused counts as not loaded
            raise

    def run(self, blocks: Sequence[tuple[int, int]]) -> Sequence[Timed | ProfilingError]:
        """Run blocks of what was loaded; return of each what it gave, or what ended its workload.

        Raises:
            ProgramEndedError: One of them ended the program.
            DeviceError: The board was lost.
        """
        asked = {"do": "run", "blocks": [list(block) for block in blocks]}
        found = self._program.ask(asked, places=[place for place, _ in blocks]).fields.get("blocks")
        with _understood():
            if not isinstance(found, list) or len(found) != len(blocks):
                raise GarbledOutputError("the board did not run the blocks that it was given")
            return [_block(one) for one in found]

    def unload(self, place: int) -> None:
        """Forget what was loaded.

        Raises:
            ProgramEndedError: The program has ended.
        """
        self._program.ask({"do": "unload", "place": place})

    def optimised(self, model: bytes, folder: str, *, max_bytes: int) -> bytes:
        """Return the graph that the runtime makes of a model there, not trusted.

        Args:
            model: In the runtime's format.
            folder: For the file, on the board.
            max_bytes: The most that it may have.

        Raises:
            ProgramEndedError: That ended the program.
            ProfilingError: The runtime does not load it, or the graph is too large.
        """
        return self._content({"do": "optimised", "folder": folder}, model, max_bytes)

    def profiled(self, place: int, *, max_bytes: int) -> bytes:
        """End the profile of a model that was loaded for one, and return it, not trusted.

        Raises:
            ProgramEndedError: The program has ended.
            ProfilingError: There is none, or it is too large.
        """
        return self._content({"do": "profiled", "place": place}, b"", max_bytes)

    def close(self) -> None:
        """End the program, whatever it does."""
        self._program.close()

    def _begun(self) -> str:
        execution = self._execution
        fields = {"do": "begin", "runtime": execution.name, "limit_s": self._limit_s}
        try:
            answer = self._program.ask({**fields, **execution.options}).fields
        except MissingPackageError as error:
            text = install(self._device, f"no {one_line(error.module, 40)}", execution.packages)
            raise DeviceError(text) from error
        except ProgramEndedError as ended:
            raise does_not_run(self._device, ended) from ended
        match answer:
            case {"version": str(version)} if _VERSION.fullmatch(version):
                return version
        raise DeviceError(f"the board tells {answer!r:.80} in place of a version")

    def _content(self, fields: Mapping[str, object], content: bytes, max_bytes: int) -> bytes:
        found = self._program.ask(fields, [content]).content
        if len(found) > max_bytes:
            raise ProfilingError(f"the board gives {len(found)} bytes; up to {max_bytes} are read")
        return found


@contextmanager
def _understood() -> Iterator[None]:
    """Believe no word more of a program that has contradicted itself."""
    try:
        yield
    except GarbledOutputError as error:
        raise ProgramEndedError(None, error) from error


def _loaded(message: Message) -> Loaded:
    """Read what a board tells of a model that it has loaded.

    Raises:
        GarbledOutputError: It contradicts itself.
    """
    match message.fields:
        case {"outputs": list(listed), "nodes": nodes} if listed:
            nodes = nodes or []
            if isinstance(nodes, list) and all(isinstance(node, dict) for node in nodes):
                return Loaded(_outputs(listed, message.content), nodes)
    raise GarbledOutputError("the board does not tell what a model computed")


def _outputs(listed: Sequence[Any], content: bytes) -> list[Values]:
    outputs: list[Values] = []
    start = 0
    for one in listed:
        match one:
            case [str(kind), list(shape)] if kind in INPUT_TYPES and _is_shape(shape):
                end = start + math.prod(shape) * np.dtype(kind).itemsize
                if end > len(content):
                    raise GarbledOutputError("the board cut what a model computed")
                outputs.append(np.frombuffer(content[start:end], kind).reshape(shape))
                start = end
            case _:
                raise GarbledOutputError(f"the board tells {one!r:.80} in place of an output")
    if start != len(content):
        raise GarbledOutputError(f"the board gave {len(content)} bytes of outputs, not {start}")
    return outputs


def _is_shape(found: Sequence[object]) -> bool:
    return len(found) <= _HIGHEST_RANK and all(isinstance(size, int) and size >= 0 for size in found)


def _block(found: object) -> Timed | ProfilingError:
    match found:
        case {"error": str(kind), "message": str(text)}:
            error = told(kind, text)
            return error if isinstance(error, ProfilingError) else ProfilingError(str(error))
        case {"latency_s": float(latency_s), "used": None} if 0 < latency_s < _LONGEST_S:
            return Timed.of(latency_s, None)
        case {"latency_s": float(latency_s), "used": [int(switches), float(cpu_s)]} if (
            0 < latency_s < _LONGEST_S and switches >= 0 and 0 <= cpu_s < math.inf
        ):
            return Timed.of(latency_s, ThreadUse(switches, cpu_s))
    raise GarbledOutputError(f"the board tells {found!r:.80} in place of a block")
