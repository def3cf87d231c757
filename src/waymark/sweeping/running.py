"""Drive a sweep: ask, start, follow, end early what promises little, collect; until enough trials are over."""

import fcntl
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import optuna
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from waymark import git, paths
from waymark.errors import Stopped, WaymarkError
from waymark.sweeping import checkout, space
from waymark.sweeping.checkout import WORK, Snapshot
from waymark.sweeping.parent_run import ParentRun
from waymark.sweeping.space import Value
from waymark.sweeping.store import Sweep
from waymark.sweeping.trial_process import TrialProcess
from waymark.tracking import address

log = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two looks at the trials that run
_HOPELESS = 3  # trials that fail before one ends well, and the sweep gives up


@dataclass
class Running:
    trial: optuna.Trial
    name: str
    values: dict[str, Value]
    process: TrialProcess
    epochs: int = 0  # that training has told of


@dataclass
class Count:
    """What this process has seen end, and how many trials had ended before."""

    whole: int = 0
    pruned: int = 0
    failed: int = 0
    before: int = 0


@dataclass
class Drive:
    """One process's work on a sweep, with `jobs` trials at a time."""

    root: Path
    sweep: Sweep
    jobs: int
    parent: ParentRun
    files: Snapshot
    cache: Path
    running: list[Running] = field(default_factory=list)
    count: Count = field(default_factory=Count)

    def to_the_end(self) -> None:
        """Raises WaymarkError where the first trials all fail."""
        self.sweep.prepare()
        left = self.sweep.left()
        try:
            with self._bar() as bar:
                while True:
                    while len(self.running) < self.jobs and (trial := left.pop(0) if left else self._next()):
                        self._start(trial)
                    if not self.running:
                        return
                    time.sleep(PAUSE)
                    for each in list(self.running):
                        self._follow(each)
                    bar.n = self.count.before + self.count.whole + self.count.pruned
                    bar.set_postfix_str(", ".join(f"{each.name} epoch {each.epochs}" for each in self.running))
        finally:
            self._stop()

    @contextmanager
    def _bar(self) -> "Iterator[tqdm[NoReturn]]":
        """Moves on a terminal, where lines are written above it; is quiet elsewhere."""
        self.count.before = len(self.sweep.over())
        quiet = not sys.stderr.isatty()
        bar = tqdm(total=self.sweep.plan.trials, initial=self.count.before, unit=" trials", disable=quiet, leave=False)
        with bar, nullcontext() if quiet else logging_redirect_tqdm():
            yield bar

    def _stop(self) -> None:
        """All at once, for each takes its time; trials stay stored as running, by which they are gone on with."""
        for each in self.running:
            log.info("%s: being stopped", each.name)
            each.process.ask_to_end()
        for each in self.running:
            each.process.end()
            self.parent.close(each.name)

    def _next(self) -> optuna.Trial | None:
        wanted = self.sweep.plan.trials - len(self.sweep.over()) - len(self.running)
        return self.sweep.ask() if wanted > 0 else None

    def _start(self, trial: optuna.Trial) -> None:
        name, values = self.sweep.experiment(trial), self.sweep.values(trial)
        folder = self.root / WORK / self.sweep.name / name
        process = TrialProcess(folder)
        process.end_orphan()
        self.parent.close(name)
        if commit := checkout.there(self.root, self.files.commit, name):  # all but the note in the store was done
            self._complete(trial, name, values, commit)
            process.clear()
        elif twin := self.sweep.twin(values):
            log.info("%s: as %s", _said(name, values), self.sweep.experiment(twin))
            self.sweep.repeat(trial, twin)
        else:
            checkout.make(self.root, folder, self.files, self.cache)
            environment = checkout.environment(folder, address.uri()) | {address.PARENT: self.parent.run_id}
            process.begin(name, space.overrides(values), environment)
            self.running.append(Running(trial, name, values, process))

    def _follow(self, each: Running) -> None:
        code = each.process.returned()  # asked first: all that it told is there to be read, then
        for epoch in each.process.epochs():
            each.epochs = int(epoch["epoch"])
            if self.sweep.report(each.trial, epoch) and code is None:
                each.process.end()
                self._prune(each)
                return
        if code == 0:
            commit = checkout.collect(self.root, each.process.folder, self.files, each.name)
            self._complete(each.trial, each.name, each.values, commit)
            self._forget(each)
        elif code is not None:
            self._fail(each)

    def _prune(self, each: Running) -> None:
        log.info("%s: pruned after epoch %d", _said(each.name, each.values), each.epochs)
        self.sweep.prune(each.trial)
        self.count.pruned += 1
        self._forget(each)

    def _fail(self, each: Running) -> None:
        told = each.process.said()
        log.warning("%s: failed; %s says:\n%s", _said(each.name, each.values), each.process.log, told)
        self.sweep.fail(each.trial)
        self.count.failed += 1
        self._forget(each, keep_log=True)
        if self.count.failed >= (self.sweep.plan.trials if self.count.whole else _HOPELESS):
            raise WaymarkError(
                f"{self.count.failed} trials failed and {self.count.whole} ended well; mend what they say above, and "
                f"go on with `waymark sweep {self.sweep.name}`"
            )

    def _forget(self, each: Running, keep_log: bool = False) -> None:
        self.parent.close(each.name)
        self.running.remove(each)
        each.process.clear(keep_log)

    def _complete(self, trial: optuna.Trial, name: str, values: dict[str, Value], commit: str) -> None:
        value = _value(self.root, commit, self.sweep.plan.metric)
        self.sweep.complete(trial, value)
        self.count.whole += 1
        best = self.sweep.ranked()[0]
        self.parent.best(self.sweep.plan.metric, best.value or 0.0, len(self.sweep.over()))
        said = "the best so far" if best.number == trial.number else f"best: {self.sweep.experiment(best)}"
        log.info("%s: %s %.4f, %s", _said(name, values), self.sweep.plan.metric, value, said)


def run(root: Path, sweep: Sweep, jobs: int, command: str) -> None:
    """Go on with a sweep until it has all its trials. Raises WaymarkError where another process drives it."""
    files = Snapshot(sweep.plan.commit, sweep.plan.content)
    with alone(root, sweep.name):
        parent = ParentRun(sweep.name, sweep.plan.dataset, command, sweep.parent_run)
        if parent.run_id != sweep.parent_run:
            sweep.parent_run = parent.run_id
        status = "FAILED"
        try:
            Drive(root, sweep, jobs, parent, files, checkout.cache(root)).to_the_end()
            status = "FINISHED"
        except (KeyboardInterrupt, Stopped):
            status = "KILLED"
            log.info("stopped; `waymark sweep %s` goes on from here", sweep.name)
            raise
        finally:
            parent.end(status, next(map(sweep.experiment, sweep.ranked()), ""))


@contextmanager
def alone(root: Path, name: str) -> Iterator[None]:
    """One process drives a sweep; the lock goes with it, however it ends."""
    folder = root / WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WaymarkError(f"{name}: another `waymark sweep {name}` runs; wait for it, or stop it") from None
        yield


def _value(root: Path, commit: str, metric: str) -> float:
    """What export found on val, as the experiment's commit has it."""
    path = paths.EXPORT.as_posix()
    try:
        return float(json.loads(git.read(root, commit, [path])[path])["val"][metric])
    except (KeyError, ValueError):
        raise WaymarkError(
            f"{path} of {commit[:7]}: has no {metric} on val; `dvc exp show` tells what it has"
        ) from None


def _said(name: str, values: dict[str, Value]) -> str:
    return " ".join([name, *space.overrides(values)])
