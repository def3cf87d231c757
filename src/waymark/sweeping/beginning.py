"""Begin a sweep, or find the one to go on with; what cannot be is refused before anything runs."""

import logging
import os
import re
from collections.abc import Sequence, Set
from pathlib import Path

import yaml

from waymark import git, params, paths
from waymark.errors import WaymarkError
from waymark.learning import recipes
from waymark.params import Params
from waymark.sweeping import checkout, space, store
from waymark.sweeping.space import Space
from waymark.sweeping.store import Plan, Sweep

log = logging.getLogger(__name__)

_DECIDE_VAL = {"dataset", "source", "group_pattern", "seed", "split", "val_fraction", "test_fraction", "subset"}
_GRAPH = Path("dvc.yaml")


def open_sweep(
    root: Path, name: str, settings: Sequence[str], trials: int | None, metric: str | None, prune: bool
) -> Sweep:
    """The sweep called `name`, which is begun if there is none. Raises WaymarkError where it is another one."""
    store.check_name(name)
    asked = space.parse(settings)
    known = store.find(root, name)
    if known is None:
        if not asked:
            raise WaymarkError(f"{name}: no such sweep yet; begin it with what it shall try, as in -S 'lr=0.05,0.1'")
        return _begin(root, name, asked, settings, trials, metric or "accuracy", prune)
    plan = known.plan
    if asked and asked != plan.space:
        raise WaymarkError(f"{name}: was begun with {_shown(plan.settings)}; give another sweep another name")
    if metric and metric != plan.metric:
        raise WaymarkError(f"{name}: was begun with --metric {plan.metric}; give another sweep another name")
    if trials is not None and trials != plan.trials:
        known.grown(trials)
    if git.resolve(root, "HEAD") != plan.commit:
        log.info("%s holds to the files of commit %s, with which it began", name, plan.commit[:7])
    return known


def _begin(
    root: Path, name: str, asked: Space, settings: Sequence[str], trials: int | None, metric: str, prune: bool
) -> Sweep:
    base = params.load(root / paths.PARAMS)
    space.check(asked, settings, base, _read_by_stages(root))
    trials = trials or store.default_trials(asked)
    taken = [known for known, _ in git.experiments(root) if re.fullmatch(rf"{name}-\d+", known)]
    if taken:
        raise WaymarkError(
            f"{name}: there is an experiment {taken[0]} already, of no sweep that {store.STORE} knows; choose another "
            f"name, or remove it with `dvc exp remove {taken[0]}`"
        )
    varied = {key for key in asked if len(space.ends(asked[key])) > 1}
    common = base.model_copy(update={key: space.ends(asked[key])[0] for key in asked.keys() - varied})
    if moving := sorted(_DECIDE_VAL & varied):
        log.info("note: val holds other images with another %s: trials are not judged on the same", ", ".join(moving))
    files, epochs = checkout.snapshot(root, name), _epochs(varied, common)
    plan = Plan(tuple(settings), metric, trials, prune, common.dataset, epochs, files.commit, files.content)
    return store.begin(root, name, plan)


def _epochs(varied: Set[str], common: Params) -> int:
    """0 where the trials differ in it: an epoch of a short training compares with none of a long one."""
    return 0 if varied & {"epochs", "dataset"} else recipes.recipe(common).epochs


def warn_of_load(root: Path, asked: Space, jobs: int) -> None:
    """Trials that share a processor's cores each take the longer."""
    threads = max(space.ends(asked["threads"])) if "threads" in asked else params.load(root / paths.PARAMS).threads
    cores = os.cpu_count() or 1
    if jobs > 1 and jobs * threads > cores:
        log.info(
            "note: %d trials of %d threads each share %d cores; fewer threads, or a smaller -j", jobs, threads, cores
        )


def _read_by_stages(root: Path) -> frozenset[str]:
    try:
        stages = yaml.safe_load((root / _GRAPH).read_text(encoding="utf-8"))["stages"]
        return frozenset(key for stage in stages.values() for key in stage["params"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise WaymarkError(f"{_GRAPH}: cannot be read as a stage graph; run from the repository's root") from None


def _shown(settings: Sequence[str]) -> str:
    return " ".join(f"-S '{setting}'" for setting in settings)
