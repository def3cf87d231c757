"""What differs between two states: parameters, sources, stages, archives, images."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from waymark.git import FileChange
from waymark.reporting import changes, data_changes
from waymark.reporting.changes import Change, SourceChange, StageRun
from waymark.reporting.snapshot import Snapshot

Build = Callable[..., Snapshot]


def test_parameters_are_told_as_params_yaml_writes_them() -> None:
    old = {"lr": 0.1, "epochs": "auto", "gone": True, "same": 1, "source": "a"}
    new = {"same": 1, "lr": 0.02, "epochs": 5, "added": [1, 2], "source": ""}
    assert changes.parameters(old, new) == [
        Change("lr", "0.1", "0.02"),
        Change("epochs", "auto", "5"),
        Change("added", "", "[1, 2]"),
        Change("source", "a", "''"),
        Change("gone", "true", ""),
    ]


def test_stage_ran_for_what_differs_in_its_entry(build: Build) -> None:
    old, new = build(), build(lr=0.02)
    train = {**new.stages["train"], "cmd": "train --fast", "deps": [{"path": "src/a.py", "md5": "1"}]}
    stages = {**new.stages, "train": train, "track": {"cmd": "track"}}
    assert changes.stages(old, replace(new, stages=stages)) == [
        StageRun(
            "train",
            command=True,
            params=("lr",),
            sources=("src/a.py", "src/waymark/learning/network.py"),
            data=("data/prepared",),
            outputs=("models/model.onnx",),
        ),
        StageRun("evaluate", data=("models/model.onnx",), outputs=("reports/metrics.json",)),
        StageRun("track", only_in="new"),
    ]


def test_stage_that_gave_another_output_for_the_same_input_is_told(build: Build) -> None:
    old = build()
    train = {**old.stages["train"], "outs": [{"path": "models/model.onnx", "md5": "0"}]}
    new = replace(old, stages={"train": train})
    assert changes.stages(old, new)[0] == StageRun("train", outputs=("models/model.onnx",))


def test_sources_are_the_changed_files_that_stages_declare_themselves_or_by_folder(build: Build) -> None:
    old = build()
    deps = [{"path": "src/a.py", "md5": "1"}, {"path": "src/folder", "md5": "1.dir"}, {"path": "src/c.py", "md5": "1"}]
    after = [{"path": "src/a.py", "md5": "2"}, {"path": "src/folder", "md5": "2.dir"}, {"path": "src/c.py", "md5": "2"}]
    outs = [{"path": "reports/metrics.json", "md5": "1"}, {"path": "reports/plots", "md5": "1.dir"}]
    before = replace(old, stages={"train": {"deps": deps}, "export": {"deps": deps[:1], "outs": outs}})
    new = replace(old, stages={"train": {"deps": after}, "export": {"deps": deps[:1], "outs": outs}})
    files = [
        FileChange("src/a.py", 3, 1),
        FileChange("src/folder/b.py", 0, 9),
        FileChange("src/folder_of_others/d.py", 1, 1),
        FileChange("README.md", 1, 0),
        FileChange("params.yaml", 1, 1),
        FileChange("dvc.lock", 9, 9),
        FileChange("reports/metrics.json", 1, 1),
        FileChange("reports/plots/roc.csv", 1, 1),
    ]
    assert changes.sources(before, new, files) == (
        [
            SourceChange("src/a.py", 3, 1, ("train",)),
            SourceChange("src/c.py", None, None, ("train",)),
            SourceChange("src/folder/b.py", 0, 9, ("train",)),
        ],
        ("src/folder_of_others/d.py", "README.md"),
    )


def test_source_that_no_stage_has_run_with_yet_is_told(build: Build) -> None:
    state = build()
    files = [FileChange("src/waymark/learning/network.py", 1, 0)]
    assert changes.sources(state, state, files) == ([SourceChange("src/waymark/learning/network.py", 1, 0, ())], ())


def test_archives_differ_by_their_hash(build: Build) -> None:
    old = build(archives={"a": {"sha256": "1"}, "b": {"sha256": "1"}, "c": {"sha256": "1"}})
    new = build(archives={"b": {"sha256": "1"}, "c": {"sha256": "2"}, "d": {"sha256": "3"}})
    assert data_changes.archives(old, new) == [Change("a", "1", ""), Change("c", "1", "2"), Change("d", "", "3")]
    assert data_changes.archives(old, build()) == []


def test_images_are_told_by_their_picture_whatever_their_file_is_called(
    build_manifest: Callable[..., pd.DataFrame],
) -> None:
    old = build_manifest(20)
    new = build_manifest(
        20,
        class_name={3: "Stop", 4: "Yield"},
        split={5: "test"},
        member={6: "renamed.ppm"},
        pixels_sha256={7: "another picture"},
    ).iloc[:19]
    new = pd.concat([new, build_manifest(22).iloc[20:]])
    found = data_changes.images(old, new)
    assert found.relabelled[["old_member", "old_class_name", "new_class_name"]].to_numpy().tolist() == [
        ["Images/00003.ppm", "No entry", "Stop"],
        ["Images/00004.ppm", "Speed limit (20km/h)", "Yield"],
    ]
    assert found.moved[["new_member", "old_split", "new_split"]].to_numpy().tolist() == [
        ["Images/00005.ppm", "train", "test"]
    ]
    assert found.redrawn["new_member"].tolist() == ["Images/00007.ppm"]
    assert found.added["member"].tolist() == ["Images/00020.ppm", "Images/00021.ppm"]
    assert found.removed["member"].tolist() == ["Images/00019.ppm"]


def test_of_several_same_pictures_only_the_one_that_went_is_told(build_manifest: Callable[..., pd.DataFrame]) -> None:
    same = dict.fromkeys(range(10), "one picture")
    old = build_manifest(10, pixels_sha256=same, class_name=dict.fromkeys(range(10), "Stop"))
    found = data_changes.images(old, old.drop(index=2))
    assert [len(rows) for rows in (found.added, found.removed, found.relabelled, found.moved)] == [0, 1, 0, 0]


def test_damaged_image_without_pixels_is_told_by_its_bytes(build_manifest: Callable[..., pd.DataFrame]) -> None:
    old = build_manifest(3)
    old.loc[1, "pixels_sha256"] = None
    old.loc[2, ["pixels_sha256", "bytes_sha256"]] = None
    found = data_changes.images(old, old)
    assert [len(rows) for rows in vars(found).values()] == [0] * 5
