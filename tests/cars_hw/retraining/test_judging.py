"""Judging against counts by hand."""

import torch
from torch import Tensor, nn

from cars_hw.retraining.judging import Judgement, judge


class _Logits(nn.Module):
    """Returns as logits what it is given as images."""

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)


def _judged(rows: list[list[float]], labels: list[int]) -> Judgement:
    images = torch.tensor(rows)[:, None, None]
    return judge(
        _Logits(),
        [(images, torch.tensor(labels))],
        classes=7,
        between_batches=lambda: None,
    )


def test_classes_are_counted_by_the_greatest_and_the_five_greatest_logits() -> None:
    falling = [7.0, 6, 5, 4, 3, 2, 1]
    found = _judged([falling] * 4, [0, 0, 4, 5])
    assert found.images.tolist() == [2, 0, 0, 0, 1, 1, 0]
    assert found.right.tolist() == [2, 0, 0, 0, 0, 0, 0]
    assert found.among_five.tolist() == [2, 0, 0, 0, 1, 0, 0]
    assert (found.error, found.top5_error) == (0.5, 0.25)


def test_logits_that_are_not_finite_are_wrong() -> None:
    nan = float("nan")
    found = _judged([[nan] * 7, [9.0, nan, 0, 0, 0, 0, 0]], [0, 0])
    assert (found.error, found.top5_error) == (1.0, 1.0)


def test_equal_logits_count_as_the_first_class() -> None:
    found = _judged([[0.0] * 7] * 2, [0, 6])
    assert found.right.tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert found.error >= found.top5_error
