"""Drive a real Chromium that can't reach anything but this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# Debian's wrapper reads these flags too, and passes on what it is given.
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
MISSING = "there is no Chromium on this machine"
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


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless browser until the block ends."""
    # Playwright takes proxies from the environment; everything here is on this machine.
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(_FLAGS), env=dict(environment)
        )
        try:
            yield browser
        finally:
            browser.close()
