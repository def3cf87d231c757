"""What a network begins with: a file of tensors that fits, or timm's own weights, and nothing that could run."""

import functools
import hashlib
import http.server
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from waymark import params, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import initial, network, weights
from waymark.params import Params
from waymark.stages import train

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("stop", "yield", "bend")
OTHER_CLASSES = "its head is for other classes and is left out"


def settings(**changed: object) -> Params:
    small = {"width": 8, "epochs": 1, "batch_size": 16, "threads": 1, "precision": "32-true"}
    return params.load(ROOT / paths.PARAMS).model_copy(update=small | changed)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def begun() -> nn.Module:
    """A network of three classes, in signs.safetensors as `train` writes it."""
    torch.manual_seed(1)
    model = network.build("sign_resnet", 3, 8)
    weights.write(model, Path("signs.safetensors"), name="sign_resnet", num_classes=3, width=8)
    return model


def test_file_of_our_own_is_where_learning_begins(begun: nn.Module) -> None:
    model = initial.build(settings(weights="signs.safetensors"), 3)
    assert all(torch.equal(tensor, begun.state_dict()[key]) for key, tensor in state(model).items())
    assert model.initial_weights == f"signs.safetensors@sha256:{sha256(Path('signs.safetensors'))}"


def test_head_for_other_classes_is_left_out(begun: nn.Module, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        model = initial.build(settings(weights="signs.safetensors"), 5)
    same = {key for key, tensor in state(model).items() if torch.equal(tensor, begun.state_dict()[key])}
    assert begun.state_dict().keys() - same == {"head.2.weight", "head.2.bias"}
    assert OTHER_CLASSES in caplog.messages


def test_file_without_a_head_serves(begun: nn.Module) -> None:
    tensors = {key: tensor for key, tensor in state(begun).items() if not key.startswith("head.")}
    save_file(tensors, "backbone.safetensors")
    model = initial.build(settings(weights="backbone.safetensors"), 3)
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in tensors.items())


def test_plain_file_of_timm_serves() -> None:
    theirs = network.build("mobilenetv3_small_100", 10, 8)
    save_file(theirs.state_dict(), "mobile.safetensors")
    model = initial.build(settings(network="mobilenetv3_small_100", weights="mobile.safetensors"), 3)
    same = {key for key, tensor in state(model).items() if torch.equal(tensor, theirs.state_dict()[key])}
    assert theirs.state_dict().keys() - same == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("dtype", "'FIRST' is float16 of shape SHAPE, expected float32 of shape SHAPE"),
        ("shape", "'FIRST' is float32 of shape (1,), expected float32 of shape SHAPE"),
        ("missing", "'FIRST' is absent, expected float32 of shape SHAPE"),
        ("extra", "'backdoor' is float32 of shape (1,), expected absent"),
        ("half a head", "'head.2.bias' is absent, expected float32 of shape (3,)"),
    ],
)
def test_first_tensor_that_does_not_fit_is_named(begun: nn.Module, change: str, fault: str) -> None:  # M5
    first, tensor = next(iter(begun.state_dict().items()))
    tensors = load_file("signs.safetensors")
    match change:
        case "dtype":
            tensors[first] = tensors[first].half()
        case "shape":
            tensors[first] = torch.zeros(1)
        case "missing":
            del tensors[first]
        case "extra":
            tensors["backdoor"] = torch.zeros(1)
        case "half a head":
            del tensors["head.2.bias"]
    save_file(tensors, "signs.safetensors")
    with pytest.raises(WaymarkError) as refused:
        initial.build(settings(weights="signs.safetensors"), 3)
    fault = fault.replace("FIRST", first).replace("SHAPE", str(tuple(tensor.shape)))
    assert str(refused.value) == f"weights: signs.safetensors does not fit network sign_resnet: tensor {fault}"


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the payload ran')",))


def test_a_pickle_is_refused_and_never_runs() -> None:  # M1, M2
    path = Path("signs.safetensors")
    torch.save({"w": torch.zeros(1), "p": Payload()}, path)
    for content in (path.read_bytes(), pickle.dumps(Payload())):
        path.write_bytes(content)
        with pytest.raises(WaymarkError, match=r"signs\.safetensors: is not a whole safetensors file"):
            initial.build(settings(weights="signs.safetensors"), 3)


