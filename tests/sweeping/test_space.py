"""What `-S` means: each setting as a distribution, and what params.yaml does not allow refused in a sentence."""

import shutil
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from dvc.utils.hydra import apply_overrides
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from waymark import params
from waymark.errors import WaymarkError
from waymark.sweeping import space

ROOT = Path(__file__).resolve().parents[2]
BASE = params.load(ROOT / "params.yaml")
ALL = frozenset(BASE.model_dump())
EXPECTED = "expected KEY=A,B,C, KEY=LOW..HIGH, KEY=log(LOW..HIGH) or KEY=VALUE"


@pytest.mark.parametrize(
    ("setting", "knob"),
    [
        ("lr=log(0.01..0.3)", FloatDistribution(0.01, 0.3, log=True)),
        ("lr=log(0.01,0.3)", FloatDistribution(0.01, 0.3, log=True)),
        ("label_smoothing=0..0.1", FloatDistribution(0.0, 0.1)),
        ("weight_decay=log(1e-5..1e-3)", FloatDistribution(1e-5, 1e-3, log=True)),
        ("epochs=4..12", IntDistribution(4, 12)),
        ("batch_size=log(16..256)", IntDistribution(16, 256, log=True)),
        ("width=16..64", IntDistribution(16, 64, step=8)),
        ("width=16,24,32", CategoricalDistribution((16, 24, 32))),
        ("epochs=auto,4", CategoricalDistribution(("auto", 4))),
        ("lr=1,2", CategoricalDistribution((1.0, 2.0))),
        ("augment_flip=on,off", CategoricalDistribution(("on", "off"))),
        ("pretrained=true,false", CategoricalDistribution((True, False))),
        ("network=resnet18", CategoricalDistribution(("resnet18",))),
        ("group_pattern=5", CategoricalDistribution(("5",))),
        (" lr = 0.1 , 0.2 ", CategoricalDistribution((0.1, 0.2))),
    ],
)
def test_setting_is_read_by_the_type_that_its_key_has(
    setting: str, knob: optuna.distributions.BaseDistribution
) -> None:
    (read,) = space.parse([setting]).values()
    assert read == knob
    assert [type(end) for end in space.ends(read)] == [type(end) for end in space.ends(knob)]


@pytest.mark.parametrize("setting", ["lr", "lr=", "=1", "lr=0.1,", "lr=0.1..", "lr=a..b", "lr=log(1)", "lr=log 1..2"])
def test_setting_that_is_none_is_refused_with_what_one_looks_like(setting: str) -> None:
    with pytest.raises(WaymarkError) as refused:
        space.parse([setting])
    assert str(refused.value) == f"-S {setting!r}: {EXPECTED}"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("lr=0.3..0.1", "a range begins with its lower end; expected lr=0.1..0.3"),
        ("lr=log(0..0.1)", "a log scale has no 0; begin above 0"),
        ("epochs=1.5..4", "epochs is a whole number; so are the ends of its range"),
        ("width=16..20", "width goes in steps of 8; so do the ends of its range"),
        ("width=log(16..64)", "width goes in steps of 8; use width=16..64"),
        ("network=1..4", "network is no number, and has no range; give its values as network=A,B,C"),
    ],
)
def test_range_that_cannot_be_says_what_can(setting: str, sentence: str) -> None:
    with pytest.raises(WaymarkError) as refused:
        space.parse([setting])
    assert str(refused.value) == f"-S {setting!r}: {sentence}"


@pytest.mark.parametrize("text", ["a'b", "a\\b", "${x}", "[1]", "a\nb"])
def test_text_that_dvc_would_take_for_something_else_is_refused(text: str) -> None:
    with pytest.raises(WaymarkError, match=r"a value has letters, digits and \./:@%\+~-_ only"):
        space.parse([f"network={text}"])


