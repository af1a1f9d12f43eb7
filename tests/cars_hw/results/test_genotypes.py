import json
import os
from pathlib import Path
from typing import Any

import pytest

from cars_hw import spaces
from cars_hw.errors import ArchitectureError
from cars_hw.results.bench import read_genotype
from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.darts import Darts

SPACE = Darts()
NORMAL = [("sep_conv_3x3", 0), ("skip_connect", 1), ("dil_conv_5x5", 1), ("max_pool_3x3", 2)] * 2
NORMAL[4:] = [("sep_conv_5x5", 0), ("avg_pool_3x3", 3), ("skip_connect", 2), ("dil_conv_3x3", 4)]
REDUCE = [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0)] * 2
MEANT = SPACE.from_genotype(NORMAL, REDUCE)
ALL = [2, 3, 4, 5]
TEXT = f"Genotype(normal={NORMAL}, normal_concat=range(2, 6), reduce={REDUCE}, reduce_concat=range(2, 6))"


def read(folder: Path, text: str, space: SearchSpace = SPACE) -> tuple[int, ...]:
    (folder / "genotype").write_text(text)
    return read_genotype(space, folder / "genotype")


def pairs(edges: list[tuple[str, int]]) -> list[list[tuple[Any, ...]]]:
    return [[edges[i], edges[i + 1]] for i in range(0, len(edges), 2)]


def weighted(edges: list[tuple[str, int]]) -> list[tuple[Any, ...]]:
    return [(*edge, 0.125) for edge in edges]


