"""What must hold of a manifest: suites of expectations as files, checked by Great Expectations.

Great Expectations takes three seconds to import and reports home unless told not to: both are seen to in `check`.
"""

import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import yaml

from waymark.datasets.archives import shown
from waymark.errors import WaymarkError
from waymark.judging import manifest_tables

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation as GxExpectation

SHOWN = 5  # offenders named in a sentence; Data Docs show more
_IN_DOCS = 20
_IDENTITY = {"images": ["archive", "member", "row"], "classes": ["label", "class_name", "train_images"]}
_RESULT = {
    "result_format": "COMPLETE",
    "partial_unexpected_count": _IN_DOCS,
    "return_unexpected_index_query": False,
}
_REFERENCE = {"column", "counts", "slack"}
# Great Expectations draws these with scripts, which Data Docs have none of; the summary above them names the verdict.
_DRAWN_BY_SCRIPT = {"ExpectColumnKLDivergenceToBeLessThan"}
_TOLD_OF_DISTRIBUTION = {"threshold", "observed_value", "observed_mean", "expected_mean"}
_KEYS = {"include", "without", "expectations", "exceptions"}


@dataclass(frozen=True)
class Expectation:
    """One entry of a suite file; expectations/images.yaml tells what each key means."""

    name: str
    guards: str
    severity: Literal["error", "warning"]
    table: Literal["images", "classes"]
    type: str
    arguments: Mapping[str, Any]
    offender: str
    reference: Mapping[str, Any] | None = None  # column, counts and slack of manifest_tables.with_share
    excepted_groups: tuple[str, ...] = ()
    because: str = ""  # why those groups are excepted, or the severity is another than in the included suite

    def __post_init__(self) -> None:
        if self.severity not in ("error", "warning") or self.table not in _IDENTITY:
            raise ValueError("severity is error or warning, table is images or classes")
        if self.reference is not None and (self.table != "classes" or self.reference.keys() != _REFERENCE):
            raise ValueError("reference is for the table classes and has the keys column, counts and slack")
        told = self._told()
        left = re.sub(r"\{(\w+)\}", lambda braces: "" if braces[1] in told else braces[0], self.offender)
        if "{" in left or "}" in left:
            raise ValueError(f"the offender of {self.name} may tell {_listed(told)}, not {self.offender}")

    def _told(self) -> set[str]:
        """What can stand in braces in `offender`: what names the row, and the columns that are checked."""
        if self.type in _DRAWN_BY_SCRIPT:
            return _TOLD_OF_DISTRIBUTION
        checked = [self.arguments[key] for key in ("column", "column_A", "column_B") if key in self.arguments]
        return {*_IDENTITY[self.table], *checked, *self.arguments.get("column_list", ())}


