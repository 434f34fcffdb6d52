"""The page that shows the API's description, in a real browser that can't reach any other host."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.api import running_api

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""


@pytest.mark.skipif(not BROWSER, reason="there is no Chromium on this machine")
def test_every_operation_is_shown_without_any_outside_network(tmp_path: Path) -> None:
    with running_api(tmp_path / "log") as client:
        command = [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=20000", f"--user-data-dir={tmp_path / 'profile'}"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"{client.base_url}/docs",
        ]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        document = client.get("/openapi.json").json()
    names = [
        f'id="operations-{operation["tags"][0]}-{operation["operationId"]}"'
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) > 20
    assert [name for name in names if name not in shown.stdout] == []
