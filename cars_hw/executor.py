"""Executor: runs one task on many inputs, here or, one day, elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Protocol, TypeVar

import numpy as np

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_PLAIN = (type(None), bool, int, float, str, bytes)


class Executor(Protocol):
    """Runs a task on inputs that do not depend on each other."""

    def map(self, task: Callable[[_In], _Out], inputs: Sequence[_In]) -> Iterator[tuple[int, _Out]]:
        """Yield the number of each input with what ``task`` makes of it, as they are finished.

        Args:
            task: A function of a module, that another process could import by its name.
            inputs: Plain values: numbers, text, bytes, ``None`` and numpy arrays, in lists, tuples and
                dictionaries with text as keys. So are the results.

        Raises:
            TypeError: The task is another one, or an input or a result is not plain.
        """
        ...


class InProcess:
    """Runs the task in this process, one input after the other; holds it to the rules of all executors."""

    def map(self, task: Callable[[_In], _Out], inputs: Sequence[_In]) -> Iterator[tuple[int, _Out]]:
        """Yield the number of each input with its result, in order."""
        _require_of_module(task)
        for index, given in enumerate(inputs):
            _require_plain(given, f"input {index}")
            found = task(given)
            _require_plain(found, f"result {index}")
            yield index, found


def _require_of_module(task: object) -> None:
    """Refuse what no other process can import: a lambda, a method, a function within another."""
    if (
        not isinstance(task, FunctionType)
        or task.__qualname__ != task.__name__
        or task.__name__ == "<lambda>"
    ):
        raise TypeError(f"{task!r:.80} is no function of a module")


def _require_plain(value: object, where: str) -> None:
    """Refuse what does not go from one process to another as it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r:.64}, which is no text")
            _require_plain(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            _require_plain(inner, where)
    elif type(value) not in _PLAIN and not (isinstance(value, np.ndarray) and value.dtype.kind in "biuf"):
        raise TypeError(f"{where} is a {type(value).__name__}, which is not plain")
