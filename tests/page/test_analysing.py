"""The page as its users meet it, in a real browser against the whole service."""

import base64
import io
import json
import re
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Response, expect

from gradcam.heatmap import Heat
from gradcam.overlay import overlay
from gradcam.placement import Placement, place
from gradcam.scale import WEAK
from tests.support.browser import needs_chromium, visiting
from tests.support.images import ORIENTATION, encoded, png
from tests.support.waiting import eventually
from tests.support.workers import Stack, running_stack

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, needs_chromium]

PATIENT = "DOE_JANE_19700101.png"
CONTROLS = ("button", "combobox", "link", "radio", "slider")

# Evidence as seen: what the browser shows is the radiograph, and the heatmap over it at the opacity of its style.
SEEN = """() => {
  const [radiograph, heat] = [document.getElementById("radiograph"), document.getElementById("heat")];
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: radiograph.naturalWidth, height: radiograph.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(radiograph, 0, 0);
  context.globalAlpha = Number(getComputedStyle(heat).opacity);
  context.drawImage(heat, 0, 0);
  return canvas.toDataURL();
}"""
# WCAG 2.2, 1.4.3: text that stands out less than 4.5 : 1 from what is behind it.
FAINT = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const colour = parse(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 && element.parentElement ? behind(element.parentElement) : colour;
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.checkVisibility() && hasText(element) && !element.closest("svg, noscript"))
    .map((element) => {
      const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return [element.textContent.trim(), Math.round(ratio * 100) / 100];
    })
    .filter(([, ratio]) => ratio < 4.5);
}"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("page"), planted_folder, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return str(stack.client.base_url)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with visiting(browser, address) as opened:
        yield opened


def bright_cell() -> NDArray[np.uint8]:
    """Return an upright gray image, 400 wide and 300 high, white in the cell of row 1, column 6.

    The planted network's cells are then 50 by 50 pixels; the white one has its centre at (325, 75). Its logits are
    10/48 - 1 for Bright, -1 for Dark, and 10/48 for Contrast, which alone reaches its threshold: probability 0.55.
    """
    upright = np.full((300, 400), 128, np.uint8)
    upright[50:100, 300:350] = 255
    return upright


def choose(page: Page, upload: bytes) -> None:
    file = FilePayload(name=PATIENT, mimeType="image/png", buffer=upload)
    page.get_by_label("Choose an image").set_input_files(file)


def analyse(page: Page, upload: bytes) -> Any:
    """Choose an image, wait for its result, and return the report that the page has got."""
    with page.expect_response(re.compile(r"/tasks/[^/]+/result$")) as answer:
        choose(page, upload)
    expect(page.locator("#result")).to_be_visible()
    return report_in(answer.value)


def report_in(answer: Response) -> Any:
    with zipfile.ZipFile(io.BytesIO(answer.body())) as archive:
        return json.loads(archive.read("report.json"))


def picture(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.rpartition(",")[2])))


def seen(page: Page) -> NDArray[np.int64]:
    """Return the pixels of the picture, as blended in the browser."""
    page.wait_for_function("document.getElementById('radiograph').complete")
    return np.asarray(picture(page.evaluate(SEEN)).convert("RGB")).astype(int)


def reference(report: Any, label: str, ceiling: float) -> NDArray[np.int64]:
    """Return the picture as the service's own drawing blends it."""
    maps, shown = report["activation_maps"], report["radiograph"]
    values = np.frombuffer(base64.b64decode(maps["data"]), "<f4").reshape(maps["shape"])
    heat = Heat(
        values[maps["labels"].index(label)],
        placement=Placement(**maps["placement"]),
        image_size=(report["image"]["width"], report["image"]["height"]),
        display_size=(shown["width"], shown["height"]),
        scale=report["heatmap_scale_logits"],
        ceiling=ceiling,
    ).whole()
    return np.asarray(overlay(picture(shown["data"]), heat)).astype(int)


