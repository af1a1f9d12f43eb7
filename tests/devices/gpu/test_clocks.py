"""The clock of a card, held while it is measured, and let go by whoever comes after a crash."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from devices._errors import DeviceError, DeviceLostError
from devices._gpu.amd import Amd
from devices._gpu.clocks import Clocks
from devices._gpu.driver import Driver
from devices._gpu.processes import Clients, Family
from devices._gpu.sysfs import Files
from tests.fakes import drm

pytestmark = pytest.mark.usefixtures("own_cache")


class Held(Driver):
    """A driver with one clock, that a test may make stubborn."""

    def __init__(self) -> None:
        self.level = "auto"
        self.may_hold = self.may_restore = True
        self.is_lost = False

    def settings(self) -> Mapping[str, str]:
        return {"level": self.level}

    def hold(self) -> bool:
        self.level = "fixed" if self.may_hold else self.level
        return self.may_hold

    def restore(self, settings: Mapping[str, str]) -> bool:
        if self.is_lost:
            raise DeviceLostError("the card was lost")
        self.level = settings["level"] if self.may_restore else self.level
        return self.may_restore


def clocks(driver: Driver, folder: Path, boot: str = "a") -> Clocks:
    (folder / boot).write_text(f"{boot}\n")
    return Clocks(driver, name="gpu test", record=folder / "records" / "card.json", boot=folder / boot)


def records(folder: Path) -> list[str]:
    return [path.name for path in (folder / "records").glob("*")]


def test_the_clock_is_held_and_set_again_after_an_error_too(tmp_path: Path) -> None:
    driver = Held()
    mine = clocks(driver, tmp_path)
    found: list[object] = []

    def measure() -> None:
        found.extend([mine.is_held, driver.level, records(tmp_path)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), mine.held():
        measure()
    assert found == [True, "fixed", ["card.json"]]
    assert (mine.is_held, driver.level) == (False, "auto")
    assert records(tmp_path) == []


def test_without_permission_it_is_measured_all_the_same(tmp_path: Path) -> None:
    driver = Held()
    driver.may_hold = False
    mine = clocks(driver, tmp_path)
    with mine.held():
        assert not mine.is_held
        assert not mine.are_held()
    assert (driver.level, records(tmp_path)) == ("auto", [])


def test_a_card_whose_clock_cannot_be_held_leaves_no_file(tmp_path: Path) -> None:
    with clocks(Driver(), tmp_path).held():
        assert records(tmp_path) == []


def test_two_cannot_measure_on_one_card(tmp_path: Path) -> None:
    mine, other = clocks(Held(), tmp_path), clocks(Held(), tmp_path)
    with mine.held():
        with pytest.raises(DeviceError, match="another process measures on this card now"), other.held():
            pass
        other.recover()
        assert mine.is_held
        assert other.are_held()
        assert records(tmp_path) == ["card.json"]
    with other.held():
        assert other.is_held


def crashed(tmp_path: Path, boot: str = "a") -> Path:
    """Leave the file of a process that was killed."""
    record = tmp_path / "records/card.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"boot": boot, "settings": {"level": "auto"}}))
    return record


def held_driver() -> Held:
    driver = Held()
    driver.level = "fixed"
    return driver


def test_what_a_killed_process_held_is_let_go_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crashed(tmp_path)
    driver = held_driver()
    clocks(driver, tmp_path).recover()
    assert (driver.level, records(tmp_path)) == ("auto", [])
    assert "held by a process that was killed; it is let go" in caplog.text


def test_measuring_anew_begins_from_what_stood_there_before_the_crash(tmp_path: Path) -> None:
    crashed(tmp_path)
    driver = held_driver()
    with clocks(driver, tmp_path).held():
        assert driver.level == "fixed"
    assert (driver.level, records(tmp_path)) == ("auto", [])


def test_after_a_restart_of_the_machine_nothing_is_set(tmp_path: Path) -> None:
    crashed(tmp_path, boot="an earlier one")
    driver = held_driver()
    clocks(driver, tmp_path).recover()
    assert (driver.level, records(tmp_path)) == ("fixed", [])


def test_a_driver_that_refuses_is_named_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crashed(tmp_path)
    driver = held_driver()
    driver.may_restore = False
    clocks(driver, tmp_path).recover()
    assert "the card's clock stays held" in caplog.text
    assert records(tmp_path) == ["card.json"]
    driver.may_restore = True
    clocks(driver, tmp_path).recover()
    assert (driver.level, records(tmp_path)) == ("auto", [])


def test_what_could_not_be_set_again_is_not_forgotten_by_measuring_anew(tmp_path: Path) -> None:
    """An administrator measured and was killed; then the same user measures without these rights."""
    crashed(tmp_path)
    driver = held_driver()
    driver.may_restore = driver.may_hold = False
    with clocks(driver, tmp_path).held():
        assert driver.level == "fixed"
    driver.may_restore = True
    clocks(driver, tmp_path).recover()
    assert (driver.level, records(tmp_path)) == ("auto", [])


def test_a_card_that_is_lost_meanwhile_is_let_go_when_it_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Held()
    with clocks(driver, tmp_path).held():
        driver.is_lost = True
    assert "is let go when it is opened next: the card was lost" in caplog.text
    driver.is_lost = False
    clocks(driver, tmp_path).recover()
    assert driver.level == "auto"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"boot": "a"}', '{"boot": "a", "settings": 1}', "\x00" * 10, "9" * 5000, "[" * 4000],
)
def test_a_damaged_record_is_said_and_nothing_is_set_by_it(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = crashed(tmp_path)
    record.write_text(content)
    driver = held_driver()
    with caplog.at_level(logging.WARNING):
        clocks(driver, tmp_path).recover()
    assert driver.level == "fixed"
    assert "cannot be read" in caplog.text
    assert "\n" not in caplog.messages[0]


def test_where_nothing_can_be_written_down_nothing_is_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "records").write_text("a file in the place of the folder")
    driver = Held()
    with clocks(driver, tmp_path).held():
        assert driver.level == "auto"
    assert "clock is not held" in caplog.text


_SESSION = """
import sys, time
from pathlib import Path
from devices._gpu.amd import Amd
from devices._gpu.clocks import Clocks
from devices._gpu.processes import Clients, Family
from devices._gpu.sysfs import Files
card, record = map(Path, sys.argv[1:])
driver = Amd(Files(card), Clients("0000:03:00.0", Family()))
with Clocks(driver, name="gpu test", record=record).held():
    print("held", flush=True)
    time.sleep(1000)
"""


def test_a_process_that_is_killed_while_it_holds_a_real_file_is_cleaned_up_after(tmp_path: Path) -> None:
    card, record = drm.card(tmp_path, "card0", drm.AMD), tmp_path / "records/card.json"
    level = card / "device/power_dpm_force_performance_level"
    level.write_text("low\n")
    session = subprocess.Popen([sys.executable, "-c", _SESSION, card, record], stdout=subprocess.PIPE)
    try:
        assert session.stdout is not None
        assert session.stdout.readline() == b"held\n"
        assert level.read_text().startswith("profile_standard")
    finally:
        os.kill(session.pid, signal.SIGKILL)
        session.communicate()
    mine = Clocks(Amd(Files(card), Clients("", Family())), name="gpu test", record=record)
    level.write_text("")
    mine.recover()
    assert level.read_text() == "low"
    assert not record.exists()
