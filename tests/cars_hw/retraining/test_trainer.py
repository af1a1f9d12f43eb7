"""The trainer of one network against independent arithmetic: rates, losses, gradients, means, skips."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from cars_hw.data import Data
from cars_hw.retraining.trainer import NetworkTrainer, has_bf16
from cars_hw.weights.network import Network
from devices.foundation import ConfigError
from tests.fakes import retraining
from tests.fakes.retraining import images, plain_graph, plan

#: Without augmentation, or anything else that a loop of a few lines does not do.
_BARE: dict[str, object] = {
    "cutout": 0,
    "crop_padding": 0,
    "ema_decay": 0.0,
    "drop_path": 0.0,
    "auxiliary_weight": 0.0,
    "clip_norm": 1e9,
}


def _weights(trainer: NetworkTrainer) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in trainer.kept().state_dict().items()}


def _pixels() -> tuple[torch.Tensor, torch.Tensor]:
    data = images()
    scaled = torch.from_numpy(data.training.images).float() / 255
    mean, std = scaled.mean((0, 2, 3)), scaled.std((0, 2, 3), correction=0)
    normalised = (scaled - mean[:, None, None]) / std[:, None, None]
    return normalised, torch.from_numpy(data.training.labels)


def _train(trainer: NetworkTrainer, steps: int) -> None:
    for _ in range(steps):
        trainer.step()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_it_takes_the_steps_that_a_plain_loop_takes(optimizer: str) -> None:
    made = NetworkTrainer(
        plain_graph(), images(), plan(**_BARE, optimizer=optimizer, batch_size=40, label_smoothing=0.1)
    )
    network = Network.untrained(plain_graph(), seed=3)
    plain: torch.optim.Optimizer = (
        torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-4)
        if optimizer == "sgd"
        else torch.optim.AdamW(network.parameters(), lr=0.05, weight_decay=3e-4)
    )
    pixels, labels = _pixels()
    for step in range(2):  # two epochs of one batch
        plain.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * step / 2)) / 2
        scores = functional.log_softmax(network(pixels), dim=1)
        loss = (-0.9 * scores[range(40), labels] - 0.1 * scores.mean(1)).mean()
        plain.zero_grad()
        loss.backward()
        plain.step()
        assert made.step() == pytest.approx(loss.item(), rel=1e-5)
    for name, one in network.state_dict().items():
        assert torch.allclose(_weights(made)[name], one, atol=1e-6), name


def test_parts_of_a_batch_add_up_to_its_gradient() -> None:
    whole, parts = (NetworkTrainer(plain_graph(), images(), plan(**_BARE, accumulation=n)) for n in (1, 3))
    assert whole.step() == pytest.approx(parts.step(), rel=1e-5)
    for name, one in _weights(whole).items():
        assert torch.allclose(one, _weights(parts)[name], atol=1e-6), name


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # Ten steps, of which five warm up, from 0.05 to 0.01.
        ("linear", [0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.042, 0.034, 0.026, 0.018]),
        ("cosine", [0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.04618, 0.03618, 0.02382, 0.01382]),
    ],
)
def test_the_rate_rises_along_a_line_and_falls_as_the_plan_says(schedule: str, rates: list[float]) -> None:
    made = NetworkTrainer(
        plain_graph(), images(), plan(schedule=schedule, warm_up_epochs=1, final_learning_rate=0.01)
    )
    found = []
    for _ in rates:
        found.append(made.learning_rate)
        made.step()
    assert found == pytest.approx(rates, abs=1e-5)


def test_what_is_kept_is_the_mean_over_steps_where_that_is_asked_for() -> None:
    averaged = NetworkTrainer(plain_graph(), images(), plan(**{**_BARE, "ema_decay": 0.15}))
    last = NetworkTrainer(plain_graph(), images(), plan(**_BARE))
    mean = _weights(last)
    for decay in (min(0.15, 2 / 11), min(0.15, 3 / 12)):
        averaged.step()
        last.step()
        mean = {name: decay * mean[name] + (1 - decay) * one for name, one in _weights(last).items()}
    for name, one in _weights(averaged).items():
        assert torch.allclose(one, mean[name], atol=1e-6), name


def test_the_auxiliary_classifier_is_trained_and_not_kept() -> None:
    made = retraining.trainer(auxiliary_weight=0.4)
    before = {name: np.array(one) for name, one in made.state().arrays.items()}
    made.step()
    after = made.state().arrays
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert any(name.startswith("weights/auxiliary.") for name in moved)
    assert not any("auxiliary" in name for name in made.kept().state_dict())


def test_a_step_without_a_finite_loss_changes_no_weight_and_is_counted() -> None:
    made = NetworkTrainer(plain_graph(), images(), plan(**_BARE))
    state = made.state()
    arrays = {name: np.array(one) for name, one in state.arrays.items()}
    arrays["weights/network.units.classifier.1.bias"][0] = np.nan
    made.restore(type(state)(arrays, state.values))
    before = _weights(made)
    assert math.isnan(made.step())
    assert (made.steps, made.skipped) == (1, 1)
    for name, one in _weights(made).items():
        assert torch.equal(one.nan_to_num(7), before[name].nan_to_num(7))


def test_a_training_that_diverged_ends_with_a_line() -> None:
    made = NetworkTrainer(plain_graph(), images(), plan(**_BARE, epochs=50, learning_rate=1e30))
    with pytest.raises(ConfigError, match="diverged; give a smaller learning_rate than 1e\\+30"):
        _train(made, 200)


def test_initial_tensors_are_taken_where_their_shapes_fit() -> None:
    network = Network.untrained(plain_graph(), seed=9)
    given = {name: one.numpy() for name, one in network.state_dict().items()}
    wrong = {name: np.zeros((2, 2), np.float32) if "bias" in name else one for name, one in given.items()}
    made = NetworkTrainer(plain_graph(), images(), plan(), initial={**wrong, "none of its": np.zeros(1)})
    assert made.taken == len(given) - 1
    drawn = _weights(NetworkTrainer(plain_graph(), images(), plan()))
    for name, one in _weights(made).items():
        assert torch.equal(one, drawn[name] if "bias" in name else network.state_dict()[name])


@pytest.mark.parametrize(
    ("data", "values", "message"),
    [
        (images(shape=(3, 8, 8)), {}, r"takes images of \(1, 8, 8\), stripes has \(3, 8, 8\)"),
        (images(classes=4), {}, "has 10 classes, stripes has 4"),
        (images(), {"batch_size": 41}, "batch_size 41 exceeds the 40 training images"),
        (images(), {"torch_device": "cuda:7"}, "torch_device 'cuda:7' cannot be used"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(
    data: Data, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkTrainer(plain_graph(), data, plan(**values))


def test_bfloat16_is_used_where_the_device_has_it() -> None:
    made = NetworkTrainer(plain_graph(), images(), plan(**_BARE, bf16=True))
    exact = NetworkTrainer(plain_graph(), images(), plan(**_BARE))
    assert made.uses_bf16 == has_bf16(torch.device("cpu"))
    assert not exact.uses_bf16
    assert made.step() == pytest.approx(exact.step(), rel=0.02)
    assert all(one.dtype != torch.bfloat16 for one in made.kept().state_dict().values())


def test_what_it_learns_it_is_judged_by() -> None:
    made = NetworkTrainer(plain_graph(classes=4), images(classes=4), plan(**_BARE, epochs=40))
    before = made.judge(lambda: None)
    _train(made, made.total_steps)
    after = made.judge(lambda: None)
    assert after.images.tolist() == [5] * 4
    assert after.error < 0.1
    assert before.error > 0.4


def test_crops_of_any_size_keep_the_images_shape_and_values() -> None:
    made = NetworkTrainer(plain_graph(), images(), plan(**_BARE, least_crop_share=0.2))
    assert math.isfinite(made.step())
