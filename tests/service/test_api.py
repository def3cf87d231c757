"""What the service answers, by itself and under `bentoml serve`."""

import hashlib
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from waymark import contract, paths

COLOURS = {"A": (250, 10, 10), "B": (10, 250, 10), " ": (10, 10, 250), "<": (5, 5, 5), "-": (250, 250, 250)}
NAMES = {"A": "A", "B": "B", " ": "space", "<": "del", "-": "nothing"}
PATIENCE = 10  # seconds, on a busy machine


@pytest.fixture(params=["letters_url", "bentoml_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def picture(letter: str, width: int = 20) -> bytes:
    """A picture of one colour; each width gives other bytes."""
    return png(Image.new("RGB", (width, 20), COLOURS[letter]))


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def post(url: str, expected: int = 200, **request: Any) -> requests.Response:
    response = requests.post(url, timeout=30, **request)
    assert response.status_code == expected, response.text
    return response


def form(images: dict[str, bytes], field: str = "images") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (name, data)) for name, data in images.items()]


def names(response: requests.Response, key: str = "results") -> list[tuple[str, str]]:
    return [(each["name"], each.get("class_name") or each["error"]["reason"]) for each in response.json()[key]]


def test_predict_answers_a_form_and_raw_bytes_alike(url: str, letters: Path) -> None:
    answer = post(f"{url}/predict?top=2", files={"image": ("a.png", picture("A"))}).json()
    version = hashlib.sha256((letters / paths.CONTRACT).read_bytes()).hexdigest()[:12]
    best, second = answer["top"]
    assert answer == {
        **best,
        "answered": True,
        "threshold": 0.8,
        "top": [best, second],
        "model": {"name": "colours", "version": version},
    }
    assert (best["label"], best["class_name"]) == (0, "A")
    assert (best["probability"], second["probability"]) == (1.0, 0.0)  # to six digits
    for content_type in ("image/png", "image/jpeg", "application/octet-stream", "application/zip", None):  # U9
        headers = {"Content-Type": content_type} if content_type else {}
        assert post(f"{url}/predict?top=2", data=picture("A"), headers=headers).json() == answer


@pytest.mark.parametrize("top", [1, 3, 5])
def test_top_says_how_many_classes_are_ranked(url: str, top: int) -> None:
    ranked = post(f"{url}/predict?top={top}", data=picture("B")).json()["top"]
    assert len(ranked) == top
    assert ranked == sorted(ranked, key=lambda each: -each["probability"])
    if top == 5:
        assert sum(each["probability"] for each in ranked) == pytest.approx(1, abs=5e-6)


def test_a_picture_between_two_classes_is_not_answered(url: str) -> None:
    answer = post(f"{url}/predict", data=png(Image.new("RGB", (9, 9), (130, 125, 0)))).json()
    logits = -20 * ((np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]) - (130, 125, 0)) ** 2).sum(1) / 255**2
    a, b, _, black = np.exp(logits) / np.exp(logits).sum()
    ranked = [(each["class_name"], each["probability"]) for each in answer["top"][:3]]
    assert ranked == [
        ("A", pytest.approx(a, abs=1e-5)),
        ("del", pytest.approx(black, abs=1e-5)),
        ("B", pytest.approx(b, abs=1e-5)),
    ]
    assert (answer["class_name"], answer["answered"], answer["threshold"]) == ("A", False, 0.8)


@pytest.mark.parametrize(("roi", "letter"), [("0,0,29,39", "A"), ("30,0,59,39", "B")])
def test_a_region_decides_what_is_looked_at(url: str, roi: str, letter: str) -> None:
    image = Image.new("RGB", (60, 40), COLOURS["A"])
    image.paste(COLOURS["B"], (30, 0, 60, 40))
    told = [
        post(f"{url}/predict?roi={roi}", data=png(image)).json(),
        post(f"{url}/predict", files={"image": png(image)}, data={"roi": roi}).json(),
    ]
    assert [each["class_name"] for each in told] == [letter] * 2
    both = form({"a": png(image), "b": png(image)})
    sent = [*both, ("roi", (None, roi)), ("roi", (None, "0,0,29,39"))]
    assert names(post(f"{url}/predict_batch", files=sent)) == [("a", letter), ("b", "A")]


def test_a_batch_answers_as_single_requests_do_in_the_order_that_was_sent(url: str) -> None:  # L8
    rng = np.random.default_rng(0)
    shown = {f"{n}.png": png(Image.fromarray(rng.integers(0, 256, (12, 9 + n, 3), np.uint8))) for n in range(70, 0, -1)}
    batch = post(f"{url}/predict_batch", files=form(shown)).json()
    assert [each.pop("name") for each in batch["results"]] == list(shown)
    assert batch["errors"] == 0
    for answer, data in zip(batch["results"], shown.values(), strict=True):
        single = post(f"{url}/predict", data=data).json()
        assert single.pop("model") == batch["model"]
        assert (single["label"], single["answered"]) == (answer["label"], answer["answered"])
        assert single["probability"] == pytest.approx(answer["probability"], abs=2e-6)  # both are rounded


@pytest.mark.parametrize("way", ["raw", "raw without type", "form"])
def test_a_zip_is_answered_in_the_natural_order_of_names(url: str, way: str) -> None:
    order = {"b/2.png": "A", "a10.png": "B", "a2.png": "A", "ä.png": "B", "a1.png": "B"}
    data = zipped({name: picture(letter) for name, letter in order.items()})
    ways: dict[str, dict[str, Any]] = {
        "raw": {"data": data, "headers": {"Content-Type": "application/zip"}},
        "raw without type": {"data": data},
        "form": {"files": {"archive": ("a.zip", data)}},
    }
    expected = [("a1.png", "B"), ("a2.png", "A"), ("a10.png", "B"), ("b/2.png", "A"), ("ä.png", "B")]
    assert names(post(f"{url}/predict_batch", **ways[way])) == expected


