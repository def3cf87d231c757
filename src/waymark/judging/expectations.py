"""What must hold of a manifest: suites of expectations as files, checked by Great Expectations.

Great Expectations takes three seconds to import and reports home unless told not to: both are seen to in `check`.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import yaml

from waymark.datasets.archives import shown
from waymark.errors import WaymarkError

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation as GxExpectation

SHOWN = 5  # offenders named in a sentence; Data Docs show more
_IN_DOCS = 20
_IDENTITY = {"images": ["archive", "member", "row"], "classes": ["label", "class_name"]}


@dataclass(frozen=True)
class Expectation:
    """One entry of a suite file; expectations/traffic_signs.yaml tells what each key means."""

    name: str
    guards: str
    severity: Literal["error", "warning"]
    table: Literal["images", "classes"]
    type: str
    arguments: Mapping[str, Any]
    offender: str
    excepted_groups: tuple[str, ...] = ()
    because: str = ""  # why those groups are excepted

    def __post_init__(self) -> None:
        if self.severity not in ("error", "warning") or self.table not in _IDENTITY:
            raise ValueError("severity is error or warning, table is images or classes")


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


def load(path: Path) -> tuple[Expectation, ...]:
    """Read a suite file and what it includes; WaymarkError names the file and the entry at fault."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        included = load(path.with_name(document["include"])) if "include" in document else ()
        suite = {expectation.name: expectation for expectation in included}
        for entry in document.get("expectations", ()):
            suite[entry["name"]] = Expectation(**entry)
        for exception in document.get("exceptions", ()):
            for name in exception["expectations"]:
                groups = tuple(map(str, exception["groups"]))
                suite[name] = replace(suite[name], excepted_groups=groups, because=exception["because"])
    except OSError as error:
        raise WaymarkError(f"{path}: cannot be read ({error.strerror}); each data set has its suite there") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WaymarkError(f"{path}: not a suite of expectations ({' '.join(str(error).split())})") from None
    return tuple(suite.values())


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
        whole = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
        result = whole.get_batch({"dataframe": frame}).validate(
            gx.ExpectationSuite(name=table, expectations=[_compiled(entry) for entry in expectations.values()]),
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": _IDENTITY[table],
                "partial_unexpected_count": _IN_DOCS,
                "return_unexpected_index_query": False,
            },
        )
        pages[table] = result
        for one in result.results:
            outcome: dict[str, Any] = one.to_json_dict()
            entry = expectations[outcome["expectation_config"]["meta"]["name"]]
            outcomes[entry.name] = _outcome(entry, outcome)
    return Verdict(tuple(outcomes[entry.name] for entry in suite if entry.table in tables), pages)


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
    if not result["success"] and not offenders:
        offenders = (f"observed {found.get('observed_value')}",)
    return Outcome(entry, int(found.get("unexpected_count", 0)), offenders, bool(result["success"]))


def _offender(entry: Expectation, row: Mapping[str, Any]) -> str:
    reason = entry.offender.format_map(row)
    if entry.table == "classes":
        return f"class {row['label']} ({row['class_name']}): {reason}"
    place = f" ({row['row']})" if row["row"] else ""
    return f"{row['archive']}: member {shown(row['member'])}{place}: {reason}"
