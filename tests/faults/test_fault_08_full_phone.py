"""Fault 8: the phone's disk is full."""

import hashlib

import pytest

from devices._errors import DeviceError
from devices.android import Android
from tests.fakes.played_phone import PlayedPhone


def test_a_push_that_does_not_fit_is_an_error_and_leaves_nothing(phone: PlayedPhone) -> None:
    transport = phone.transport()
    device = Android(transport, root=phone.root)
    transport.is_full = True
    with pytest.raises(DeviceError, match="No space left on device; free space there"):
        device.push(b"a model" * 1000)
    assert phone.ours() == []
    transport.is_full = False
    path = device.push(b"a model" * 1000)
    assert path.endswith(hashlib.sha256(b"a model" * 1000).hexdigest())


def test_a_push_that_arrives_damaged_is_an_error_and_leaves_nothing(phone: PlayedPhone) -> None:
    transport = phone.transport()
    device = Android(transport, root=phone.root)
    transport.damage = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(
        DeviceError, match="did not arrive whole: free space on the phone, or check the cable"
    ):
        device.push(b"a model")
    assert phone.ours() == []


def test_a_file_that_was_damaged_on_the_phone_is_sent_again(phone: PlayedPhone) -> None:
    device = phone.device()
    path = device.push(b"a model")
    phone.write(path.removeprefix(f"{phone.root}/"), "another")
    assert device.push(b"a model") == path
    assert device.pull(path, max_bytes=100) == b"a model"


def test_a_file_that_is_there_is_not_sent_again(phone: PlayedPhone) -> None:
    transport = phone.transport()
    device = Android(transport, root=phone.root)
    path = device.push(b"a model")
    assert (transport.pushes, device.push(b"a model"), transport.pushes) == (1, path, 1)
