"""The page at /app in a real Chromium: what a person does, and what they see."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, Route, expect, sync_playwright

from waymark.serving.limits import Limits

HOSTILE = "<img src=x onerror=alert(1)>"
SIGNS = {
    "Stop": (220, 30, 30),
    "Turn left ahead": (30, 60, 220),
    HOSTILE: (40, 180, 60),
    "Priority road": (240, 210, 40),
}
LETTERS = {"H": (220, 30, 30), "E": (40, 180, 60), "L": (30, 60, 220), "O": (240, 210, 40), "nothing": (128, 128, 128)}
METRICS = {"accuracy": 0.98765, "images": 1720}
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Chromium writes each answer of 400 and more into the console by itself.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of [45]\d\d")
pytestmark = pytest.mark.slow  # half a second each on two idle cores, several on busy ones
PATIENCE = 20_000  # ms, on a machine that is busy with something else
COUNT_ADDRESSES = """
    window.addresses = new Set();
    const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
    URL.createObjectURL = (blob) => { const url = create.call(URL, blob); window.addresses.add(url); return url; };
    URL.revokeObjectURL = (url) => { window.addresses.delete(url); revoke.call(URL, url); };
"""
COPY = """async (bytes) => navigator.clipboard.write([
    new ClipboardItem({"image/png": new Blob([new Uint8Array(bytes)], {type: "image/png"})})])"""
File = dict[str, Any]
Visit = Callable[..., Page]


def picture(name: str, colour: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> File:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def zipped(*files: File) -> File:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            archive.writestr(file["name"], file["buffer"])
    return {"name": "pictures.zip", "mimeType": "application/zip", "buffer": buffer.getvalue()}


STOP = picture("stop.png", SIGNS["Stop"])
PURPLE = picture("purple.png", (125, 45, 125))  # half-way between Stop and Turn left ahead
NOTES: File = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
WORD = [picture(f"{number}.png", LETTERS[letter]) for number, letter in enumerate("HELLO", 8)]  # 8, 9, 10, 11, 12


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as running:
        yield running


def launched(playwright: Playwright, *arguments: str) -> Browser:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("needs Chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright) as started:
        yield started


@pytest.fixture(scope="module")
def camera(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright, "--use-fake-device-for-media-stream") as started:
        yield started


class Visits:
    """Pages, each with a browser, permissions and options of its own, and what happened in any of them."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.hosts: list[str] = ["data:"]
        self.requests: list[str] = []
        self.faults: list[str] = []

    def page(self, browser: Browser, permissions: list[str], options: dict[str, Any]) -> Page:
        """One is kept for each kind: making a page takes longer than most tests."""
        kind = repr((id(browser), permissions, options))
        if kind not in self.pages:
            context = browser.new_context(**options)
            context.grant_permissions(permissions)  # all others are denied
            context.add_init_script(COUNT_ADDRESSES)
            self.pages[kind] = self._observed(context.new_page())
        return self.pages[kind]

    def _observed(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("filechooser", lambda _: None)  # from the start, or a quick key meets a chooser that nobody hears of
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"a dialog: {dialog.message}"))
        return page


@pytest.fixture(scope="module")
def visits(browser: Browser) -> Visits:
    return Visits()


@pytest.fixture
def visit(browser: Browser, visits: Visits) -> Iterator[Visit]:
    """`visit(address, **context)` opens the page; at the end nothing may have left the host or gone wrong in it."""
    visits.requests.clear()
    visits.faults.clear()

    def opened(address: str, used: Browser = browser, permissions: tuple[str, ...] = (), **options: Any) -> Page:
        visits.hosts += [f"{address}/", f"blob:{address}/"]
        page = visits.page(used, list(permissions), options)
        page.goto(f"{address}/app")
        expect(page.locator("#facts dd")).to_have_count(4)
        return page

    yield opened
    for page in visits.pages.values():
        page.unroute_all()
    assert [fault for fault in visits.faults if not REFUSED.match(fault)] == []
    assert [url for url in visits.requests if not url.startswith(tuple(visits.hosts))] == []


