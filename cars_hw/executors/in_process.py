"""In this process, one input after the other."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cars_hw.executors._executor import (
    NOTHING,
    Executor,
    Shared,
    Task,
    go_on,
    require_plain,
    task_name,
)
from devices.foundation import ConfigError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class InProcess(Executor):
    """Runs the task in this process, in the order of its inputs; holds it to the rules of all executors."""

    is_in_process = True

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        super().__init__(workers, address)
        if address or workers not in (None, 1):
            raise ConfigError("in_process is one worker without an address; take processes for more")

    @property
    def workers(self) -> int:
        return 1

    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        task_name(task)
        for index, given in enumerate(inputs):
            require_plain(given, f"input {index}")
            found = task(given, shared)
            require_plain(found, f"result {index}")
            yield index, found
