"""What a command line means: which images, in which order, and why there are no bytes of some."""

import os
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from waymark.errors import WaymarkError
from waymark.scoring import finding
from waymark.serving.limits import LIMITS, Limits
from waymark.serving.uploads import Refusal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str) -> None:
    """Files that hold their own names."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def zipped(name: str, members: list[str]) -> None:
    with ZipFile(name, "w") as archive:
        for member in members:
            archive.writestr(member, member)


def found(*arguments: str) -> list[str]:
    return [path.as_posix() for path in finding.find(arguments).files]


def contents(*arguments: str, limits: Limits = LIMITS) -> list[tuple[str, bytes | str]]:
    """The name of each image, and its bytes or why there are none."""
    sent = finding.read(finding.find(arguments).files, limits, lambda images: None)
    return [(path, f"{data.reason}: {data}" if isinstance(data, Refusal) else data) for path, data in sent]


def refusal(*arguments: str) -> str:
    with pytest.raises(WaymarkError) as refused:
        finding.find(arguments)
    return str(refused.value)


def test_a_folder_is_read_to_its_depths_in_natural_order() -> None:
    write("in/img10.png", "in/img2.JPG", "in/img1/9.webp", "in/img1/10.bmp", "in/b/x.png/1.ppm")
    assert found("in") == ["in/b/x.png/1.ppm", "in/img1/9.webp", "in/img1/10.bmp", "in/img2.JPG", "in/img10.png"]


def test_a_folder_and_its_zip_have_one_order() -> None:
    names = ["a-1.png", "a/10.png", "a/9.png", "a1.png", "b.png"]
    write(*(f"in/{name}" for name in names))
    zipped("in.zip", sorted(names))
    assert [path.removeprefix("in.zip/") for path, _ in contents("in.zip")] == [
        path.removeprefix("in/") for path, _ in contents("in")
    ]


def test_what_a_folder_holds_besides_images_is_counted_and_what_is_hidden_is_not() -> None:
    write("in/1.png", "in/labels.csv", "in/more.zip", "in/._1.png", "in/.cache/2.png")
    assert finding.find(["in"]) == ([Path("in/1.png")], 2)


def test_links_to_folders_are_not_followed(folder: Path) -> None:
    write("in/a/1.png", "elsewhere/2.png", "3.png")
    Path("in/a/loop").symlink_to(folder / "in")
    Path("in/linked").symlink_to(folder / "elsewhere")
    Path("in/linked.png").symlink_to(folder / "3.png")
    assert finding.find(["in"]) == ([Path("in/a/1.png"), Path("in/linked.png")], 2)
    assert found("in/linked") == ["in/linked/2.png"]  # named by itself, it is


def test_arguments_keep_their_order_and_may_repeat() -> None:
    write("b.png", "a.png", "in/c.png")
    assert found("b.png", "in", "a.png", "b.png") == ["b.png", "in/c.png", "a.png", "b.png"]


def test_patterns_reach_any_depth_and_match_files_only(folder: Path) -> None:
    write("in/10.png", "in/9.png", "in/a/b/1.png", "in/a/notes.txt", "in/.b/2.png")
    Path("in/a/loop").symlink_to(folder / "in")
    assert found("in/*.png") == ["in/9.png", "in/10.png"]
    assert found("in/**/*.png") == ["in/9.png", "in/10.png", "in/a/b/1.png"]
    assert found("in/**") == ["in/9.png", "in/10.png", "in/a/b/1.png", "in/a/notes.txt"]
    assert found("in/.b/*") == ["in/.b/2.png"]
    assert found(f"{folder}/in/a/../?.png") == [f"{folder}/in/a/../9.png"]


def test_a_name_with_brackets_is_a_name_where_it_exists() -> None:
    write("scan[1].png", "scan1.png")
    assert found("scan[1].png") == ["scan[1].png"]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("none.png", "none.png: there is no such file or folder"),
        ("*.tiff", "*.tiff: matches no file; a folder is given by its name alone"),
        ("in", "in: holds no image; 2 other files were skipped, and a zip has to be named itself"),
        ("empty", "empty: holds no image"),
    ],
)
def test_what_means_no_image_is_told_in_a_sentence(argument: str, sentence: str) -> None:
    write("in/labels.csv", "in/a.zip")
    Path("empty").mkdir()
    assert refusal(argument) == sentence


def test_stars_that_are_no_pattern_are_told_or_match_nothing() -> None:
    """Python 3.13 takes these for one star."""
    assert refusal("**.png") in (
        "**.png: is no pattern (Invalid pattern: '**' can only be an entire path component)",
        "**.png: matches no file; a folder is given by its name alone",
    )


def test_one_missing_path_stops_all() -> None:
    write("a.png")
    assert refusal("a.png", "b.png") == "b.png: there is no such file or folder"


def test_a_file_that_is_named_itself_is_taken_whatever_it_is_called() -> None:
    write("picture.dat")
    zipped("archive.dat", ["1.png"])
    assert contents("picture.dat", "archive.dat") == [
        ("picture.dat", b"picture.dat"),
        ("archive.dat/1.png", b"1.png"),
    ]


def test_bad_members_of_a_zip_are_refused_one_by_one() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped("a.zip", ["10.png", "9.png", "../8.png", "9.png", "__MACOSX/._9.png", "folder/"])
    assert contents("a.zip", limits=replace(LIMITS, image_bytes=5)) == [
        ("a.zip/9.png", b"9.png"),
        ("a.zip/9.png", "duplicate_name: the archive holds this name twice; this is not the first"),
        ("a.zip/10.png", "too_many_bytes: the image is larger than 5 bytes"),
        ("a.zip/../8.png", "unsafe_name: the name leads out of the archive"),
    ]


def test_a_zip_may_hold_more_images_than_a_request() -> None:
    zipped("a.zip", [f"{number}.png" for number in range(12)])
    assert len(contents("a.zip", limits=replace(LIMITS, images=3, unpacked_bytes=1))) == 12


def test_how_many_images_a_zip_holds_is_told_once_it_is_open() -> None:
    zipped("a.zip", ["1.png", "2.png", "3.png"])
    told: list[int] = []
    assert len(list(finding.read([Path("a.zip")], LIMITS, told.append))) == 3
    assert told == [2]


def test_a_zip_that_cannot_be_opened_is_a_row_and_no_end() -> None:
    zipped("empty.zip", [])
    zipped("cut.zip", ["1.png"])
    Path("cut.zip").write_bytes(Path("cut.zip").read_bytes()[:-30])
    write("a.png")
    assert contents("empty.zip", "cut.zip", "a.png") == [
        ("empty.zip", "empty: the archive holds no image"),
        ("cut.zip", "damaged: the archive is damaged or cut short"),
        ("a.png", b"a.png"),
    ]


def test_a_file_that_cannot_be_read_is_a_row_and_a_pipe_is_not_waited_for() -> None:
    write("in/3.png")
    Path("in/1.png").symlink_to("nowhere")
    os.mkfifo("in/2.png")
    os.mkfifo("pipe")
    neither = "unreadable: this is neither a file nor a folder that can be listed"
    assert contents("in", "pipe") == [
        ("in/1.png", "unreadable: the file cannot be read (No such file or directory)"),
        ("in/2.png", neither),
        ("in/3.png", b"in/3.png"),
        ("pipe", neither),
    ]


def test_of_a_file_that_is_too_large_one_byte_more_is_read_than_may_be() -> None:
    Path("large.png").write_bytes(bytes(1000))
    assert contents("large.png", limits=replace(LIMITS, image_bytes=10)) == [("large.png", bytes(11))]


def test_a_name_that_is_no_utf8_is_shown_with_its_bytes() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    Path(name).write_bytes(b"x")
    assert contents(".") == [("caf\\xe9.png", b"x")]
