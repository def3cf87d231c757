"""Every knob of params.yaml as one typed, range-checked, frozen object.

The comments in params.yaml tell what each key does; here stands what it may be.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from waymark import paths
from waymark.errors import WaymarkError, reason

Fraction = Annotated[float, Field(ge=0, lt=1)]

_USER = re.compile(r"[^/?#]*@|[^/?#\[]*:(?!\d*(/|$)).*@")  # user@, or user:password@ though / stands in the password
_SECRET = re.compile(  # names of a query's parameters: X-Amz-Signature, AWSAccessKeyId, Key-Pair-Id, sig, access_token
    r"^sig$|signature|credential|token|secret|passw|(?<![a-z])(auth|(api|access|awsaccess)?key(id)?)(?![a-z])",
    re.IGNORECASE,
)


SECRET = (
    "the address holds a user, password, key or signature, which git would keep in params.yaml and dvc.lock; take it"
    " out, and set the keys in the environment"
)


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # data
    dataset: Literal["rendered", "gtsrb", "cifar10", "asl", "folder"]
    source: Annotated[str, Field(min_length=1)]
    group_pattern: str
    expected_images: Annotated[int, Field(ge=0, lt=2**31)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    rendered_seed: Annotated[int, Field(ge=0, lt=2**31)]
    rendered_tracks: Annotated[int, Field(ge=4, le=200)]
    rendered_frames: Annotated[int, Field(ge=2, le=30)]

    # preparation
    split: Literal["grouped", "random"]
    subset: Annotated[float, Field(gt=0, le=1)]
    val_fraction: Annotated[float, Field(gt=0, le=0.5)]
    test_fraction: Annotated[float, Field(gt=0, le=0.5)]
    image_size: Annotated[int, Field(ge=16, le=256)]
    crop_margin: Annotated[float, Field(ge=0, le=1)]
    colour: Literal["rgb", "grey"]
    equalise: Literal["none", "histogram", "clahe"]

    # network and training
    network: Annotated[str, Field(min_length=1)]
    width: Annotated[int, Field(ge=8, le=256, multiple_of=8)]
    pretrained: bool
    weights: str
    freeze_backbone: bool
    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"]
    batch_size: Annotated[int, Field(ge=2, le=8192)]
    optimizer: Literal["sgd", "adamw", "muon"]
    lr: Annotated[float, Field(gt=0, le=10)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    label_smoothing: Fraction
    class_balance: Annotated[float, Field(ge=0, le=1)]
    ema_decay: Fraction
    augment_rotation: Annotated[float, Field(ge=0, le=180)]
    augment_zoom_out: Annotated[float, Field(ge=0, le=0.5)]
    augment_scale: Annotated[float, Field(ge=0, le=0.9)]
    augment_aspect: Annotated[float, Field(ge=1, le=4)]
    augment_shift: Annotated[float, Field(ge=0, le=0.5)]
    augment_shear: Annotated[float, Field(ge=0, le=45)]
    augment_light: Annotated[float, Field(ge=0, le=0.9)]
    augment_colour: Annotated[float, Field(ge=0, le=0.9)]
    augment_blur: Annotated[float, Field(ge=0, le=1)]
    augment_noise: Annotated[float, Field(ge=0, le=1)]
    augment_flip: Literal["auto", "on", "off"]
    outliers: Annotated[float, Field(ge=0, le=0.5)]
    precision: Literal["auto", "32-true", "bf16-mixed"]
    threads: Annotated[int, Field(ge=1, le=64)]
    devices: Annotated[int, Field(ge=1, le=64)]
    strategy: Literal["auto", "ddp"]
    num_nodes: Annotated[int, Field(ge=1, le=64)]

    # answers
    max_risk: Annotated[float, Field(ge=0.0001, le=1)]
    corruption_images: Annotated[int, Field(ge=0, lt=2**31)]

    # promotion
    gate_min_accuracy: Annotated[float, Field(ge=0, le=1)]
    gate_min_class_recall: Annotated[float, Field(ge=0, le=1)]
    gate_max_ece: Annotated[float, Field(ge=0, le=1)]
    gate_max_latency_ms: Annotated[float, Field(gt=0, le=60_000)]
    gate_max_megabytes: Annotated[float, Field(gt=0, le=10_000)]
    seed_std: Annotated[float, Field(ge=0, le=0.2)]

    @model_validator(mode="after")
    def _source_goes_with_dataset(self) -> "Params":
        if _holds_secret(self.source):
            raise ValueError(
                f"source: {SECRET} (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, KAGGLE_API_TOKEN), or download the"
                " archive and name its path"
            )
        if self.dataset == "rendered" and self.source != "auto":
            raise ValueError(f"source: {self.source!r} does not go with dataset: rendered, which is drawn; use auto")
        if self.dataset == "folder" and self.source == "auto":
            raise ValueError("source: 'auto' does not go with dataset: folder; name an archive or a folder of classes")
        if self.dataset != "folder" and self.group_pattern:
            raise ValueError(
                f"group_pattern: {self.group_pattern!r} does not go with dataset: {self.dataset}, whose groups are"
                " known; use ''"
            )
        if fault := _group_fault(self.group_pattern):
            raise ValueError(
                f"group_pattern: {self.group_pattern!r} {fault}; expected a regular expression with one group, such as"
                r" '(patient\d+)'"
            )
        return self

    @model_validator(mode="after")
    def _processes_share_a_batch(self) -> "Params":
        if self.batch_size % (processes := self.devices * self.num_nodes):
            raise ValueError(
                f"batch_size: {self.batch_size} images a step cannot be shared evenly by {processes} processes (devices"
                f" × num_nodes); use a multiple of {processes}"
            )
        return self

    @model_validator(mode="after")
    def _initial_weights_go_together(self) -> "Params":
        address, pinned, digest = self.weights.partition("@sha256:")
        if _holds_secret(address):
            raise ValueError(
                f"weights: {SECRET} (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or download the file and name its"
                " path"
            )
        if (pinned and not address) or bool(pinned) != bool(re.fullmatch(r"[0-9a-f]{64}", digest)):
            raise ValueError(
                f"weights: {self.weights!r} is not allowed; expected '', a file's path or address, or either with the"
                " file's digest: signs.safetensors@sha256:<64 hexadecimal digits, as sha256sum prints them>"
            )
        if self.pretrained and self.weights:
            raise ValueError(
                "pretrained: true does not go with weights, which name another start; use pretrained: false or"
                " weights: ''"
            )
        if self.pretrained and self.network.startswith("sign_resnet"):
            raise ValueError(
                "pretrained: true does not go with network: sign_resnet, of which timm publishes no weights; use"
                " pretrained: false or one of timm's networks"
            )
        if self.freeze_backbone and not (self.pretrained or self.weights):
            raise ValueError(
                "freeze_backbone: true does not go with a network that knows nothing yet; use pretrained: true or name"
                " its weights"
            )
        return self


def _holds_secret(source: str) -> bool:
    """Whether who reads the address can open what it names: its user, or a query as S3, Google and Azure sign it."""
    _, separator, address = source.partition("://")
    if not separator:
        return False
    query = address.partition("?")[2].replace(";", "&")
    return bool(_USER.match(address)) or any(_SECRET.search(name) for name, _ in parse_qsl(query))


def _group_fault(pattern: str) -> str:
    try:
        return "" if not pattern or re.compile(pattern).groups else "has no group"
    except (re.error, RecursionError, OverflowError) as error:
        return f"does not compile ({error})"


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml.

    Raises WaymarkError naming every key at fault, its value and what is allowed.
    """
    try:
        # YAML 1.2, as DVC writes it: by 1.1, which PyYAML knows, a bare 1e-05 is a text and a bare `on` is true.
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WaymarkError(f"{path}: cannot be read ({error.strerror}); run from the repository's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise WaymarkError(f"{path}: {_conflict(path) or f'not valid YAML: {reason(error)}'}") from None
    if not isinstance(document, dict):
        raise WaymarkError(f"{path}: expected one `key: value` a line")
    return checked(document, str(path))


def checked(document: Mapping[str, Any], where: str) -> Params:
    """The parameters that `document` holds, which a person wrote at `where`. Raises WaymarkError as `load` does."""
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        sentences = dict.fromkeys(_sentence(fault) for fault in error.errors())  # each once, in order
        raise WaymarkError(f"{where}: " + "; ".join(sentences)) from None


def _conflict(path: Path) -> str:
    """What a merge left to be decided, if it did."""
    lines = path.read_bytes().splitlines()
    number = next((number for number, line in enumerate(lines, start=1) if line.startswith(b"<<<<<<< ")), None)
    return f"line {number} begins a merge conflict; decide which of the values stays, and delete the marks" * bool(
        number
    )


def _sentence(fault: Any) -> str:
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if len(fault["loc"]) > 1:  # one of several types that the key may have
        return f"{key}: {fault['input']!r} is not allowed; allowed: {_either(key)}"
    match fault["type"]:
        case "extra_forbidden":
            return f"unknown key {key!r}; known are {', '.join(Params.model_fields)}"
        case "missing":
            return f"key {key!r} is missing"
        case "value_error":
            return str(fault["ctx"]["error"])
    reason = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{key}: {fault['input']!r} is not allowed ({reason}){_range(key)}"


def _either(key: str) -> str:
    kinds = get_args(Params.model_fields[key].annotation)
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    ranges = [_limits(kind.__metadata__[0].metadata) for kind in kinds if get_origin(kind) is Annotated]
    return " or ".join([*words, *(f"a number in {limits}" for limits in ranges)])


def _range(key: str) -> str:
    limits = _limits(Params.model_fields[key].metadata)
    return f"; allowed: {limits}" if limits else ""


def _limits(constraints: Iterable[Any]) -> str:
    limits: dict[str, float] = {}
    for constraint in constraints:
        limits |= {k: v for k in ("ge", "gt", "le", "lt") if (v := getattr(constraint, k, None)) is not None}
    if not limits:
        return ""
    low = f"[{limits['ge']}" if "ge" in limits else f"({limits['gt']}"
    high = f"{limits['le']}]" if "le" in limits else f"{limits['lt']})"
    return f"{low}, {high}"