def test_an_image_is_analysed_and_looked_at_by_keyboard_alone(
    browser: Browser, address: str
) -> None:
    with visiting(browser, address) as page:
        page.on("filechooser", lambda _: None)  # from now on no dialog is opened
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "file":
                break
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files({"name": PATIENT, "mimeType": "", "buffer": png(bright_cell())})
        expect(page.get_by_role("heading", name="1 finding: Contrast")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Delete and start over")).to_be_focused()
        page.keyboard.press("Tab")
        opacity = page.get_by_role("slider", name="Opacity of the heatmap")
        expect(opacity).to_be_focused()
        page.keyboard.press("ArrowLeft")
        expect(opacity).to_have_value("55")
        assert page.evaluate("getComputedStyle(document.getElementById('heat')).opacity") == "0.55"
        page.keyboard.press("Tab")
        expect(page.get_by_role("radio", name="Contrast")).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio", name="Bright")).to_be_checked()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_focused()


def test_labels_are_listed_findings_first_with_what_they_mean(page: Page) -> None:
    analyse(page, png(bright_cell()))
    rows = page.get_by_role("group", name="Probabilities").get_by_role("listitem")
    assert [re.sub(r"\s+", " ", text).strip() for text in rows.all_text_contents()] == [
        "Contrast0.55reaches threshold 0.50",
        "Bright0.31below threshold 0.50",
        "Dark0.27below threshold 0.50",  # 1 / (1 + e)
    ]
    expect(page.get_by_role("radio", name="Contrast")).to_be_checked()
    bar = page.locator(".row .bar").nth(1)
    wide, filled, mark = (
        float(each.removesuffix("px"))
        for each in bar.evaluate(
            "bar => [getComputedStyle(bar).width, getComputedStyle(bar, '::before').width,"
            " getComputedStyle(bar, '::after').left]"
        )
    )
    assert filled / wide == pytest.approx(0.3118, abs=0.01)
    assert (mark + 1) / wide == pytest.approx(0.5, abs=0.01)


def test_another_label_shows_other_evidence(page: Page) -> None:
    analyse(page, png(bright_cell()))
    caption = page.locator("#caption")
    expect(caption).to_have_text(
        "Evidence for Contrast, strongest in the upper right part of the picture"
    )
    strong = seen(page)
    page.get_by_role("radio", name="Bright").check()
    expect(caption).to_have_text(
        "Evidence for Bright, strongest in the upper right part of the picture"
    )
    expect(page.get_by_text("Pale, because this is not a finding.")).to_be_visible()
    pale = seen(page)
    page.locator("#labels").get_by_text("Dark").click()  # all of a row chooses it
    expect(caption).to_have_text("No evidence for Dark anywhere in the picture")
    none = seen(page)
    colour = [np.ptp(each, axis=2)[75, 325] for each in (strong, pale, none)]
    assert colour[0] > colour[1] > colour[2] == 0


def test_opacity_hides_the_heatmap_and_shows_it(page: Page) -> None:
    analyse(page, png(bright_cell()))
    slider = page.get_by_role("slider", name="Opacity of the heatmap")
    expect(slider).to_have_value("60")
    expect(page.locator("#opacity-value")).to_have_text("60 %")
    slider.fill("0")
    assert np.ptp(seen(page), axis=2).max() == 0
    slider.fill("100")
    # full heat at full opacity is the table's last colour alone; this is half a pixel from where heat is full
    assert np.abs(seen(page)[75, 325] - (255, 208, 78)).max() <= 5
    assert slider.get_attribute("aria-valuetext") == "100 %"


@pytest.mark.parametrize("label", ["Contrast", "Bright", "Dark"])
def test_the_picture_is_the_one_that_the_service_draws(page: Page, label: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # as many phones store what was held upright
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(bright_cell())))
    report = analyse(page, encoded(stored, "JPEG", quality=95, exif=exif))
    assert (report["radiograph"]["width"], report["radiograph"]["height"]) == (400, 300)
    page.get_by_role("radio", name=label).check()
    expected = reference(report, label, 1.0 if label == "Contrast" else WEAK)
    found = seen(page)
    assert found.shape == expected.shape
    # Premultiplied 8-bit alpha, and another JPEG decoder
    assert np.abs(found - expected).max() <= 3
    if label != "Dark":
        colour = np.ptp(found, axis=2)
        rows, columns = np.nonzero(colour > 0.9 * colour.max())
        assert (rows.mean(), columns.mean()) == pytest.approx((75, 325), abs=5)


def test_the_heatmap_lies_over_the_radiograph_on_the_screen(page: Page) -> None:
    analyse(page, png(bright_cell()))
    boxes = [page.locator(each).bounding_box() for each in ("#frame", "#radiograph", "#heat")]
    assert boxes[0] == boxes[1] == boxes[2]
    page.get_by_role("slider", name="Opacity of the heatmap").fill("100")
    shot = Image.open(io.BytesIO(page.locator("#frame").screenshot())).convert("RGB")
    assert shot.width / shot.height == pytest.approx(4 / 3, abs=0.02)
    colour = np.ptp(np.asarray(shot).astype(int), axis=2)
    rows, columns = np.nonzero(colour > 0.9 * colour.max())
    middle = (rows.mean() / shot.height, columns.mean() / shot.width)
    assert middle == pytest.approx((75 / 300, 325 / 400), abs=0.02)


