"""Kill a training again and again, and say as JSON what came of each: python killed_training.py KILLS SEED.

It runs in a folder with prepared data. Forks of one process, which has imported everything, are killed: by turns at a
random moment, and when a checkpoint is being written.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from waymark import params, paths
from waymark.learning import interruption, weights
from waymark.params import Params
from waymark.stages import train

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"width": 8, "epochs": 3, "batch_size": 16, "threads": 1, "seed": 5, "precision": "32-true"}
PART = paths.CHECKPOINT.with_name(paths.CHECKPOINT.name + ".part")


def begin(small: Params) -> int:
    """The process id of a training that has begun."""
    if child := os.fork():
        return child
    interruption.EVERY = 0.0  # a checkpoint after each batch
    train.run(small)
    os._exit(0)


def ended(child: int) -> tuple[str, str]:
    """What a training that is left alone wrote."""
    assert os.waitpid(child, 0)[1] == 0
    assert not paths.CHECKPOINT.exists()
    return weights.sha256(paths.WEIGHTS), paths.HISTORY.read_text(encoding="utf-8")


def killed(child: int, moment: float | None) -> None:
    """End it `moment` seconds from now, or, for None, as soon as its checkpoint is seen under its temporary name."""
    began = time.monotonic()
    while time.monotonic() - began < moment if moment is not None else not PART.exists():
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)  # it is not reaped yet, even where it has ended
    os.waitpid(child, 0)


def main(kills: int, seed: int) -> None:
    small = params.load(ROOT / paths.PARAMS).model_copy(update=SMALL)
    chance = random.Random(seed)
    began = time.monotonic()
    uninterrupted = ended(begin(small))
    took = time.monotonic() - began
    same = found = halves = 0
    for number in range(kills):
        for out in (paths.WEIGHTS, paths.HISTORY):  # as DVC does before a stage runs
            out.unlink()
        killed(begin(small), chance.uniform(0.2, 0.8) * took if number % 2 else None)
        found += paths.CHECKPOINT.exists()
        halves += PART.exists()
        same += ended(begin(small)) == uninterrupted
    print(json.dumps({"same": same, "went on": found, "killed while writing": halves}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