def test_a_bad_image_is_named_in_its_place_and_the_others_are_answered(url: str) -> None:
    images = {"1.png": picture("A"), "cut.png": picture("A")[:40], "x.txt": b"hello", "2.png": picture("B")}
    ways: list[dict[str, Any]] = [{"files": form(images)}, {"data": zipped(images)}]
    for sent in ways:
        told = post(f"{url}/predict_batch", **sent).json()
        by_name = {each["name"]: each for each in told["results"]}
        assert by_name["cut.png"].keys() == {"name", "error"}
        assert by_name["cut.png"]["error"]["reason"] == "damaged"
        assert by_name["x.txt"]["error"]["reason"] == "unsupported_format"
        assert (by_name["1.png"]["class_name"], by_name["2.png"]["class_name"]) == ("A", "B")
        assert (len(told["results"]), told["errors"]) == (4, 2)
    assert list(by_name) == ["1.png", "2.png", "cut.png", "x.txt"]


@pytest.mark.parametrize(("path", "key"), [("predict_batch", "results"), ("spell", "letters")])
def test_nothing_but_bad_images_is_a_400_with_the_reason_of_the_first(url: str, path: str, key: str) -> None:
    told = post(f"{url}/{path}", 400, files=form({"x.txt": b"hello", "cut.png": picture("A")[:40]})).json()
    assert [each["error"]["reason"] for each in told[key]] == ["unsupported_format", "damaged"]
    assert (told["error"], told["errors"]) == (told[key][0]["error"], 2)


@pytest.mark.parametrize(("letters_sent", "word"), [("ABBA", "ABBA"), ("A<B B", "B B"), ("<-A- -B<", "A "), ("--", "")])
def test_letters_become_a_word(url: str, letters_sent: str, word: str) -> None:
    images = {f"{n}.png": picture(letter, 20 + n) for n, letter in enumerate(letters_sent)}
    ways: list[dict[str, Any]] = [{"files": form(images)}, {"data": zipped(images)}]
    for sent in ways:
        response = post(f"{url}/spell", **sent)
        assert response.json()["word"] == word
        assert [name for _, name in names(response, "letters")] == [NAMES[letter] for letter in letters_sent]


def test_a_bad_letter_is_named_and_left_out_of_the_word(url: str) -> None:
    response = post(f"{url}/spell", files=form({"1": picture("A"), "2": b"no", "3": picture("B")}))
    assert (response.json()["word"], response.json()["errors"]) == ("AB", 1)
    assert names(response, "letters") == [("1", "A"), ("2", "unsupported_format"), ("3", "B")]


@pytest.mark.parametrize(("query", "label"), [("", "0"), ("?label=1", "1")])
def test_explain_draws_the_image_with_what_mattered(url: str, query: str, label: str) -> None:
    response = post(f"{url}/explain{query}", files={"image": picture("A")})
    assert (response.headers["Content-Type"], response.headers["Explained-Label"]) == ("image/png", label)
    with Image.open(io.BytesIO(response.content)) as heat_map:
        assert (heat_map.size, heat_map.getpixel((160, 160))) == ((320, 320), COLOURS["A"])  # all parts are alike


def test_model_tells_who_answers(url: str, letters: Path) -> None:
    told = requests.get(f"{url}/model", timeout=10).json()
    known = contract.read(letters / paths.CONTRACT)
    assert told["hashes"]["onnx"] == known.onnx_sha256
    assert (told["classes"], told["threshold"]) == (list(known.class_names), 0.8)
    assert told["commit"] is None  # the package of the test has none


def test_metrics_count_what_was_asked(url: str) -> None:
    def counts() -> dict[str, float]:
        lines = requests.get(f"{url}/metrics", timeout=10).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    before = counts()
    post(f"{url}/predict", data=picture("A"))
    post(f"{url}/predict_batch", files=form({"1": picture("A"), "2": picture("B"), "3": b"no"}))
    post(f"{url}/predict", 415, data=b"no")
    expected: dict[str, float] = {
        'waymark_requests_total{route="/predict",status="200"}': 1,
        'waymark_requests_total{route="/predict",status="415"}': 1,
        'waymark_requests_total{route="/predict_batch",status="200"}': 1,
        'waymark_predictions_total{class_name="A"}': 2,
        'waymark_predictions_total{class_name="B"}': 1,
        'waymark_refused_total{reason="unsupported_format"}': 2,
    }
    end, looks, totals = time.monotonic() + PATIENCE, 0, dict[str, float]()
    while totals != expected and time.monotonic() < end:  # a request is counted after its answer
        looks += 1
        expected['waymark_requests_total{route="/metrics",status="200"}'] = looks
        grown = {name: value - before.get(name, 0) for name, value in counts().items() if value != before.get(name, 0)}
        totals = {name: by for name, by in grown.items() if "_total" in name}
    assert totals == expected
    assert grown["waymark_confidence_count"] == grown["waymark_batch_size_sum"] == 3


def test_the_class_has_its_picture(url: str) -> None:
    response = requests.get(f"{url}/app/classes/1.png", timeout=10)
    with Image.open(io.BytesIO(response.content)) as shown:
        assert shown.getpixel((8, 8)) == (0, 255, 0)


@pytest.mark.parametrize("path", ["", "app", "docs", "model", "metrics", "openapi.json", "app/classes/1.png"])
def test_head_is_get_without_the_body(url: str, path: str) -> None:
    head, got = (requests.request(verb, f"{url}/{path}", timeout=10, allow_redirects=False) for verb in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers.keys() == got.headers.keys()
    assert head.headers["Model-Version"] == got.headers["Model-Version"]
