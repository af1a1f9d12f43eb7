"""CIFAR-100 from files of the user's own: the official binary version, or JPEG in class folders.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.
"""

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.data._stored.cifar import Form, test_set, training_set

_NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
    "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
    "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
    "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
    "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
    "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
)
#: A fine label is an index here; the coarse ones, of twenty classes, are not used.
CLASSES = tuple(_NAMES.split())
FORM = Form(
    title="CIFAR-100",
    archive="cifar-100-binary.tar.gz",
    classes=CLASSES,
    training=("train.bin",),
    test="test.bin",
    records=50_000,
    label_bytes=2,
)


class Cifar100(DataSet):
    """50 000 images of 32x32 pixels to train on and 10 000 to test on, in a hundred classes."""

    def read(self) -> ImageSet:
        return training_set(self, FORM)

    def read_test(self) -> ImageSet | None:
        return test_set(self, FORM)
