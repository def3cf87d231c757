"""`waymark promote` and `waymark rollback`: which registered model is the champion, by rule.

Whatever moves the alias is written down before it moves, and MLflow moves it in one step: a process that is killed
leaves the old champion or the new one, and the same command finishes what it began.
"""

import getpass
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from waymark import contract, git, params, paths
from waymark.errors import WaymarkError
from waymark.judging import gates, latency
from waymark.params import Params
from waymark.serving import lineage
from waymark.tracking import artefacts, identity, recording, registry, revisions, runs
from waymark.tracking.registry import BEFORE, MEMORY, ROLLED_BACK, Registry, Version
from waymark.tracking.verdict import Verdict

if TYPE_CHECKING:
    from mlflow.entities import Run

    from waymark.judging.comparison import Comparison, Paired

log = logging.getLogger(__name__)

REFUSED = 3  # exit code: all went well, and the answer is no
DECISION = "waymark.decision"
PROMOTING, PROMOTED, NOT_PROMOTED = "promoting", "promoted", "refused"


def promote(root: Path, named: str | None, force: str) -> tuple[bool, str]:
    """Make a model the champion if it passes the gates and is better beyond chance; whether it is, and why.

    `named` is a run or a version; without it the model of the workspace is judged. `force` is a reason to promote a
    model that is not better. Raises WaymarkError where the model or the champion cannot be judged.
    """
    settings = params.load(root / paths.PARAMS)
    if named is None:
        _check_workspace(root, settings)  # before MLflow, which takes seconds to import and to answer
    models = registry.of(settings.dataset)
    run = _of_workspace(models, root) if named is None else _called(models, root, settings, named)
    whose = f"run {run.info.run_id[:8]} ({run.info.run_name})"
    with artefacts.fetched(models.client, run.info.run_id, run.data.tags, whose) as folder:
        served = artefacts.loaded(folder, settings.threads, whose)
        candidate = models.register(run.info.run_id, run.info.artifact_uri, run.data.tags)
        champion = models.champion()
        if champion is not None and champion.number == candidate.number:
            return True, _settled(models, champion)
        (measured,) = latency.measure([served.predictor])
        metrics = json.loads((folder / paths.METRICS).read_text(encoding="utf-8"))
        onnx_bytes = (folder / paths.ONNX).stat().st_size
        compared, obstacle = _against(models, champion, candidate, folder, settings)
    verdict = Verdict(
        model=models.name,
        candidate=candidate,
        run_name=run.info.run_name,
        champion=champion,
        gates=gates.check(settings, metrics, onnx_bytes, measured.milliseconds),
        latency=measured,
        threads=settings.threads,
        compared=compared,
        obstacle=obstacle,
        rolled_back=candidate.tags.get(ROLLED_BACK, ""),
        forced=force,
    )
    if obstacle and not verdict.failed and not force:
        raise WaymarkError(f"{obstacle}; --force REASON promotes the candidate without a comparison")
    _decide(models, verdict, _now_and_who(root))
    return verdict.promotes, str(verdict)


def rollback(root: Path) -> str:
    """Make the champion that the present one replaced the champion again; what was done.

    One that was itself rolled back is passed over. Raises WaymarkError where there is none before it, or where what
    MLflow keeps of it is damaged or cannot be served any more.
    """
    models = registry.of(params.load(root / paths.PARAMS).dataset)
    champion = models.require_champion()
    known = {version.number: version for version in models.versions()}
    before = [known[number] for number in champion.champions_before if number in known and number != champion.number]
    target = next((version for version in before if ROLLED_BACK not in version.tags), None)
    if target is None:
        raise WaymarkError(f"{models.name}: no champion before {champion} is left to go back to{_way_out(before)}")
    whose = f"{models.name} {target}"
    with artefacts.fetched(models.client, target.run_id, target.tags, whose) as folder:
        artefacts.loaded(folder, 1, whose)
    models.note(champion, {ROLLED_BACK: _now_and_who(root)})
    models.crown(target)
    return (
        f"{whose} is the champion again, in place of {champion}; `waymark promote` takes that one from now on "
        "only with --force REASON."
    )


def _way_out(before: list[Version]) -> str:
    """What to do where each of the former champions, the latest first, was rolled back itself."""
    if not before:
        return "; `waymark promote --run RUN` makes another model the champion"
    last = before[0]
    return (
        f": version {last.number} was champion before, but was rolled back {last.tags[ROLLED_BACK]}; `waymark promote "
        f"--run {last.number} --force REASON` takes it"
    )


