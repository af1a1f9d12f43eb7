"""An executor: what it yields, and what it refuses since another process could not take it."""

from functools import partial

import numpy as np
import pytest

from cars_hw.executors import Shared
from cars_hw.executors.in_process import InProcess


def _doubled(values: dict[str, object], shared: Shared) -> list[object]:
    return [values["n"], values["n"]]


def _as_object(n: int, shared: Shared) -> object:
    return {n}


class _Doubler:
    def double(self, n: int, shared: Shared) -> int:
        return 2 * n


def test_results_come_with_the_number_of_their_input() -> None:
    inputs: list[dict[str, object]] = [{"n": 3, "more": (None, b"x", 1.5)}, {"n": np.arange(2)}]
    found = dict(InProcess().map(_doubled, inputs))
    assert found[0] == [3, 3]
    assert list(found) == [0, 1]


def test_an_input_is_not_worked_on_before_it_is_asked_for() -> None:
    done: list[int] = []
    _done_by.clear()
    results = InProcess().map(_noted, [1, 2])
    assert next(results) == (0, 1)
    done += _done_by
    assert done == [1]


_done_by: list[int] = []


def _noted(n: int, shared: Shared) -> int:
    _done_by.append(n)
    return n


@pytest.mark.parametrize("task", [lambda n, shared: n, _Doubler().double, partial(_noted), print])
def test_what_no_other_process_could_import_is_no_task(task: object) -> None:
    assert callable(task)
    with pytest.raises(TypeError, match="is no function of a module"):
        list(InProcess().map(task, [1]))


@pytest.mark.parametrize("given", [{1}, [object()], {"a": {2: 3}}, np.array([object()]), np.float64(1)])
def test_an_input_that_is_not_plain_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match="input 0"):
        list(InProcess().map(_as_object, [given]))  # type: ignore[arg-type]


def test_a_result_that_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError, match="result 0 is a set"):
        list(InProcess().map(_as_object, [1]))