@pytest.mark.parametrize(
    ("resize", "image", "shown", "ceiling"),
    [
        ("squash", (640, 480), (640, 480), 1.0),
        ("crop", (700, 300), (350, 150), 1.0),
        ("crop", (301, 577), (100, 192), WEAK),
    ],
)
def test_heatmaps_are_computed_as_the_service_computes_them(
    page: Page, resize: Any, image: tuple[int, int], shown: tuple[int, int], ceiling: float
) -> None:
    values = np.random.default_rng(5).normal(0, 3, (7, 7)).astype(np.float32)
    where = place(resize, image, (224, 224))
    expected = Heat(
        values, placement=where, image_size=image, display_size=shown, scale=4.0, ceiling=ceiling
    ).whole()
    options = {
        "placement": {"x": where.x, "y": where.y, "width": where.width, "height": where.height},
        "image": {"width": image[0], "height": image[1]},
        "shown": {"width": shown[0], "height": shown[1]},
        "scale": 4.0,
        "ceiling": ceiling,
    }
    found = page.evaluate(
        """async ([map, options]) => {
          const { heatmap } = await import("/static/page/heatmap.js");
          return [...heatmap(map, options)];
        }""",
        [values.tolist(), options],
    )
    found = np.reshape(found, expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.max() > 0


def test_sixteen_bit_images_look_as_the_model_saw_them(page: Page) -> None:
    # A detector of 12 bits fills a sixteenth of the range: shown as it is, it would be nearly black.
    deep = np.tile(np.linspace(0, 4095, 256).astype(np.uint16), (256, 1))
    report = analyse(page, encoded(Image.fromarray(deep), "TIFF"))
    page.get_by_role("slider", name="Opacity of the heatmap").fill("0")
    assert seen(page)[128, [0, 128, 255], 0] == pytest.approx([0, 128, 255], abs=3)
    assert report["radiograph"]["media_type"] == "image/jpeg"


def test_an_image_can_be_dropped_or_pasted(page: Page) -> None:
    script = """([type, target, data]) => {
      const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], "x.png", { type: "image/png" }));
      const options = { bubbles: true, cancelable: true };
      document.querySelector(target).dispatchEvent(type === "paste"
        ? new ClipboardEvent(type, { ...options, clipboardData: files })
        : new DragEvent(type, { ...options, dataTransfer: files }));
    }"""
    upload = base64.b64encode(png(bright_cell())).decode()
    page.evaluate(script, ["drop", "#drop", upload])
    expect(page.get_by_role("heading", name="1 finding: Contrast")).to_be_visible()
    page.get_by_role("button", name="Delete and start over").click()
    page.evaluate(script, ["paste", "body", upload])
    expect(page.get_by_role("heading", name="1 finding: Contrast")).to_be_visible()


def test_the_files_name_stays_in_the_browser(page: Page) -> None:
    page.evaluate(
        """() => {
          const send = window.fetch;
          window.fetch = async (path, init) => {
            window.sent = init?.body ? await new Response(init.body).text() : window.sent;
            return send(path, init);
          };
        }"""
    )
    analyse(page, png(bright_cell()))
    sent = page.evaluate("window.sent")
    assert 'name="file"; filename="image"' in sent
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])")
    assert "DOE" not in sent + kept + page.content()


@pytest.mark.parametrize("by", ["button", "leaving"])
def test_results_are_deleted_when_nobody_looks_at_them_any_more(
    page: Page, stack: Stack, by: str
) -> None:
    with page.expect_response(re.compile("/result$")) as answer:
        analyse(page, png(bright_cell()))
    task = answer.value.url.removesuffix("/result")
    assert stack.client.get(task).status_code == 200
    if by == "button":
        page.get_by_role("button", name="Delete and start over").click()
    else:
        page.goto("about:blank")
    eventually(lambda: stack.client.get(task).status_code == httpx.codes.NOT_FOUND)


def test_whoever_goes_back_to_the_page_finds_no_image(browser: Browser, address: str) -> None:
    with visiting(browser, address) as page:
        analyse(page, png(bright_cell()))
        page.evaluate("addEventListener('pageshow', (event) => { window.kept = event.persisted; })")
        page.goto(f"{address}/docs")
        page.evaluate("history.back()")
        expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_visible()
        expect(page.locator("#service")).to_contain_text("Model")
        assert page.evaluate("window.kept")
        assert page.locator("#radiograph").get_attribute("src") is None
        assert "Contrast:" not in page.locator("#result").inner_text()
        analyse(page, png(bright_cell()))


