"""The smallest real search: 8x8 digits, three cells of two channels."""

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
