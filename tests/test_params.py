"""params.yaml: typed, range-checked, and every mistake named before any work."""

import re
from pathlib import Path

import pytest
import yaml

from waymark.errors import WaymarkError
from waymark.params import Params, load

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def load_with(tmp_path: Path, **changed: object) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(DEFAULTS | changed), encoding="utf-8")
    return load(path)


def test_the_repository_s_own_file_is_valid() -> None:
    assert load(ROOT / "params.yaml").model_dump() == DEFAULTS


def test_each_key_stands_on_one_line_with_a_comment() -> None:
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys = [match[1] for line in lines if (match := re.match(r"(\w+): +\S+ +# \S", line))]
    assert keys == list(Params.model_fields)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"lr": 0.0}, r"lr: 0\.0 is not allowed .*allowed: \(0, 10\]"),
        ({"lr": "fast"}, r"lr: 'fast' is not allowed"),
        ({"lr": float("nan")}, r"lr: nan is not allowed"),
        ({"epochs": 1.5}, r"epochs: 1\.5 is not allowed"),
        ({"epochs": True}, r"epochs: True is not allowed"),
        ({"image_size": 4096}, r"image_size: 4096 is not allowed .*allowed: \[16, 256\]"),
        ({"dataset": "mnist"}, r"dataset: 'mnist' is not allowed .*'rendered', 'gtsrb', 'cifar10', 'asl' or 'folder'"),
        ({"learning_rate": 0.1}, r"unknown key 'learning_rate'; known are dataset, source"),
        ({"dataset": "rendered", "source": "signs.zip"}, r"'signs\.zip' does not go with dataset: rendered"),
        ({"pretrained": True}, r"pretrained: true does not go with network: sign_resnet, of which timm publishes no"),
        ({"pretrained": True, "weights": "a.safetensors"}, r"pretrained: true does not go with weights, which name"),
        ({"freeze_backbone": True}, r"freeze_backbone: true does not go with a network that knows nothing yet; use"),
        (
            {"weights": "a.safetensors@sha256:12ab"},
            r"weights: 'a\.safetensors@sha256:12ab' is not allowed; expected ''",
        ),
        ({"weights": "@sha256:" + "0" * 64}, r"weights: '@sha256:0+' is not allowed"),
        (
            {"weights": "s3://me:s3cret@b/a.safetensors"},
            r"weights: the address holds a user, password, key or signature",
        ),
        (
            {"batch_size": 9, "devices": 2, "num_nodes": 2},
            r"batch_size: 9 images a step cannot be shared .* multiple of 4",
        ),
        ({"devices": 0}, r"devices: 0 is not allowed .*allowed: \[1, 64\]"),
        ({"strategy": "fsdp"}, r"strategy: 'fsdp' is not allowed .*'auto' or 'ddp'"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(WaymarkError, match=sentence):
        load_with(tmp_path, **changed)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match=r"width: 9 .*; epochs: 0 "):
        load_with(tmp_path, epochs=0, width=9)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({k: v for k, v in DEFAULTS.items() if k != "seed"}))
    with pytest.raises(WaymarkError, match="key 'seed' is missing"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize("epochs", [0, 1.5, "many"])
def test_key_of_two_types_is_refused_in_one_sentence_that_names_both(tmp_path: Path, epochs: object) -> None:
    with pytest.raises(WaymarkError) as refused:
        load_with(tmp_path, epochs=epochs)
    expected = f"params.yaml: epochs: {epochs!r} is not allowed; allowed: auto or a number in [1, 1000]"
    assert str(refused.value).endswith(expected)


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [("augment_flip", "on", "on"), ("augment_flip", "off", "off"), ("lr", "1e-05", 1e-05)],
)
def test_value_is_read_as_dvc_writes_it(tmp_path: Path, key: str, written: str, meant: object) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(rf"^{key}: \S+", f"{key}: {written}", text, flags=re.MULTILINE), encoding="utf-8")
    assert getattr(load(path), key) == meant


def test_folder_has_no_official_source(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match="source: 'auto' does not go with dataset: folder; name an archive or"):
        load_with(tmp_path, dataset="folder")


def refused(tmp_path: Path, **changed: object) -> str:
    with pytest.raises(WaymarkError) as caught:
        load_with(tmp_path, **changed)
    return str(caught.value).removeprefix(f"{tmp_path / 'params.yaml'}: ")


