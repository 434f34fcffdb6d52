"""Take the pictures of the page that the documentation shows: ``make screenshots``.

Everything in them is synthetic: phantoms, the demo model's answers to them, and days that never were.
"""

import signal
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, FilePayload, FloatRect, Page, expect

from export.demo.phantoms import phantom
from orchestrator import model_source
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.stats.statistics import Statistics
from tests.support.browser import running_browser, visiting
from tests.support.images import png
from tests.support.reports import record, report
from tests.support.workers import Stack, report_of, running_stack

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 880}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
}
SHOWN = 2  # a phantom with two findings
DAYS = 30


def main() -> None:
    """Start the service with the demo model, use the page, and write its pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_browser() as browser,
        running_stack(Path(folder), demo_model(), workers=1) as stack,
    ):
        fill_statistics(stack)
        take_all(browser, stack)


def demo_model() -> Path:
    """Return the folder of the demo model, exported where ``cxr up`` would have it."""
    settings = Settings(data_dir=Settings.from_environment().data_dir)
    folder = model_source.servable_folder(settings)
    if not model_source.is_published(settings, folder):
        model_source.publish(settings, folder)
    return folder.resolve()


def fill_statistics(stack: Stack) -> None:
    """Count what the model answers about phantoms, as if it had been asked on many days."""
    asked = [png(phantom(seed, 256).image) for seed in range(100, 124)]
    found = [
        {each["label"]: each["probability"] for each in predictions}
        for upload in asked
        for predictions in [
            report_of(stack.client.post("/densenet_predict", files={"file": upload}))["predictions"]
        ]
    ]
    random = np.random.default_rng(3)
    with connect(stack.redis.url) as client:
        client.delete(*client.scan_iter("cxr:stats:*"))  # all of that was today
        for ago in range(DAYS):
            day = datetime.now(UTC) - timedelta(days=ago)
            statistics = Statistics(client, 400, at(day))
            most = 3 if day.weekday() >= 5 else 9
            for number in random.integers(0, len(found), random.integers(1, most)):
                record(statistics, report(found[number]))


def at(moment: datetime) -> Callable[[], datetime]:
    """Return a clock that stands still."""
    return lambda: moment


def take_all(browser: Browser, stack: Stack) -> None:
    """Take every picture."""
    address = str(stack.client.base_url)
    (worker,) = stack.workers
    with visiting(browser, address, color_scheme="light", **DESKTOP) as page:
        take(page, "start")
        worker.running.send_signal(signal.SIGSTOP)
        stack.submit_one(png(phantom(SHOWN, 256).image))  # the worker has that one in hand
        choose(page)
        expect(page.locator("#progress-text")).to_contain_text("place")
        take(page, "progress")
        worker.running.send_signal(signal.SIGCONT)
        expect_result(page)
        take(page, "result")
        take_statistics(page)
    with visiting(browser, address, color_scheme="dark", **DESKTOP) as page:
        choose(page)
        expect_result(page)
        page.get_by_role("radio", name="Atelectasis").check()
        take(page, "dark")
    with visiting(browser, address, color_scheme="light", **PHONE) as page:
        choose(page)
        expect_result(page)
        take(page, "phone")
    with visiting(browser, address, errors=True, color_scheme="light", **DESKTOP) as page:
        choose(page, b"not an image")
        expect(page.locator("#problem-title")).to_be_visible()
        take(page, "problem")


def choose(page: Page, upload: bytes | None = None) -> None:
    """Choose a phantom, or what is given."""
    content = upload or png(phantom(SHOWN, 1024).image)
    file = FilePayload(name="phantom.png", mimeType="image/png", buffer=content)
    page.get_by_label("Choose an image").set_input_files(file)


def expect_result(page: Page) -> None:
    """Wait for the result, with everything in it."""
    expect(page.locator("#result-title")).to_be_visible()
    expect(page.locator("#charts")).to_be_visible()
    page.wait_for_function("document.getElementById('radiograph').complete")


def take(page: Page, name: str) -> None:
    """Write what the window shows."""
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=path_of(name), type="jpeg", quality=90)


def take_statistics(page: Page) -> None:
    """Write the statistics, with a margin."""
    box = page.locator("#statistics").bounding_box()
    assert box is not None
    edge = 20
    clip = FloatRect(
        x=box["x"] - edge,
        y=box["y"] - edge,
        width=box["width"] + 2 * edge,
        height=box["height"] + 2 * edge,
    )
    page.screenshot(path=path_of("statistics"), type="jpeg", quality=90, full_page=True, clip=clip)


def path_of(name: str) -> Path:
    """Return where a picture is kept."""
    return IMAGES / f"page-{name}.jpg"


if __name__ == "__main__":
    main()