def test_a_file_cut_anywhere_is_refused(begun: nn.Module) -> None:  # M3
    whole = Path("signs.safetensors").read_bytes()
    for offset in range(0, len(whole), len(whole) // 20):
        Path("signs.safetensors").write_bytes(whole[:offset])
        with pytest.raises(WaymarkError, match=r"signs\.safetensors: is not a whole safetensors file .*; get it anew"):
            initial.build(settings(weights="signs.safetensors"), 3)


def test_file_that_is_not_there_is_named() -> None:
    with pytest.raises(WaymarkError, match=r"weights: gone\.safetensors cannot be read \(No such file or directory\)"):
        initial.given("gone.safetensors")


def test_file_that_changed_under_its_name_is_noticed_by_its_digest(
    begun: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path("signs.safetensors")
    before = sha256(path)
    assert initial.given(f"{path}@sha256:{before}").sha256 == before
    assert caplog.messages == []
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(WaymarkError, match=f"sha256 of signs.safetensors is {sha256(path)}, expected {before}; bring"):
        initial.given(f"{path}@sha256:{before}")


def test_file_without_a_digest_is_taken_with_a_warning_that_says_it(
    begun: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path("signs.safetensors").resolve()
    initial.given(str(path))
    assert caplog.messages == [
        "warning: weights: DVC does not see whether signs.safetensors changes; "
        f"write weights: {path}@sha256:{sha256(path)}, and it does"
    ]


class Files(http.server.SimpleHTTPRequestHandler):
    """The folder in which the test runs; with what Hugging Face's hub says in its headers."""

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("ETag", f'"{sha256(path)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_address_is_fetched_once_and_its_digest_checked(begun: nn.Module, address: str) -> None:
    path = Path("signs.safetensors")
    url, digest = f"{address}/signs.safetensors", sha256(path)
    start = initial.given(f"{url}@sha256:{digest}")
    assert (str(start), start.path) == (f"{url}@sha256:{digest}", paths.INITIAL_WEIGHTS / f"{digest}.safetensors")
    path.unlink()
    assert initial.given(f"{url}@sha256:{digest}") == start
    start.path.write_bytes(b"a copy that was damaged")
    with pytest.raises(WaymarkError, match=r"signs\.safetensors: the server answered 404"):
        initial.given(f"{url}@sha256:{digest}")
    path.write_bytes(b"another file of that name")
    with pytest.raises(WaymarkError, match=f"sha256 is [0-9a-f]+, expected {digest}"):
        initial.given(f"{url}@sha256:{digest}")


def test_address_without_a_digest_is_fetched_each_time(
    begun: nn.Module, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("signs.safetensors")
    first = initial.given(f"{address}/{path}").sha256
    path.write_bytes(b"another")
    assert initial.given(f"{address}/{path}").sha256 == sha256(path) != first
    path.unlink()
    monkeypatch.setenv("LOCAL_RANK", "1")  # the second process of one training takes what the first has fetched
    assert initial.given(f"{address}/{path}").path.read_bytes() == b"another"


@pytest.fixture
def hub(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub on loopback, and the file where it keeps mobilenetv3_small_100's tensors, of a network made here."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "timm/mobilenetv3_small_100.lamb_in1k/resolve/main/model.safetensors"
    file.parent.mkdir(parents=True)
    return file


PRETRAINED = settings(network="mobilenetv3_small_100", pretrained=True)


def test_timm_s_own_weights_come_from_its_hub_with_a_new_head(hub: Path) -> None:
    theirs = network.build("mobilenetv3_small_100", 1000, 8)
    save_file(theirs.state_dict(), hub)
    model = initial.build(PRETRAINED, 3)
    expected = theirs.state_dict()
    same = {key for key, tensor in state(model).items() if torch.equal(tensor, expected[key])}
    assert expected.keys() - same == {"classifier.weight", "classifier.bias"}
    assert model.initial_weights == f"timm/mobilenetv3_small_100.lamb_in1k@sha256:{sha256(hub)}"


def test_pickle_on_the_hub_is_not_fetched(hub: Path) -> None:
    torch.save({"p": Payload()}, hub.with_name("pytorch_model.bin"))
    with pytest.raises(WaymarkError, match=r"pretrained: timm/mobilenetv3_small_100\.lamb_in1k cannot be had"):
        initial.build(PRETRAINED, 3)
    hub.write_bytes(hub.with_name("pytorch_model.bin").read_bytes())
    with pytest.raises(WaymarkError, match=r"lamb_in1k: is not a whole safetensors file"):
        initial.build(PRETRAINED, 3)


def test_hub_out_of_reach_is_said_with_what_to_do(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", nowhere)
    template = nowhere + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    with pytest.raises(WaymarkError) as refused:
        initial.build(PRETRAINED, 3)
    assert str(refused.value) == (
        "pretrained: timm/mobilenetv3_small_100.lamb_in1k cannot be had from http://127.0.0.1:1 (Connection refused); "
        "run again with a connection, or get its model.safetensors another way and name that file in weights, with "
        "pretrained: false"
    )


def test_network_that_timm_does_not_publish_is_refused() -> None:
    with pytest.raises(WaymarkError, match=r"network: 'resnet19' is unknown; near it are "):
        initial.build(settings(network="resnet19", pretrained=True), 3)
    with pytest.raises(WaymarkError, match="timm publishes no weights for botnet50ts_256; use pretrained: false"):
        initial.build(settings(network="botnet50ts_256", pretrained=True), 3)


@pytest.fixture
def prepared() -> None:
    """Prepared train and val splits of three classes of noise at 16 px."""
    paths.PREPARED.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for split, count in (("train", 48), ("val", 12)):
        np.save(paths.images(split), generator.integers(0, 256, (count, 16, 16, 3)).astype(np.uint8))
        pd.DataFrame({"label": np.arange(count) % len(CLASSES)}).to_parquet(paths.rows(split), index=False)
    half = (0.5, 0.5, 0.5)
    Contract("tiny", CLASSES, image_size=16, crop_margin=0.0, mean=half, std=half).write(paths.PREPARED_CONTRACT)


def test_frozen_backbone_keeps_every_bit_and_its_statistics_while_the_head_learns(
    begun: nn.Module, prepared: None
) -> None:
    train.run(settings(weights="signs.safetensors", freeze_backbone=True, epochs=2))
    before, after = state(begun), load_file(paths.WEIGHTS)
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"head.2.weight", "head.2.bias"}


def test_trained_weights_remember_what_they_began_from(begun: nn.Module, prepared: None) -> None:
    train.run(settings(weights="signs.safetensors"))
    with safe_open(paths.WEIGHTS, framework="pt") as opened:
        architecture = json.loads(opened.metadata()["waymark"])
    assert architecture["initial_weights"] == f"signs.safetensors@sha256:{sha256(Path('signs.safetensors'))}"
    assert weights.read(paths.WEIGHTS).state_dict().keys() == begun.state_dict().keys()
