"""What every data set promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_hw import data
from cars_hw.data import Data, DataSet, ImageSet, ResizeRule, Split
from cars_hw.errors import DataError
from devices.foundation import UnknownNameError


class DataSetContract:
    """Tests of a data set.

        class TestMyImages(DataSetContract):
            name = "my_lab.my_images"

            def path(self) -> Path:
                return Path("/data/my_images")

    Attributes:
        name: The plug-in's.
    """

    name: str

    def path(self) -> Path | None:
        """Return the file or folder that holds the images; ``None`` where they lie in a package."""
        return None

    def settings(self) -> Mapping[str, Any]:
        """Return settings by name."""
        return {}

    def rule(self) -> ResizeRule | None:
        """Return what all images go through; a set whose images have any size needs one."""
        return None

    def _set(self) -> DataSet:
        return data.open_set(self.name, self.path(), **self.settings())

    def _read(self) -> ImageSet:
        return self._set().read_by(self.rule())

    def _split(self, split: Split) -> Data:
        path = None if self.path() is None else str(self.path())
        return data.load_split(self.name, split, path=path, rule=self.rule(), **self.settings())

    def _test(self, split: Split) -> ImageSet:
        path = None if self.path() is None else str(self.path())
        test = data.load_test(self.name, split, path=path, rule=self.rule(), **self.settings())
        assert test is not None
        return test

    def test_it_is_named_after_its_file_and_says_where_it_is_from(self) -> None:
        whole = self._read()
        assert whole.name == self.name
        assert whole.source

    def test_it_reads_images_of_bytes_with_a_label_each(self) -> None:
        whole = self._read()
        n, *shape = whole.images.shape
        assert whole.images.dtype == np.uint8
        assert len(shape) == 3
        assert min(shape) >= 1
        assert whole.labels.dtype == np.int64
        assert whole.labels.shape == (n,)

    def test_its_labels_count_from_zero_and_none_is_left_out(self) -> None:
        assert np.unique(self._read().labels).tolist() == list(range(self._read().classes))

    def test_its_classes_have_names_that_can_be_printed(self) -> None:
        whole = self._read()
        assert len(set(whole.class_names)) == whole.classes
        assert all(name and name.isprintable() for name in whole.class_names)

    def test_its_images_differ(self) -> None:
        images = self._read().images
        assert (images != images[0]).any()

    def test_it_reads_the_same_in_the_same_order_each_time(self) -> None:
        first, again = self._read(), self._read()
        assert np.array_equal(first.images, again.images)
        assert np.array_equal(first.labels, again.labels)

    def test_it_is_split_into_images_that_train_and_images_that_judge(self) -> None:
        whole = self._read()
        n = max(whole.classes, len(whole.labels) // 4)
        split = self._split(Split(n))
        assert len(split.fitness.labels) == n
        assert len(split.training.labels) == len(whole.labels) - n
        assert set(split.fitness.labels) == set(split.training.labels) == set(range(whole.classes))

    def test_its_test_images_are_neither_trained_nor_searched_on(self) -> None:
        whole, own = self._read(), self._set().read_test_by(self.rule())
        split = Split(whole.classes, whole.classes)
        searched, test = self._split(split), self._test(split)
        assert len(test.labels) == whole.classes
        assert (test.image_shape, test.class_names) == (whole.image_shape, whole.class_names)
        left = len(searched.training.labels) + len(searched.fitness.labels)
        assert left == len(whole.labels) - (len(test.labels) if own is None else 0)

    def test_a_rule_gives_its_images_another_size(self) -> None:
        whole = self._read()
        for mode in ("fit", "crop", "stretch"):
            rule = ResizeRule.checked("rule", {"mode": mode, "height": 7, "width": 6})
            resized = self._set().read_by(rule)
            assert resized.image_shape == (whole.image_shape[0], 7, 6)
            assert resized.rule == rule
            assert resized.labels.tolist() == whole.labels.tolist()

    def test_a_check_counts_what_is_read(self) -> None:
        whole, path = self._read(), self.path()
        found = data.check(
            self.name, None if path is None else str(path), rule=self.rule(), **self.settings()
        )
        assert found.is_usable, found.problems
        assert found.channels == whole.image_shape[0]
        counts = np.bincount(whole.labels, minlength=whole.classes).tolist()
        assert dict(found.parts["training"]) == dict(zip(whole.class_names, counts, strict=True))

    def test_an_unknown_setting_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="no_such_setting"):
            data.read(self.name, self.path(), no_such_setting=1)

    def test_files_that_are_not_there_are_refused_in_one_line(self, tmp_path: Path) -> None:
        if self.path() is None:
            pytest.skip("its images lie in a package")
        with pytest.raises(DataError) as caught:
            data.open_set(self.name, tmp_path / "nothing", **self.settings()).read_by(self.rule())
        assert "\n" not in str(caught.value)
