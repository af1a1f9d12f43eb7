"""The public library: what is there, what it shows of itself, and that it does what the command line does."""

import builtins
import inspect
import json
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import is_typeddict

import numpy as np
import pandas as pd
import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

import cars_hw
import devices
import devices.foundation
import latency_tables
import profilers
from cars_hw.candidate import Candidate, Front
from cars_hw.cli import app
from cars_hw.saving.record import Generation
from latency_tables import Measurement, OpSpec, Prediction
from profilers import Fleet, MeasurementPlan, Profiler, formats, runtimes

_FRONT = Front((Candidate((0, 1), (0.1, 900.0)), Candidate((1, 1), (0.2, 300.0))), ("error", "parameters"))
_FACADES = (
    cars_hw,
    cars_hw.data,
    cars_hw.networks,
    cars_hw.objectives,
    cars_hw.spaces,
    cars_hw.strategies,
    devices,
    devices.foundation,
    latency_tables,
    profilers,
    formats,
    runtimes,
)
_VALUES: dict[str, JsonValue] = {
    "space.deploy": "search",
    "space.channels": 2,
    "space.cells": 3,
    "space.image_size": 8,
    "space.image_channels": 1,
    "data.name": "digits",
    "data.fitness_images": 100,
    "training.batch_size": 16,
    "training.crop_padding": 1,
    "training.recalibration_images": 16,
    "strategy.population_size": 4,
    "search.warm_up_epochs": 0.2,
    "search.epochs_per_generation": 0.05,
    "search.generations": 2,
    "search.screening": False,
    "latency.device": "fake",
    "latency.runtime": "fake",
    "latency.table": "table.jsonl",
}


def test_dir_lists_what_is_public_and_each_name_is_there() -> None:
    assert dir(cars_hw) == sorted(cars_hw.__all__)
    for name in cars_hw.__all__:
        assert getattr(cars_hw, name) is not None


def _public_classes() -> dict[str, type]:
    """Return the classes of all facades but exceptions, protocols, enumerations and typed dictionaries."""
    found = {}
    for facade in _FACADES:
        for name in facade.__all__:
            public = getattr(facade, name)
            if inspect.isclass(public) and not (
                issubclass(public, BaseException | Enum)
                or is_typeddict(public)
                or getattr(public, "_is_protocol", False)
            ):
                found[f"{facade.__name__}.{name}"] = public
    return found


def test_every_public_object_shows_what_it_is() -> None:
    classes = _public_classes()
    assert len(classes) > 60
    for name, public in classes.items():
        assert any("__repr__" in vars(owner) for owner in public.__mro__[:-1]), name


def test_what_is_shown_is_one_line_without_raw_samples() -> None:
    measured = Measurement(OpSpec.of("relu", (1, 8, 4, 4)), (2e-3,) * 500)
    runtime, device = runtimes.load("fake"), devices.connect("fake")
    space = cars_hw.spaces.load("nasbench201")
    prediction = Prediction(3e-3, (2.5e-3, 3.5e-3), ())
    assert [
        repr(shown)
        for shown in (
            measured,
            cars_hw.Bench("knee.onnx", measured, None),
            cars_hw.Bench("k", measured, prediction, "never validated"),
            cars_hw.SearchConfig(),
            cars_hw.strategies.load("random_search", space, np.random.default_rng(0)),
            formats.load("onnx"),
            runtimes.load("onnxruntime", 2),
            Profiler(device, runtime),
            Fleet([(device, runtime)], MeasurementPlan()),
        )
    ] == [
        "<relu[1x8x4x4;float32]: 2 ms, 500 samples>",
        "<bench of knee.onnx: measured 2.0000 (2.0000..2.0000) ms, predicted unknown>",
        "<bench of k: measured 2.0000 (2.0000..2.0000) ms, predicted 3.0000 (2.5000..3.5000) ms, +50.0 %>",
        "<configuration: cars on darts, mnist5k; error, parameters, latency_ms>",
        "<random_search on nasbench201: no population yet>",
        "<file format onnx: .onnx, NCHW, for onnxruntime>",
        "<runtime onnxruntime: threads=2, provider='cpu', benchmark_binary='', batch=1, mode='warm'>",
        "<profiler of <runtime fake: threads=1> on <device fake>>",
        "<fleet of 1, 0 lost: <profiler of <runtime fake: threads=1> on <device fake>>>",
    ]


