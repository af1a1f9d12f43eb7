"""Members of a run, and networks of none, exported with the weights that they should have."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.results.model_card import card_path
from profilers import formats
from tests.fakes import onnx_files
from tests.fakes.command_line import run
from tests.fakes.configurations import TINIEST, TINY

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"
_PLAN = cars_hw.RetrainingPlan.checked("retraining", {"preset": "small", "epochs": 2, "batch_size": 200})

#: A search whose deployed network is larger than the one that it trains.
_LARGER = f"""{TINY.replace('deploy = "search"', 'deploy = "cifar"')}
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 0.1
epochs_per_generation = 0
generations = 0
[strategy]
name = "random_search"
population_size = 2
"""
_DEPLOYED = "deploy_channels = 4\ndeploy_cells = 4\ndeploy_image_size = 8\ndeploy_image_channels = 1\n[data]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, of which one member was retrained, under a name of its own."""
    folder = tmp_path_factory.mktemp("members")
    shutil.copy(_GOLDEN / "table.jsonl", folder)
    shutil.copytree(_GOLDEN / "random_search", folder / "run")
    (folder / "config.toml").write_text(TINIEST)
    with contextlib.chdir(folder):
        opened = cars_hw.Run.open("run")
        knee = cars_hw.pick(opened.front(), "knee").architecture
        cars_hw.retrain(opened, {"mine": knee}, _PLAN)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which one works."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _card(export: cars_hw.Export) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(card_path(export.path).read_bytes())
    return found


def _other(opened: cars_hw.Run, retrained: str) -> str:
    """Return the number of a member that was not retrained."""
    texts = [cars_hw.to_text(member.architecture) for member in opened.front()]
    return str(next(i for i, text in enumerate(texts) if text != retrained))


