"""A browser, and a network small enough to know by hand where its heatmaps are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the network of tests/support/tiny_models.py that sees bright and dark cells of 6 by 8."""
    from export.servable import export_model
    from tests.support.tiny_models import PLANTED_LABELS, planted_model

    folder = tmp_path_factory.mktemp("planted") / "densenet"
    export_model(planted_model(), folder, labels=PLANTED_LABELS, preprocess="rescale")
    return folder