def test_every_error_that_a_public_call_says_it_raises_can_be_caught_by_name() -> None:
    public = [getattr(cars_hw, name) for name in cars_hw.__all__]
    methods = [method for found in public if inspect.isclass(found) for method in vars(found).values()]
    texts = [inspect.getdoc(found) or "" for found in (*public, *methods)]
    told = {name for text in texts for name in re.findall(r"^ +(\w+Error): ", text, re.MULTILINE)}
    assert len(told) > 5
    assert told <= {*cars_hw.__all__, *vars(builtins)}


def test_what_nothing_dominates_is_found() -> None:
    costs = [(0.2, 100.0), (0.1, 300.0), (0.2, 300.0), (0.1, 300.0)]
    assert cars_hw.non_dominated(costs).tolist() == [0, 1, 3]


def test_a_front_shows_its_table_and_gives_a_frame() -> None:
    assert repr(_FRONT).splitlines() == [
        "front of 2",
        "#  error  parameters  architecture",
        "0    0.1         900           0.1",
        "1    0.2         300           1.1",
    ]
    frame = _FRONT.to_frame()
    expected = pd.DataFrame(
        {"architecture": ["0.1", "1.1"], "error": [0.1, 0.2], "parameters": [900.0, 300.0]}
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_a_generation_gives_a_frame_that_marks_its_front() -> None:
    dominated = Candidate((2, 2), (0.3, 1000.0))
    generation = Generation(1, (*_FRONT, dominated), Front(_FRONT), _FRONT.objectives, {}, 1.0)
    frame = generation.to_frame()
    assert frame["in_front"].tolist() == [True, True, False]
    assert frame["error"].tolist() == [0.1, 0.2, 0.3]
    assert generation.front.objectives == ("error", "parameters")


@pytest.mark.slow  # the code of the README is run by default
def test_what_the_verbs_do_python_does_with_the_same_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = cars_hw.SearchConfig.load(None, _VALUES)
    filled = cars_hw.profile(config)
    assert filled.entries
    assert not filled.failures
    assert cars_hw.profile(config).entries == []

    search = cars_hw.open_search(cars_hw.Run.create(tmp_path / "mine", config))
    first = next(search.run())
    assert first.index == 0
    resumed = cars_hw.open_search(cars_hw.Run.open(tmp_path / "mine"))
    assert [generation.index for generation in resumed.run()] == [1, 2]

    options = [f"--set={name}={value}" for name, value in _VALUES.items()]
    result = CliRunner().invoke(
        app, ["search", "--run", "theirs", *options, "--json"], catch_exceptions=False
    )
    mine, theirs = (cars_hw.Run.open(tmp_path / name).front() for name in ("mine", "theirs"))
    assert mine == theirs
    assert len(json.loads(result.stdout)["front"]) == len(mine)

    run = cars_hw.Run.open(tmp_path / "mine")
    member = cars_hw.pick(run.front(), "knee")
    assert member in run.front()
    [(name, export)] = cars_hw.export(run, ["knee"]).items()
    assert (name, export.path.suffix) == ("knee", ".onnx")
    measured = config.with_latency(device="cpu", runtime="onnxruntime")
    [bench] = cars_hw.bench([export.path], measured, has_table=False, quality=cars_hw.Quality(spread_s=0))
    assert bench.measured_ms > 0
    assert "<svg" in cars_hw.report(run).read_text()


def test_importing_the_library_and_the_search_loads_nothing_large() -> None:
    large = {"torch", "pandas", "onnx", "scipy.stats", "scipy.linalg", "scipy.special"}
    code = f"import sys, cars_hw.search; dir(cars_hw); print(sorted({large} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_search_in_python_screens_as_the_command_line_does() -> None:
    space = cars_hw.spaces.load("nasbench201", deploy="search", channels=2, cells=1, image_size=8)
    trainer = cars_hw.TabularTrainer({})
    strategy = cars_hw.strategies.load("cars", space, np.random.default_rng(0), population_size=4)
    objectives = [cars_hw.Error(trainer), cars_hw.Parameters(space)]
    cars_hw.Search(trainer, strategy, objectives, cars_hw.Schedule(0, 0, 1))
    assert isinstance(strategy.facts.screen, cars_hw.Screen)
    plain = cars_hw.strategies.load("cars", space, np.random.default_rng(0), population_size=4)
    cars_hw.Search(trainer, plain, objectives, cars_hw.Schedule(0, 0, 1), screening=False)
    assert plain.facts.screen is None
