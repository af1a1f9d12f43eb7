"""Validations: what is refused, and how they live in a table's file."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest

from devices._device import DeviceInfo
from latency_tables.errors import DamagedFileError, TableError
from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable, TableHeader
from latency_tables.validation import PredictedNetwork, Validation

HEADER = TableHeader(DeviceInfo("fake", "fake", "fake", "fake", cores=1), "fake", "1", threads=1)
NETWORKS = [OpSpec.of("network", (1, 3, 8, 8), digest=f"g{i}") for i in range(3)]
VALIDATION = Validation("0a", tuple(PredictedNetwork(spec, 1.0, (0.5, 1.5)) for spec in NETWORKS))


def table_with_validation(path: Path) -> Path:
    with LatencyTable.create(path, HEADER) as table:
        table.add(*(Measurement(spec, (1.0 + i, 1.5 + i)) for i, spec in enumerate(NETWORKS)))
        table.add_validation(VALIDATION)
    return path


def test_a_validation_is_read_back_and_reported(tmp_path: Path) -> None:
    table = LatencyTable.open(table_with_validation(tmp_path / "t.jsonl"))
    assert table.validation == VALIDATION
    report = table.validation_report()
    assert report is not None
    assert report.prediction_error.n == 3


def test_a_later_validation_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = table_with_validation(tmp_path / "t.jsonl")
    later = Validation("0b", VALIDATION.networks)
    with LatencyTable.open_for_writing(path, HEADER) as table:
        table.add_validation(later)
    assert LatencyTable.open(path).validation == later


def test_a_validation_leaves_the_digest_of_the_entries_alone(tmp_path: Path) -> None:
    table = LatencyTable.in_memory(HEADER)
    before = table.digest()
    table.add_validation(VALIDATION)
    assert table.digest() == before


def test_a_table_never_validated_has_no_report() -> None:
    assert LatencyTable.in_memory(HEADER).validation_report() is None


def test_too_few_networks_or_one_twice_are_refused() -> None:
    with pytest.raises(TableError, match="each once"):
        Validation("0a", VALIDATION.networks[:2])
    with pytest.raises(TableError, match="each once"):
        Validation("0a", VALIDATION.networks + VALIDATION.networks[:1])


@pytest.mark.parametrize(
    ("latency_s", "interval_s"),
    [
        (0.0, (0.0, 1.0)),
        (math.nan, (0.5, 1.5)),
        (2.0, (0.5, 1.5)),
        (1.0, (-1.0, 1.5)),
        (1.0, (0.5, math.inf)),
    ],
)
def test_a_prediction_that_is_no_latency_is_refused(
    latency_s: float, interval_s: tuple[float, float]
) -> None:
    with pytest.raises(TableError, match="is no prediction"):
        PredictedNetwork(NETWORKS[0], latency_s, interval_s)


_NETWORK: dict[str, Any] = {"spec": str(NETWORKS[0]), "latency_s": 1.0, "interval_s": [0.5, 1.5]}


@pytest.mark.parametrize(
    "networks",
    [
        ["network"],
        [{**_NETWORK, "latency_s": "1.0"}] * 3,
        [{**_NETWORK, "latency_s": 1}] * 3,
        [{**_NETWORK, "interval_s": [0.5]}] * 3,
        [{**_NETWORK, "extra": 1}] * 3,
        [{**_NETWORK, "spec": "$(reboot)"}] * 3,
        [_NETWORK] * 3,
    ],
)
def test_a_damaged_validation_is_named_by_its_line(networks: list[Any], tmp_path: Path) -> None:
    path = table_with_validation(tmp_path / "t.jsonl")
    payload = json.dumps({"basis": "0a", "networks": networks}).encode()
    with path.open("ab") as file:
        file.write(b"%d %08x %b\n" % (len(payload), zlib.crc32(payload), payload))
    with pytest.raises(DamagedFileError, match="line 6"):
        LatencyTable.open(path)
