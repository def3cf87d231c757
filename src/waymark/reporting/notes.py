"""What is to be known of a revision before its figures are believed: what is missing there, or out of date."""

import hashlib

from waymark import git, paths
from waymark.reporting.document import Code, Data, Part, Text, listed, literal, parts
from waymark.reporting.revisions import LOCK, Revision
from waymark.reporting.snapshot import parameters, sources


def of(revision: Revision) -> list[Text]:
    """Sentences for the reader; asked for last, when all that is read of the revision was asked for."""
    if not revision.stages:
        return [("There is no ", Code(str(LOCK)), " at ", _named(revision), ": no stage has run there.")]
    found: list[Text] = []
    if outdated := _outdated(revision):
        stages = parts(listed([literal(name) for name in outdated]))
        if revision.commit is None:
            why: Text = (" again, or fetch what is missing (", Code("dvc status"), " says why).")
        else:
            why = " again: their sources or parameters changed after their last run, which this tells of."
        where = "In " if revision.commit is None else "At "
        found.append((where, _named(revision), ", ", Code("dvc repro"), " would run ", *stages, *parts(why)))
    if revision.missing:
        files = parts(listed([literal(path) for path in revision.missing]))
        if revision.storage.trouble:
            where = f"DVC’s remote cannot be asked ({revision.storage.trouble}), and this machine has no"
            advice: tuple[Part, ...] = (Code("dvc fetch"), " brings what is missing once the remote works.")
        else:
            where = "Neither this machine nor DVC’s remote has a"
            advice = (
                Code("dvc push"),
                " by whoever ran it, then ",
                Code("dvc fetch"),
                " here, brings what is missing.",
            )
        found.append((where, " sound copy of ", *files, ", of ", _named(revision), ". ", *advice))
    if revision.unreadable:
        files = parts(listed([literal(path) for path in revision.unreadable]))
        found.append(("Damaged, or by another version of Waymark: ", *files, ", of ", _named(revision), "."))
    return found


def instead(old: Revision, new: Revision) -> list[Text]:
    """What gives a verdict where answers cannot be had; nothing where those of both commits can."""
    needed = {paths.PREDICTIONS.as_posix(), paths.CONTRACT.as_posix()}
    lacking = next((each for each in (old, new) if each.commit is not None and needed & each.missing.keys()), None)
    if lacking is None:
        return []
    return [
        (
            "For a verdict without them compare what ran on this machine: ",
            Code("waymark runs"),
            " lists the DVC experiments that ",
            Code("--base"),
            " and ",
            Code("--head"),
            " take. To make one of ",
            _named(lacking),
            ", check it out and ",
            Code("dvc exp run --temp --name NAME"),
            ".",
        )
    ]


def _named(revision: Revision) -> Data:
    return Data(revision.name, is_code=revision.commit is not None)


def _outdated(revision: Revision) -> list[str]:
    """The stages that would run again: DVC's word for the workspace; for a commit, by its files and parameters."""
    if revision.commit is None:
        return revision.storage.outdated()
    told = sources(revision.stages)
    asked = sorted({path for files in told.values() for path, md5 in files.items() if not md5.endswith(".dir")})
    contents = git.read(revision.root, revision.commit, asked)
    found = {path: hashlib.md5(contents[path]).hexdigest() if path in contents else "" for path in asked}
    return [
        name
        for name, stage in revision.stages.items()
        if any(found.get(path, md5) != md5 for path, md5 in told[name].items())
        or any(revision.params.get(key) != value for key, value in parameters(stage).items())
    ]
