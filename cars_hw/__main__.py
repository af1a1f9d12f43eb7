"""``python -m cars_hw``: the command line."""

from cars_hw.cli import main

main()
