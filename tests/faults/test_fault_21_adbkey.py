"""Fault 21: the key that opens the user's phones. Made for nobody else's eyes, and never shown."""

import base64
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices._adb.direct import DirectLink, TcpCarrier
from devices._adb.keys import Key
from devices._adb.transport import Transport
from devices._errors import DeviceError
from tests.fakes.adb_device import FakeAdbDevice


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_a_new_key_is_for_nobody_else_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / ".android"
    Key(folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {".android": 0o700, "adbkey": 0o600, "adbkey.pub": 0o600}


@pytest.mark.parametrize(("of", "mode", "remedy"), [("adbkey", 0o640, "chmod 600"), ("", 0o770, "chmod 700")])
def test_a_key_that_others_may_read_or_replace_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, of: str, mode: int, remedy: str
) -> None:
    folder = tmp_path / "keys"
    with caplog.at_level(logging.WARNING):
        Key(folder)
        assert not caplog.records
        (folder / of).chmod(mode)
        Key(folder)
    assert remedy in caplog.text


def test_no_log_or_message_holds_the_key_or_what_it_signs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = Key(tmp_path)
    with FakeAdbDevice(tmp_path, keys=[key.public_key()]) as device:
        link = DirectLink(TcpCarrier("127.0.0.1", device.port), "phone", keys=tmp_path, authorization_s=0.2)
        transport = Transport(link)
        transport.reconnect()
        assert transport.shell("echo secret", timeout_s=5).exit_status == 0
        device.keys = []
        with pytest.raises(DeviceError) as caught:
            transport.reconnect()
        transport.close()
    said = caplog.text + str(caught.value) + repr(key) + repr(transport)
    private = (tmp_path / "adbkey").read_text().splitlines()[1:-1]
    assert not any(line in said for line in private)
    assert key.public_key().decode()[:64] not in said
    assert base64.b64encode(key.sign(bytes(20))).decode()[:32] not in said


def test_nothing_but_a_token_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone that sends a whole document in place of 20 random bytes gets no signature for it."""
    key = Key(tmp_path)
    monkeypatch.setattr("secrets.token_bytes", lambda _: b"I owe you " * 10)
    with FakeAdbDevice(tmp_path, keys=[key.public_key()]) as device:
        link = DirectLink(TcpCarrier("127.0.0.1", device.port), "phone", keys=tmp_path)
        with pytest.raises(DeviceError, match="asks for a key in a way that ADB does not know"):
            link.reconnect()
