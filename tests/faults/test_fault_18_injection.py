"""Fault 18, the transport's part: whatever a name holds, a real shell sees one word, and runs nothing."""

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import _adb
from devices._adb.transport import quoted
from devices._errors import DeviceError
from tests.fakes.adb_daemon import shells
from tests.fakes.adb_device import FakeAdbDevice, connected

NAMES = [
    ";touch x",
    "$(touch x)",
    "`touch x`",
    "\ntouch x\n",
    "-rf",
    "--",
    "ü\u202e\U0001f4a3",
    "x" * 5000,
    "' ; touch x ; '",
    '" ; touch x ; "',
    "&& touch x",
    "| touch x",
    "> x",
    "< /etc/passwd",
    "${IFS}touch${IFS}x",
    "*",
    "~",
    "!x",
    "\\",
    "a\rb",
]


@pytest.mark.parametrize("shell", shells())
def test_a_hostile_name_is_one_word_to_a_real_shell(tmp_path: Path, shell: str) -> None:
    (tmp_path / "empty").mkdir()
    with connected(FakeAdbDevice(tmp_path, shell=shell)) as (_device, transport):
        for name in NAMES:
            inner = f"cd {quoted([str(tmp_path / 'empty')])} && {quoted(['printf', '%s', name])}"
            done = transport.shell(inner, timeout_s=10)
            assert (done.stdout, done.stderr, done.exit_status) == (name.encode(), b"", 0)
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_serial_reaches_nobody(name: str) -> None:
    for address in (name, f"usb:{name}", f"tcp:{name}:5555"):
        if re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name):
            continue
        with pytest.raises(DeviceError):
            _adb.connect(address)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_name_is_that_file_or_refused(tmp_path: Path, name: str) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (_device, transport):
        if name.isprintable():
            transport.push(b"content", f"{tmp_path}/of/{name[:200]}", timeout_s=10)
            assert (tmp_path / "of" / name[:200]).read_bytes() == b"content"
        else:
            with pytest.raises(DeviceError, match="is no path on a phone"):
                transport.push(b"content", f"{tmp_path}/of/{name}", timeout_s=10)
    assert not (tmp_path / "x").exists()


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4
    )
)
def test_a_real_shell_takes_any_words_as_they_are(words: list[str]) -> None:
    assert shlex.split(quoted(words)) == words


def test_a_command_line_with_a_nul_is_refused(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        with pytest.raises(DeviceError, match="NUL"):
            transport.shell("echo \0 ; id", timeout_s=5)
        assert device.services == []
