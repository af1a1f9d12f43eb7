"""The benchmark for a card, and what it needs on a machine without a registry; no test needs a card."""

import importlib.util
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cars_hw import data
from devices._gpu.nvidia import Nvidia
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Family
from profilers import runtimes
from tests.fakes.nvml import FakeNvml, smi_cards

if TYPE_CHECKING:
    from _gpu_session import Session, Stage

_ROOT = Path(__file__).parents[1]
_GRACE_S = 0.3


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


def session(seconds: float = 60.0) -> "Session":
    from _gpu_session import Session

    return Session(seconds, environment={}, tell=lambda _: None, grace_s=_GRACE_S)


def stage(folder: Path, name: str, code: str, limit_s: float = 30.0, *needs: str) -> "Stage":
    """Return a stage that runs ``code``."""
    from _gpu_session import Stage

    return Stage(name, limit_s, folder, [sys.executable, "-S", "-c", code], needs=needs)


def writing(folder: Path, name: str, found: object) -> str:
    """Return code that writes what a stage has found."""
    return f"import pathlib; pathlib.Path({str(folder / name)!r} + '.json').write_text({json.dumps(found)!r})"


def test_a_stage_that_fails_is_recorded_with_its_last_line_and_the_others_go_on(tmp_path: Path) -> None:
    outcomes = session().run(
        [
            stage(tmp_path, "first", "print('so far'); raise SystemExit('no such card')"),
            stage(tmp_path, "second", writing(tmp_path, "second", {"figure": 3})),
            stage(tmp_path, "third", "pass", 30.0, "first"),
        ]
    )
    assert outcomes["first"]["status"] == "failed"
    assert outcomes["first"]["reason"] == "exit status 1: no such card"
    assert (outcomes["second"]["status"], outcomes["second"]["result"]) == ("done", {"figure": 3})
    assert (outcomes["third"]["status"], outcomes["third"]["reason"]) == ("left out", "it needs first")


def test_a_stage_at_its_limit_puts_things_back_and_keeps_what_it_had_found(tmp_path: Path) -> None:
    code = f"""
import time
{writing(tmp_path, "slow", {"steps": 2})}
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("put back")
"""
    outcome = session().run([stage(tmp_path, "slow", code, limit_s=3 * _GRACE_S)])["slow"]
    assert (outcome["status"], outcome["result"]) == ("stopped", {"steps": 2})
    assert (tmp_path / "slow.log").read_text() == "put back\n"
    assert outcome["seconds"] < 10


def test_a_stage_that_does_not_end_when_interrupted_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    outcome = session().run([stage(tmp_path, "deaf", code, limit_s=2 * _GRACE_S)])["deaf"]
    assert outcome["status"] == "stopped"
    assert outcome["seconds"] < 10


def test_no_stage_begins_when_the_time_of_the_session_is_over(tmp_path: Path) -> None:
    outcome = session(seconds=_GRACE_S).run([stage(tmp_path, "late", "raise SystemExit('ran')")])["late"]
    assert (outcome["status"], outcome["seconds"]) == ("left out", 0.0)


def test_a_stage_that_is_done_in_a_folder_is_not_run_there_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    found_out = writing(tmp_path / "one", "counted", {"figure": 1})
    code = f"open({str(marks)!r}, 'a').write('x'); {found_out}"
    found = [session().run([stage(tmp_path / name, "counted", code)]) for name in ("one", "one", "another")]
    assert marks.read_text() == "xx"
    assert found[0] == found[1]


