"""The three forms that rows are written in."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from waymark.errors import WaymarkError
from waymark.scoring import tables
from waymark.scoring.rows import Row, answered, refused

STOP, YIELD = (
    {"label": 14, "class_name": "stop", "probability": 0.75},
    {"label": 13, "class_name": "yield, or not", "probability": 0.25},
)
ROWS: list[Row] = [
    answered("ü.png", {**STOP, "answered": True, "threshold": 0.5, "top": [STOP, YIELD]}, "ab12"),
    refused("a\n.png", "damaged", "the image is damaged", "ab12"),
]


def written(kind: str, output: Path | None, rows: list[Row] = ROWS) -> None:
    with tables.writing(kind, output, 2) as write:
        write(rows[:1])
        write(rows[1:])


def test_csv_has_columns_for_the_classes_after_the_best(tmp_path: Path) -> None:
    written("csv", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes().decode() == (
        "path,label,class_name,probability,answered,threshold,label_2,class_name_2,probability_2,"
        "error_reason,error_message,model_version\n"
        'ü.png,14,stop,0.75,true,0.5,13,"yield, or not",0.25,,,ab12\n'
        '"a\n.png",,,,,,,,,damaged,the image is damaged,ab12\n'
    )


def test_json_is_one_array_with_a_row_a_line(tmp_path: Path) -> None:
    written("json", tmp_path / "rows.json")
    text = (tmp_path / "rows.json").read_text(encoding="utf-8")
    assert json.loads(text) == ROWS
    assert [line.rstrip(",") for line in text.splitlines()] == [
        "[",
        *(json.dumps(row, ensure_ascii=False) for row in ROWS),
        "]",
    ]


def test_json_of_no_rows_is_an_empty_array(tmp_path: Path) -> None:
    written("json", tmp_path / "rows.json", [])
    assert json.loads((tmp_path / "rows.json").read_text()) == []


def test_parquet_holds_the_same_rows_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP", 1)
    written("parquet", tmp_path / "rows.parquet", [*ROWS, *ROWS, ROWS[0]])
    file = parquet.ParquetFile(tmp_path / "rows.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [1, 4]
    rows = file.read().to_pylist()
    for row in rows:
        reason, message = row.pop("error_reason"), row.pop("error_message")
        row["error"] = {"reason": reason, "message": message} if reason else None
    assert rows == [*ROWS, *ROWS, ROWS[0]]


@pytest.mark.parametrize("kind", tables.FORMATS)
def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, kind: str, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows"
    output.write_text("before")

    def fail() -> None:
        with tables.writing(kind, output, 2) as write:
            write(ROWS)
            raise WaymarkError("the service is gone")

    with pytest.raises(WaymarkError, match="the service is gone"):
        fail()
    assert output.read_text() == "before"
    assert list(tmp_path.iterdir()) == [output]
    assert (list(recwarn), capsys.readouterr().err) == ([], "")


def test_standard_output_takes_rows_as_they_come(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with tables.writing("json", None, 2) as write:
        write(ROWS[:1])
        assert capfdbinary.readouterr().out == b"[\n" + json.dumps(ROWS[0], ensure_ascii=False).encode()
        write(ROWS[1:])
    assert capfdbinary.readouterr().out.endswith(b"}\n]\n")


@pytest.mark.parametrize(
    ("output", "asked", "kind"),
    [
        (None, None, "csv"),
        (None, "json", "json"),
        ("rows.parquet", None, "parquet"),
        ("rows.JSON", None, "json"),
        ("rows.txt", None, "csv"),
        ("rows.json", "csv", "csv"),
    ],
)
def test_the_format_is_what_is_asked_for_else_what_the_name_says(
    output: str | None, asked: str | None, kind: str
) -> None:
    assert tables.format_of(Path(output) if output else None, asked) == kind


def test_targets_that_are_no_files_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match="Parquet is not written to standard output; name a file with --output"):
        tables.format_of(None, "parquet")
    for target in (tmp_path, Path("/dev/null")):
        with pytest.raises(WaymarkError, match=f"{target}: is not a file; name one with --output"):
            tables.format_of(target, None)
