"""What the page says when something is wrong: with the image, with the service, with the connection."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.support.browser import needs_chromium, visiting
from tests.support.images import png
from tests.support.workers import Stack, running_stack

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, needs_chromium]

IMAGE = png(np.full((96, 128), 128, np.uint8))
LIMITS = {"MAX_UPLOAD_BYTES": "200000", "MAX_PIXELS": "100000", "QUEUE_LIMIT": "1"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("problems")
    with running_stack(folder, planted_folder, workers=1, **LIMITS) as running:
        yield running


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    with visiting(browser, str(stack.client.base_url), errors=True) as opened:
        yield opened


def choose(page: Page, *uploads: bytes) -> None:
    files = [
        FilePayload(name="DOE_JANE.png", mimeType="image/png", buffer=each) for each in uploads
    ]
    page.get_by_label("Choose an image").set_input_files(files)


@contextmanager
def no_worker(stack: Stack) -> Iterator[None]:
    """Take the worker away until the block ends."""
    (worker,) = stack.workers
    worker.kill()
    try:
        yield
    finally:
        worker.start()


def expect_problem(page: Page, title: str, detail: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=title)).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text(detail)


def expect_result(page: Page) -> None:
    expect(page.get_by_role("heading", name=re.compile("finding"))).to_be_visible()


def test_what_is_no_image_is_refused_with_a_reference_and_another_can_be_chosen(page: Page) -> None:
    choose(page, b"<script>alert(1)</script> no image at all")
    expect_problem(page, "Not a readable image", "expected PNG, JPEG, TIFF, BMP or WebP, got bytes")
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    expect(page.locator("#problem-reference")).to_have_text(re.compile(f"^Reference: {uuid}$"))
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    page.get_by_role("button", name="Choose another image").click()
    expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_focused()
    choose(page, IMAGE)
    expect_result(page)


def test_too_many_pixels_are_refused(page: Page) -> None:
    choose(page, png(np.zeros((400, 400), np.uint8)))
    expect_problem(page, "Image too large", "expected at most 100000 pixels, got 400 x 400")


def test_too_many_bytes_are_refused_before_they_are_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    choose(page, bytes(300_000))
    expect_problem(page, "Upload too large", "Expected at most 0.2 MB, got 0.3 MB.")
    assert "POST" not in sent


def test_several_images_at_once_are_refused(page: Page) -> None:
    page.get_by_label("Choose an image").evaluate("input => { input.multiple = true; }")
    choose(page, IMAGE, IMAGE)
    expect_problem(page, "More than one file", "Expected one image, got 2.")


def test_a_full_queue_says_when_to_try_again_and_then_takes_the_image(
    page: Page, stack: Stack
) -> None:
    with no_worker(stack):
        waiting = stack.submit_one(IMAGE)
        choose(page, IMAGE)
        expect_problem(page, "Queue full", re.compile(r"Try again in (a second|\d+ seconds)\."))
    stack.wait([waiting])
    page.get_by_role("button", name="Try again").click()
    expect_result(page)


def test_while_the_model_server_is_away_the_page_says_what_it_waits_for(
    page: Page, stack: Stack
) -> None:
    stack.model.kill()
    page.reload()
    expect(page.locator("#service")).to_contain_text("Images would have to wait now.")
    choose(page, IMAGE)
    text = page.locator("#progress-text")
    expect(text).to_contain_text("Something it needs is away")
    expect(text).to_contain_text("It is tried again by itself.")
    stack.model.start()
    expect_result(page)


def test_a_lost_connection_is_found_again(page: Page, stack: Stack) -> None:
    text = page.locator("#progress-text")
    with no_worker(stack):
        choose(page, IMAGE)
        expect(text).to_have_text("Waiting: place 1 in the queue.")
        stack.api.kill()
        expect(text).to_contain_text("The service is out of reach; asking again.")
        stack.api.start()
        expect(text).to_contain_text("Waiting")
    expect_result(page)


def test_no_connection_at_all_can_be_tried_again(page: Page, stack: Stack) -> None:
    page.context.set_offline(offline=True)
    choose(page, IMAGE)
    expect_problem(page, "The service can't be reached", "There was no answer.")
    page.context.set_offline(offline=False)
    page.get_by_role("button", name="Try again").click()
    expect_result(page)


def test_a_waiting_task_is_cancelled_on_request(page: Page, stack: Stack) -> None:
    with no_worker(stack):
        with page.expect_response("**/async/densenet_predict") as answer:
            choose(page, IMAGE)
        expect(page.locator("#progress-text")).to_contain_text("place 1")
        with page.expect_response(lambda each: each.request.method == "DELETE"):
            page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_focused()
        assert stack.client.get(f"/tasks/{answer.value.json()['task_id']}").status_code == 404


def test_a_task_that_is_cancelled_while_it_is_sent_is_deleted_once_it_is_accepted(
    page: Page, stack: Stack
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/async/densenet_predict", hold)
    with no_worker(stack):
        choose(page, IMAGE)
        while not held:
            page.wait_for_timeout(50)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_focused()
        with page.expect_response(lambda each: each.request.method == "DELETE", timeout=20_000):
            answer = held[0].fetch()
            held[0].fulfill(response=answer)
        assert stack.client.get(f"/tasks/{answer.json()['task_id']}").status_code == 404
    expect(page.get_by_role("heading", name="Analyse a radiograph")).to_be_visible()


@pytest.mark.parametrize("path", ["events", "result"])
def test_a_proxy_that_answers_for_the_service_for_a_while_costs_no_result(
    path: str, page: Page
) -> None:
    asked = {"events": "**/tasks/*", "result": "**/tasks/*/result"}
    left = [502, 504, 502]

    def stand_between(route: Route) -> None:
        if left and route.request.method == "GET":
            route.fulfill(status=left.pop(), content_type="text/html", body="<h1>Bad Gateway</h1>")
        else:
            route.continue_()

    if path == "events":
        page.route("**/tasks/*/events", lambda route: route.abort())
    page.route(asked[path], stand_between)
    choose(page, IMAGE)
    expect_result(page)
    assert left == []


@pytest.mark.parametrize("path", ["tasks/*", "tasks/*/result"])
def test_a_limit_of_requests_costs_no_result_and_leaves_none(
    path: str, page: Page, stack: Stack
) -> None:
    posted: list[str] = []
    refused = {"GET": 2, "DELETE": 1}
    problem = {"title": "Too many requests", "status": 429, "detail": "wait", "request_id": "1"}

    def limit(route: Route) -> None:
        if refused.get(route.request.method):
            refused[route.request.method] -= 1
            headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
            route.fulfill(status=429, headers=headers, json=problem)
        else:
            route.continue_()

    page.route("**/tasks/*/events", lambda route: route.abort())
    page.route(f"**/{path}", limit)
    page.on("request", lambda each: posted.append(each.url) if each.method == "POST" else None)
    with page.expect_response(
        lambda each: each.url.endswith("/result") and each.status == httpx.codes.OK
    ) as answer:
        choose(page, IMAGE)
        told = "More was asked than is allowed in a while; asking again."
        expect(page.locator("#progress-text")).to_contain_text(told)
    expect_result(page)
    assert len(posted) == 1
    with page.expect_response(lambda each: each.request.method == "DELETE" and each.ok):
        page.get_by_role("button", name="Delete and start over").click()
    task = answer.value.url.removesuffix("/result")
    assert stack.client.get(task).status_code == httpx.codes.NOT_FOUND
    assert not any(refused[method] for method in ("GET", "DELETE") if path == "tasks/*")


def test_an_upload_whose_answer_is_lost_is_not_worked_on_twice(page: Page, stack: Stack) -> None:
    accepted: list[str] = []

    def lose(route: Route) -> None:
        accepted.append(route.fetch().json()["task_id"])
        route.abort()

    page.route("**/async/densenet_predict", lose, times=1)
    choose(page, IMAGE)
    expect_problem(page, "The service can't be reached", "There was no answer.")
    with page.expect_response("**/async/densenet_predict") as answer:
        page.get_by_role("button", name="Try again").click()
    assert [answer.value.json()["task_id"]] == accepted
    expect_result(page)
    with page.expect_response(lambda each: each.request.method == "DELETE"):
        page.get_by_role("button", name="Delete and start over").click()
    assert stack.client.get(f"/tasks/{accepted[0]}").status_code == httpx.codes.NOT_FOUND
    with page.expect_response("**/async/densenet_predict") as answer:
        choose(page, IMAGE)
    assert answer.value.json()["task_id"] not in accepted  # chosen anew, it is another task
    expect_result(page)


def test_a_folder_is_told_from_a_service_that_is_away(page: Page, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    point = {"x": 300, "y": 300}
    data = {"items": [], "files": [str(tmp_path / "study")], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for type in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": type, **point, "data": data})
    expect_problem(page, "A file that can't be read", "Expected one image, got a folder")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


@pytest.mark.parametrize("path", ["tasks/[^/]+/result", "tasks/[^/]+"])
def test_an_answer_that_breaks_off_costs_no_result(path: str, page: Page) -> None:
    broken = break_off(page, path)
    page.route("**/tasks/*/events", lambda route: route.abort())
    choose(page, IMAGE)
    expect_result(page)
    assert page.evaluate(broken) == 2


def test_an_upload_whose_answer_breaks_off_is_not_worked_on_twice(page: Page, stack: Stack) -> None:
    accepted: list[str] = []
    page.on(
        "response",
        lambda each: accepted.append(each.headers["location"]) if each.status == 202 else None,
    )
    break_off(page, "async/densenet_predict", times=1)
    choose(page, IMAGE)
    expect_problem(page, "The service can't be reached", "There was no answer.")
    page.get_by_role("button", name="Try again").click()
    expect_result(page)
    assert len(accepted) == 2
    assert accepted[0] == accepted[1]


def break_off(page: Page, path: str, times: int = 2) -> str:
    """Let answers to a path break off within their bodies; return the script that tells how often one has."""
    page.evaluate(
        """([path, times]) => {
          const send = window.fetch;
          window.broken = 0;
          window.fetch = async (asked, init) => {
            const response = await send(asked, init);
            const isDeletion = init?.method === "DELETE";
            if (isDeletion || window.broken === times || !new RegExp(`${path}$`).test(asked)) {
              return response;
            }
            window.broken += 1;
            const { status, headers } = response;
            const body = new ReadableStream({ pull: (stream) => stream.error(new TypeError("network error")) });
            return new Response(body, { status, headers });
          };
        }""",
        [path, times],
    )
    return "window.broken"


def test_what_fails_after_another_image_was_begun_does_not_end_that(
    page: Page, stack: Stack
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "DELETE" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/tasks/*", hold)
    text = page.locator("#progress-text")
    with no_worker(stack):
        with page.expect_response("**/async/densenet_predict") as answer:
            choose(page, IMAGE)
        expect(text).to_contain_text("place 1")
        page.get_by_role("button", name="Cancel").click()
        while not held:
            page.wait_for_timeout(50)
        stack.client.delete(f"/tasks/{answer.value.json()['task_id']}")  # the queue takes one
        choose(page, IMAGE)
        expect(text).to_contain_text("place 1")
        problem = '{"title": "Away", "status": 503, "detail": "Redis is away", "request_id": "1"}'
        kind = "application/problem+json"
        held[0].fulfill(status=503, content_type=kind, body=problem)
        page.wait_for_timeout(500)
        expect(text).to_contain_text("place 1")
    expect_result(page)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "Reload the page to enter a key."),
        (403, "This key may not do that: ask whoever runs the service."),
        (500, "Quote the reference below when you report it."),
        (415, ""),
    ],
)
def test_what_to_do_follows_from_the_status(page: Page, status: int, advice: str) -> None:
    found = page.evaluate(
        """async (status) => {
          const { Problem } = await import("/static/page/problem.js");
          return new Problem({ title: "", detail: "", status }).advice;
        }""",
        status,
    )
    assert found == advice
