"""Answer: what a worker sends back."""

from dataclasses import dataclass
from typing import Any

from cars_hw.executors._executor import Shared, require_plain, run_named
from devices.foundation import CarsHwError


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        value: The result, plain, of the type that the task says.
        refusal: The text of an error of ours, in whose place there is no result; else empty.
    """

    value: Any = None
    refusal: str = ""


def answer_to(task: str, value: object, shared: Shared) -> Answer:
    """Do the task of that name, and return what came of it.

    Raises:
        TypeError: The result is not plain.
    """
    try:
        found = run_named(task, value, shared)
    except CarsHwError as error:
        return Answer(refusal=str(error))
    require_plain(found, "a result")
    return Answer(found)