def test_key_stands_in_one_setting_only() -> None:
    with pytest.raises(WaymarkError, match=r"^-S 'lr=0\.2': lr stands in another -S already$"):
        space.parse(["lr=0.1", "lr=0.2"])


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("lr=log(0.1..20)", "lr: 20.0 is not allowed (input should be less than or equal to 10); allowed: (0, 10]"),
        ("lr=0..1", "lr: 0.0 is not allowed (input should be greater than 0); allowed: (0, 10]"),
        ("epochs=auto,0", "epochs: 0 is not allowed; allowed: auto or a number in [1, 1000]"),
        ("augment_flip=on,maybe", "augment_flip: 'maybe' is not allowed (input should be 'auto', 'on' or 'off')"),
        ("dataset=folder", "source: 'auto' does not go with dataset: folder; name an archive or a folder of classes"),
        ("gate_max_ece=0.1,0.2", "no stage reads gate_max_ece, so nothing would differ; leave it out"),
    ],
)
def test_value_out_of_range_is_refused_naming_key_and_range(setting: str, sentence: str) -> None:
    with pytest.raises(WaymarkError) as refused:
        space.check(space.parse([setting]), [setting], BASE, ALL - {"gate_max_ece"})
    assert str(refused.value) == f"-S {setting!r}: {sentence}"


def test_unknown_key_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        WaymarkError, match=r"^-S 'learning_rate=0\.1': unknown key 'learning_rate'; known are dataset, "
    ):
        space.check(space.parse(["learning_rate=0.1"]), ["learning_rate=0.1"], BASE, ALL)


def test_values_are_checked_beside_those_that_stay_the_same() -> None:
    settings = ["dataset=folder", "source=signs.zip", "lr=0.1,0.2"]
    space.check(space.parse(settings), settings, BASE, ALL)


def test_combinations_are_listed_in_the_order_given_and_not_where_a_range_is() -> None:
    listed = space.combinations(space.parse(["lr=0.1,0.2", "width=8,16", "epochs=2"]))
    assert listed is not None
    assert [tuple(values.values()) for values in listed] == [(0.1, 8, 2), (0.1, 16, 2), (0.2, 8, 2), (0.2, 16, 2)]
    assert space.combinations(space.parse(["lr=0.1..0.2", "width=8,16"])) is None


@given(st.floats(1e-6, 9), st.floats(1.001, 1000), st.booleans(), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_what_is_drawn_from_a_range_lies_in_it_and_has_few_digits(
    low: float, times: float, log: bool, seed: int
) -> None:
    knob = FloatDistribution(low, low * times, log=log)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    (value,) = space.drawn(study.ask(), {"lr": knob}).values()
    assert isinstance(value, float)
    assert knob.low <= value <= knob.high
    assert value in (knob.low, knob.high, float(f"{value:.4g}"))


@given(st.text(st.characters(exclude_categories=["C"]), max_size=20))
@settings(max_examples=50, deadline=None)
def test_anything_parsed_is_a_knob_or_a_sentence(text: str) -> None:
    with suppress(WaymarkError):  # nothing else is raised
        assert list(space.parse([f"lr={text}"])) == ["lr"]


@given(
    lr=st.floats(1e-6, 10),
    epochs=st.one_of(st.just("auto"), st.integers(1, 1000)),
    flip=st.sampled_from(["on", "off", "auto"]),
    network=st.from_regex(r"[a-z][aZ9_./:@%+~ -]{0,9}[a-z9]", fullmatch=True),
)
@settings(max_examples=15, deadline=None, phases=[Phase.generate])  # each reads and writes a whole params.yaml
def test_overrides_reach_params_yaml_through_dvc_as_they_were_meant(
    tmp_path_factory: pytest.TempPathFactory, lr: float, epochs: str | int, flip: str, network: str
) -> None:
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    values: dict[str, space.Value] = {"lr": lr, "epochs": epochs, "augment_flip": flip, "network": network}
    apply_overrides(str(path), space.overrides(values))
    read = params.load(path)
    assert {key: getattr(read, key) for key in values} == values


def test_only_a_plain_word_goes_without_quotes() -> None:
    values: dict[str, space.Value] = {"network": "resnet18", "colour": "true", "source": "a b", "pretrained": True}
    assert space.overrides(values) == ["network=resnet18", "colour='true'", "source='a b'", "pretrained=true"]
