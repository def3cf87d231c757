"""Labels that are probably wrong: cleanlab's verdict on each image, ranked by group, and the page that shows it.

Confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125) holds each image's label against probabilities
of a network that has not learned from it.
"""

import base64
import html
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from PIL import Image

from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.judging.markup import document

SHOWN_ISSUES = 200  # on the page; with 8 pictures each it stays under 10 MB
SHOWN_IMAGES = 6  # of an issue, beside a typical one of either class: one row on a screen
THUMBNAIL = 64  # px; larger prepared images are made this small
TRUSTED = 0.5  # least agreement of networks and labels; below it the networks, not the labels, are mostly wrong

Picture = Callable[[int], NDArray[np.uint8]]  # a row's prepared image, (S, S, 3)


@dataclass(frozen=True)
class Issue:
    """The images of one group under one label, of which at least one was flagged."""

    group: str
    label: int
    suggested: int
    quality: float  # mean probability of the label over all of these images
    images: int
    flagged: tuple[int, ...]  # row numbers, the least probable label first


def judge(rows: pd.DataFrame, probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """`rows` (columns label, fold) with quality, suggested and flagged for each image.

    `probabilities` is (N, classes), out of fold. quality is the probability of the label, suggested the most probable
    class. An image whose class is in no other fold is not judged: its network never saw the class. Its quality is NaN.
    Raises WaymarkError where that leaves fewer than two classes.
    """
    labels = rows["label"].to_numpy(np.int64)
    known = rows.groupby("label")["fold"].transform("nunique").to_numpy() > 1
    quality, flagged = np.full(len(rows), np.nan), np.zeros(len(rows), bool)
    if len(np.unique(labels[known])) < 2:
        raise WaymarkError(
            "no label can be judged: fewer than two classes have images in two folds; add groups of them"
        )
    quality[known] = get_label_quality_scores(labels[known], probabilities[known])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues")  # classes without an image
        flagged[known] = find_label_issues(labels[known], probabilities[known], n_jobs=1)
    return rows.assign(quality=quality.round(6), suggested=probabilities.argmax(axis=1), flagged=flagged)


def rank(judged: pd.DataFrame, probabilities: NDArray[np.float64]) -> list[Issue]:
    """One issue for each group and label with a flagged image, the most probable error first.

    The frames of one track share their label, so it is their mean that counts: one blurred frame is no wrong label.
    """
    issues = []
    suspect = judged[judged.groupby(["group", "label"])["flagged"].transform("any")]
    for _, images in suspect.groupby(["group", "label"], sort=True):
        group, label = str(images["group"].iloc[0]), int(images["label"].iloc[0])
        flagged = images[images["flagged"]].sort_values("quality", kind="stable").index.to_numpy()
        others = np.delete(np.arange(probabilities.shape[1]), label)
        suggested = int(others[probabilities[flagged][:, others].mean(axis=0).argmax()])
        mean = round(float(images["quality"].mean()), 6)
        issues.append(Issue(group, label, suggested, mean, len(images), tuple(flagged.tolist())))
    return sorted(issues, key=lambda issue: issue.quality)


def agreement(judged: pd.DataFrame) -> float:
    """Share of the judged images that look like their label to the network that had not seen them."""
    seen = judged[judged["quality"].notna()]
    return float((seen["suggested"] == seen["label"]).mean())


def doubt(judged: pd.DataFrame) -> str:
    """Where the networks have learned too little to judge labels, a sentence that says so."""
    agree = agreement(judged)
    if agree >= TRUSTED:
        return ""
    return (
        f"only {agree:.1%} of the images held out look like their label: the networks have learned too little to judge "
        "labels; raise epochs, or see why `dvc repro` reports so low an accuracy on val"
    )


def write_csv(judged: pd.DataFrame, issues: Sequence[Issue], class_names: Sequence[str], path: Path) -> None:
    """One line for each flagged image, issue by issue."""
    names = np.array(class_names, object)
    table = judged.loc[[row for issue in issues for row in issue.flagged]]
    table = table.assign(class_name=names[table["label"]], suggested_name=names[table["suggested"]])
    columns = ["archive", "member", "label", "class_name", "suggested", "suggested_name", "quality", "group", "fold"]
    table[columns].to_csv(path, index=False, lineterminator="\n", float_format="%.6f")


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2rem; } h3 { font-size: 1rem; margin: 0; }
article { border-top: 1px solid var(--line); padding: 1rem 0; } article p { margin: .2rem 0 .6rem; font-size: .9em; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; padding: .3rem; width: 84px; } figure.typical { background: var(--soft); border-radius: 4px; }
figure img { width: 84px; height: 84px; display: block; }
figcaption { font-size: .75em; line-height: 1.3; overflow-wrap: anywhere; }
"""


def page(judged: pd.DataFrame, issues: Sequence[Issue], contract: Contract, picture: Picture) -> str:
    """The review as one page that needs no other file; the same bytes for the same review."""
    typical = _typical(judged)
    shown = "\n".join(
        _article(number, issue, judged, contract.class_names, typical, picture)
        for number, issue in enumerate(issues[:SHOWN_ISSUES], start=1)
    )
    title = f"{html.escape(contract.dataset)}: labels to look at"
    body = f"""<main>