@pytest.fixture(scope="module")
def signs(serve: Callable[..., str], write_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    lineage = {"metrics": METRICS, "commit": "0123456789abcdef", "changed": True}
    return serve(write_model(tmp_path_factory.mktemp("signs"), SIGNS, lineage=lineage))


@pytest.fixture(scope="module")
def letters(
    serve: Callable[..., str], write_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> str:
    return serve(write_model(tmp_path_factory.mktemp("letters"), LETTERS, pictures=False))


@pytest.fixture(scope="module")
def strict(
    serve: Callable[..., str], write_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A service with small limits."""
    limits = Limits(side=100, pixels=5000, image_bytes=30_000, request_bytes=80_000)
    return serve(write_model(tmp_path_factory.mktemp("strict"), SIGNS), limits)


@pytest.fixture(scope="module")
def no_image(signs: str) -> str:
    """What the service itself says to a file that is no image, as a sentence."""
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(f"{signs}/predict", NOTES["buffer"], {"Content-Type": "application/octet-stream"}))
    message: str = json.load(refused.value)["error"]["message"]
    return f"{message[0].upper()}{message[1:]}."


def choose(page: Page, *files: File) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(list(files))  # type: ignore[arg-type]


def drop(page: Page, *paths: Path) -> None:
    """Drop files from outside, as the operating system does it."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 500, "data": data})


def shows(page: Page, selector: str, *texts: str | re.Pattern[str]) -> None:
    """Wait until the elements are as many as `texts` and say them; spaces that do not break count as others."""
    expect(page.locator(selector)).to_have_text(list(texts))


def test_chosen_picture_shows_class_picture_and_probabilities(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, STOP)
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")
    shows(page, ".percent", "> 99.9 %")
    shows(page, ".bars li:first-child span", "Stop", "> 99.9 %", "", "")
    expect(page.locator(".bars li")).to_have_count(len(SIGNS))
    shows(page, ".answer .hint", "The line marks 80 %: from there on the model answers.")
    example = page.get_by_alt_text("An example of Stop")
    assert example.get_attribute("src") == "app/classes/0.png"
    assert example.evaluate("image => image.naturalWidth") == 16
    assert page.get_by_alt_text("Your picture, stop.png").evaluate("image => image.naturalWidth") == 32
    shows(page, "#status", "Stop, > 99.9 %.")


def test_footer_tells_what_is_known_of_the_model(visit: Visit, signs: str, letters: str) -> None:
    with urlopen(f"{signs}/model") as answer:
        version = json.load(answer)["version"]
    page = visit(signs)
    shows(page, "#facts dd", "colours", version, "98.77 % of 1,720 images", "0123456, with changes")
    assert [link.get_attribute("href") for link in page.get_by_role("link").all()] == ["docs", "model"]
    shows(visit(letters), "#facts div:nth-child(n + 3) dd", "unknown", "unknown")


def test_doubtful_picture_is_not_sure_and_says_why(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, PURPLE)
    expect(page.get_by_role("heading", level=2)).to_have_text("Not sure")
    said = (
        r"The best guess is “(Stop|Turn left ahead)” with [45]\d\.\d\s%\. "
        r"Under 80\s% a guess is wrong too easily, so the model gives no answer\."
    )
    shows(page, ".reading > p", re.compile(f"^{said}$"))
    assert page.locator(".percent").count() == 0
    shows(page, "#status", re.compile(r"^Not sure\. The best guess is (Stop|Turn left ahead)\.\s$"))


def test_heat_map_comes_and_goes(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, STOP)
    button = page.get_by_role("button", name="Where did it look?")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    heat_map = page.get_by_alt_text("Heat map of your picture: red where “Stop” depends on it")
    assert heat_map.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    shows(page, "figcaption", "Red: covering this costs “Stop” the most probability.")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_alt_text("Your picture, stop.png")).to_be_visible()


def test_dropped_pictures_are_answered_in_the_order_of_names_with_named_errors(
    visit: Visit, signs: str, no_image: str, tmp_path: Path
) -> None:
    """A folder among them, of which hidden files are left out."""
    (tmp_path / "folder").mkdir()
    files = [picture("img10.png", SIGNS["Stop"]), picture("img2.png", SIGNS["Priority road"]), NOTES]
    for file in [*files, picture("folder/img3.png", (125, 45, 125)), {"name": "folder/.DS_Store", "buffer": b"x"}]:
        (tmp_path / file["name"]).write_bytes(file["buffer"])
    page = visit(signs)
    drop(page, *(tmp_path / name for name in ("img10.png", "notes.txt", "img2.png", "folder")))
    shows(page, "#status", "4 pictures: 2 answered, 1 not sure, 1 refused.")
    shows(page, ".grid .file", "img2.png", "img3.png", "img10.png", "notes.txt")
    shows(page, ".grid .share", "> 99.9 %", re.compile(r"^[45]\d\.\d\s%$"), "> 99.9 %")
    shows(page, ".grid li:nth-child(1) p, .grid li:nth-child(1) button", "Priority road", "> 99.9 %", "img2.png")
    shows(page, ".grid li:nth-child(2) .tag", "Not sure")
    shows(page, ".grid li:nth-child(4) p", no_image, "notes.txt")


def test_pasted_picture_is_answered(visit: Visit, signs: str) -> None:
    page = visit(signs, permissions=("clipboard-read", "clipboard-write"))
    page.evaluate(COPY, list(STOP["buffer"]))
    page.keyboard.press("Control+V")
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")


def test_pasted_words_leave_the_answer_and_a_pasted_picture_leaves_a_focus(visit: Visit, signs: str) -> None:
    page = visit(signs, permissions=("clipboard-read", "clipboard-write"))
    choose(page, picture("left.png", SIGNS["Turn left ahead"]))
    button = page.get_by_role("button", name="Where did it look?")
    button.focus()
    page.evaluate("navigator.clipboard.writeText('words')")
    page.keyboard.press("Control+V")
    shows(page, ".status.error", "There is no picture in that. Drop image files or a zip.")
    expect(page.get_by_role("heading", level=2)).to_have_text("Turn left ahead")
    expect(button).to_be_focused()
    page.evaluate(COPY, list(STOP["buffer"]))
    page.keyboard.press("Control+V")
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()


def test_zip_is_answered_and_each_answer_opens_in_full(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, zipped(picture("img10.png", SIGNS["Stop"]), picture("img2.png", SIGNS["Turn left ahead"]), NOTES))
    shows(page, "#status", "3 pictures: 2 answered, 1 refused.")
    shows(page, ".grid .file", "img2.png", "img10.png", "notes.txt")
    opener = page.get_by_role("button", name="Turn left ahead").last
    opener.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Turn left ahead")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_letters_make_a_word_or_single_answers(visit: Visit, letters: str) -> None:
    page = visit(letters)
    choose(page, *reversed(WORD))
    expect(page.locator(".word")).to_have_text("HELLO")
    shows(page, ".letters .opener", *"HELLO")
    shows(page, ".letters .file", "8.png", "9.png", "10.png", "11.png", "12.png")
    shows(page, "#status", "The pictures spell HELLO.")
    page.get_by_label("Read several pictures as one word").uncheck()
    shows(page, "#status", "5 pictures: 5 answered.")
    shows(page, ".grid .opener", *"HELLO")


def test_zip_of_letters_makes_a_word_and_names_what_was_refused(visit: Visit, letters: str, no_image: str) -> None:
    page = visit(letters)
    choose(page, zipped(*WORD, NOTES))
    expect(page.locator(".word")).to_have_text("HELLO")
    expect(page.get_by_role("status").first).to_contain_text("1 of 6 pictures refused.")
    shows(page, ".letters .refused .error", no_image)


def test_sign_model_offers_no_word(visit: Visit, signs: str) -> None:
    expect(visit(signs).get_by_label("Read several pictures as one word")).to_be_hidden()


def test_model_without_pictures_asks_for_none(visit: Visit, letters: str) -> None:
    page = visit(letters)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, WORD[0])
    expect(page.get_by_role("heading", level=2)).to_have_text("H")
    expect(page.locator("#examples")).to_be_hidden()
    assert not [url for url in asked if "/classes/" in url]


def test_example_is_answered(visit: Visit, signs: str) -> None:
    page = visit(signs)
    page.get_by_role("button", name="Priority road").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Priority road")


def test_refusal_is_shown_as_its_sentence_and_the_next_picture_is_answered(
    visit: Visit, signs: str, no_image: str
) -> None:
    page = visit(signs)
    choose(page, NOTES)
    shows(page, ".status.error", no_image)
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    choose(page, STOP)
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")
    expect(page.locator(".error")).to_have_count(0)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([STOP, zipped(STOP)], "One zip at a time, or pictures alone."),
        ([{**zipped(STOP), "buffer": bytes(80_100)}], "pictures.zip has 80.1 kB; at most 80 kB are taken."),
        (
            [{**NOTES, "buffer": bytes(31_000)}],
            "notes.txt has 31 kB; at most 30 kB are taken, and this browser cannot shrink it.",
        ),
    ],
    ids=["two", "zip", "file"],
)
def test_what_cannot_be_sent_is_said_before_it_is_sent(
    visit: Visit, strict: str, files: list[File], sentence: str
) -> None:
    page = visit(strict)
    choose(page, *files)
    shows(page, ".status.error", sentence)