def _check_workspace(root: Path, settings: Params) -> None:
    """Raise WaymarkError unless the model there is of the data set, and dvc.lock tells of it and its reports."""
    completed = contract.read(root / paths.CONTRACT)
    if completed.dataset != settings.dataset:
        raise WaymarkError(
            f"{paths.CONTRACT}: of {completed.dataset}, not {settings.dataset} as in params.yaml; run `dvc repro`"
        )
    if identity.lock_of_files(root) is None or lineage.of_workspace(root)["metrics"] is None:
        raise WaymarkError(
            "the model and the reports in the workspace are not those that dvc.lock tells of; `dvc repro` or "
            "`dvc checkout` settles it, or name another model with --run"
        )


def _of_workspace(models: Registry, root: Path) -> "Run":
    """The run of the workspace's model, which is recorded where MLflow does not know it."""
    run, new = recording.record(models.client, root)
    if new:
        log.info("recorded the workspace's model as run %s (%s)", run.info.run_id[:8], run.info.run_name)
    return run


def _called(models: Registry, root: Path, settings: Params, named: str) -> "Run":
    version = models.version(int(named)) if named.isascii() and named.isdecimal() else None
    if version is not None:
        return artefacts.run_of(models.client, version.run_id, f"{models.name} {version}")
    try:
        return runs.find(models.client, settings.dataset, named)
    except runs.RunNameError:
        # Two experiments that came to the same share a run, which bears the first one's name.
        lock = revisions.experiment_lock(root, named)
        if lock and (run := runs.of_lock(models.client, settings.dataset, lock)):
            return run
        raise


def _against(
    models: Registry, champion: Version | None, candidate: Version, files: Path, settings: Params
) -> "tuple[tuple[Paired, Comparison] | None, str]":
    """Both models' answers to the same test images; else why there is no telling, in words."""
    if champion is None:
        return None, ""
    import pandas as pd

    from waymark.judging import comparison  # these take two seconds

    whose = f"the champion, {models.name} {champion}"
    try:
        with artefacts.fetched(models.client, champion.run_id, champion.tags, whose) as folder:
            old, new = (pd.read_parquet(each / paths.PREDICTIONS) for each in (folder, files))
            paired = comparison.pair(comparison.renumbered(old, _class_names(folder), _class_names(files)), new)
            log.info("comparing %s with %s on %s test images", candidate, champion, f"{len(paired.rows):,}")
            return (paired, comparison.compare(paired, settings.seed_std)), ""
    except WaymarkError as error:
        return None, str(error)


def _class_names(root: Path) -> list[str]:
    """Not by `contract.read`: a champion of an earlier schema is no worse an opponent."""
    names: list[str] = json.loads((root / paths.CONTRACT).read_text(encoding="utf-8"))["class_names"]
    return names


def _decide(models: Registry, verdict: Verdict, now_and_who: str) -> None:
    """Write the verdict down, and move the alias if it says so."""
    told = {**verdict.tags(), "waymark.decided": now_and_who}
    if not verdict.promotes:
        models.note(verdict.candidate, {**told, DECISION: NOT_PROMOTED})
        return
    champion = models.champion()
    if champion is not None and (verdict.champion is None or champion.number != verdict.champion.number):
        raise WaymarkError(f"{models.name}: {champion} became the champion meanwhile; run `waymark promote` again")
    before = [] if champion is None else [champion.number, *champion.champions_before]
    told[BEFORE] = " ".join(map(str, before[:MEMORY]))
    models.note(verdict.candidate, {**told, DECISION: PROMOTING})
    models.crown(verdict.candidate)
    _finish(models, verdict.candidate)


def _finish(models: Registry, champion: Version) -> None:
    models.forget(champion, ROLLED_BACK)
    models.note(champion, {DECISION: PROMOTED})


def _settled(models: Registry, champion: Version) -> str:
    """Finish a promotion that was cut short after the alias had moved."""
    if champion.tags.get(DECISION) == PROMOTING:
        _finish(models, champion)
    elif ROLLED_BACK in champion.tags:
        raise WaymarkError(f"{models.name} {champion}: a rollback of it was cut short; run `waymark rollback` again")
    return f"{models.name} {champion} is the champion already; nothing was changed."


def _now_and_who(root: Path) -> str:
    try:
        who = git.user(root)
    except WaymarkError:  # there is no git
        who = ""
    return f"on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by {who or getpass.getuser()}"
