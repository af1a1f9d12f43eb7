"""Digits of which the last 200 are told apart as test images."""

from dataclasses import replace

from cars_hw.data import DataSet, ImageSet, read

_TEST = 200


class TestedDigits(DataSet):
    """All but the last images, to train and search on."""

    def read(self) -> ImageSet:
        """Read the former."""
        whole = read("digits")
        return replace(whole, stored=whole.images[:-_TEST], labels=whole.labels[:-_TEST])

    def read_test(self) -> ImageSet:
        """Read the latter."""
        whole = read("digits")
        return replace(whole, stored=whole.images[-_TEST:], labels=whole.labels[-_TEST:])
