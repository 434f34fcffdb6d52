"""The page where a key is needed: the browser asks for it once and sends it along by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, HttpCredentials, expect

from tests.support.browser import needs_chromium, visiting
from tests.support.images import gradient, png
from tests.support.keys import API_KEYS, PREDICT, named
from tests.support.workers import Stack, running_stack

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, needs_chromium]

KEY, ENTRY = named("radiology", ["predict", "read"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("keys")
    keys = f"{API_KEYS},{ENTRY}"
    with running_stack(folder, planted_folder, workers=1, API_KEYS=keys) as running:
        yield running


def test_a_browser_that_knows_a_key_analyses_an_image_and_shows_the_statistics(
    stack: Stack, browser: Browser
) -> None:
    credentials = HttpCredentials(username="anybody", password=KEY)
    with visiting(browser, str(stack.client.base_url), http_credentials=credentials) as page:
        file = FilePayload(name="image.png", mimeType="image/png", buffer=png(gradient(200, 150)))
        page.get_by_label("Choose an image").set_input_files(file)
        expect(page.locator("#result")).to_be_visible()
        expect(page.get_by_text("1 analysis")).to_be_visible()


@pytest.mark.parametrize(
    ("password", "status"),
    [("", 401), ("cxr_unknown", 401), (PREDICT, 403)],
    ids=["no key", "an unknown key", "a key without the scope"],
)
def test_the_page_stays_closed_to_any_other(stack: Stack, password: str, status: int) -> None:
    answer = stack.client.get("/", auth=("anybody", password) if password else None)
    assert answer.status_code == status
    assert "Choose an image" not in answer.text
