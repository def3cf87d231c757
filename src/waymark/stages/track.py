"""track: remember the outcome in MLflow as one run, which leads back to this commit, its parameters and its data."""

import logging
from pathlib import Path

from waymark import params
from waymark.errors import exit_with_sentence
from waymark.params import Params
from waymark.tracking import address, recording
from waymark.tracking.address import TrackingError

log = logging.getLogger(__name__)


def run(_: Params) -> None:
    """An MLflow that is away is told of, and fails nothing: all that it would hold is in files."""
    try:
        run, added = recording.record(address.connect(), Path())
    except TrackingError as error:
        log.warning("warning: %s; %s", error, address.LATER)
        return
    where = address.shown(address.uri())
    said = "is" if added else "was already"
    log.info("run %s (%s) %s in MLflow at %s", run.info.run_id[:8], run.info.run_name, said, where)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
