"""The smallest real searches: 8x8 digits, two channels."""

#: Three cells of the published kind.
TINY = """
[space]
deploy = "search"
channels = 2
cells = 3
image_size = 8
image_channels = 1
[data]
name = "digits"
fitness_images = 100
[training]
batch_size = 16
crop_padding = 1
recalibration_images = 32
"""

#: The same in the space that is searched fastest: one cell in each stage.
TINIEST = TINY.replace("cells = 3", 'cells = 1\nname = "nasbench201"')
