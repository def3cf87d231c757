"""`waymark predict`: the rows of the model here and of a running service are the same, and what ends it is told."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from PIL import Image
from pyarrow import parquet

from waymark import cli
from waymark.scoring import predict
from waymark.scoring.finding import Sent
from waymark.scoring.rows import Row
from waymark.serving.limits import LIMITS

if TYPE_CHECKING:
    from tests.service.conftest import Serve, WriteModel

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}
BETWEEN = (196, 62, 62)  # red and grey, and nearer red
SMALL = replace(LIMITS, images=3, request_bytes=2000)
Run = Callable[..., object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, write_model: "WriteModel") -> Path:
    return write_model(tmp_path_factory.mktemp("predict"), COLOURS)


@pytest.fixture(scope="module")
def url(model: Path, serve: "Serve") -> str:
    """A service that takes three images, or 2,000 bytes, at a time."""
    return serve(model, SMALL)


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(*arguments)` is `waymark predict` in a folder with the model: its exit code, or the sentence for 1."""
    for name in ("models", "lineage.json"):
        (tmp_path / name).symlink_to(model / name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", ["waymark", "predict", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    return run


def picture(colour: tuple[int, int, int], kind: str = "PNG", size: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, kind)
    return file.getvalue()


def write_pictures(folder: str, count: int) -> None:
    Path(folder).mkdir()
    for number in range(count):
        Path(folder, f"{number}.png").write_bytes(picture([*COLOURS.values(), BETWEEN][number % 5]))


def write_mixture() -> None:
    """A folder and a zip with all that may stand between good pictures."""
    write_pictures("in", 12)
    Path("in/4.png").write_bytes(b"")
    Path("in/5.png").write_bytes(b"GIF89a")
    Path("in/6.png").write_bytes(picture(COLOURS["red"])[:60])
    Path("in/7.png").unlink()
    Path("in/7.png").symlink_to("nowhere")
    with ZipFile("in.zip", "w") as archive:
        for name in ("10.jpg", "9.jpg", "sub/8.jpg"):
            archive.writestr(name, picture(COLOURS["blue"], "JPEG"))
        archive.writestr("/1.png", picture(COLOURS["red"]))
        archive.writestr("11.png", b"no picture")
        archive.writestr("12.zip", b"PK\3\4")


def loaded(name: str) -> list[Row]:
    rows: list[Row] = json.loads(Path(name).read_text(encoding="utf-8"))
    return rows


def test_rows_name_the_class_and_what_it_is_sure_of(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    Path("red.png").write_bytes(picture(COLOURS["red"]))
    Path("between.png").write_bytes(picture(BETWEEN))
    assert run("red.png", "between.png", "--top", "2") == 0
    header, red, between = capfd.readouterr().out.splitlines()
    assert header == (
        "path,label,class_name,probability,answered,threshold,label_2,class_name_2,probability_2,"
        "error_reason,error_message,model_version"
    )
    version = hashlib.sha256(Path("models/contract.json").read_bytes()).hexdigest()[:12]
    assert red == f"red.png,0,red,1.0,true,0.8,3,grey,0.0,,,{version}"
    cells = between.split(",")
    assert [*cells[:3], *cells[4:8]] == ["between.png", "0", "red", "false", "0.8", "3", "grey"]
    assert 0.5 < float(cells[3]) < 0.8


@pytest.mark.slow
def test_both_ways_give_the_same_rows(run: Run, url: str, caplog: pytest.LogCaptureFixture) -> None:
    write_mixture()
    inputs = ("in", "in.zip", "in/1*.png")
    assert run(*inputs, "--output", "here.json") == predict.REFUSED
    assert run(*inputs, "--output", "there.json", "--url", url) == predict.REFUSED
    rows = loaded("here.json")
    assert loaded("there.json") == rows
    told = [f"{row['path']} {row['error']['reason'] if row['error'] else row['class_name']}" for row in rows]
    assert told == [
        *("in/0.png red", "in/1.png green", "in/2.png blue", "in/3.png grey", "in/4.png empty"),
        *("in/5.png unsupported_format", "in/6.png damaged", "in/7.png unreadable", "in/8.png grey", "in/9.png red"),
        *("in/10.png red", "in/11.png green"),
        *("in.zip/9.jpg blue", "in.zip/10.jpg blue", "in.zip/11.png unsupported_format"),
        *("in.zip/12.zip unsupported_format", "in.zip//1.png unsafe_name", "in.zip/sub/8.jpg blue"),
        *("in/1.png green", "in/10.png red", "in/11.png green"),
    ]
    assert [message for message in caplog.messages if "images" in message] == [
        "21 images: 13 answered, 1 not sure, 7 refused"
    ] * 2


def test_rows_do_not_depend_on_the_format_or_the_threads(run: Run) -> None:
    write_pictures("in", 70)
    assert run("in", "--output", "rows.json", "--threads", "1") == 0
    assert run("in", "--output", "rows.parquet", "--threads", "3") == 0
    rows = parquet.read_table("rows.parquet").to_pylist()
    assert [{**row, "error": None} for row in loaded("rows.json")] == [
        {**{key: row[key] for key in row if not key.startswith("error_")}, "error": None} for row in rows
    ]
    assert [row["path"] for row in rows] == [f"in/{number}.png" for number in range(70)]


def test_an_image_that_no_request_can_carry_is_refused_alone(run: Run, url: str) -> None:
    write_pictures("in", 3)
    Path("in/1.png").write_bytes(picture(COLOURS["red"], "BMP", size=40))
    assert run("in", "--output", "rows.json", "--url", url) == predict.REFUSED
    assert [row["class_name"] for row in loaded("rows.json")] == ["red", None, "blue"]
    assert loaded("rows.json")[1]["error"] == {
        "reason": "too_many_bytes",
        "message": "the request is larger than 2,000 bytes",
    }


def test_more_classes_than_there_are_are_an_error_in_both_ways(run: Run, url: str) -> None:
    write_pictures("in", 1)
    sentence = "error: --top 5: expected a number from 1 to 4, the classes that the model knows"
    assert run("in", "--top", "5") == sentence
    assert run("in", "--top", "5", "--url", url) == sentence


@pytest.mark.parametrize("threads", ["0", "257", "many"])
def test_threads_that_are_none_are_refused(run: Run, threads: str) -> None:
    assert run("in", "--threads", threads) == 2  # as argparse does


def test_a_mistake_leaves_the_output_as_it_was(run: Run) -> None:
    Path("rows.csv").write_text("before")
    assert run("none.png", "--output", "rows.csv") == "error: none.png: there is no such file or folder"
    assert Path("rows.csv").read_text() == "before"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(run: Run) -> None:
    write_pictures("in", 400)
    command = f"{sys.executable} -m waymark.cli predict in | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [str(predict.BROKEN_PIPE)]
    assert done.stderr == ""


@pytest.mark.slow
def test_scoring_loads_nothing_heavy_and_its_help_nothing_at_all() -> None:
    code = (
        "import sys\n"
        "from waymark import cli\n"
        "sys.argv = ['waymark', 'predict', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'torch', 'bentoml', 'starlette', 'pandas', 'pyarrow', 'numpy', 'PIL', 'requests', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import waymark.scoring.predict, waymark.scoring.local, waymark.scoring.remote\n"
        "print(sorted({'torch', 'bentoml', 'starlette', 'pandas', 'pyarrow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_reading_runs_little_ahead_of_the_answers() -> None:
    read = 0

    def images() -> Iterator[list[Sent]]:
        nonlocal read
        for number in range(100):
            read += 1
            yield [Sent(str(number), b"")]

    rows = predict.in_order(lambda chunk: [{"path": chunk[0].path}], images(), threads=2)
    assert next(rows) == [{"path": "0"}]
    assert read == 5
    assert [row["path"] for chunk in rows for row in chunk] == [str(number) for number in range(1, 100)]
