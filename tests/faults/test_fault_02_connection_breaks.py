"""Faults 1 and 2, the device's part: the connection breaks anywhere, and the phone comes back or not."""

import hashlib
import itertools
import re
from pathlib import Path

import pytest

from devices._errors import DeviceLostError
from devices.android import Android
from tests.fakes.played_phone import PlayedPhone, PlayedTransport

CONTENT = b"#!/bin/sh\necho measured\n"


def measure(device: Android, content: bytes = CONTENT) -> bytes:
    """Do what a runtime does with a phone."""
    with device.quiet(1):
        assert device.why_not_ready() is None
        program = device.push(content, executable=True)
        with device.scratch() as folder:
            done = device.run([program], timeout_s=10)
            device.run(["sh", "-c", f"echo result > {folder}/result"], timeout_s=10)
            return done.stdout + device.pull(f"{folder}/result", max_bytes=100)


def connected(phone: PlayedPhone) -> tuple[PlayedTransport, Android]:
    transport = phone.transport()
    return transport, Android(transport, root=phone.root)


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_connection_that_breaks_at_any_call_costs_nothing_if_the_phone_comes_back(
    phone: PlayedPhone, stride: int
) -> None:
    for k in itertools.count(step=stride):
        transport, device = connected(phone)
        transport.calls_until_lost, transport.comes_back = k, True
        content = CONTENT + b"# %d\n" % k  # new each time, so that it is pushed
        assert measure(device, content) == b"measured\nresult\n"
        assert hashlib.sha256(content).hexdigest() in phone.ours()
        assert not [name for name in phone.ours() if not re.fullmatch("[0-9a-f]{64}", name)]
        assert phone.read("fixed-performance") == "false\n"
        if transport.reconnections == 0:
            break
    assert k > 12  # so many calls there were at least


@pytest.mark.parametrize("k", [0, 3, 6, 9, 11])
def test_a_phone_that_stays_away_is_lost_and_is_as_before_at_the_next_connection(
    phone: PlayedPhone, k: int
) -> None:
    transport, device = connected(phone)
    transport.calls_until_lost = k
    with pytest.raises(DeviceLostError, match="unplugged; plug it in again"):
        measure(device)
    assert measure(phone.device()) == b"measured\nresult\n"
    assert phone.read("fixed-performance") == "false\n"
    assert not [name for name in phone.ours() if name.startswith(("run-", "new-"))]


def test_an_answer_that_was_lost_after_the_file_had_got_its_name_is_no_failure(phone: PlayedPhone) -> None:
    transport, device = connected(phone)
    path = device.push(CONTENT)
    transport.comes_back = True
    Path(path).unlink()
    transport.before_answer = _LoseOnce(transport, "mv -f")
    assert device.push(CONTENT) == path
    assert transport.reconnections == 1


class _LoseOnce:
    """Breaks the connection after a command has run, before its answer arrives."""

    def __init__(self, transport: PlayedTransport, command: str) -> None:
        self._transport, self._command, self._is_done = transport, command, False

    def __call__(self, command: str) -> None:
        if self._command in command and not self._is_done:
            self._is_done = True
            raise DeviceLostError("the answer was lost")
