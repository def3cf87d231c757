"""One page that shows a data set before anyone learns from it: balance, sizes, light, sample pictures, copies.

It opens offline, runs no script and is the same bytes for the same manifest and pictures.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark.datasets.base import Split
from waymark.judging import charts, copies
from waymark.judging.contact_sheet import data_uri, representatives
from waymark.judging.copies import Cluster
from waymark.judging.data_page_style import STYLE
from waymark.judging.markup import document, figure, image, lines, noun, number, section, span, text

Picture = Callable[[int], NDArray[np.uint8]]  # row number -> the image as it is to be shown, (H, W, 3)
Thumbnails = Mapping[int, str]  # row number -> data URI

EACH = 8  # pictures a class
SAMPLES = 1000  # pictures of all classes: about 2 MB of page
CLUSTERS = 50  # shown, of both kinds of copies
FEW_SIZES = 3  # that are named rather than drawn
LIGHT = np.linspace(0, 256, 33).tolist()  # bins of brightness
SPREAD = np.linspace(0, 128, 33).tolist()  # bins of contrast: 127.5 is half black, half white


def write(
    manifest: pd.DataFrame,
    near_duplicates: pd.DataFrame,
    dataset_name: str,
    class_names: tuple[str, ...],
    picture: Picture,
    path: Path,
) -> None:
    """Write the page; `picture` is asked once, in the manifest's order, for each row that is shown.

    `near_duplicates` has the columns first, second (row numbers), distance and correlation.
    """
    manifest = manifest.reset_index(drop=True)
    each = min(EACH, SAMPLES // max(len(class_names), 1))
    samples = representatives(manifest, len(class_names), each) if each else []
    same, near = copies.exact(manifest), copies.near(manifest, near_duplicates)
    same_shown = same[: CLUSTERS // 2]
    near_shown = near[: CLUSTERS - len(same_shown)]
    wanted = {row for rows in samples for row in rows}
    wanted |= {row for cluster in same_shown + near_shown for row in cluster.shown}
    thumbnails = {row: data_uri(picture(row)) for row in sorted(wanted)}
    sections = [
        _overview(manifest, len(class_names), same, near),
        _balance(manifest, class_names),
        _measures(manifest),
        _groups(manifest),
        _samples(manifest, class_names, samples, thumbnails),
        copies.exact_section(manifest, same, same_shown, thumbnails),
        copies.near_section(manifest, near, near_shown, thumbnails),
    ]
    name, main = html.escape(dataset_name), "\n".join(filter(None, sections))
    body = f"<header><h1>The data of <em>{name}</em></h1></header>\n<main>\n{main}\n</main>"
    path.write_text(document(f"{name}: the data", STYLE, body), encoding="utf-8")


def _overview(manifest: pd.DataFrame, classes: int, same: Sequence[Cluster], near: Sequence[Cluster]) -> str:
    sides = manifest[["width", "height"]].max(axis=1).dropna()
    problems = int((manifest["problem"] != "").sum())
    tiles = [
        ("balance", number(len(manifest)), noun(len(manifest), "image")),
        ("samples", number(classes), noun(classes, "class", "classes")),
        ("measures", span(sides.min(), sides.max()) if len(sides) else "–", "px, the longer side"),
        ("copies", number(sum(len(one.rows) for one in same)), "exact copies"),
        ("near", number(sum(len(one.rows) for one in near)), "near-duplicates"),
    ]
    links = "".join(f'<li><a href="#{to}"><b>{value}</b> {what}</a></li>' for to, value, what in tiles)
    note = (
        f'<p class="care">{number(problems)} {noun(problems, "entry is", "entries are")} wrong in'
        f" {noun(problems, 'itself', 'themselves')}; the validation report names {noun(problems, 'it', 'them')}.</p>"
        if problems
        else ""
    )
    return f'<nav aria-label="Sections"><ul class="tiles">{links}</ul></nav>{note}{_split_table(manifest)}'


def _split_table(manifest: pd.DataFrame) -> str:
    rows = []
    for split, images in _by_split(manifest):
        parts = [("", images)]
        if images["part"].fillna("").ne("").any():
            parts += [(str(name), of_part) for name, of_part in images.groupby("part")]
        for part, of_part in parts:
            sizes = of_part.groupby("group").size()
            head = (
                f'<span class="key {split}"></span>{split}' if not part else f'<span class="part">{text(part)}</span>'
            )
            rows.append(
                f'<tr><th scope="row">{head}</th><td>{number(len(of_part))}</td>'
                f"<td>{len(of_part) / len(manifest):.1%}</td><td>{number(of_part['label'].nunique())}</td>"
                f"<td>{number(len(sizes))}</td><td>{span(sizes.min(), sizes.max()) if len(sizes) else '–'}</td></tr>"
            )
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Split", "Images", "Share", "Classes", "Groups", "Images a group")
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Splits">{table}</div>'


def _balance(manifest: pd.DataFrame, class_names: tuple[str, ...]) -> str:
    counts = {split: _counts(images, len(class_names)) for split, images in _by_split(manifest)}
    most = max((int(count.max(initial=0)) for count in counts.values()), default=0)
    rows = []
    for label, name in enumerate(class_names):
        bars = "".join(charts.bar(int(count[label]), most, split) for split, count in counts.items())
        numbers = " ".join(
            f'<span class="{split}" title="{split}">{number(count[label])}<span class="hidden"> {split}</span></span>'
            for split, count in counts.items()
        )
        rows.append(
            f'<li><span class="name"><i>{label}</i> <span>{text(name)}</span></span>'
            f'<span class="bars">{bars}</span><span class="numbers">{numbers}</span></li>'
        )
    sentences = []
    for split, count in counts.items():
        if not len(count):
            continue
        low, high = int(count.argmin()), int(count.argmax())
        evenness = (
            f"every class has {number(count[low])}"
            if count[low] == count[high]
            else f"{number(count[low])} of {text(class_names[low])} to {number(count[high])} of"
            f" {text(class_names[high])}" + (f", {count[high] / count[low]:.1f} times as many" if count[low] else "")
        )
        sentences.append(f'<span class="key {split}"></span>{split}: {evenness}')
    return section("balance", "Class balance", f'<p>{lines(sentences)}</p><ol class="balance">{"".join(rows)}</ol>')


def _measures(manifest: pd.DataFrame) -> str:
    sized = manifest.dropna(subset=["width", "height"])
    if sized.empty:
        return section("measures", "Size and light", "<p>No image could be measured.</p>")
    figures = [_size_figure(sized["width"].to_numpy(np.int64), sized["height"].to_numpy(np.int64))]
    for column, edges, unit, what in (
        ("brightness", LIGHT, "mean luma, 0 black to 255 white", "Brightness"),
        ("contrast", SPREAD, "standard deviation of the luma", "Contrast"),
    ):
        series = {split: np.asarray(images[column].dropna(), np.float64) for split, images in _by_split(manifest)}
        series = {split: values for split, values in series.items() if len(values)}
        if series:
            sentence = lines(f'<span class="key {split}"></span>{split}: {_middle(v)}' for split, v in series.items())
            chart = charts.histogram(series, edges, f"{what}, share of each split's images", unit)
            figures.append(figure(what, chart, sentence))
    return section("measures", "Size and light", f'<div class="figures">{"".join(figures)}</div>')


def _size_figure(widths: NDArray[np.int64], heights: NDArray[np.int64]) -> str:
    sizes, counts = np.unique(np.stack([widths, heights], axis=1), axis=0, return_counts=True)
    if len(sizes) <= FEW_SIZES:
        found = "".join(f'<p class="same">{width} × {height} px</p>' for width, height in sizes)
        shares = (f"{number(count)} images of {w} × {h}" for count, (w, h) in zip(counts, sizes, strict=True))
        return figure("Size", found, "every image has this size" if len(sizes) == 1 else lines(shares))
    size = lines(
        f"{span(sides.min(), sides.max())} px {what}, median {np.median(sides):g}"
        for sides, what in ((widths, "wide"), (heights, "high"))
    )
    chart = charts.size_map(widths, heights, "Widths and heights of the images")
    return figure("Size", chart, f"{size}<br>the stronger the colour, the more images")


def _groups(manifest: pd.DataFrame) -> str:
    """Images a group, where a split has groups of several sizes; the table above says the rest."""
    figures = []
    for split, images in _by_split(manifest):
        sizes = np.asarray(images.groupby("group").size(), np.float64)
        if sizes.size and sizes.min() < sizes.max():
            high = sizes.max() + 1
            edges = (np.unique(np.linspace(1, high, min(int(high), 41)).round())).tolist()
            chart = charts.histogram(
                {split: sizes}, edges, f"Images a group in {split}, share of the groups", "images a group"
            )
            figures.append(figure(split, chart, _middle(sizes)))
    if not figures:
        return ""
    why = "<p>Images of one group, such as the frames of one track, never straddle a split.</p>"
    return section("groups", "Images a group", f'{why}<div class="figures">{"".join(figures)}</div>')


def _samples(
    manifest: pd.DataFrame, class_names: tuple[str, ...], samples: Sequence[Sequence[int]], thumbnails: Thumbnails
) -> str:
    cards = []
    for label, rows in enumerate(samples):
        name = text(class_names[label])
        strip = "".join(image(thumbnails[row], f"{class_names[label]}: {manifest['member'][row]}") for row in rows)
        cards.append(
            f'<article class="card"><h3><i>{label}</i> {name}</h3>'
            + (f'<div class="strip">{strip}</div>' if rows else '<p class="empty">no image to learn from</p>')
            + "</article>"
        )
    what = "Training images of evenly spaced groups, each group by its middle image, cut at its box where it has one."
    if not samples:
        what = f"Of {number(len(class_names))} classes none is shown: there are too many for one page."
    return section("samples", "Every class", f'<p>{what}</p><div class="cards">{"".join(cards)}</div>')


def _by_split(manifest: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    found = ((split, manifest[manifest["split"] == split]) for split in get_args(Split))
    return [(split, images) for split, images in found if len(images)]


def _counts(images: pd.DataFrame, classes: int) -> NDArray[np.int64]:
    labels = images["label"].dropna().to_numpy(np.int64)
    return np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)


def _middle(values: NDArray[Any]) -> str:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"median {median:.0f}, nine in ten {low:.0f}–{high:.0f}"
