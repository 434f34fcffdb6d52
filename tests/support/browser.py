"""Drive a real Chromium that can't reach anything but this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

# Debian's wrapper reads these flags too, and passes on what it is given.
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


_PATIENCE = 120_000  # milliseconds; machines that run tests are busy
expect.set_options(timeout=_PATIENCE)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless browser until the block ends."""
    # Playwright takes proxies from the environment; everything here is on this machine.
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=list(_FLAGS),
            ignore_default_args=["--disable-back-forward-cache"],  # users have it
            env=dict(environment),
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, url: str, *, errors: bool = False, **options: Any) -> Iterator[Page]:
    """Open the page as a user of its own, and see to it that it neither complains nor asks anybody else.

    Args:
        browser: The browser.
        url: Address of the service.
        errors: Whether requests may be answered by errors.
        **options: Window, colour scheme and the like.
    """
    complaints: list[str] = []
    requests: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        is_answer = message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not (errors and is_answer):
            complaints.append(message.text)

    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        page.locator("#service p").first.wait_for()
        yield page
    assert complaints == []
    assert [each for each in requests if not each.startswith((url, "data:"))] == []
