"""The plan of a retraining: presets, what overrides them, what is refused, how it is stored."""

from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from cars_hw.config import SearchConfig
from cars_hw.weights.retraining_plan import PRESETS, RetrainingPlan, preset_names
from devices.foundation import ConfigError, UnknownNameError

#: What the papers, or their released code, say; for cars-imagenet, beside the epochs, what P-DARTS says.
_PUBLISHED: Mapping[str, Mapping[str, object]] = {
    "cars-cifar": {
        "epochs": 600,
        "batch_size": 96,
        "learning_rate": 0.025,
        "final_learning_rate": 0.0,
        "schedule": "cosine",
        "weight_decay": 3e-4,
        "cutout": 16,
        "drop_path": 0.2,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.0,
    },
    "evnas-cifar": {
        "epochs": 600,
        "batch_size": 96,
        "weight_decay": 3e-4,
        "cutout": 16,
        "drop_path": 0.2,
        "auxiliary_weight": 0.4,
    },
    "cars-imagenet": {
        "epochs": 250,
        "batch_size": 1024,
        "learning_rate": 0.5,
        "schedule": "linear",
        "warm_up_epochs": 5.0,
        "weight_decay": 3e-5,
        "label_smoothing": 0.1,
        "auxiliary_weight": 0.4,
        "drop_path": 0.0,
        "cutout": 0,
    },
    "evnas-imagenet": {
        "epochs": 250,
        "batch_size": 256,
        "learning_rate": 0.1,
        "schedule": "linear",
        "weight_decay": 3e-5,
        "label_smoothing": 0.1,
        "auxiliary_weight": 0.4,
        "drop_path": 0.0,
        "cutout": 0,
    },
}


def _config(**values: JsonValue) -> SearchConfig:
    return SearchConfig.of({"retraining": values})


@pytest.mark.parametrize("preset", _PUBLISHED)
def test_a_preset_has_the_published_values(preset: str) -> None:
    plan = RetrainingPlan.checked("retraining", {"preset": preset}).values()
    assert {key: plan[key] for key in _PUBLISHED[preset]} == _PUBLISHED[preset]


def test_every_preset_is_a_plan() -> None:
    assert tuple(PRESETS) == preset_names()
    for preset in PRESETS:
        assert RetrainingPlan.checked("retraining", {"preset": preset}).preset == preset


def test_a_key_that_is_given_overrides_the_presets() -> None:
    plan = _config(preset="small", epochs=30, cutout=4).retraining
    assert plan is not None
    assert (plan.epochs, plan.cutout, plan.nesterov) == (30, 4, True)


def test_a_configuration_without_the_section_has_no_plan_and_stores_none() -> None:
    config = SearchConfig.of({})
    assert config.retraining is None
    assert "retraining" not in config.to_values()


def test_a_stored_plan_is_read_back_whole() -> None:
    config = _config(preset="evnas-imagenet", torch_device="cuda")
    values = config.to_values()
    assert SearchConfig.of(values) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "smal"}, "retraining.preset is 'smal'"),
        ({"cutout": -1}, "retraining.cutout is -1"),
        ({"batch_size": 8, "accumulation": 5}, "batch_size is 8, in 5 parts"),
        ({"preset": "small", "epochs": 1}, "warm_up_epochs is 1, of 1 epochs"),
        ({"nesterov": True, "optimizer": "adamw"}, "nesterov is of SGD"),
        ({"learning_rate": float("nan")}, "retraining.learning_rate is nan"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(values: dict[str, JsonValue], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _config(**values)


def test_a_key_that_does_not_exist_is_named_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match=r"retraining\.epoch' *; did you mean 'retraining\.epochs'"):
        _config(epoch=3)
