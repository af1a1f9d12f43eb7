"""Steps that a device takes or leaves out: torch's own SGD to the bit, or nothing at all."""

import math

import pytest
import torch
from torch.nn import Parameter

from cars_hw.weights.stepping.sgd import Sgd

_YES, _NO = torch.tensor(True), torch.tensor(False)


def _parameters() -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(), (7,), (16, 3, 3, 3), (33, 1, 5, 5)]
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    tensors[2] = tensors[2].to(memory_format=torch.channels_last)
    return [Parameter(tensor) for tensor in tensors]


def _give_gradients(parameters: list[Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 3e-4])
def test_steps_are_those_of_torch_bit_for_bit(momentum: float, weight_decay: float) -> None:
    ours, theirs = _parameters(), _parameters()
    sgd = Sgd(momentum=momentum, weight_decay=weight_decay)
    reference = torch.optim.SGD(theirs, lr=1.0, momentum=momentum, weight_decay=weight_decay)
    for seed, rate in enumerate((0.025, 0.0123456, 0.1)):
        for parameters in (ours, theirs):
            _give_gradients(parameters, seed)
        ours[1].grad = theirs[1].grad = None if seed == 1 else ours[1].grad
        sgd.step(ours, torch.tensor(rate), _YES)
        reference.param_groups[0]["lr"] = rate
        reference.step()
    for mine, its in zip(ours, theirs, strict=True):
        assert torch.equal(mine, its)
        if momentum:
            assert torch.equal(sgd.momenta[mine], reference.state[its]["momentum_buffer"])
    assert bool(sgd.momenta) is bool(momentum)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_step_that_is_left_out_moves_neither_weights_nor_momenta(bad: float) -> None:
    parameters, sgd = _parameters(), Sgd(momentum=0.9, weight_decay=3e-4)
    _give_gradients(parameters, 0)
    sgd.step(parameters[:3], torch.tensor(0.1), _YES)
    before = [parameter.detach().clone() for parameter in parameters]
    momenta = [sgd.momenta[parameter].clone() for parameter in parameters[:3]]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, bad)
    sgd.step(parameters, torch.tensor(0.1), _NO)
    assert all(torch.equal(was, now) for was, now in zip(before, parameters, strict=True))
    assert all(torch.equal(was, sgd.momenta[now]) for was, now in zip(momenta, parameters, strict=False))
    assert not sgd.momenta[parameters[3]].any()


def test_only_momenta_of_what_is_kept_stay() -> None:
    parameters, sgd = _parameters(), Sgd(momentum=0.9, weight_decay=0.0)
    _give_gradients(parameters, 0)
    sgd.step(parameters, torch.tensor(0.1), _YES)
    sgd.keep(parameters[:2])
    assert set(sgd.momenta) == set(parameters[:2])
