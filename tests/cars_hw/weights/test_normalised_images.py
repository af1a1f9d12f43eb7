"""Images as networks take them: the same, whether they are held or read when they are needed."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cars_hw
from cars_hw import data
from cars_hw.data import ResizeRule, Split
from cars_hw.weights.normalised_images import NormalisedImages
from tests.fakes.image_files import two_classes

pytestmark = pytest.mark.usefixtures("own_cache")

CPU = torch.device("cpu")


def of_folder(path: Path) -> data.Data:
    rule = ResizeRule(mode="fit", height=8, width=8)
    return data.load_split("folder", Split(8), path=str(two_classes(path, n=12)), rule=rule, channels=1)


def test_images_that_are_held_and_read_are_the_same_to_the_bit(tmp_path: Path) -> None:
    images = of_folder(tmp_path)
    held, read = (
        NormalisedImages(images.training, images.channel_mean, images.channel_std, CPU, most_held_bytes=n)
        for n in (1 << 30, 0)
    )
    assert "held" in repr(held)
    assert "read" in repr(read)
    rows = torch.tensor([3, 0, 15, 3])
    assert torch.equal(held.batch(rows), read.batch(rows))
    assert torch.equal(held.batch(slice(4, 40)), read.batch(slice(4, 40)))
    assert torch.equal(held.all(), read.all())
    assert torch.equal(held.labels, read.labels)
    assert len(held) == len(read) == 16


def test_they_have_the_mean_and_deviation_of_the_training_images(tmp_path: Path) -> None:
    images = of_folder(tmp_path)
    found = NormalisedImages(images.training, images.channel_mean, images.channel_std, CPU).all()
    assert found.mean().item() == pytest.approx(0, abs=1e-5)
    assert found.std(unbiased=False).item() == pytest.approx(1, abs=1e-5)


def test_a_search_trains_and_judges_on_a_folder_of_images(tmp_path: Path) -> None:
    space = cars_hw.spaces.load(
        "nasbench201", deploy="search", channels=2, cells=1, image_size=8, image_channels=1, classes=2
    )
    plan = cars_hw.TrainingPlan(batch_size=8, crop_padding=1, recalibration_images=8, evaluation_batch_size=3)
    trainer = cars_hw.SuperNetTrainer(space, of_folder(tmp_path), plan, total_steps=4)
    architecture = space.sample(np.random.default_rng(0))
    assert all(np.isfinite(float(trainer.step([architecture]))) for _ in range(4))
    assert 0 <= trainer.accuracy(architecture) <= 1
    assert trainer.fitness[0].shape == (8, 1, 8, 8)