def test_large_picture_is_shrunk_and_the_page_says_so(visit: Visit, strict: str) -> None:
    page = visit(strict)
    choose(page, picture("wide.png", SIGNS["Stop"], (400, 200)))
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")
    expect(page.get_by_role("status").first).to_contain_text(
        "wide.png was shrunk from 400 × 200 to 100 × 50 pixels before it was sent."
    )


def test_pictures_beyond_one_request_are_sent_in_several(visit: Visit, strict: str) -> None:
    noise = Image.effect_noise((60, 60), 90).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "BMP")  # 10,854 bytes, so seven to a request
    page = visit(strict)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, *({"name": f"{n}.bmp", "mimeType": "image/bmp", "buffer": buffer.getvalue()} for n in range(16)))
    expect(page.locator(".grid li")).to_have_count(16)
    expect(page.locator(".status.done")).to_contain_text("16 pictures: ")
    shows(page, ".grid .file", *(f"{n}.bmp" for n in range(16)))
    assert [url for url in asked if url.endswith("/predict_batch")] == [f"{strict}/predict_batch"] * 3


def test_service_that_fails_is_said(visit: Visit, signs: str) -> None:
    page = visit(signs)
    page.route("**/predict", lambda route: route.fulfill(status=502, body="<html>"))
    choose(page, STOP)
    shows(page, ".status.error", "The service answered with status 502.")


