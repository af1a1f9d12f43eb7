"""The fake device, on which a rest takes its time."""

import time

from devices.fake import Fake


class Sleeping(Fake):
    """A scripted clock that waits while it rests."""

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        super().pause(seconds)