def test_stages_are_shown_as_they_are_reached(page: Page, stack: Stack) -> None:
    (worker,) = stack.workers
    bar, text = page.get_by_role("progressbar", name="Analysing"), page.locator("#progress-text")
    worker.running.send_signal(signal.SIGSTOP)
    try:
        # Redis hands the first task to the worker, who has asked for one; the next has to wait
        stack.submit_one(png(bright_cell()))
        choose(page, png(bright_cell()))
        expect(page.get_by_role("heading", name="Analysing")).to_be_focused()
        expect(text).to_have_text("Waiting: place 1 in the queue.")
        assert bar.evaluate("bar => bar.value") == 1
        stack.model.running.send_signal(signal.SIGSTOP)  # so far the worker gets, and no further
    finally:
        worker.running.send_signal(signal.SIGCONT)
    try:
        expect(text).to_have_text("Asking the model.")
        assert bar.evaluate("bar => bar.value") == 3
        step = page.locator("#steps [aria-current=step]")
        expect(step).to_have_text("Asking the model")
    finally:
        stack.model.running.send_signal(signal.SIGCONT)
    expect(page.get_by_role("heading", name="1 finding: Contrast")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_all_text_stands_out(
    browser: Browser, address: str, scheme: Any
) -> None:
    with visiting(browser, address, color_scheme=scheme) as page:
        start = page.locator("body").aria_snapshot()
        faint = page.evaluate(FAINT)
        analyse(page, png(bright_cell()))
        page.get_by_text("About this analysis").click()
        page.get_by_text("How to read the picture").click()
        expect(page.get_by_role("heading", name="By day")).to_be_visible()
        result = page.locator("body").aria_snapshot()
        faint += page.evaluate(FAINT)
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    controls = re.findall(rf"- ({'|'.join(CONTROLS)})\b([^\n]*)", start + result)
    assert {name for name, _ in controls} == set(CONTROLS)
    assert [each for each in controls if not re.match(r' "[^"]+"', each[1])] == []
    assert faint == []
    assert (scheme == "dark") is dark
    assert (sum(map(int, re.findall(r"\d+", paper))) < 200) is dark
    assert 'button "Choose an image"' in start
    assert 'img "The radiograph, upright"' in result


def test_bars_and_marks_are_there_where_the_readers_colours_take_the_place_of_others(
    browser: Browser, address: str
) -> None:
    with visiting(browser, address, forced_colors="active") as page:
        analyse(page, png(bright_cell()))
        shot = page.locator("#labels .row", has_text="Contrast").locator(".bar").screenshot()
    with Image.open(io.BytesIO(shot)) as bar:
        colours = bar.convert("RGB").getcolors() or []
    assert len([count for count, _ in colours if count > 20]) >= 3  # track, length and mark


def test_print_has_the_notice_in_its_place_and_every_bar(browser: Browser, address: str) -> None:
    with visiting(browser, address) as page:
        analyse(page, png(bright_cell()))
        page.emulate_media(media="print")
        styles = """(part) => ["#labels .bar", ".ramp", ".sample"].map(
          (each) => getComputedStyle(document.querySelector(each), part).printColorAdjust)"""
        assert {*page.evaluate(styles), *page.evaluate(styles, "::before")} == {"exact"}
        page.evaluate("scrollTo(0, 400)")
        notice = page.locator(".notice").bounding_box()
        assert notice is not None
        assert notice["y"] < 0


def test_the_notice_hides_no_label_that_has_the_focus(browser: Browser, address: str) -> None:
    zoomed = {"width": 640, "height": 360}  # 1280 by 720 at 200 %
    with visiting(browser, address, viewport=zoomed) as page:
        analyse(page, png(bright_cell()))
        page.get_by_role("radio").last.focus()
        # The browser scrolls no further than it must to what is seen in part.
        page.locator(".row").nth(-2).evaluate(
            "row => scrollBy(0, row.getBoundingClientRect().top + 20)"
        )
        page.keyboard.press("ArrowUp")
        expect(page.locator(".row").nth(-2).get_by_role("radio")).to_be_checked()
        row, notice = (
            page.locator(each).bounding_box() for each in (".row:has(:checked)", ".notice")
        )
        assert row is not None
        assert notice is not None
        assert row["y"] >= notice["y"] + notice["height"]


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, address: str
) -> None:
    phone: dict[str, Any] = {
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
    }
    with visiting(browser, address, **phone) as page:
        widths = [page.evaluate("document.documentElement.scrollWidth")]
        analyse(page, png(np.ascontiguousarray(np.rot90(bright_cell()))))
        expect(page.get_by_role("heading", name="By day")).to_be_visible()
        page.get_by_text("About this analysis").tap()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
        assert widths == [390, 390]
        page.locator("#labels").get_by_text("Bright").tap()
        expect(page.get_by_role("radio", name="Bright")).to_be_checked()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(page.get_by_text("Not for clinical use.")).to_be_in_viewport()