@pytest.mark.parametrize(
    ("normal", "reduce"),
    [
        (NORMAL, REDUCE),
        (pairs(NORMAL), pairs(REDUCE)),
        (weighted(NORMAL), REDUCE),
        (pairs(NORMAL), weighted(REDUCE)),
        ([[(*edge, 1) for edge in node] for node in pairs(NORMAL)], REDUCE),
    ],
    ids=["flat", "pairs", "weights", "pairs_and_weights", "weights_in_pairs"],
)
def test_every_published_form_of_a_cell_is_the_same_network(
    normal: list[object], reduce: list[object], tmp_path: Path
) -> None:
    content = {"normal": normal, "normal_concat": ALL, "reduce": reduce, "reduce_concat": ALL}
    assert read(tmp_path, json.dumps(content)) == MEANT
    assert read(tmp_path, str(content)) == MEANT
    assert read(tmp_path, f"Genotype(normal={normal}, reduce={tuple(reduce)})") == MEANT


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff{TEXT}\r\n",
        f"2019-05-01 12:00:00,123 genotype = {TEXT}\n2019-05-01 12:00:00,124 alphas (unfinished",
        TEXT.replace("range(2, 6)", "list(range(2, 6))"),
        TEXT.replace(", ", ",\n    "),
        f"Genotype({NORMAL}, [2, 3, 4, 5], {REDUCE}, (5, 4, 3, 2))",
        TEXT[:-1] + ", connectN=None, connects=None)",
    ],
)
def test_the_text_of_logs_is_read(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == MEANT


@pytest.mark.parametrize("key", ["concat", "normal_concat", "reduce_concat"])
@pytest.mark.parametrize(
    "concat",
    [[4, 5], [2, 3, 4], [], [2, 3, 4, 5, 6], [2, 3, 4, 5, 5], [1, 2, 3, 4], None, 5, "range(2, 6)"],
    ids=str,
)
def test_a_concatenation_of_other_nodes_is_refused_and_not_read_as_all(
    key: str, concat: object, tmp_path: Path
) -> None:
    content = {"normal": NORMAL, "reduce": REDUCE, key: concat}
    with pytest.raises(ArchitectureError, match=f"{key} of the genotype is .*another network"):
        read(tmp_path, json.dumps(content))


@pytest.mark.parametrize(
    "nodes", [[True, 3, 4, 5], ["2", "3", "4", "5"], [2.0, 3, 4, 5], [[2], 3, 4, 5]], ids=str
)
def test_a_concatenation_that_is_no_list_of_nodes_is_refused(nodes: list[object], tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="it is a list of nodes"):
        read(tmp_path, json.dumps({"normal": NORMAL, "reduce": REDUCE, "concat": nodes}))


@pytest.mark.parametrize(
    ("space", "description", "key"),
    [
        ("darts", {"normal": NORMAL, "reduce": REDUCE, "steps": 4}, "steps"),
        ("darts", {"normal": NORMAL, "reduce": REDUCE, "normal_concats": [4, 5]}, "normal_concats"),
        ("darts", {"normal": NORMAL, "reduce": REDUCE, "connects": [1]}, "connects"),
        ("nasbench201", {"code": "000000", "channels": 32}, "channels"),
        ("mobilenet", {"stages": [{}] * 7, "resolution": 96}, "resolution"),
        ("nse", {"code": [], "alloc_space": [], "width": 2}, "width"),
    ],
)
def test_keys_that_are_not_understood_are_refused_by_name(
    space: str, description: dict[str, object], key: str, tmp_path: Path
) -> None:
    loaded = spaces.load(space)
    if space == "mobilenet":
        described = loaded.describe((0,) * len(loaded.choices))
        description = {**described, "resolution": 96}
    with pytest.raises(ArchitectureError, match=f"{key}.*not understood|not understood.*'{key}'"):
        read(tmp_path, json.dumps(description), loaded)


def test_two_forms_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    space = spaces.load("nasbench201")
    first, second = (space.describe((option,) * 6) for option in (0, 1))
    with pytest.raises(ArchitectureError, match="two networks"):
        read(tmp_path, json.dumps({**first, "code": second["code"]}), space)


@pytest.mark.parametrize(
    "text",
    [
        "Genotype(normal=__import__('os').mkdir('evaluated'), reduce=[])",
        "Genotype(normal=[open('evaluated', 'w')], reduce=[])",
        "Genotype(**{'normal': [], 'reduce': []})",
        "Genotype(normal=[x for x in ()], reduce=[])",
        f"Genotype(normal={NORMAL}, normal={REDUCE}, reduce={REDUCE})",
        f'{{"normal": {json.dumps(NORMAL)}, "normal": [], "reduce": []}}',
        f"Genotype(normal={NORMAL}, reduce={REDUCE}, normal_concat=range(2, 10**9))",
        f"Genotype(normal={NORMAL}, reduce={REDUCE}, normal_concat=range(2, 1000000000))",
        f"Genotype(normal={NORMAL}, reduce={REDUCE}, normal_concat=range(2, 6, 0))",
        f"{TEXT}\n{TEXT}",
        "Genotype(" + "[" * 50_000,
        "{" * 50_000,
        '{"a": ' * 50_000,
        "Genotype(normal=",
        "\0",
        "",
        "true",
        " " * (2 << 20),
    ],
    ids=range(18),
)
def test_what_is_no_literal_or_not_one_genotype_is_refused_and_never_evaluated(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchitectureError):
        read(tmp_path, text)
    assert os.listdir(tmp_path) == ["genotype"]


@pytest.mark.parametrize(
    "edge",
    [
        ("sep_conv_3x3", True),
        ("sep_conv_3x3", 0, "0.5"),
        ("sep_conv_3x3", 0, True),
        ("sep_conv_3x3", 0, 1, 2),
    ],
    ids=str,
)
def test_an_edge_of_another_form_is_refused(edge: tuple[object, ...], tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="not \\(operation, predecessor\\)"):
        read(tmp_path, json.dumps({"normal": [edge, *NORMAL[1:]], "reduce": REDUCE}))


def test_bytes_that_are_no_text_and_files_without_an_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe{}")
    for path in (tmp_path / "binary", Path("/dev/zero"), tmp_path, tmp_path / "absent"):
        with pytest.raises(ArchitectureError, match=str(path)):
            read_genotype(SPACE, path)
