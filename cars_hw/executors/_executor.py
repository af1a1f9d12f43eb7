"""The contract of an executor: it runs one task on many inputs, here or elsewhere, with the same results."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MappingProxyType, TracebackType
from typing import ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from devices.foundation import CarsHwError, ConfigError

_In = TypeVar("_In")
_Out = TypeVar("_Out")

#: What all inputs of one ``map`` have in common, by name.
Shared = Mapping[str, NDArray[np.generic]]
#: A function of an input, and of what all inputs have in common.
Task = Callable[[_In, Shared], _Out]

NOTHING: Shared = MappingProxyType({})
#: A task that has ended so many workers is not given to another one.
MOST_DEATHS = 3
#: Seconds from one call of ``while_waiting`` to the next.
LOOK_S = 0.1
_MOST_WORKERS = 1024
_PLAIN = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True)
class Place:
    """Where a device is that tasks can measure on.

    Attributes:
        device: ``NAME[:ADDRESS]``, as its host connects to it.
        host: A name of the host, for the executor; empty: this machine.
    """

    device: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.device} of {self.host[:12]}" if self.host else self.device


class TaskError(CarsHwError):
    """A task was refused by an error of ours in a worker; the text is that error's."""


class WorkerLostError(CarsHwError):
    """A task could not be done: workers end at it, or there are none any more."""


def go_on() -> None:
    """Do nothing while results are waited for."""


class Executor(ABC):
    """Runs a task on inputs that do not depend on each other; a plug-in is a file with one subclass.

    What a worker needs to start is started by the first ``map``, and again by the next one after ``close``.

    Args:
        workers: How many inputs are worked on at once; ``None``: one for each core that there is.
        address: Where, for an executor that has several places; empty for the usual one.

    Attributes:
        is_in_process: Whether tasks run in this process, and so see what is not among their inputs.

    Raises:
        ConfigError: ``workers`` is no number from 1 to 1024, or the executor has no such address.
    """

    is_in_process: ClassVar[bool] = False

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        if workers is not None and not 1 <= workers <= _MOST_WORKERS:
            raise ConfigError(f"workers is {workers}; it is a whole number from 1 to {_MOST_WORKERS}")
        self._asked_workers, self.address = workers, address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._asked_workers or ''}{self.address and f', {self.address}'})"

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many inputs are worked on at once."""

    @abstractmethod
    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        """Yield the number of each input with what ``task`` makes of it, as they are finished.

        A worker that ends, whatever ended it, has its input given to another one. Where the caller stops
        asking, inputs that were not begun are dropped, and results of the others are thrown away.

        Args:
            task: A function of a module, that another process could import by its name.
            inputs: Plain values: numbers, text, bytes, ``None`` and numpy arrays, in lists, tuples and
                dictionaries with text as keys. So are the results.
            shared: Arrays that every call gets; they go to each worker once. A task does not write to them.
            while_waiting: Called several times a second while there is nothing to yield, where tasks run
                elsewhere; what it raises ends this.

        Raises:
            TypeError: The task is another one, or an input or a result is not plain.
            TaskError: The task was refused by an error of ours, in a worker.
            WorkerLostError: Workers end at a task, one after the other.
        """

    def places(self, device: str) -> tuple[Place, ...]:
        """Return where there is a device called ``device``; here, on this machine.

        Args:
            device: ``NAME[:ADDRESS]``.

        Raises:
            ConfigError: There is none, or the executor cannot be reached.
        """
        return (Place(device),)

    def at(self, place: Place) -> "Executor":
        """Return an executor of one worker beside the device at ``place``; it is ended on its own.

        Several of them work at once, each for a thread of its own.
        """
        return type(self)(1, self.address)

    def connect(self) -> None:  # noqa: B027  (most have nothing to reach)
        """Reach where tasks run, where that is elsewhere: better now than when there is a task.

        Raises:
            ConfigError: That is not possible.
        """

    def close(self) -> None:  # noqa: B027  (what runs in this process has nothing to end)
        """End the workers; what they were doing is lost."""


def task_name(task: object) -> str:
    """Return the name by which another process imports ``task``: ``package.module:function``.

    Raises:
        TypeError: It has none: it is a lambda, a method, or a function within another.
    """
    if (
        not isinstance(task, FunctionType)
        or task.__qualname__ != task.__name__
        or task.__name__ == "<lambda>"
    ):
        raise TypeError(f"{task!r:.80} is no function of a module")
    return f"{task.__module__}:{task.__name__}"


def run_named(name: str, given: object, shared: Shared) -> object:
    """Return what the task called ``name`` makes of ``given``; for the worker's side."""
    module, _, function = name.partition(":")
    task = getattr(importlib.import_module(module), function)
    task_name(task)
    found: object = task(given, shared)
    return found


def require_plain(value: object, where: str) -> None:
    """Refuse what does not go from one process to another as it is.

    Raises:
        TypeError: ``value`` is none of the plain values that ``Executor.map`` names.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r:.64}, which is no text")
            require_plain(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            require_plain(inner, where)
    elif type(value) not in _PLAIN and not (isinstance(value, np.ndarray) and value.dtype.kind in "biuf"):
        raise TypeError(f"{where} is a {type(value).__name__}, which is not plain")
