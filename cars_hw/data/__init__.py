"""Images to train and judge on, one data set a file: inside installed packages, or in files of the user's."""

from pathlib import Path

from cars_hw.data._check import Check, Finding, judged
from cars_hw.data._image_set import Data, DataSet, Images, ImageSet, Labels, Progressed
from cars_hw.data._resize import Interpolation, ResizeMode, ResizeRule, decoding_python
from cars_hw.data._split import Split
from devices.foundation import ConfigError, load_plugin, plugin_names

__all__ = [
    "Check",
    "Data",
    "DataSet",
    "Finding",
    "ImageSet",
    "Images",
    "Interpolation",
    "Labels",
    "ResizeMode",
    "ResizeRule",
    "Split",
    "check",
    "decoding_python",
    "load",
    "load_split",
    "load_test",
    "names",
    "open_set",
    "read",
    "resize_rule",
    "survey",
]


def load(
    name: str,
    /,
    *,
    fitness_images: int,
    path: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    **settings: object,
) -> Data:
    """Load the data set ``name`` and set ``fitness_images`` of it apart, equally many of each class.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        fitness_images: Number of images that judge architectures.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        image_size: Height and width to which zeros are added around each image; ``None`` for its own size.
            ``load_split`` takes any other rule.
        seed: Seed of the split.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set, or a setting that it does not have.
        ConfigError: A value of a setting that it does not take.
        DataError: It is not installed or cannot be read, has too few images for the split, or larger ones
            than asked for.
    """
    rule = None
    if image_size is not None:
        rule = ResizeRule.checked(name, {"mode": "pad", "height": image_size, "width": image_size})
    split = Split(fitness_images, seed=seed)
    return load_split(name, split, path=path, rule=rule, **settings)


def load_split(
    name: str,
    split: Split,
    /,
    *,
    path: str | None = None,
    rule: ResizeRule | None = None,
    **settings: object,
) -> Data:
    """Load the images of the data set ``name`` that train, and those that judge architectures.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        split: Which are which.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        rule: What all images go through; ``None`` where they have one size, which they keep.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set, or a setting that it does not have.
        ConfigError: A value of a setting that it does not take.
        DataError: It is not installed or cannot be read, or has too few images for the split.
    """
    images = open_set(name, path, **settings)
    whole = images.read_by(rule)
    if split.test_images is not None and images.read_test_by(rule) is None:
        whole = split.without_test(whole)
    return split.divided(whole)


def load_test(
    name: str,
    split: Split,
    /,
    *,
    path: str | None = None,
    rule: ResizeRule | None = None,
    **settings: object,
) -> ImageSet | None:
    """Load the images of the data set ``name`` that ``load_split`` with the same arguments leaves out.

    Returns:
        The images; ``None`` where the data set tells none apart, and the split draws none.

    Raises:
        UnknownNameError: No such data set, or a setting that it does not have.
        ConfigError: A value of a setting that it does not take.
        DataError: It is not installed or cannot be read, or has too few images for the split.
    """
    images = open_set(name, path, **settings)
    own = images.read_test_by(rule)
    if own is not None:
        return split.own_test(own)
    return None if split.test_images is None else split.drawn_test(images.read_by(rule))


def check(
    name: str,
    path: str | None = None,
    /,
    progressed: Progressed = lambda _done, _of: None,
    rule: ResizeRule | None = None,
    **settings: object,
) -> Check:
    """Look at every image of the data set ``name``: how many and how large, what is not used, and why.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        progressed: Told now and then how many of how many images were looked at.
        rule: What all images are to go through; an image that it does not take is a problem.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set or setting.
        ConfigError: A value of a setting that it does not take.
    """
    images = open_set(name, path, **settings)
    return judged(name, lambda: images.check(rule, progressed))


def survey(name: str, path: str | Path | None = None, /, **settings: object) -> Check:
    """Do as ``check``, as far as it is quick: images in files are not decoded.

    Raises:
        UnknownNameError: No such data set or setting.
        ConfigError: A value of a setting that it does not take.
    """
    return judged(name, open_set(name, path, **settings).survey)


def read(name: str, path: Path | None = None, /, **settings: object) -> ImageSet:
    """Return all images of the data set ``name``, in one, as large as they are.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set or setting.
        DataError: It is not installed or cannot be read.
    """
    return open_set(name, path, **settings).read()


def resize_rule(
    name: str,
    mode: ResizeMode | None,
    size: tuple[int, int] | None,
    interpolation: Interpolation = "bilinear",
) -> ResizeRule | None:
    """Return the rule by which the images of the data set ``name`` get the height and width ``size``.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        mode: Of the rule; ``pad`` if not given, where the images have one size.
        size: ``None`` where they keep the size that they have.
        interpolation: Of the rule.

    Raises:
        UnknownNameError: No such data set.
        ConfigError: Half of a rule is given.
    """
    kind = load_plugin("cars_hw.data", name, DataSet, what="data set")
    if size is None:
        if mode is not None:
            raise ConfigError(f"data.resize is {mode}, to no size: set data.image_size")
        return None
    if mode is None and kind.has_any_size:
        raise ConfigError(
            f"images of {name} have any size: set data.resize to fit, crop, stretch or pad, by which they "
            f"become {size[0]}x{size[1]}"
        )
    return ResizeRule(mode=mode or "pad", height=size[0], width=size[1], interpolation=interpolation)


def open_set(name: str, path: str | Path | None = None, /, **settings: object) -> DataSet:
    """Return the data set ``name``, of which nothing is read yet.

    Raises:
        UnknownNameError: No such data set or setting.
        ConfigError: A value of a setting that it does not take.
    """
    kind = load_plugin("cars_hw.data", name, DataSet, what="data set")
    return kind(None if path is None else Path(path), **settings)


def names() -> tuple[str, ...]:
    """List the data sets of this project."""
    return plugin_names("cars_hw.data")
