"""Fault 22: a phone's serial number appears in nothing that is kept, shown or logged."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import pytest

from devices._errors import DeviceError
from latency_tables.header import TableHeader
from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers._conditions import recorded
from tests.fakes.played_phone import SERIAL, PlayedPhone


def test_neither_table_nor_phone_nor_log_holds_it(
    phone: PlayedPhone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "table.jsonl"
    with phone.device() as device:
        header = TableHeader(device.info(), "tflite", "2.0", threads=1)
        with device.quiet(1), LatencyTable.open_for_writing(path, header) as table:
            before = device.state()
            device.push(b"model")
            conditions = recorded(before, device.state())
            table.add(Measurement(OpSpec.of("relu", (1, 8, 4, 4)), (1e-3,), conditions))
    kept = [path.read_bytes(), *(file.read_bytes() for file in sorted((tmp_path / "cache").rglob("*.lock")))]
    kept += [name.encode() for name in phone.ours()]
    assert device.info().serial_hash.encode() in kept[0]
    assert SERIAL.lower().encode() not in b"\n".join(kept).lower()
    assert SERIAL.lower() not in caplog.text.lower()


def test_no_error_of_the_device_holds_it(phone: PlayedPhone) -> None:
    device = phone.device()
    errors = []
    for attempt in (
        lambda: device.quiet(99).__enter__(),
        lambda: device.pull("/no/such/file", max_bytes=1),
        lambda: device.run(["true"], timeout_s=10, environment={"": ""}),
    ):
        with pytest.raises(DeviceError) as caught:
            attempt()
        errors.append(str(caught.value))
    assert SERIAL not in json.dumps([errors, asdict(device.info()), repr(device)])
