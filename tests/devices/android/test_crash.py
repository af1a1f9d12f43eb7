"""What a session that was killed leaves on a phone, and that the next connection undoes it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.played_phone import PlayedPhone
from tests.fakes.waiting import wait_for

#: Measures forever: holds the clock, has results in a scratch folder, and a program that does not end.
_SESSION = """
import sys
from pathlib import Path
from tests.fakes.played_phone import PlayedTransport, PlayedPhone
from devices.android import Android
phone = PlayedPhone.__new__(PlayedPhone)
phone.folder, phone.programs = Path(sys.argv[1]), Path(sys.argv[1]) / "bin"
device = Android(PlayedTransport(phone), root=sys.argv[1])
with device.quiet(1), device.scratch():
    device.run(["sleep", "1000"], timeout_s=2000)
"""


def crashed(phone: PlayedPhone) -> int:
    """Start a session, kill it while its program runs, and return the program's process number."""
    session = subprocess.Popen([sys.executable, "-c", _SESSION, phone.root])
    try:
        [text] = wait_for(lambda: written(phone.folder / "data/local/tmp/cars_hw"), lambda: "nothing runs")
    finally:
        session.kill()
        session.wait()
    return int(text.split()[0])


def written(folder: Path) -> list[str]:
    """Return what stands in the process files that are complete."""
    return [text for path in folder.glob("*.pid") if (text := path.read_text()).endswith("\n")]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs the kernel's /proc")
def test_the_next_connection_undoes_what_a_killed_session_left(phone: PlayedPhone) -> None:
    pid = crashed(phone)
    try:
        assert is_running(pid)
        assert phone.read("fixed-performance") == "true\n"
        assert any(name.startswith("run-") for name in phone.ours())
        phone.device().close()
        wait_for(lambda: not is_running(pid), lambda: "the program still runs")
        assert phone.read("fixed-performance") == "false\n"
        assert phone.ours() == []
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_process_number_that_was_used_again_is_not_killed(phone: PlayedPhone) -> None:
    phone.device().close()
    other = subprocess.Popen(["sleep", "1000"])
    try:
        stat = phone.folder / f"proc/{other.pid}/stat"
        stat.parent.mkdir(parents=True)
        stat.symlink_to(f"/proc/{other.pid}/stat")
        phone.write("data/local/tmp/cars_hw/0123456789abcdef.pid", f"{other.pid} 1\n")
        phone.device().close()
        assert other.poll() is None
        assert phone.ours() == []
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["", "\n", "0 0\n", "-1 5\n", "$(touch X)\n", "1 `id`\n", "1\n"])
def test_a_damaged_process_file_kills_nothing_and_is_removed(phone: PlayedPhone, text: str) -> None:
    phone.write("data/local/tmp/cars_hw/0123456789abcdef.pid", text)
    phone.device().close()
    assert phone.ours() == []


def test_files_that_were_pushed_stay_for_the_next_session(phone: PlayedPhone) -> None:
    with phone.device() as device:
        device.push(b"model")
    [name] = phone.ours()
    phone.device().close()
    assert phone.ours() == [name]