def test_new_picture_cancels_the_request_before_it(visit: Visit, signs: str) -> None:
    page = visit(signs, reduced_motion="reduce")
    held: list[Route] = []
    failed: list[str | None] = []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    page.route("**/predict", lambda route: route.continue_() if held else held.append(route))
    choose(page, STOP)
    shows(page, "#status", "Asking the model …")
    busy = "getComputedStyle(document.querySelector('.status.busy'), '::after')"
    assert page.evaluate(f"[{busy}.height, {busy}.animationName]") == ["3px", "none"]
    choose(page, picture("left.png", SIGNS["Turn left ahead"]))
    expect(page.get_by_role("heading", level=2)).to_have_text("Turn left ahead")
    assert failed == ["net::ERR_ABORTED"]
    assert page.locator(".answer").count() == 1


def test_object_addresses_are_given_back(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, STOP, PURPLE, picture("left.png", SIGNS["Turn left ahead"]))
    expect(page.locator(".grid li")).to_have_count(3)
    assert page.evaluate("addresses.size") == 3
    choose(page, STOP)
    expect(page.locator(".answer")).to_be_visible()
    assert page.evaluate("addresses.size") == 1
    choose(page, NOTES)
    expect(page.locator(".status.error")).to_be_visible()
    assert page.evaluate("addresses.size") == 0


def test_names_from_outside_stay_text(visit: Visit, signs: str) -> None:
    page = visit(signs)
    choose(page, picture(HOSTILE.replace("/", ""), SIGNS[HOSTILE]))
    expect(page.get_by_role("heading", level=2)).to_have_text(HOSTILE)
    choose(page, picture(f"{HOSTILE}.png", SIGNS[HOSTILE]), STOP)
    expect(page.locator(".grid li")).to_have_count(2)
    shows(page, ".grid .file", f"{HOSTILE}.png", "stop.png")
    assert page.locator("img[onerror]").count() == 0


