"""The example beside a file: a program of a few lines that classifies images, without this project."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_hw.data import decoding_python
from cars_hw.results.exporting.images import PixelJudging
from cars_hw.results.exporting.options import FileOptions
from cars_hw.results.model_card import card_path


@dataclass(frozen=True)
class _Runner:
    """How Python runs the files of a format.

    Attributes:
        needs: The package, for people.
        imports: Lines.
        load: Returns the lines that load the file of that name.
        run: Lines of the loop's body, from ``images`` to ``outputs``.
    """

    needs: str
    imports: tuple[str, ...]
    load: Callable[[str], tuple[str, ...]]
    run: tuple[str, ...]


#: By the name of the format; another one has no example.
_RUNNERS = {
    "onnx": _Runner(
        "onnxruntime",
        ("import onnxruntime",),
        lambda name: (f"model = onnxruntime.InferenceSession(Path(__file__).with_name({name}))",),
        ("outputs = model.run(None, {model.get_inputs()[0].name: images})[0]",),
    ),
    "tflite": _Runner(
        "ai-edge-litert",
        ("from ai_edge_litert.interpreter import Interpreter",),
        lambda name: (
            f"model = Interpreter(str(Path(__file__).with_name({name})))",
            "model.allocate_tensors()",
        ),
        (
            'model.set_tensor(model.get_input_details()[0]["index"], images)',
            "model.invoke()",
            'outputs = model.get_tensor(model.get_output_details()[0]["index"])',
        ),
    ),
}


def example_path(model: Path) -> Path:
    """Return where the example of ``model`` lies, named as its card is: ``knee.example.py``."""
    return card_path(model).with_suffix(".example.py")


def example_text(model: Path, judging: PixelJudging, file_format: str, options: FileOptions) -> str:
    """Return a program that prints the class of each image that it is given, as the file's card has it.

    Args:
        model: The file, beside which it will lie.
        judging: Images as the network takes them.
        file_format: Of the file.
        options: What the file holds beside the network.

    Returns:
        Python in ASCII; empty where it is not known how Python runs the format, or what files become the
        images.
    """
    channels = judging.image_shape[0]
    if file_format not in _RUNNERS or channels not in (1, 3):
        return ""
    runner, path = _RUNNERS[file_format], example_path(model).name
    usage = f"Prints the class of each image: python {path} IMAGE...; needs numpy, Pillow and {runner.needs}"
    lines = [
        ascii(usage),
        "",
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        *runner.imports,
        "from PIL import Image, ImageOps",
        "",
        f"CLASSES = {list(judging.images.class_names)!a}",
        *runner.load(ascii(model.name)),
        "for file in sys.argv[1:]:",
        *(f"    {line}" for line in _body(judging, file_format, options)),
    ]
    return "\n".join([*lines, ""])


def _body(judging: PixelJudging, file_format: str, options: FileOptions) -> Sequence[str]:
    return [
        f"image = {decoding_python(judging.image_shape[0])}",
        f"pixels = np.asarray({judging.images.rule.python()})",
        *([] if options.with_preprocessing else [_normalising(judging)]),
        f"images = {_batched(judging.image_shape[0], file_format)}",
        *([f"images = images.repeat({options.batch}, axis=0)"] if options.images_at_once > 1 else []),
        *_RUNNERS[file_format].run,
        'print(f"{file}: {CLASSES[outputs[0].argmax()]}")',
    ]


def _normalising(judging: PixelJudging) -> str:
    """Return the line that normalises pixels (h, w, c), or (h, w) of one channel, as training did."""
    # The shortest text of a float32, which is read as that very number again.
    mean, std = ([float(str(np.float32(one))) for one in ones] for ones in (judging.mean, judging.std))
    return f"pixels = (np.float32(pixels) / 255 - np.float32({mean})) / np.float32({std})"


def _batched(channels: int, file_format: str) -> str:
    """Return the expression that makes a batch of one of ``pixels``, (h, w, c) or (h, w)."""
    if file_format == "tflite":
        return "pixels[None]" if channels > 1 else "pixels[None, :, :, None]"
    return "pixels.transpose(2, 0, 1)[None]" if channels > 1 else "pixels[None, None]"
