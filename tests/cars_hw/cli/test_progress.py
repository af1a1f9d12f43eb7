"""What a verb shows of its progress: a bar on a terminal, few lines elsewhere, nothing with --quiet."""

from pathlib import Path

import pytest

from cars_hw.cli._measuring import Lines, exporting_bar, measuring_bars, text
from cars_hw.results.exporting.progress import ExportProgress
from profilers import Progress


def test_lines_are_at_least_half_a_minute_apart() -> None:
    now_s, said = 100.0, list[str]()
    lines = Lines(now_s=lambda: now_s, write=said.append)
    for second in range(0, 200, 5):
        now_s = 100.0 + second
        lines.show(str(second))
    assert said == ["30", "60", "90", "120", "150", "180"]


def test_a_line_tells_what_is_finished_what_failed_the_time_left_and_the_device() -> None:
    assert text(Progress(12, 62, 1, 170, "android:B"), "operations") == (
        "12 of 62 operations, 1 failed, about 3 min left (android:B)"
    )
    assert text(Progress(0, 3, 0, None, ""), "exported") == "0 of 3 exported"
    assert text(Progress(3, 3, 0, 0.0, "cpu"), "networks") == "3 of 3 networks (cpu)"


def test_a_terminal_shows_a_bar_with_the_count_and_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes a pipe for a terminal
    monkeypatch.setenv("COLUMNS", "200")
    with measuring_bars("networks") as show:
        show(Progress(7, 20, 2, 90, "cpu"))
    shown = capsys.readouterr()
    assert "7/20" in shown.err
    assert "about 90 s" in shown.err
    assert "measuring networks, 2 failed (cpu)" in shown.err
    assert shown.out == ""


def test_elsewhere_nothing_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with measuring_bars("networks") as show:
        show(Progress(7, 20, 0, 90, "cpu"))
    with exporting_bar() as tell:
        tell(ExportProgress(1, 2, 3.0, (Path("a.onnx"),)))
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""