def test_what_was_retrained_of_an_architecture_is_exported_whatever_it_is_called(folder: Path) -> None:
    opened, kept = cars_hw.Run.open("run"), cars_hw.retrained_of("run")["mine"]
    export = cars_hw.export(opened, ["knee"])["knee"]
    assert (export.weights, export.judged_on, export.images) == ("retrained", "fitness images", 60)
    assert export.error == pytest.approx(kept.error)
    card = _card(export)
    assert card["weights_are"] == "retrained"
    assert card["retrained"]["weights_sha256"] == kept.weights_sha256
    assert card["retrained"]["error"] == kept.error
    space = make_space(opened.config)
    graph = space.deployed(cars_hw.from_text(kept.architecture, space.choices))
    image = torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        expected = cars_hw.restored_network(kept, graph)(image)
    found = onnx_files.run(export.path.read_bytes(), image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_searchs_weights_are_exported_where_nothing_was_retrained_or_they_are_asked_for(
    folder: Path,
) -> None:
    opened, kept = cars_hw.Run.open("run"), cars_hw.retrained_of("run")["mine"]
    other = _other(opened, kept.architecture)
    exports = cars_hw.export(opened, ["knee", other])
    assert [one.weights for one in exports.values()] == ["retrained", "search"]
    retrained = exports["knee"].path.read_bytes()
    searched = cars_hw.export(opened, ["knee"], weights="search")["knee"]
    assert searched.weights == "search"
    assert "not retrained" in _card(searched)["weights"]
    assert searched.path.read_bytes() != retrained
    with pytest.raises(cars_hw.ExportError, match=f"{other}: not retrained yet"):
        cars_hw.export(opened, [other], weights="retrained")


def test_retrained_weights_of_another_place_are_taken_or_their_lack_is_said(folder: Path) -> None:
    opened, kept = cars_hw.Run.open("run"), cars_hw.retrained_of("run")["mine"]
    shutil.move("run/retrained", "elsewhere")
    assert cars_hw.export(opened, ["knee"])["knee"].weights == "search"
    for place in ("elsewhere", "elsewhere/mine"):
        assert cars_hw.export(opened, ["knee"], retrained=place)["knee"].weights == "retrained"
    other = _other(opened, kept.architecture)
    with pytest.raises(cars_hw.ExportError, match=f"elsewhere holds no finished retraining of {other}"):
        cars_hw.export(opened, [other], retrained="elsewhere", to="none")
    assert not Path("none").exists()


def test_weights_that_were_retrained_on_other_images_are_not_exported(folder: Path) -> None:
    opened = cars_hw.Run.open("run")
    data = opened.config.data.model_copy(update={"seed": 1})
    moved = replace(opened, config=opened.config.model_copy(update={"data": data}))
    with pytest.raises(cars_hw.CheckpointError, match="was retrained on other images than digits holds now"):
        cars_hw.export(moved, ["knee"], to="none")
    assert not Path("none").exists()


@pytest.mark.slow
def test_a_larger_deployed_network_is_exported_once_it_was_retrained_as_the_refusal_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("search.toml").write_text(_LARGER.replace("[data]", _DEPLOYED))
    opened = cars_hw.Run.create("my run", SearchConfig.load("search.toml"))
    assert list(cars_hw.open_search(opened).run())
    refused = run("export", "my run", "--pick=knee", "--allow-infeasible")
    assert refused.status == 1
    assert "not for the larger network that it deploys: retrain knee first" in refused.err
    assert not Path("my run/export").exists()
    assert run("export", "my run", "--scale=search", "--to=small", "--allow-infeasible", "-q").status == 0
    assert json.loads(Path("small/knee.json").read_bytes())["weights_are"] == "search"
    [command] = refused.commands
    assert command == ("retrain", "my run", "--pick", "knee", "--preset", "small")
    short = ("--set=retraining.epochs=2", "--set=retraining.batch_size=400", "-q")
    done = run(*command, *short)
    assert done.status == 0, done.err
    done = run("export", "my run", "--json", "-q")
    assert done.status == 0, done.err
    told = json.loads(done.out)["knee"]
    assert told["weights"] == "retrained"
    card = json.loads(Path("my run/export/knee.json").read_bytes())
    space = make_space(opened.config)
    architecture = cars_hw.from_text(card["architecture"], space.choices)
    assert card["parameters"] == space.deployed(architecture).parameters()
    assert card["parameters"] > space.graph(architecture, "search").parameters()
    assert card["verified"]["error"] == pytest.approx(card["retrained"]["error"])


def test_a_genotype_is_exported_untrained_and_later_with_what_was_retrained_of_it(folder: Path) -> None:
    opened, kept = cars_hw.Run.open("run"), cars_hw.retrained_of("run")["mine"]
    space = make_space(opened.config)
    genotype = space.describe(cars_hw.from_text(kept.architecture, space.choices))
    Path("published.json").write_text(json.dumps(genotype))
    words = ("export", "--genotype", "published.json", "--config", "run/config.toml", "--json")
    before = json.loads(run(*words).out)["published"]
    assert (before["weights"], before["error"]) == ("untrained", None)
    card = json.loads(Path("export/published.json").read_bytes())
    assert card["weights"].startswith("untrained")
    assert card["verified"]["error"] is None
    assert "data" not in card
    shutil.copytree("run/retrained/mine", "retrained/published")
    after = json.loads(run(*words).out)["published"]
    assert after["weights"] == "retrained"
    assert after["error"] == pytest.approx(kept.error)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..\\b"])
def test_a_network_of_no_run_has_a_name_that_files_can_have(name: str, folder: Path) -> None:
    config = SearchConfig.load("config.toml")
    with pytest.raises(cars_hw.ConfigError, match="cannot be the name of a file"):
        cars_hw.export_without_search(config, {name: (0,) * 6}, to="export")


@pytest.mark.parametrize("name", ["onnx", pytest.param("tflite", marks=pytest.mark.slow)])
def test_untrained_files_are_written_in_all_forms_for_measuring(name: str, folder: Path) -> None:
    made_by = formats.load(name)
    options = cars_hw.FileOptions(
        name,
        with_preprocessing=True,
        with_softmax=True,
        batch="dynamic",
        with_fp16=made_by.has_fp16,
        max_error_growth_share=0.0 if made_by.has_int8 else None,
    )
    config = SearchConfig.load("config.toml")
    exports = cars_hw.export_without_search(config, {"net": (3, 2, 1, 4, 3, 2)}, to=name, options=options)
    assert list(exports) == ["net", *(f"net {word}" for word in options.extras)]
    for one in exports.values():
        assert one.error is None
        assert _card(one)["output"]["are"] == "probabilities"


def test_the_file_and_its_card_hold_what_an_app_needs(folder: Path) -> None:
    words = ("--with-preprocessing", "--softmax", "--batch=4", "--fp16", "--json", "-q")
    told = json.loads(run("export", "run", "--pick=knee", *words).out)
    assert set(told) == {"knee", "knee fp16"}
    assert 0.4 < told["knee fp16"]["size_bytes"] / told["knee"]["size_bytes"] < 1
    content = Path(told["knee"]["file"]).read_bytes()
    card = json.loads(Path("run/export/knee.json").read_bytes())
    used = cars_hw.retrained_of("run")["mine"].images
    assert card["input"] == {
        "shape": [4, 1, 8, 8],
        "batch": 4,
        "layout": "NCHW",
        "dtype": "uint8",
        "colours": "grey",
        "height": 8,
        "width": 8,
        "resize": {"mode": "pad", "height": 8, "width": 8, "interpolation": "bilinear"},
        "normalisation": "none: the file takes pixels",
        "mean": list(used.mean),
        "std": list(used.std),
        "is_normalised_in_file": True,
    }
    assert card["output"] == {"are": "probabilities", "classes": [str(i) for i in range(10)]}
    facts = formats.load("onnx").embedded(content)
    assert facts is not None
    for key in ("input", "output", "weights", "weights_are", "retrained", "architecture", "space"):
        assert facts[key] == card[key]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "export needs one of: the folder of a run, --architecture, --genotype"),
        (("run", "--architecture", "0.0"), "export needs one of"),
        (("run", "--config", "config.toml"), "the configuration of a run stays as it is"),
        (("run", "--batch", "0"), "a batch of 0 images; give 1 to 4096, or dynamic"),
        (("run", "--batch", "many"), "--batch 'many' is no number of images"),
        (("run", "--scale", "search", "--weights", "retrained", "--retrained", "x"), "x holds no finished"),
        (("run", "--retrained", "x"), "x holds no finished retraining of knee"),
        (("--architecture", "0.0"), "export without a run needs --config FILE"),
        (("--architecture", "0.0", "--config", "config.toml"), "2 options given; the space has 6"),
        (("--architecture", "0.0", "--config", "config.toml", "--weights", "search"), "are of a run"),
        (("--genotype", "none.json", "--config", "config.toml"), "none.json cannot be read"),
    ],
)
def test_bad_input_is_one_line(folder: Path, words: tuple[str, ...], message: str) -> None:
    done = run("export", *words)
    assert done.status == 1
    assert done.out == ""
    [line] = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("cars-hw: ")
    assert message in line
    assert not Path("export").exists()
    assert not Path("run/export").exists()
