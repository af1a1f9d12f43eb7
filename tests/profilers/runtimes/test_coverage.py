"""What part of a model delegates run, and what of it goes on record."""

import pytest

from profilers.runtimes._coverage import Coverage


@pytest.mark.parametrize(
    ("partitions", "nodes_outside", "is_full"), [(1, 0, True), (2, 0, False), (1, 3, False), (1, None, False)]
)
def test_a_graph_is_covered_by_one_piece_that_leaves_nothing(
    partitions: int, nodes_outside: int | None, is_full: bool
) -> None:
    assert Coverage(("gpu",), partitions, nodes_outside).is_full is is_full


def test_what_is_not_told_is_not_on_record() -> None:
    assert Coverage((), 0, None).facts() == {"delegates": "none", "partitions": 0}
    assert Coverage(("a", "b"), 2, 1, nodes=9).facts() == {
        "delegates": "a,b",
        "partitions": 2,
        "nodes": 9,
        "nodes_outside": 1,
    }
