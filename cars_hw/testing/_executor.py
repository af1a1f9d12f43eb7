"""What every executor promises."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cars_hw import executors
from cars_hw.executors import Executor, Shared, WorkerLostError
from devices import CarsHwError
from devices.foundation import ConfigError

#: Inputs that come twice, so that two workers have several each.
_NUMBERS = (3, 1, 2, 3)


def times_sum(number: object, shared: Shared) -> list[float]:
    """Return ``number``, and as often the sum of what is shared as ``a``; 0 where nothing is."""
    times = float(str(number))
    return [times, times * float(np.sum(shared["a"])) if "a" in shared else 0.0]


def refused(number: int, shared: Shared) -> int:
    """Refuse all but 1."""
    if number != 1:
        raise ConfigError(f"the number is {number}; it should be 1")
    return number


def dead_once(path: str, shared: Shared) -> str:
    """End the process that runs this, unless that was done before; ``path`` tells."""
    if path and not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def dead(number: int, shared: Shared) -> int:
    """End the process that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(seconds: float, shared: Shared) -> float:
    """Take so long."""
    time.sleep(seconds)
    return seconds


class _StopError(Exception):
    """Of who does not wait any longer."""


class ExecutorContract:
    """Tests of an executor of two workers, or of the one that it has.

        class TestMyExecutor(ExecutorContract):
            name = "my_lab.batch_queue"

    Attributes:
        name: The plug-in's.
    """

    name: str

    @classmethod
    def load(cls) -> Executor:
        """Return the executor."""
        return executors.load(cls.name, 2)

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Iterator[Executor]:
        """The executor, for all tests: each leaves it such that the next one can use it."""
        with cls.load() as executor:
            yield executor

    def test_each_result_comes_once_with_the_number_of_its_input(self, executor: Executor) -> None:
        shared: dict[str, NDArray[np.generic]] = {
            "a": np.arange(5, dtype=np.float32).reshape(1, 5),
            "none": np.zeros((0, 3), np.int8),
        }
        found = sorted(executor.map(times_sum, _NUMBERS, shared=shared))
        assert found == [(0, [3.0, 30.0]), (1, [1.0, 10.0]), (2, [2.0, 20.0]), (3, [3.0, 30.0])]

    def test_each_call_has_arrays_of_its_own(self, executor: Executor) -> None:
        for values in ([1.0], [1.0, 2.0], [5.0]):
            shared: dict[str, NDArray[np.generic]] = {"a": np.array(values)}
            assert {sums for _, (_, sums) in executor.map(times_sum, [1, 1], shared=shared)} == {sum(values)}
        assert [sums for _, (_, sums) in executor.map(times_sum, [1])] == [0.0]

    def test_there_are_no_results_of_no_inputs(self, executor: Executor) -> None:
        assert list(executor.map(times_sum, [])) == []

    def test_an_error_of_ours_is_told_by_its_text(self, executor: Executor) -> None:
        with pytest.raises(CarsHwError, match="the number is 2; it should be 1"):
            list(executor.map(refused, [1, 2]))
        assert list(executor.map(refused, [1])) == [(0, 1)]

    def test_what_no_other_process_could_import_is_no_task(self, executor: Executor) -> None:
        with pytest.raises(TypeError, match="is no function of a module"):
            list(executor.map(lambda number, shared: number, [1]))

    def test_an_input_that_is_not_plain_is_refused(self, executor: Executor) -> None:
        with pytest.raises(TypeError, match="input 1"):
            list(executor.map(times_sum, [1, object()]))

    def test_who_stops_asking_can_ask_for_something_else(self, executor: Executor) -> None:
        results = executor.map(slow, [0.0, 0.1, 0.1, 0.1])
        next(results)
        del results
        assert list(executor.map(refused, [1])) == [(0, 1)]

    def test_workers_that_were_ended_are_started_again(self, executor: Executor) -> None:
        executor.close()
        assert list(executor.map(refused, [1])) == [(0, 1)]

    def test_what_is_raised_while_waiting_ends_it(self, executor: Executor) -> None:
        _require_elsewhere(executor)

        def stop() -> None:
            raise _StopError

        with pytest.raises(_StopError):
            list(executor.map(slow, [0.3], while_waiting=stop))
        assert list(executor.map(refused, [1])) == [(0, 1)]

    def test_the_task_of_a_worker_that_dies_is_given_out_again(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        _require_elsewhere(executor)
        inputs = [str(tmp_path / "died"), "", ""]
        assert sorted(executor.map(dead_once, inputs)) == list(enumerate(inputs))

    def test_a_task_that_ends_every_worker_is_given_up(self, executor: Executor) -> None:
        _require_elsewhere(executor)
        with pytest.raises(WorkerLostError, match="--workers 1"):
            list(executor.map(dead, [1]))
        assert list(executor.map(refused, [1])) == [(0, 1)]

    @pytest.mark.parametrize("workers", [0, -1, 1025])
    def test_an_impossible_number_of_workers_is_refused(self, workers: int) -> None:
        with pytest.raises(ConfigError, match=f"workers is {workers}; it is a whole number from 1 to 1024"):
            executors.load(self.name, workers)


def _require_elsewhere(executor: Executor) -> None:
    if executor.is_in_process:
        pytest.skip("its tasks run in this process")
