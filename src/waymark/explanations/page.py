"""The worst mistakes as one page that needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark.contract import Contract
from waymark.explanations.overlay import overlay
from waymark.judging import data_page_style
from waymark.judging.contact_sheet import data_uri
from waymark.judging.markup import document
from waymark.reporting.escaping import markup
from waymark.wording import count, per_cent

SIDE = 160  # px of each picture: three beside each other, twice on a screen; 24 mistakes are 0.5 MB
RIGHT = ' class="right"'
PATH = 120  # characters of a file's name
STYLE = (
    data_page_style.STYLE
    + """
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); gap: 1.25rem;
  padding: 0; list-style: none; }
.mistakes > li { border: 1px solid var(--line); border-radius: 8px; padding: 1rem; break-inside: avoid; }
.mistakes h3 { margin: 0 0 .75rem; } .mistakes h3 span { color: var(--quiet); font-weight: 400; }
.mistakes h3 .share { white-space: nowrap; }
.three { display: grid; grid-template-columns: repeat(3, minmax(0, 160px)); gap: .75rem; }
.three figcaption { font-size: .75rem; line-height: 1.3; margin-top: .3rem; overflow-wrap: anywhere; }
.three img { image-rendering: pixelated; }
.ranks { list-style: none; padding: 0; margin: .75rem 0; font-size: .875rem; }
.ranks li { display: flex; gap: .75rem; justify-content: space-between; } .ranks .right { color: var(--val); }
.ranks li > :first-child { overflow-wrap: anywhere; }
.where { font-size: .75rem; color: var(--quiet); margin: 0; overflow-wrap: anywhere; }
"""
)
EXPLAINED = """<p>Each is shown as the network sees it, then with what spoke for the wrong class and what spoke for the
right one: the brighter, the more (Grad-CAM). Both share one scale, so a right class that nothing spoke for stays grey.
Where the light lies beside the object, the network went by something else; where it lies on it and the classes are
alike, it may want more pixels or more examples; where picture and label do not fit, the label may be wrong.</p>
<p class="care">Do not choose a network or a setting by these images: they are the test, and it would no longer tell how
the model does on images that nobody has seen.</p>"""


@dataclass(frozen=True)
class Mistake:
    """A test image that was taken for another class; `for_predicted` and `for_label` (S, S) speak for either."""

    image: NDArray[np.uint8]
    for_predicted: NDArray[np.float32]
    for_label: NDArray[np.float32]
    label: int
    predicted: int
    ranked: list[tuple[int, float]]  # the most probable classes, each with its probability
    probability_of_label: float
    archive: str
    member: str
    group: str
    part: str  # of test; empty for the data set's own
    wrong_in_group: int  # of the group's test images
    group_size: int


def render(contract: Contract, rows: pd.DataFrame, mistakes: Sequence[Mistake], identity: dict[str, str]) -> str:
    """`rows` are all predictions on test; the same bytes for the same model and images."""
    title = f"{markup(identity['name'])}: the worst mistakes"
    cards = "\n".join(_card(number, mistake, contract) for number, mistake in enumerate(mistakes, start=1))
    body = f"""<main>
<h1>{title}</h1>
<p>{_summary(rows, mistakes, contract)} Model {markup(identity["version"])}.</p>
{EXPLAINED if mistakes else ""}
<ol class="mistakes">
{cards}
</ol>
</main>"""
    return document(title, STYLE, body)


def _summary(rows: pd.DataFrame, mistakes: Sequence[Mistake], contract: Contract) -> str:
    wrong = rows[rows["predicted"] != rows["label"]]
    if wrong.empty:
        return f"<strong>None of {count(len(rows), 'test image')} was taken for another class.</strong>"
    given = int((wrong["confidence"] >= contract.threshold).sum())
    groups = len({(mistake.part, mistake.group) for mistake in mistakes})
    return (
        f"<strong>{len(wrong):,} of {count(len(rows), 'test image')} were taken for another class</strong> "
        f"({per_cent(len(wrong) / len(rows))}): {given:,} with a probability that reaches the threshold of "
        f"{per_cent(contract.threshold)}, so they were answered; of the others the model said that it is not sure. "
        f"Shown are {count(len(mistakes), 'image')} of {count(groups, 'group')}, those that it was the surest of first."
    )


def _card(number: int, mistake: Mistake, contract: Contract) -> str:
    probability = dict(mistake.ranked)[mistake.predicted]
    names = [markup(name) for name in contract.class_names]
    strongest = float(max(mistake.for_predicted.max(), mistake.for_label.max()))
    pictures = "\n".join(
        (
            _figure(mistake.image, "as the network sees it"),
            _figure(overlay(mistake.image, mistake.for_predicted, strongest, SIDE), f"for {names[mistake.predicted]}"),
            _figure(overlay(mistake.image, mistake.for_label, strongest, SIDE), f"for {names[mistake.label]}"),
        )
    )
    ranked = list(mistake.ranked)
    if mistake.label not in dict(ranked):
        ranked.append((mistake.label, mistake.probability_of_label))
    ranks = "\n".join(
        f"<li{RIGHT if label == mistake.label else ''}><span>{names[label]}</span><span>{per_cent(share)}</span></li>"
        for label, share in ranked
    )
    sure = "" if probability >= contract.threshold else " · not sure"
    return f"""<li>
<h3>{number}. {names[mistake.label]} <span>taken for</span> {names[mistake.predicted]}
<span class="share">{per_cent(probability)}{sure}</span></h3>
<div class="three">
{pictures}
</div>
<ul class="ranks">
{ranks}
</ul>
<p class="where">{_where(mistake)}</p>
</li>"""


def _where(mistake: Mistake) -> str:
    said = [markup(mistake.group)]
    if mistake.part:
        said.append(markup(mistake.part))
    if mistake.group_size > 1:
        said.append(f"{mistake.wrong_in_group:,} of its {mistake.group_size:,} test images are wrong")
    return f"{' · '.join(said)}<br>{markup(mistake.archive, PATH)} / {markup(mistake.member, PATH)}"


def _figure(image: NDArray[np.uint8], caption: str) -> str:
    return f'<figure><img src="{data_uri(image, SIDE)}" alt=""><figcaption>{caption}</figcaption></figure>'