def test_keyboard_alone_is_enough(visit: Visit, signs: str) -> None:
    page = visit(signs)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([STOP])  # type: ignore[arg-type]
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    button = page.get_by_role("button", name="Where did it look?")
    for _ in range(2 + len(SIGNS)):  # the camera, the examples
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_be_focused()


def test_camera_takes_what_the_square_shows(camera: Browser, visit: Visit, letters: str) -> None:
    page = visit(letters, camera, permissions=("camera",))
    button = page.get_by_role("button", name="Use the camera")
    button.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.locator("video").evaluate("video => new Promise((seen) => video.requestVideoFrameCallback(seen))")
    for _ in range(2):
        page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#shots")).to_have_text("2 pictures taken.")
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".letters li")).to_have_count(2)
    shows(page, ".letters .file", "camera 1.jpg", "camera 2.jpg")
    sides = page.locator(".letters img").first.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert sides[0] == sides[1] > 0
    button.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(page.locator("video")).to_have_js_property("srcObject", None)


def test_camera_that_is_not_allowed_is_said(camera: Browser, visit: Visit, signs: str) -> None:
    page = visit(signs, camera)
    page.get_by_role("button", name="Use the camera").click()
    shows(
        page, ".status.error", "The camera was not allowed. Allow it for this page in the browser, or choose a picture."
    )


def test_device_without_a_camera_is_said(visit: Visit, signs: str) -> None:
    page = visit(signs, permissions=("camera",))
    page.get_by_role("button", name="Use the camera").click()
    shows(page, ".status.error", "This device has no camera that the browser can see. Choose a picture instead.")


def test_narrow_phone_scrolls_down_only(visit: Visit, signs: str, letters: str) -> None:
    long = "a_name_without_any_space_" * 8
    for address, files in [
        (signs, [{**PURPLE, "name": f"{long}.png"}]),
        (signs, [STOP, PURPLE, {**NOTES, "name": f"{long}.txt"}]),
        (letters, [picture(f"{number}.png", LETTERS["H"]) for number in range(20)]),
    ]:
        page = visit(address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
        page.set_input_files("#files", files)  # type: ignore[arg-type]
        expect(page.locator(".status.done")).to_be_attached()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate(BEYOND) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_as_wcag_aa_asks(visit: Visit, signs: str, scheme: str) -> None:
    page = visit(signs, color_scheme=scheme)
    measured: set[str] = set()
    for files in ([STOP], [PURPLE], [STOP, PURPLE, NOTES], [NOTES]):
        choose(page, *files)
        expect(page.locator(".status.done, .status.error")).to_be_attached()
        page.wait_for_timeout(300)  # until the answer has faded in
        for text, contrast, needed in page.evaluate(CONTRASTS):
            measured.add(text)
            assert contrast >= needed, (text, contrast)
    assert {"Stop", "Not sure", "Your picture", "Choose pictures", "Accuracy on test", "notes.txt"} <= measured


BEYOND = """() => [...document.querySelectorAll("main *, footer *")]
    .filter((each) => each.getBoundingClientRect().right > 360 && !each.closest(".unseen"))
    .map((each) => each.outerHTML)"""

# Relative luminance and contrast as WCAG 2.2 defines them, of each visible text against the first opaque ground.
CONTRASTS = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const colour = numbers(getComputedStyle(element).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const [text, element] = [walker.currentNode.textContent.trim(), walker.currentNode.parentElement];
        if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".unseen")) continue;
        const style = getComputedStyle(element);
        const [lower, higher] = [luminance(numbers(style.color)), luminance(ground(element))].sort((a, b) => a - b);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        found.push([text, (higher + 0.05) / (lower + 0.05), large ? 3 : 4.5]);
    }
    return found;
}"""


def test_files_carry_strict_headers(signs: str) -> None:
    for path, kind in [
        ("", "text/html; charset=utf-8"),  # redirected to /app
        ("app/app.js", "text/javascript; charset=utf-8"),
        ("app/style.css", "text/css; charset=utf-8"),
        ("app/classes/3.png", "image/png"),
    ]:
        with urlopen(f"{signs}/{path}") as answer:
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Permissions-Policy"] == "camera=(self)"
            assert re.fullmatch("[0-9a-f]{12}", answer.headers["Model-Version"])