@dataclass(frozen=True)
class Outcome:
    expectation: Expectation
    unexpected_count: int
    offenders: tuple[str, ...] = ()  # the first SHOWN of them, each with its place and reason
    success: bool = True

    @property
    def stops(self) -> bool:
        return not self.success and self.expectation.severity == "error"

    def sentence(self) -> str:
        """What is broken and by whom: "…: archive.zip: member A (row): reason; … and 3 more"."""
        more = self.unexpected_count - len(self.offenders)
        return f"{self.expectation.guards}: " + "; ".join(self.offenders) + (f"; and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class Verdict:
    outcomes: tuple[Outcome, ...]  # in the suite's order
    pages: Mapping[str, "ExpectationSuiteValidationResult"] = field(default_factory=dict)  # table -> for Data Docs

    @property
    def broken(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.stops)

    @property
    def warnings(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.success and not outcome.stops)


def load(path: Path, including: tuple[Path, ...] = ()) -> tuple[Expectation, ...]:
    """Read a suite file and what it includes; WaymarkError names the file and the entry at fault.

    `including` are the files on the way to this one.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if unknown := document.keys() - _KEYS:
            raise ValueError(f"unknown keys: {_listed(unknown)}; known are {_listed(_KEYS)}")
        if path in including:
            raise ValueError("it includes itself")
        included = load(path.with_name(document["include"]), (*including, path)) if "include" in document else ()
        suite = {entry.name: entry for entry in included}
        for name in document.get("without", ()):
            del suite[name]
        for entry in document.get("expectations", ()):
            suite[entry["name"]] = Expectation(**entry)
        for exception in document.get("exceptions", ()):
            changes = _changes(**exception)
            suite |= {name: replace(suite[name], **changes) for name in exception["expectations"]}
        _require_sound(suite.values())
    except OSError as error:
        raise WaymarkError(f"{path}: cannot be read ({error.strerror}); each data set has its suite there") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WaymarkError(f"{path}: not a suite of expectations ({' '.join(str(error).split())})") from None
    return tuple(suite.values())


def _require_sound(suite: Collection[Expectation]) -> None:
    if not suite:
        raise ValueError("it has no expectation")
    references = [entry.name for entry in suite if entry.reference is not None]
    if len(references) > 1:
        raise ValueError(f"{', '.join(references)} have a reference, but the table has one column share: keep one")


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _changes(
    expectations: list[str], because: str, groups: list[str] | None = None, severity: str | None = None
) -> dict[str, Any]:
    """What an exception replaces in the expectations it names."""
    if (groups is None) == (severity is None):
        raise ValueError(f"the exception of {', '.join(expectations)} names either groups or a severity")
    change = {"excepted_groups": tuple(map(str, groups))} if groups else {"severity": severity}
    return {**change, "because": because}


def check(tables: Mapping[str, pd.DataFrame], suite: tuple[Expectation, ...]) -> Verdict:
    """Check each expectation on its table; WaymarkError where an expectation itself is wrong."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # at INFO it tells of its own registrations
    import great_expectations as gx
    from great_expectations.data_context.types import base

    base.logger.setLevel(logging.WARNING)  # this module sets its own to INFO

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = base.ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("manifest")
    outcomes: dict[str, Outcome] = {}
    pages = {}
    for table, frame in tables.items():
        expectations = {entry.name: entry for entry in suite if entry.table == table}
        for entry in expectations.values():
            frame = _with_reference(frame, entry)
        whole = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
        gx_suite = gx.ExpectationSuite(name=table, expectations=[_compiled(entry) for entry in expectations.values()])
        with np.errstate(invalid="ignore"):  # a histogram of no value at all is 0 / 0
            result = whole.get_batch({"dataframe": frame}).validate(
                gx_suite, result_format=_RESULT | {"unexpected_index_column_names": _IDENTITY[table]}
            )
        drawn = []
        for one in result.results:
            outcome: dict[str, Any] = one.to_json_dict()
            entry = expectations[outcome["expectation_config"]["meta"]["name"]]
            outcomes[entry.name] = _outcome(entry, outcome)
            if entry.type not in _DRAWN_BY_SCRIPT:
                drawn.append(one)
        result.results = drawn
        pages[table] = result
    return Verdict(tuple(outcomes[entry.name] for entry in suite if entry.table in tables), pages)


def _with_reference(frame: pd.DataFrame, entry: Expectation) -> pd.DataFrame:
    if entry.reference is None:
        return frame
    try:
        return manifest_tables.with_share(frame, **entry.reference)
    except (KeyError, TypeError, ValueError) as error:
        raise WaymarkError(f"expectation {entry.name}: its reference does not fit ({error})") from None


def _compiled(entry: Expectation) -> "GxExpectation":
    import great_expectations.expectations as known
    from great_expectations.expectations.metadata_types import FailureSeverity

    condition: dict[str, Any] = {}
    if entry.excepted_groups:
        condition = {"row_condition": f"group not in {list(entry.excepted_groups)}", "condition_parser": "pandas"}
    severity = FailureSeverity.CRITICAL if entry.severity == "error" else FailureSeverity.WARNING
    try:
        kind: type[GxExpectation] = getattr(known, entry.type)
        return kind(**entry.arguments, **condition, severity=severity, meta={"name": entry.name}, notes=entry.guards)
    except (AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WaymarkError(f"expectation {entry.name}: Great Expectations refuses it ({reason})") from None


def _outcome(entry: Expectation, result: dict[str, Any]) -> Outcome:
    raised = result["exception_info"]
    for fault in (raised,) if "raised_exception" in raised else raised.values():  # one, or one for each metric
        if fault["raised_exception"]:
            reason = " ".join(str(fault["exception_message"]).split())
            raise WaymarkError(f"expectation {entry.name}: cannot be checked ({reason})")
    found = result["result"]
    rows = found.get("unexpected_index_list") or []
    offenders = tuple(_offender(entry, row) for row in rows[:SHOWN])
    if "observed_partition" in found.get("details", {}):
        return _outcome_of_distribution(entry, found, bool(result["success"]))
    if not result["success"] and not offenders:
        offenders = (f"observed {found.get('observed_value')}",)
    return Outcome(entry, int(found.get("unexpected_count", 0)), offenders, bool(result["success"]))


def _outcome_of_distribution(entry: Expectation, found: Mapping[str, Any], success: bool) -> Outcome:
    """A histogram against its reference: both are told by their means, from the middles of their bins."""
    observed, expected = (found["details"][f"{side}_partition"] for side in ("observed", "expected"))
    if success or None in observed["weights"]:  # no row has a value: other expectations say why
        return Outcome(entry, 0)
    facts: dict[str, Any] = {"threshold": entry.arguments["threshold"], "observed_value": "infinity"}
    if found["observed_value"] is not None:
        facts["observed_value"] = round(found["observed_value"], 2)
    for side, partition in (("observed", observed), ("expected", expected)):
        middles = [(low + high) / 2 for low, high in pairwise(partition["bins"])]
        mean = sum(middle * weight for middle, weight in zip(middles, partition["weights"], strict=True))
        facts[f"{side}_mean"] = round(mean)
    return Outcome(entry, 0, (entry.offender.format_map(facts),), success=False)


def _offender(entry: Expectation, row: Mapping[str, Any]) -> str:
    reason = entry.offender.format_map(row)
    if entry.table == "classes":
        return f"class {row['label']} ({row['class_name']}): {reason}"
    place = f" ({row['row']})" if row["row"] else ""
    return f"{row['archive']}: member {shown(row['member'])}{place}: {reason}"
