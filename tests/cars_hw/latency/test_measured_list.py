"""Lists of networks that somebody measured."""

import json
from pathlib import Path

import pytest

from cars_hw.errors import DataError
from cars_hw.latency.measured_list import read_list
from cars_hw.spaces.nasbench201 import Nasbench201

_SPACE = Nasbench201()


def _written(folder: Path, text: str) -> Path:
    path = folder / "list"
    path.write_text(text)
    return path


def test_a_csv_file_is_read_whatever_else_it_has(tmp_path: Path) -> None:
    path = _written(tmp_path, "idx,latency_ms,architecture\n0,3.5,421211\n1,4.25,3.3.4.1.3.1\n2,3.7,421211\n")
    found = read_list(path, _SPACE)
    assert found.latencies_s == {
        (4, 2, 1, 2, 1, 1): (pytest.approx(0.0035), pytest.approx(0.0037)),
        (3, 3, 4, 1, 3, 1): (pytest.approx(0.00425),),
    }


def test_a_json_list_is_read_in_the_published_form_of_the_space(tmp_path: Path) -> None:
    text = _SPACE.to_published((3, 3, 4, 1, 3, 1))
    networks = [
        {"architecture": text, "latency_ms": 2},
        {"architecture": {"code": "421211"}, "latency_ms": 0.5},
    ]
    found = read_list(_written(tmp_path, json.dumps(networks)), _SPACE)
    assert found.latencies_s == {(3, 3, 4, 1, 3, 1): (0.002,), (4, 2, 1, 2, 1, 1): (0.0005,)}


def test_networks_without_a_path_to_the_output_are_left_out_and_counted(tmp_path: Path) -> None:
    path = _written(tmp_path, "architecture,latency_ms\n000000,0.01\n333000,0.02\n000300,1.5\n")
    found = read_list(path, _SPACE)
    assert (set(found.latencies_s), found.disconnected) == ({(0, 0, 0, 3, 0, 0)}, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns"),
        ("code,ms\n421211,1\n", "has the columns"),
        ("architecture,latency_ms\n421211\n", "line 2: 1 cells; the header has 2"),
        ("architecture,latency_ms\n921211,1\n", "line 2: '921211' is no code"),
        ("architecture,latency_ms\n1.2.3,1\n", "line 2: 3 options given; the space has 6"),
        ("architecture,latency_ms\n421211,1\n421211,fast\n", "line 3: could not convert"),
        ("architecture,latency_ms\n421211,nan\n", "'nan' is no latency in milliseconds"),
        ("architecture,latency_ms\n421211,-1\n", "'-1' is no latency in milliseconds"),
        ("architecture,latency_ms\n421211,0\n", "'0' is no latency in milliseconds"),
        ('{"421211": 1.0}', "holds no list"),
        ("[1.5]", "network 1 is 1.5"),
        ('[{"architecture": "421211", "latency_ms": true}]', "network 1: True is no latency"),
        ('[{"architecture": "421211", "latency_ms": NaN}]', "network 1: nan is no latency"),
        ('[{"architecture": 421211, "latency_ms": 1.0}]', "network 1 is"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_what_is_no_list_of_networks_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        read_list(_written(tmp_path, text), _SPACE)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_absent_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_list(tmp_path / "absent", _SPACE)
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no text"):
        read_list(path, _SPACE)
