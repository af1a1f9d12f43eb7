"""A space from outside that deploys a larger network than it searches."""

from cars_hw.spaces.darts import Darts


class Outside(Darts):
    """Published cells, by a name of somebody else's."""
