"""The charts show the figures that the service answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.redis_client import connect
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import of_report
from serving.contract import DEFAULT_LABELS
from tests.support.api import running_api
from tests.support.browser import needs_chromium, visiting
from tests.support.redis_server import RedisServer, running_redis
from tests.support.reports import record, report

# With those on either side of a change of layout: of the axis' text, of the table in one column of cards and in two.
WIDTHS = [320, 390, 480, 481, 530, 531, 928, 1040, 1041, 1200]

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[str]:
    log = tmp_path_factory.mktemp("api") / "log"
    with running_api(log, REDIS_URL=redis.url, MODEL_SERVER="127.0.0.1:1") as client:
        yield str(client.base_url)


@pytest.fixture
def empty(redis: RedisServer) -> RedisServer:
    with connect(redis.url) as client:
        client.flushall()
    return redis


def counted(server: RedisServer, *probabilities: dict[str, float]) -> None:
    with connect(server.url) as client:
        statistics = Statistics(client, retention=400)
        for each in probabilities:
            record(statistics, report(each))


def counted_often(server: RedisServer, times: int, probabilities: dict[str, float]) -> None:
    with connect(server.url) as client:
        statistics = Statistics(client, retention=400)
        tally = {cell: number * times for cell, number in of_report(report(probabilities)).items()}
        assert statistics.count("many", 1, statistics.today, tally)


def boxes(page: Page, selector: str) -> list[tuple[float, float]]:
    """Return where each of some elements begins and ends from left to right, in pixels of the window."""
    found = page.locator(selector).evaluate_all(
        "all => all.map(each => each.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    return [(left, right) for left, right in found]


def answered(page: Page, path: str) -> Any:
    return page.evaluate("async (path) => (await fetch(path)).json()", path)


def test_nothing_analysed_yet_is_said_and_no_empty_chart_shown(
    browser: Browser, address: str, empty: RedisServer
) -> None:
    with visiting(browser, address, errors=True) as page:
        expect(page.locator("#statistics-text")).to_have_text("Nothing was analysed yet.")
        expect(page.locator("#charts")).to_be_hidden()


def test_charts_show_what_was_counted(browser: Browser, address: str, empty: RedisServer) -> None:
    edema = {"Edema": 0.75, "Pleural_Thickening": 0.25}
    counted(empty, edema, edema, edema, {"Edema": 0.15, "Pleural_Thickening": 0.5})
    with visiting(browser, address, errors=True) as page:
        expect(page.locator("#statistics-text")).to_contain_text("4 analyses from")
        table = page.get_by_role("table", name="Positives by label")
        rows = table.locator("tbody tr")
        assert [row.locator("th, td:not(.bars)").all_text_contents() for row in rows.all()] == [
            ["Edema", "3 of 4", "0.60"],
            ["Pleural Thickening", "1 of 4", "0.31"],
        ]
        wide, filled, mark = rows.first.locator(".bar").evaluate(
            "bar => [getComputedStyle(bar).width, getComputedStyle(bar, '::before').width,"
            " getComputedStyle(bar, '::after').left].map(parseFloat)"
        )
        assert (filled / wide, (mark + 1) / wide) == pytest.approx((0.75, 0.6), abs=0.01)
        check_days(page)


def check_days(page: Page) -> None:
    daily = answered(page, "/stats/diseases/daily?days=30")["days"]
    assert columns(page) == [(day["date"], day["analyses"]) for day in daily]
    assert [day["analyses"] for day in daily] == [0] * 29 + [4]
    chart = page.get_by_role("img", name="Analyses by day: 4")
    heights = [float(each.get_attribute("height") or 0) for each in chart.locator("rect").all()]
    assert heights == [0] * 29 + [pytest.approx(176)]  # up to the top of the axis, which ends at 4
    page.get_by_label("Count").select_option("Positives: Edema")
    assert columns(page)[-1] == (daily[-1]["date"], 3)
    page.get_by_text("The same as a table").click()
    cells = page.get_by_role("table", name="Positives of Edema by day").locator("tbody tr > *")
    assert cells.all_text_contents() == [daily[-1]["date"], "3"]


@pytest.mark.parametrize(
    ("count", "ticks"),
    [
        (3, ["0", "2", "4"]),
        (1234, ["0", "1K", "2K"]),
        (6000, ["0", "3K", "6K"]),
        (99_999, ["0", "50K", "100K"]),
        (654_321, ["0", "400K", "800K"]),
        (6_543_210, ["0", "4M", "8M"]),
    ],
)
def test_the_counts_of_the_axis_lie_in_the_drawing(
    browser: Browser, address: str, empty: RedisServer, count: int, ticks: list[str]
) -> None:
    counted_often(empty, count, {"Edema": 0.75})
    with visiting(browser, address, errors=True) as page:
        expect(page.locator("#days-chart svg")).to_be_visible()
        assert columns(page)[-1][1] == count
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            [(left, right)] = boxes(page, "#days-chart svg")
            texts = boxes(page, "#days-chart text")
            assert (width, left) <= (width, min(start for start, _ in texts))
            assert (width, right) >= (width, max(end for _, end in texts))
        assert page.locator("#days-chart text").all_text_contents()[:3] == ticks


def test_the_statistics_fit_windows_of_every_width(
    browser: Browser, address: str, empty: RedisServer
) -> None:
    labels = [*DEFAULT_LABELS, "Enlarged_Cardiomediastinum"]  # CheXpert's, with a longer word
    counted_often(empty, 654_321, dict.fromkeys(labels, 0.75))
    with visiting(browser, address, errors=True) as page:
        expect(page.locator("#labels-chart")).to_contain_text("654321 of 654321")
        page.get_by_text("The same as a table").click()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            for chart in ("#labels-chart", "#days-table"):
                [(left, right)] = boxes(page, chart)
                inside = boxes(page, f"{chart} :is(th, td, .bar)")
                assert (width, left) <= (width, min(start for start, _ in inside))
                assert (width, right) >= (width, max(end for _, end in inside))
            lengths = [end - start for start, end in boxes(page, "#labels-chart .bar")]
            assert len(lengths) == len(labels)
            assert (width, min(lengths)) >= (width, 40)


def columns(page: Page) -> list[tuple[str, int]]:
    """Return day and count of each column, as its hint says them."""
    hints = page.locator("#days-chart rect title").all_text_contents()
    return [(day, int(count)) for day, count in (re.split(": ", hint) for hint in hints)]


def test_redis_being_away_is_said_in_the_place_of_the_charts(
    browser: Browser, address: str, empty: RedisServer
) -> None:
    empty.kill()
    try:
        with visiting(browser, address, errors=True) as page:
            expect(page.locator("#statistics-text")).to_contain_text("Redis")
            expect(page.locator("#charts")).to_be_hidden()
    finally:
        empty.start()
