"""The scale of the loss, against torch's own for the same steps."""

import pytest
import torch

from cars_hw.weights.stepping.loss_scale import LossScale

_CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(set[int](), marks=pytest.mark.slow),
        pytest.param({0}, marks=pytest.mark.slow),
        {5, 6, 1999},
        pytest.param({1000, 3000}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_it_is_torchs_scale_after_each_step(bad: set[int]) -> None:
    ours, theirs = LossScale(_CPU), torch.amp.GradScaler("cpu")
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    theirs.scale(torch.ones(()))
    for step in range(4100):
        parameter.grad = torch.full((2,), torch.inf if step in bad else 1.0)
        theirs.unscale_(optimizer)
        theirs.step(optimizer)
        theirs.update()
        ours.add(torch.tensor(step not in bad))
        if step % 500 == 0 or step in bad or step > 4090:
            assert float(ours.factor) == theirs.get_scale()
    assert float(ours.factor) == theirs.get_scale()


def test_it_grows_to_no_infinity_as_torchs_does_not() -> None:
    ours = LossScale(_CPU)
    ours.restore({"factor": torch.tensor(2.0**127), "taken": torch.tensor(1999)})
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1)
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    theirs.scale(torch.ones(()))
    theirs.step(optimizer)
    theirs.update()
    ours.add(torch.tensor(True))
    assert float(ours.factor) == theirs.get_scale() == 2.0**127
    assert int(ours.taken) == 0


def test_it_is_restored_and_begins_anew_without_a_state() -> None:
    scale, other = LossScale(_CPU), LossScale(_CPU)
    for is_taken in (False, True, True):
        scale.add(torch.tensor(is_taken))
    factor = other.factor
    other.restore(scale.tensors())
    assert (float(other.factor), int(other.taken)) == (2.0**15, 2)
    assert other.factor is factor, "a recorded graph reads this very tensor"
    other.restore({})
    assert (float(other.factor), int(other.taken)) == (2.0**16, 0)
