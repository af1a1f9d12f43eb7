"""What is installed on a board, and the command that installs there what is missing."""

from collections.abc import Mapping, Sequence
from contextlib import closing

from devices import DeviceError, RemoteHost
from devices.foundation import one_line
from profilers.runtimes._board.conversation import Program, ProgramEndedError

#: Starting Python and loading the runtimes takes seconds, on the slowest boards half a minute.
_LIMIT_S = 120.0

#: Either of these measures: what the program calls it, and how pip does.
_RUNTIMES = {"onnxruntime": "onnxruntime", "tflite": "ai-edge-litert"}


def why_incomplete(device: RemoteHost) -> str | None:
    """Return what a board lacks, with the command that installs it there; ``None``: it can be measured on.

    Raises:
        DeviceError: The program does not start there, or the board was lost.
    """
    with closing(Program(device, _LIMIT_S)) as program:
        try:
            found = program.ask({"do": "look"}).fields
        except ProgramEndedError as ended:
            raise does_not_run(device, ended) from ended
    has_numpy = isinstance(found.get("numpy"), str)
    if has_numpy and any(isinstance(found.get(name), str) for name in _RUNTIMES):
        return None
    why = _why(found)
    if why is not None:
        return why
    packages = [*([] if has_numpy else ["numpy"]), _RUNTIMES["onnxruntime"]]
    missing = "no runtime" if has_numpy else "no numpy"
    return f"{install(device, missing, packages)} (or {_RUNTIMES['tflite']})"


def does_not_run(device: RemoteHost, ended: ProgramEndedError) -> DeviceError:
    """Return what is said of a Python on a board that does not run the program."""
    return DeviceError(
        f"{device.python()} on the board does not run the program that measures ({ended}); "
        "it needs Python 3.8 or later: name one by ?python=/path"
    )


def install(device: RemoteHost, missing: str, packages: Sequence[str]) -> str:
    """Return that Python on a board has ``missing``, and the command by which pip installs ``packages``."""
    names = " ".join(packages)
    return f"Python on the board has {missing}; install it there: {device.python()} -m pip install {names}"


def _why(found: Mapping[str, object]) -> str | None:
    """Return why something that is installed there does not load; ``None`` where nothing is."""
    for name in ("numpy", *_RUNTIMES):
        match found.get(name):
            case {"why": str(why)}:
                return f"{name} is on the board, but does not load: {one_line(why)}; install it anew there"
    return None