FOLDER = {"dataset": "folder", "source": "scans.zip"}


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [("(", "does not compile (missing ), unterminated subpattern at position 0)"), (r"p\d", "has no group")],
)
def test_group_pattern_that_gives_no_group_is_refused(tmp_path: Path, pattern: str, fault: str) -> None:
    advice = r"expected a regular expression with one group, such as '(patient\d+)'"
    assert refused(tmp_path, **FOLDER, group_pattern=pattern) == f"group_pattern: {pattern!r} {fault}; {advice}"


@pytest.mark.parametrize(("dataset", "source"), [("rendered", "auto"), ("gtsrb", "auto"), ("asl", "asl.zip")])
def test_group_pattern_is_for_class_folders_only(tmp_path: Path, dataset: str, source: str) -> None:
    assert refused(tmp_path, dataset=dataset, source=source, group_pattern=r"(p\d+)") == (
        rf"group_pattern: '(p\\d+)' does not go with dataset: {dataset}, whose groups are known; use ''"
    )
    assert load_with(tmp_path, **FOLDER, group_pattern=r"(p\d+)").group_pattern == r"(p\d+)"


@pytest.mark.parametrize("dataset", ["gtsrb", "rendered", "folder"])
@pytest.mark.parametrize(
    "source",
    [
        *["https://me:s3cret@example.org/a.zip", "https://s3cret@example.org/a.zip", "s3://me:s3cret@bucket/a.zip"],
        *["kaggle://me:s3cret@owner/name", "s3://me:s3c/ret+s3cret@bucket/a.zip", "https://me:@example.org/a.zip"],
        "https://bucket.s3.amazonaws.com/a.zip?X-Amz-Date=1&X-Amz-Signature=s3cret",
        "https://bucket.s3.amazonaws.com/a.zip?x-amz-credential=s3cret",
        "https://bucket.s3.amazonaws.com/a.zip?X-Amz-Security-Token=s3cret",
        "https://bucket.s3.amazonaws.com/a.zip?AWSAccessKeyId=s3cret&Expires=1",
        "https://storage.googleapis.com/a.zip?Signature=s3cret",
        "https://me.blob.core.windows.net/a.zip?sv=2024&sig=s3cret",
        *[f"https://example.org/a.zip?{name}=s3cret" for name in ("token", "access_token", "key", "api_key", "Key-Id")],
        *[f"https://example.org/a.zip?download=1;{name}=s3cret" for name in ("auth", "password")],
    ],
)
def test_source_that_holds_a_secret_is_refused_without_repeating_it(tmp_path: Path, dataset: str, source: str) -> None:
    sentence = refused(tmp_path, dataset=dataset, source=source)
    assert sentence == (
        "source: the address holds a user, password, key or signature, which git would keep in params.yaml and "
        "dvc.lock; take it out, and set the keys in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "KAGGLE_API_TOKEN), or download the archive and name its path"
    )


@pytest.mark.parametrize(
    "source",
    [
        *[
            "https://zenodo.org/records/1/files/a.zip?download=1",
            "http://127.0.0.1:8080/a@b.zip",
            "s3://bucket/a@b.zip",
        ],
        *["http://[::1]:8080/a.zip", "https://example.org/a.zip?keyword=cats&author=me&sigma=2", "kaggle://owner/name"],
        *["/home/me:you@here/a.zip?key=1", "signs@home.zip", "https://example.org/tokens/a.zip", "http://["],
    ],
)
def test_source_without_a_secret_passes(tmp_path: Path, source: str) -> None:
    assert load_with(tmp_path, dataset="gtsrb", source=source).source == source


@pytest.mark.parametrize("content", ["", "- a list", "lr: [", "\ud800".encode("utf-8", "surrogatepass")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WaymarkError, match=r"params\.yaml"):
        load(path)


def test_parameters_cannot_be_changed_after_loading(tmp_path: Path) -> None:
    params = load_with(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        params.lr = 1.0


def test_a_merge_that_left_its_marks_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\n<<<<<<< HEAD\nlr: 0.1\n=======\nlr: 0.2\n>>>>>>> other\n", encoding="utf-8")
    with pytest.raises(WaymarkError, match=r"params\.yaml: line 2 begins a merge conflict; decide which"):
        load(path)
