"""Every data set goes through the same stages by changing one parameter."""

import io
import json
import pickle
import re
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from waymark.datasets import asl, cifar10

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
SMALL = {"image_size": 16, "width": 8, "batch_size": 16, "threads": 1}
PHOTOGRAPHS, HANDS = NormalDist(122, 33).quantiles(21), NormalDist(134, 9).quantiles(21)
STAGES = ("collect", "validate", "prepare", "train", "export", "evaluate")
Graph = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


def scene(label: int, number: int, light: Sequence[float]) -> NDArray[np.uint8]:
    """Smooth shapes that no other number has, tinted in the colour of the label: (32, 32, 3).

    Their mean luma goes through `light` with the number, since validation knows how bright each data set is.
    """
    chance = np.random.default_rng([label, number])
    shapes = Image.fromarray(chance.integers(0, 256, (5, 5, 3), np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
    hue = Image.new("HSV", (32, 32), (label * 77 % 256, 255, 200)).convert("RGB")
    tinted = Image.blend(shapes, hue, 0.5)
    pixels, luma = np.asarray(tinted, np.float64), np.asarray(tinted.convert("L")).mean()
    wanted = light[number % len(light)]
    lit = pixels * wanted / luma if wanted < luma else pixels + (255 - pixels) * (wanted - luma) / (255 - luma)
    return np.asarray(lit, np.uint8)


def encoded(image: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def cifar10_archive(folder: Path) -> Path:
    """Five batches of 20 images and a test batch of 20, pickled as published: byte-string keys, protocol 2."""
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:

        def add(name: str, content: dict[bytes, Any]) -> None:
            data = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        names = [name.encode() for name in cifar10.CLASS_NAMES]
        add("batches.meta", {b"num_cases_per_batch": 20, b"label_names": names, b"num_vis": 3072})
        for batch, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
            labels = [number % 10 for number in range(20)]
            images = [scene(label, 20 * batch + number, PHOTOGRAPHS) for number, label in enumerate(labels)]
            data = np.stack([image.transpose(2, 0, 1).ravel() for image in images])
            files = [f"{name}_{number}.png".encode() for number in range(20)]
            add(name, {b"batch_label": name.encode(), b"labels": labels, b"data": data, b"filenames": files})
    return folder / "cifar-10-python.tar.gz"


def asl_archives(folder: Path) -> Path:
    """Each class a video of 600 frames of which every 20th is kept; another signer's pictures beside it."""
    with ZipFile(folder / "archive.zip", "w") as archive:
        for label, name in enumerate(asl.CLASS_NAMES):
            for frame in range(1, 600, 20):
                member = f"asl_alphabet_train/asl_alphabet_train/{name}/{name}{frame}.jpg"
                archive.writestr(member, encoded(scene(label, frame // 20, HANDS), "JPEG"))
    with ZipFile(folder / "other-signer.zip", "w") as archive:
        for label, name in enumerate(asl.CLASS_NAMES):
            for number in range(1, 3):
                archive.writestr(f"{name}/{name}{number}.jpg", encoded(scene(label, 1000 + number, HANDS), "JPEG"))
    return folder


def class_folders(folder: Path, labels: tuple[int, int, int] = (0, 1, 2)) -> Path:
    """A directory of three class folders with a test part; training images of class n show label `labels[n]`."""
    root = folder / "fruit"
    for split, count, shown in (("train", 60, labels), ("test", 20, (0, 1, 2))):
        for name, label in zip(("apple", "banana", "cherry"), shown, strict=True):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                image = scene(label, number + 1000 * (split == "test"), PHOTOGRAPHS)
                (root / split / name / f"{number}.png").write_bytes(encoded(image))
    return root


@pytest.fixture
def graph(python: Callable[..., Any]) -> Graph:
    """`graph(folder, dataset, source)`: all stages that make files, up to the first that fails."""

    def graph(folder: Path, dataset: str, source: Path, **changed: object) -> "subprocess.CompletedProcess[str]":
        folder.mkdir()
        (folder / "expectations").symlink_to(ROOT / "expectations")
        params = PARAMS | SMALL | {"dataset": dataset, "source": str(source)} | changed
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        ended = (python(folder, f"waymark.stages.{name}") for name in STAGES)
        return next((done for done in ended if done.returncode), subprocess.CompletedProcess(STAGES, 0))

    return graph


def metrics(folder: Path) -> Any:
    return json.loads((folder / "reports" / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("dataset", "archives"), [("cifar10", cifar10_archive), ("folder", class_folders)])
def test_data_set_runs_through_the_graph(
    graph: Graph, tmp_path: Path, dataset: str, archives: Callable[[Path], Path]
) -> None:
    done = graph(tmp_path / "work", dataset, archives(tmp_path), epochs=40)
    assert done.returncode == 0, done.stderr
    judged = metrics(tmp_path / "work")
    assert judged["images"] == {"cifar10": 20, "folder": 60}[dataset]
    assert judged["accuracy"] > 0.5  # chance is 0.1 and 0.33


def test_asl_is_judged_on_frames_far_from_those_learned_and_on_another_signer(graph: Graph, tmp_path: Path) -> None:
    done = graph(tmp_path / "work", "asl", asl_archives(tmp_path), epochs=1)
    assert done.returncode == 0, done.stderr
    judged = metrics(tmp_path / "work")
    assert judged["other_signer"]["images"] == 58
    assert judged["same_signer"]["images"] == judged["images"] >= 2 * 29
    split = pd.read_csv(tmp_path / "work" / "data" / "prepared" / "split.csv")
    frames = split[split["archive"] == "archive.zip"]
    frames = frames.assign(frame=[int(re.sub(r"\D", "", member)) for member in frames["member"]])
    for _, video in frames[frames["split"] != "left_out"].groupby("label"):
        ordered = video.sort_values("frame")
        changes = ordered["split"] != ordered["split"].shift()
        assert (ordered["frame"].diff()[changes].dropna() > 15).all()


def test_swapped_labels_of_two_classes_stop_the_graph_at_evaluate(graph: Graph, tmp_path: Path) -> None:  # D25
    source = class_folders(tmp_path, labels=(1, 0, 2))
    done = graph(tmp_path / "work", "folder", source, epochs=24)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: apple is taken for banana in ")
    assert "their labels are probably swapped in the training or in the test images" in last
    assert metrics(tmp_path / "work")["accuracy"] < 0.5


@pytest.mark.parametrize(
    ("last", "stages"),
    [("prepare", 3), pytest.param("evaluate", 6, marks=pytest.mark.long)],  # the rest differs in nothing but its time
)
def test_going_back_to_a_data_set_runs_no_stage(
    last: str, stages: int, tmp_path: Path, run: Callable[..., Any], committed_copy: Path
) -> None:
    repository, source = committed_copy, class_folders(tmp_path)

    def repro(**changed: object) -> tuple[int, dict[str, bytes]]:
        params = PARAMS | SMALL | {"epochs": 1, "rendered_tracks": 4, "rendered_frames": 2} | changed
        (repository / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        said = run(repository, "dvc", "repro", last, PYTHONPATH=str(repository / "src")).stdout
        files = [path for room in ("data", "models", "reports") for path in (repository / room).rglob("*")]
        outputs = {str(path): path.read_bytes() for path in files if path.is_file() and path.name != ".gitignore"}
        return said.count("Running stage"), outputs

    first, drawn = repro()
    second, folder = repro(dataset="folder", source=str(source))
    assert (first, second) == (stages, stages)
    assert drawn.keys() != folder.keys()
    assert repro() == (0, drawn)
    assert repro(dataset="folder", source=str(source)) == (0, folder)