<h1>{title}</h1>
{_summary(judged, issues)}
<h2>How to correct a label</h2>
<p>Nothing was changed: a flag is a network’s doubt, and a person decides. Where a label is wrong, give the image its
right class in your own copy of the archive (move it to the other class folder, or edit its row in the CSV), name that
copy as <code>source</code> in <code>params.yaml</code>, and run <code>dvc repro</code>. DVC then keeps both states, and
the metrics can be compared. issues.csv lists every flagged image.</p>
<h2>What this cannot tell</h2>
{_limits(judged, contract.class_names)}
<h2>Most probable errors first</h2>
{shown or "<p>No image was flagged.</p>"}
</main>"""
    return document(title, _STYLE, body)


def _summary(judged: pd.DataFrame, issues: Sequence[Issue]) -> str:
    folds, flagged, rest = judged["fold"].nunique(), int(judged["flagged"].sum()), len(issues) - SHOWN_ISSUES
    paragraphs = [
        f"<p><strong>{flagged:,} of {len(judged):,} images flagged</strong>, in {len(issues):,} of"
        f" {judged['group'].nunique():,} groups. A group is what belongs together: the frames of one track or video, or"
        f" a single image. {folds} networks were trained, each without one of {folds} folds of whole groups, and each"
        f" image was judged by the network that had not seen its group: {agreement(judged):.1%} look like their label."
        " cleanlab then flagged the labels that do not fit the networks’ probabilities. A group’s place is the mean"
        " probability of its label.</p>"
    ]
    if said := doubt(judged):
        paragraphs.append(f"<p><strong>Do not rely on it:</strong> {html.escape(said)}.</p>")
    if rest > 0:
        paragraphs.append(f"<p>The {SHOWN_ISSUES} most probable are shown; {rest:,} more are in issues.csv.</p>")
    return "\n".join(paragraphs)


def _limits(judged: pd.DataFrame, class_names: Sequence[str]) -> str:
    limits = [
        "Hard images are flagged as well as wrong labels; and where most labels of a class are wrong, or two classes"
        " are swapped throughout, the network learns the error and flags nothing.",
        "A copy of an image in another group, under the same wrong label, hides the error. Where groups are blocks of"
        " one video, such as ASL's, the frames at a block's edge have neighbours in the blocks beside it.",
        "The test split was not read: its labels are those that others compare with.",
    ]
    by_class = judged.groupby("label").agg(
        images=("group", "size"), groups=("group", "nunique"), best=("quality", "max")
    )
    for label, images, groups, best in by_class.itertuples():
        name = html.escape(class_names[label])
        if np.isnan(best):
            limits.append(f"{name}: not judged ({images:,} images); no other fold has an image of it to learn from.")
        elif groups < judged["fold"].max():
            limits.append(f"{name}: {groups} groups, fewer than the folds; its verdicts rest on little.")
    return "<ul>\n" + "\n".join(f"<li>{limit}</li>" for limit in limits) + "\n</ul>"


def _typical(judged: pd.DataFrame) -> dict[int, int]:
    """Of each class the row whose label is the most probable, to hold the doubtful ones against."""
    sound = judged[~judged["flagged"] & judged["quality"].notna()]
    best = sound.groupby("label")["quality"].idxmax()
    return dict(zip(best.index.tolist(), best.tolist(), strict=True))


def _article(
    number: int,
    issue: Issue,
    judged: pd.DataFrame,
    class_names: Sequence[str],
    typical: dict[int, int],
    picture: Picture,
) -> str:
    label, suggested = (html.escape(class_names[which]) for which in (issue.label, issue.suggested))
    figures = [
        _figure(picture(typical[which]), f"typical {class_names[which]}", "typical")
        for which in (issue.label, issue.suggested)
        if which in typical
    ]
    for row in issue.flagged[:SHOWN_IMAGES]:
        image = judged.loc[row]
        figures.append(
            _figure(picture(row), f"{image['member'].rpartition('/')[2]}: {image['quality']:.3f}", "doubtful")
        )
    fold = judged.loc[issue.flagged[0], "fold"]
    return (
        f"<article>\n<h3>{number}. Labelled {label} ({issue.label}), looks like {suggested} ({issue.suggested})</h3>\n"
        f"<p>{html.escape(issue.group)}: {len(issue.flagged)} of {issue.images} images flagged, mean probability of the"
        f" label {issue.quality:.3f}, fold {fold}</p>\n"
        f'<div class="pictures">\n' + "\n".join(figures) + "\n</div>\n</article>"
    )


def _figure(image: NDArray[np.uint8], caption: str, kind: str) -> str:
    opened = Image.fromarray(image)
    opened.thumbnail((THUMBNAIL, THUMBNAIL))
    png = io.BytesIO()
    opened.save(png, "PNG")
    said = html.escape(caption)
    data = base64.b64encode(png.getvalue()).decode()
    return (
        f'<figure class="{kind}"><img src="data:image/png;base64,{data}" alt="{said}">'
        f"<figcaption>{said}</figcaption></figure>"
    )
