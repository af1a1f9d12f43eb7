"""Fault 1, the transport's part: a phone unplugged at any moment is lost, quickly, and can be found again."""

import itertools
import time
from pathlib import Path

import pytest

from devices import _adb
from devices._adb.transport import Transport
from devices._errors import DeviceLostError
from tests.fakes.adb_device import FakeAdbDevice
from tests.fakes.processes import ended

_CONTENT = bytes(range(256)) * 1024


def _work(transport: Transport, folder: Path) -> bytes:
    transport.push(_CONTENT, f"{folder}/model", timeout_s=10)
    assert (
        transport.shell(f"cp {folder}/model {folder}/result && echo done", timeout_s=10).stdout == b"done\n"
    )
    return transport.pull(f"{folder}/result", max_bytes=len(_CONTENT), timeout_s=10)


def _is_lost_at_work(transport: Transport, folder: Path) -> bool:
    try:
        assert _work(transport, folder) == _CONTENT
    except DeviceLostError:
        return True
    return False


def test_unplugged_before_any_packet_it_is_lost_and_found_again(tmp_path: Path) -> None:
    """For every k: no partial result is taken for a whole one, and the same work then succeeds."""
    with FakeAdbDevice(tmp_path) as device:
        for k in itertools.count(1):
            with _adb.connect(f"tcp:127.0.0.1:{device.port}") as transport:
                device.packets_sent, device.faults.dies_before_packet = 0, k
                start_s = time.monotonic()
                is_lost = _is_lost_at_work(transport, tmp_path)
                assert time.monotonic() - start_s < 5.0
                if not is_lost:
                    break
                device.faults.dies_before_packet = None
                device.settle()
                transport.reconnect()
                assert _work(transport, tmp_path) == _CONTENT
    assert k > 10, "the work takes more packets than that"


def test_a_phone_that_stays_away_is_looked_for_three_times_with_growing_pauses(tmp_path: Path) -> None:
    pauses_s: list[float] = []
    with FakeAdbDevice(tmp_path) as device:
        address = f"tcp:127.0.0.1:{device.port}"
        link = _adb.link_to(address)
        link.reconnect()
        transport = _adb.Transport(link, pause=pauses_s.append)
    with pytest.raises(DeviceLostError):
        transport.shell("true", timeout_s=5)
    with pytest.raises(DeviceLostError, match=address):
        transport.reconnect()
    assert len(pauses_s) == 2
    assert 0 < pauses_s[0] < pauses_s[1] * 1.5
    assert sum(pauses_s) < 5.0


def test_what_ran_when_the_phone_was_lost_is_ended_when_it_is_found(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with FakeAdbDevice(tmp_path) as device:
        transport = _adb.connect(f"tcp:127.0.0.1:{device.port}")
        device.faults.dies_before_packet = device.packets_sent + 4
        # It waits first: the number of its process, which comes by another stream, must not be overtaken.
        beating = f"trap '' HUP; sleep 0.2; while :; do echo >>{beats}; echo; sleep 0.05; done"
        with pytest.raises(DeviceLostError):
            transport.shell(beating, timeout_s=10)
        device.faults.dies_before_packet = None
        transport.reconnect()
        assert beats.stat().st_size
        assert ended(str(beats))
        transport.close()