def test_a_stage_that_was_stopped_is_run_again(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    session().run([stage(folder, "counted", "raise SystemExit(1)")])
    assert session().run([stage(folder, "counted", "pass")])["counted"]["status"] == "done"


def test_without_a_card_nothing_is_measured_and_the_dry_run_is_named() -> None:
    import gpu

    facts = {"card": "", "torch": "2.13.0", "python": "", "cuda": None, "numpy": "", "onnxruntime": ""}
    told = {"status": "done", "reason": "", "result": facts}
    with pytest.raises(SystemExit, match=r"torch 2\.13\.0 finds no CUDA card here; --dry-run"):
        gpu.identity_of(told, {"--dry-run": False})
    assert gpu.identity_of(told, {"--dry-run": True})["card"] == ""


def test_a_machine_of_which_nothing_can_be_told_ends_the_benchmark_with_the_reason() -> None:
    import gpu

    reason = "exit status 1: ModuleNotFoundError: No module named 'pydantic'"
    told = {"status": "failed", "reason": reason, "result": {}}
    with pytest.raises(SystemExit, match=f"card: failed: {reason}; --wheels FILE installs what is missing"):
        gpu.identity_of(told, {"--dry-run": True})


def test_what_another_card_gave_is_not_gone_on_with(tmp_path: Path) -> None:
    import gpu

    folders = {gpu.folder_of(tmp_path, {"card": card, "torch": "2.13.0"}) for card in ("one", "one", "other")}
    assert len(folders) == 2


def test_a_dry_run_writes_no_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import gpu

    monkeypatch.setattr(sys, "argv", ["gpu.py", "--dry-run", f"--json={tmp_path / 'rows.json'}"])
    with pytest.raises(SystemExit, match="a dry run has no figures of a card"):
        gpu.main()


def test_stages_find_what_we_find_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's torch may lie where ``PYTHONPATH`` alone says so."""
    import gpu

    monkeypatch.setenv("PYTHONPATH", "/opt/torch")
    assert gpu.search_path(tmp_path).split(":")[1:] == [str(tmp_path / "site"), "/opt/torch"]
    monkeypatch.delenv("PYTHONPATH")
    assert gpu.search_path(tmp_path).split(":")[1:] == [str(tmp_path / "site")]


def test_the_stages_fit_into_the_time() -> None:
    import gpu

    assert sum(gpu.LIMITS_S.values()) <= 8 * 60


@pytest.mark.parametrize("name", ["CARD", "DRY"])
def test_what_is_measured_can_be_configured(tmp_path: Path, name: str) -> None:
    import _gpu_scales

    scale: _gpu_scales.Scale = getattr(_gpu_scales, name)
    trained = {str(scale.config(tmp_path, training=values).training) for values in scale.variants.values()}
    assert len(trained) == len(scale.variants)
    for variant in scale.in_paper:
        assert scale.paper_config(variant).search.torch_device == scale.torch_device
    setups = [scale.config(tmp_path, table).latency for table in scale.tables]
    headers = [runtimes.load(one.runtime, 1, **one.settings).header_settings() for one in setups]
    assert len(headers) == len({str(header) for header in headers}) == 2


def test_the_search_at_the_papers_scale_is_the_papers() -> None:
    from _gpu_scales import CARD

    config = CARD.paper_config("float32")
    search = config.search
    assert (search.warm_up_epochs, search.epochs_per_generation, search.generations) == (50, 10, 45)
    assert (config.strategy.settings["population_size"], config.data.fitness_images) == (128, 25_000)


@pytest.mark.slow
def test_a_dry_run_goes_through_all_stages_and_says_that_it_used_no_card(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--dry-run", f"--folder={tmp_path}"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert "dry run: no card was used" in done.stdout
    assert "gpu.stages: 9 stages" in done.stdout, f"{done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_a_search_at_the_papers_scale_is_reckoned_from_steps_and_evaluations() -> None:
    import gpu

    found = {
        "step_s": [3.0, 3.0, 6.0, 1.0, 1.0],
        "evaluation_s": [2.0, 2.0],
        "warm_up_steps": 10,
        "steps": 40,
        "generations": 4,
        "population": 8,
    }
    # 10 new paths at 3 s; 4 times 8 members at 3 + 3 + 6 s and the 16 other steps at 1 s: 478 s of training;
    # 8 + 4 x 3 x 8 = 104 evaluations, or 5 by the paper's count.
    assert gpu.paper_days(found) == pytest.approx(((478 + 208) / 86_400, (478 + 10) / 86_400))


def test_a_card_whose_settings_are_not_ours_keeps_its_clock() -> None:
    from _gpu_clocks import leave_clocks

    fake = FakeNvml(*smi_cards())
    for leaves in (False, True):
        if leaves:
            leave_clocks(fake)
        fake.done.clear()
        card = Nvidia(Nvml(fake), str(fake.cards[0]["nvmlDeviceGetUUID"]), Family())
        assert card.hold() is not leaves
        card.restore({"locked_clocks": "none"})
        card.close()
        assert bool(fake.done) is not leaves


def test_a_search_goes_on_by_the_objectives_that_it_began_with(tmp_path: Path) -> None:
    """Its table may have become whole, or may be measured anew, between two sessions."""
    import _gpu_stages
    from _gpu_scales import DRY

    from cars_hw import Run

    assert _gpu_stages.run_of(DRY, tmp_path / "new").config.search.objectives == ("error", "parameters")
    begun = Run.create(tmp_path / "run", DRY.config(tmp_path, search={"objectives": ["error", "macs"]}))
    assert _gpu_stages.run_of(DRY, tmp_path).config == begun.config


def test_generated_images_have_ten_classes_alike_and_are_the_same_everywhere() -> None:
    found = data.read("benchmarks._gpu_images", images=200)
    assert found.images.shape == (200, 3, 32, 32)
    assert np.bincount(found.labels).tolist() == [20] * 10
    again = data.read("benchmarks._gpu_images", images=200)
    assert (found.images == again.images).all()
    means = np.stack([found.images[found.labels == label].mean(axis=0) for label in range(10)])
    nearest = ((found.images[:, None] - means) ** 2).sum(axis=(2, 3, 4)).argmin(axis=1)
    assert (nearest == found.labels).mean() > 0.9


def test_what_the_machine_has_does_not_travel() -> None:
    wheels = _wheels_script()
    names = [one.partition(">")[0] for one in wheels.requirements()]
    assert {"onnx", "pymoo", "pydantic", "scipy"} <= set(names)
    assert not {"torch", "onnxruntime", "numpy", "matplotlib", "adb-shell"} & set(names)
    assert wheels.is_left_out("numpy-2.4.6-cp312-cp312-manylinux_2_28_x86_64.whl")
    assert wheels.is_left_out("ai_edge_litert-2.3.0-cp312-cp312-manylinux_2_27_x86_64.whl")
    assert not wheels.is_left_out("nvidia_ml_py-13.615.71-py3-none-any.whl")


def test_packed_wheels_hold_what_they_held(tmp_path: Path) -> None:
    wheel, archive = tmp_path / "one-1.0-py3-none-any.whl", tmp_path / "wheels.tar.xz"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("one/__init__.py", "VALUE = 1\n" * 1000)
        written.writestr("one-1.0.dist-info/RECORD", "")
    from _rows import unpack

    _wheels_script().pack([wheel], archive)
    with tarfile.open(archive) as packed:
        unpack(packed, tmp_path / "out")
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(tmp_path / "out" / wheel.name) as after:
        assert after.testzip() is None
        assert {one: after.read(one) for one in after.namelist()} == {
            one: before.read(one) for one in before.namelist()
        }
        assert {one.compress_type for one in after.infolist()} == {zipfile.ZIP_STORED}


def _wheels_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_wheels", _ROOT / "scripts" / "gpu_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
