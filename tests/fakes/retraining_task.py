"""A process that goes on with the small retraining, and saves whenever it can, until it is killed.

usage: python retraining_task.py FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cars_hw.retraining.monitor import Monitor
from tests.fakes import retraining


def main() -> None:
    """Retrain, and say when it begins."""
    made = retraining.trainer(checkpoint_every_s=1e-6)
    print("training", flush=True)
    with retraining.session(Path(sys.argv[1]), made, Monitor()) as session:
        session.run()


if __name__ == "__main__":
    main()
