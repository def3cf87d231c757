"""The sweeps of a repository as Optuna's studies: what each is to try, and what came of each trial.

One process at a time drives a sweep (running.py holds a lock), so a trial that is stored as running and that this
process did not begin is one that an earlier process left: it goes on under its number, with the values it has.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from waymark.errors import WaymarkError, reason
from waymark.sweeping import space
from waymark.sweeping.space import Space, Value

STORE = Path("sweeps.db")
TRIALS = 20  # where ranges leave it open
MOST = 1000  # combinations that a sweep begins without being told how many

# Metrics of val in reports/export.json, whether more is better, and what training tells of them after each epoch.
METRICS = {
    "accuracy": ("maximize", "val_accuracy"),
    "balanced_accuracy": ("maximize", "val_accuracy"),
    "min_class_recall": ("maximize", ""),
    "macro_f1": ("maximize", "val_accuracy"),
    "coverage": ("maximize", ""),
    "negative_log_likelihood": ("minimize", "val_loss"),
    "brier_score": ("minimize", ""),
    "expected_calibration_error": ("minimize", ""),
}

_PLAN, _VALUES, _EXPERIMENT, _SAME_AS, _PARENT = "plan", "values", "experiment", "same_as", "mlflow_run"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # of a git reference, a file and an MLflow run
_STARTUP = 4  # whole trials that a median wants
_FROM = 3  # epoch; before it a high learning rate tells nothing of where it leads
_OVER = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Plan:
    """What a sweep was begun with; of it only `trials` changes."""

    settings: tuple[str, ...]  # as after -S
    metric: str
    trials: int
    prune: bool
    dataset: str
    epochs: int  # 0 where the trials differ in it
    commit: str  # the trials' experiments stand on it
    content: str  # commit with the files as they were, committed or not; `commit` where nothing was changed

    @property
    def space(self) -> Space:
        return space.parse(self.settings)


class Sweep:
    """A sweep by its name; trials keep Optuna's numbers."""

    def __init__(self, name: str, study: optuna.Study) -> None:
        self.name, self._study = name, study
        self.plan = Plan(**_tuples(study.user_attrs[_PLAN]))
        direction, self.followed = METRICS[self.plan.metric]
        self.maximizes = direction == "maximize"
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=_FROM)

    @property
    def parent_run(self) -> str:
        """The id of the MLflow run over the trials' own; '' while there is none."""
        return str(self._study.user_attrs.get(_PARENT, ""))

    @parent_run.setter
    def parent_run(self, run_id: str) -> None:
        self._study.set_user_attr(_PARENT, run_id)

    def experiment(self, trial: "FrozenTrial | optuna.Trial") -> str:
        """DVC's name of a trial."""
        return f"{self.name}-{trial.number:02d}"

    def grown(self, trials: int) -> None:
        """Let the sweep have so many trials."""
        self.plan = replace(self.plan, trials=trials)
        self._study.set_user_attr(_PLAN, asdict(self.plan))

    def trials(self) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def over(self) -> list[FrozenTrial]:
        """Trials that tell something: those that failed do not."""
        return [trial for trial in self.trials() if trial.state in _OVER]

    def ranked(self) -> list[FrozenTrial]:
        """Whole trials, the best first; of equals, and of those with the same values, the first."""
        done = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE and trial.value is not None]
        sign = -1 if self.maximizes else 1
        return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    def left(self) -> list[optuna.Trial]:
        """Trials that an earlier process did not end."""
        return [optuna.Trial(self._study, each._trial_id) for each in self.trials() if each.state == TrialState.RUNNING]

    def prepare(self) -> None:
        """Put combinations in line that no trial has tried, where all can be listed; again those that failed."""
        listed = self._listed()
        known = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
        tried = [trial.params or trial.system_attrs.get("fixed_params") for trial in known]
        for values in listed or ():
            if values not in tried:
                self._study.enqueue_trial(values)

    def ask(self) -> optuna.Trial | None:
        """The next trial; None where all combinations were tried or begun.

        A sampler for each, seeded by the trial's number: a sweep that was interrupted asks as if it were not.
        """
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if self._listed() is not None and not waiting:
            return None
        number = len(self._study.get_trials(deepcopy=False)) - len(waiting)
        self._study.sampler = optuna.samplers.TPESampler(seed=number)
        return self._study.ask()

    def values(self, trial: "FrozenTrial | optuna.Trial") -> dict[str, Value]:
        """What the trial's experiment sets; drawn now if it was not."""
        kept = trial.user_attrs.get(_VALUES)
        if kept is None and isinstance(trial, optuna.Trial):
            kept = space.drawn(trial, self.plan.space)
            trial.set_user_attr(_VALUES, kept)
        return dict(kept or {})

    def twin(self, values: Mapping[str, Value]) -> FrozenTrial | None:
        """A trial that is over and had the same values."""
        return next((trial for trial in self.over() if self.values(trial) == values), None)

    def repeat(self, trial: optuna.Trial, twin: FrozenTrial) -> None:
        """End a trial as its twin ended."""
        trial.set_user_attr(_SAME_AS, self.same_as(twin) or self.experiment(twin))
        for step, value in twin.intermediate_values.items():
            trial.report(value, step)
        self._study.tell(trial, twin.value if twin.state == TrialState.COMPLETE else None, twin.state)

    def same_as(self, trial: FrozenTrial) -> str:
        return str(trial.user_attrs.get(_SAME_AS, ""))

    def report(self, trial: optuna.Trial, epoch: Mapping[str, float]) -> bool:
        """Note what training told of an epoch; whether the trial promises too little to go on.

        The last epoch is worth nothing to save.
        """
        if not self.followed or self.followed not in epoch:
            return False
        step = int(epoch["epoch"])
        trial.report(float(epoch[self.followed]), step)
        return self.plan.prune and step < self.plan.epochs and trial.should_prune()

    def complete(self, trial: optuna.Trial, value: float) -> None:
        self._study.tell(trial, value)

    def prune(self, trial: optuna.Trial) -> None:
        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: optuna.Trial) -> None:
        self._study.tell(trial, state=TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """How much of the metric's spread each key explains, by fANOVA; nothing where the trials do not tell."""
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            return optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # fewer than two trials, or all with the same value
            return {}

    def _listed(self) -> list[dict[str, Value]] | None:
        """The combinations that the sweep is to try one by one; None where its trials are fewer than they."""
        listed = space.combinations(self.plan.space)
        if listed is None or _count(self.plan.space) > self.plan.trials:
            return None
        return list(listed)


def _count(space: Space) -> int:
    count = 1
    for knob in space.values():
        count *= len(getattr(knob, "choices", ()))
    return count


def default_trials(given: Space) -> int:
    """All combinations where they can be listed, else TRIALS. Raises WaymarkError where they are too many."""
    count = _count(given)
    if count > MOST:
        raise WaymarkError(f"-S: {count:,} combinations; say with --trials how many of them to try")
    return count or TRIALS


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise WaymarkError(f"{name!r}: no name of a sweep; expected up to 40 letters, digits, - and _, as in signs")


def begin(root: Path, name: str, plan: Plan) -> Sweep:
    """Store a new sweep."""
    direction = optuna.study.StudyDirection[METRICS[plan.metric][0].upper()]
    study = optuna.create_study(study_name=name, storage=open_storage(root), direction=direction)
    study.set_user_attr(_PLAN, asdict(plan))
    return Sweep(name, study)


def find(root: Path, name: str) -> Sweep | None:
    """None where no sweep is called so, or its beginning broke off."""
    if not (root / STORE).is_file():
        return None
    storage = open_storage(root)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None
    if _PLAN not in study.user_attrs:
        optuna.delete_study(study_name=name, storage=storage)
        return None
    return Sweep(name, study)


def names(root: Path) -> list[str]:
    if not (root / STORE).is_file():
        return []
    return sorted(optuna.get_all_study_names(open_storage(root)))


def open_storage(root: Path) -> optuna.storages.BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message=".*step.*already reported.*")  # a trial that goes on tells it again
    try:
        return optuna.storages.RDBStorage(
            f"sqlite:///{(root / STORE).resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
    except Exception as error:  # SQLAlchemy's, Alembic's and SQLite's own
        raise WaymarkError(f"{STORE}: cannot be read ({reason(error)}); move it away to begin anew") from None


def _tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
