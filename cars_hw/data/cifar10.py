"""CIFAR-10 from files of the user's own: the official binary version, or JPEG in class folders.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.
"""

from pathlib import Path

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.data._stored.cifar import Form, Found, test_set, training_files, training_set

#: A label is an index here.
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FORM = Form(
    title="CIFAR-10",
    archive="cifar-10-binary.tar.gz",
    classes=CLASSES,
    training=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    records=10_000,
    label_bytes=1,
)


class Cifar10(DataSet):
    """50 000 images of 32x32 pixels to train on and 10 000 to test on, in ten classes."""

    def read(self) -> ImageSet:
        return training_set(self, FORM)

    def read_test(self) -> ImageSet | None:
        return test_set(self, FORM)


def read(path: Path) -> Found:
    """Read the training images below ``path``, in an order that does not depend on that of the files.

    Raises:
        DataError: There are none, or a file is damaged, too large, or not what its name stands for.
    """
    return training_files(path, FORM)
