"""What came of a sweep, as a person reads it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from waymark.errors import WaymarkError
from waymark.sweeping import checkout, store
from waymark.sweeping.store import Sweep
from waymark.wording import aligned

_ENOUGH = 8  # whole trials below which importances say more of chance than of the keys
_NONE = "–"


def table(root: Path, sweep: Sweep) -> str:
    """All trials, the best first, and what to do with it."""
    return "\n".join(_lines(root, sweep))


def listing(root: Path) -> str:
    """All sweeps of the repository."""
    rows = []
    for name in store.names(root):
        if sweep := store.find(root, name):
            best = _best(root, sweep)
            value = f"{best.value:.4f}" if best else _NONE
            rows.append(
                (name, f"{len(sweep.over())} of {sweep.plan.trials}", sweep.plan.metric, value, _name(sweep, best))
            )
    if not rows:
        return "no sweeps yet; `waymark sweep --help` shows how to begin one"
    return "\n".join(aligned([("sweep", "trials", "metric", "best", ""), *rows]))


def best(root: Path, sweep: Sweep) -> str:
    """The name of the best experiment that is still there. Raises WaymarkError where there is none."""
    found = _best(root, sweep)
    if found is None:
        raise WaymarkError(f"{sweep.name}: no trial has come to its end yet, or its experiment was removed")
    return _name(sweep, found)


def _best(root: Path, sweep: Sweep) -> FrozenTrial | None:
    return next((trial for trial in sweep.ranked() if _there(root, sweep, trial)), None)


def _lines(root: Path, sweep: Sweep) -> Iterator[str]:
    trials = sweep.trials()
    order = {trial.number: rank for rank, trial in enumerate(sweep.ranked())}
    trials.sort(key=lambda trial: (order.get(trial.number, len(order)), trial.state != TrialState.PRUNED, trial.number))
    keys = list(sweep.plan.space)
    yield from aligned([("", sweep.plan.metric, *keys, ""), *(_row(root, sweep, trial, keys) for trial in trials)])
    over = len(sweep.over())
    if over < sweep.plan.trials:
        yield f"{over} of {sweep.plan.trials} trials; `waymark sweep {sweep.name}` goes on"
    if found := _best(root, sweep):
        name = _name(sweep, found)
        yield f"best on val: {name}, {sweep.plan.metric} {found.value:.4f}; `dvc exp apply {name}` brings it here"
    if len(order) >= _ENOUGH and (importances := sweep.importances()):
        told = ", ".join(f"{key} {100 * share:.0f} %" for key, share in importances.items())
        yield f"of the spread of {sweep.plan.metric}, {told} (fANOVA over {len(order)} trials)"


def _row(root: Path, sweep: Sweep, trial: FrozenTrial, keys: Sequence[str]) -> tuple[str, ...]:
    values = sweep.values(trial)
    value = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else _NONE
    return (sweep.experiment(trial), value, *(_shown(values.get(key)) for key in keys), _state(root, sweep, trial))


def _state(root: Path, sweep: Sweep, trial: FrozenTrial) -> str:
    if twin := sweep.same_as(trial):
        return f"the same as {twin}"
    match trial.state:
        case TrialState.COMPLETE:
            return "" if _there(root, sweep, trial) else "experiment removed"
        case TrialState.PRUNED:
            return f"pruned after epoch {trial.last_step}"
        case TrialState.FAIL:
            return "failed"
    return f"epoch {trial.last_step}" if trial.last_step else "begun"


def _there(root: Path, sweep: Sweep, trial: FrozenTrial) -> bool:
    return bool(checkout.there(root, sweep.plan.commit, _name(sweep, trial)))


def _name(sweep: Sweep, trial: FrozenTrial | None) -> str:
    """Of the experiment that the trial led to, which may be another's."""
    return "" if trial is None else sweep.same_as(trial) or sweep.experiment(trial)


def _shown(value: object) -> str:
    return _NONE if value is None else str(value).lower() if isinstance(value, bool) else str(value)
