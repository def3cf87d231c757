"""What a sweep tries: `lr=log(0.01..0.3)`, `width=16,24,32`, `epochs=4`; checked before anything runs."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import optuna
from annotated_types import MultipleOf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from waymark import params
from waymark.errors import WaymarkError
from waymark.params import Params

Value = str | int | float | bool
Space = dict[str, BaseDistribution]

DIGITS = 4  # of a number drawn from a range: `lr: 0.05213` is read, learned and typed as easily as it is told

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_LOG = re.compile(rf"log\(({_NUMBER})(?:\.\.|, *)({_NUMBER})\)")
_LOG_STARTS = re.compile(r"log\b")
_TEXT = re.compile(r"[\w./:@%+~ -]+")  # names and addresses: on their way through Hydra and two YAMLs they stay so
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # needs no quotes in a setting of DVC's
_NO_WORDS = {"true", "false", "null", "nan", "inf"}  # in a setting of DVC's, whatever their case
_EXPECTED = "expected KEY=A,B,C, KEY=LOW..HIGH, KEY=log(LOW..HIGH) or KEY=VALUE"


def parse(settings: Sequence[str]) -> Space:
    """The space that `settings`, each as after `-S`, describe. Raises WaymarkError for one that is none."""
    space: Space = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not key or not text:
            raise WaymarkError(f"-S {setting!r}: {_EXPECTED}")
        if key in space:
            raise WaymarkError(f"-S {setting!r}: {key} stands in another -S already")
        space[key] = _knob(setting, key, text)
    return space


def _knob(setting: str, key: str, text: str) -> BaseDistribution:
    if found := _RANGE.fullmatch(text):
        return _range(setting, key, found[1], found[2], log=False)
    if found := _LOG.fullmatch(text):
        return _range(setting, key, found[1], found[2], log=True)
    values = [_typed(key, part.strip()) for part in text.split(",")]
    if ".." in text or _LOG_STARTS.match(text) or "" in values:
        raise WaymarkError(f"-S {setting!r}: {_EXPECTED}")
    if not all(_TEXT.fullmatch(part.strip()) for part in text.split(",")):
        raise WaymarkError(
            f"-S {setting!r}: a value has letters, digits and ./:@%+~-_ only; write others to params.yaml"
        )
    return CategoricalDistribution(tuple(dict.fromkeys(values)))


def _range(setting: str, key: str, first: str, last: str, log: bool) -> BaseDistribution:
    kind, step = _number(key), _step(key)
    if kind is None:
        raise WaymarkError(f"-S {setting!r}: {key} is no number, and has no range; give its values as {key}=A,B,C")
    low, high = float(first), float(last)
    if low >= high:
        raise WaymarkError(f"-S {setting!r}: a range begins with its lower end; expected {key}={last}..{first}")
    if log and low <= 0:
        raise WaymarkError(f"-S {setting!r}: a log scale has no {first}; begin above 0")
    if kind is float:
        return FloatDistribution(low, high, log=log)
    if not (low.is_integer() and high.is_integer()):
        raise WaymarkError(f"-S {setting!r}: {key} is a whole number; so are the ends of its range")
    if log and step > 1:
        raise WaymarkError(f"-S {setting!r}: {key} goes in steps of {step}; use {key}={first}..{last}")
    if (high - low) % step:
        raise WaymarkError(f"-S {setting!r}: {key} goes in steps of {step}; so do the ends of its range")
    return IntDistribution(int(low), int(high), log=log, step=step)


def check(space: Space, settings: Sequence[str], base: Params, read: frozenset[str]) -> None:
    """Whether params.yaml may say each of it; `read` are the keys that stages read, `base` what the rest is.

    Raises WaymarkError naming the key and what is allowed.
    """
    document = base.model_dump()
    constant = {key: values[0] for key in space if len(values := ends(space[key])) == 1}
    for setting, (key, knob) in zip(settings, space.items(), strict=True):
        for value in ends(knob):
            params.checked(document | constant | {key: value}, f"-S {setting!r}")
        if key not in read:
            raise WaymarkError(f"-S {setting!r}: no stage reads {key}, so nothing would differ; leave it out")


def ends(knob: BaseDistribution) -> tuple[Any, ...]:
    """All values where they are listed, else the first and the last: what lies between them is in range, too."""
    if isinstance(knob, CategoricalDistribution):
        return knob.choices
    assert isinstance(knob, FloatDistribution | IntDistribution)
    return knob.low, knob.high


def combinations(space: Space) -> Iterator[dict[str, Value]] | None:
    """All of them, in the order in which they were given; None where a range has more than a person lists."""
    if not all(isinstance(knob, CategoricalDistribution) for knob in space.values()):
        return None
    return (dict(zip(space, values, strict=True)) for values in itertools.product(*map(ends, space.values())))


def drawn(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """What the sampler wants to see tried; the same again for a trial that was asked before."""
    return {key: _suggested(trial, key, knob) for key, knob in space.items()}


def _suggested(trial: optuna.Trial, key: str, knob: BaseDistribution) -> Value:
    if isinstance(knob, FloatDistribution):
        value = float(f"{trial.suggest_float(key, knob.low, knob.high, log=knob.log):.{DIGITS}g}")
        return min(max(value, knob.low), knob.high)
    if isinstance(knob, IntDistribution):
        return trial.suggest_int(key, knob.low, knob.high, log=knob.log, step=knob.step)
    assert isinstance(knob, CategoricalDistribution)
    chosen = trial.suggest_categorical(key, knob.choices)
    assert isinstance(chosen, str | int | float)
    return chosen


def overrides(values: Mapping[str, Value]) -> list[str]:
    """As `dvc exp run -S` takes them, whose grammar is Hydra's: a text that might be more than a word is in quotes."""
    return [f"{key}={_quoted(value)}" for key, value in values.items()]


def _quoted(value: Value) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _NO_WORDS:
        return value
    return f"'{value}'"


def _typed(key: str, text: str) -> Value:
    kind = _number(key)
    if _kinds(key) == {bool} and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is None or not re.fullmatch(_NUMBER, text):
        return text
    number = float(text)
    return number if kind is float or not number.is_integer() else int(number)


def _number(key: str) -> type[int] | type[float] | None:
    """int or float where the key may be a number."""
    kinds = _kinds(key)
    return int if int in kinds else float if float in kinds else None


def _kinds(key: str) -> set[Any]:
    """The types that a key may have; params.py says which."""
    if key not in Params.model_fields:
        return set()
    annotation = Params.model_fields[key].annotation
    either = get_args(annotation) or (annotation,)
    return {getattr(kind, "__origin__", kind) for kind in either}


def _step(key: str) -> int:
    field = Params.model_fields.get(key)
    steps = [limit.multiple_of for limit in (field.metadata if field else ()) if isinstance(limit, MultipleOf)]
    return int(steps[0]) if steps and isinstance(steps[0], int) else 1
