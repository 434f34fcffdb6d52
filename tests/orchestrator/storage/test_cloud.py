"""Test the Cloudinary store against a server that checks what Cloudinary checks."""

import logging
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest

from orchestrator.errors import ResultTooLargeError, StoreRejectedError, StoreUnavailableError
from orchestrator.storage import cloud as module
from orchestrator.storage.cloud import CloudAccount, CloudStore
from tests.support.cloudinary_server import (
    API_KEY,
    API_SECRET,
    CLOUD,
    CloudinaryServer,
    cloudinary_server,
)
from tests.support.overlays import overlay

ANALYSIS = "0f8fad5b-d9cb-469f-a165-70867728950e"
NAME = "6c2b1f0d9e8a4735b6c1d2e3f4a59687"
OTHER_NAME = "78695a4f3e2d1c6b5374a8e9d0f1b2c6"
UNPARSEABLE = b"<html><body>502 Bad Gateway</body></html>"


@pytest.fixture
def cloud() -> Iterator[CloudinaryServer]:
    with cloudinary_server() as server:
        yield server


def account(cloud: CloudinaryServer) -> CloudAccount:
    return CloudAccount(
        cloud_name=CLOUD,
        api_key=API_KEY,
        api_secret=API_SECRET,
        delivery="authenticated",
        upload_prefix=cloud.url,
        timeout=5.0,
    )


def impatient(account: CloudAccount) -> CloudStore:
    return CloudStore(account, sleep=lambda _: None)


def delivered(cloud: CloudinaryServer, url: str) -> httpx.Response:
    """Fetch what a URL of res.cloudinary.com leads to, from the stand-in."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "res.cloudinary.com")
    return httpx.get(cloud.url + parts.path)


def test_overlays_come_back_from_their_urls_in_order(cloud: CloudinaryServer) -> None:
    overlays = [overlay(level=40 * number) for number in range(6)]
    urls = CloudStore(account(cloud)).put(NAME, overlays)
    assert [delivered(cloud, url).content for url in urls] == [each.content for each in overlays]


@pytest.mark.parametrize(
    ("file_format", "extension"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")]
)
def test_every_format_keeps_its_extension(
    cloud: CloudinaryServer, file_format: str, extension: str
) -> None:
    (url,) = CloudStore(account(cloud)).put(NAME, [overlay(file_format=file_format)])
    assert url.endswith(f"-0.{extension}")
    assert delivered(cloud, url).status_code == 200


def test_public_urls_carry_no_signature(cloud: CloudinaryServer) -> None:
    store = CloudStore(replace(account(cloud), delivery="upload"))
    (url,) = store.put(NAME, [overlay()])
    assert re.fullmatch(
        rf"https://res\.cloudinary\.com/{CLOUD}/image/upload/v\d+/cxr-[0-9a-f]{{32}}-0\.jpg", url
    )
    assert delivered(cloud, url).status_code == 200


def test_an_authenticated_picture_needs_its_signature(cloud: CloudinaryServer) -> None:
    (url,) = CloudStore(account(cloud)).put(NAME, [overlay()])
    unsigned = re.sub(r"/s--[^/]+--", "", url)
    assert unsigned != url
    assert delivered(cloud, unsigned).status_code == 401


def test_uploads_run_side_by_side(cloud: CloudinaryServer) -> None:
    cloud.delay = 0.2
    CloudStore(account(cloud)).put(NAME, [overlay() for _ in range(4)])
    assert cloud.most_at_once == 4


def test_nothing_is_uploaded_but_pixels_and_a_random_name(cloud: CloudinaryServer) -> None:
    store = CloudStore(account(cloud))
    store.put(store.name(ANALYSIS), [overlay("Mass")])
    (form,) = cloud.forms
    assert set(form) == {
        "api_key",
        "discard_original_filename",
        "invalidate",
        "overwrite",
        "public_id",
        "signature",
        "timestamp",
        "type",
    }
    assert ANALYSIS not in form["public_id"]
    assert cloud.file_names == ["overlay"]


def test_the_name_needs_the_secret_to_be_guessed(cloud: CloudinaryServer) -> None:
    ours = CloudStore(account(cloud))
    other = CloudStore(replace(account(cloud), api_secret="another"))
    assert ours.name(ANALYSIS) == CloudStore(account(cloud)).name(ANALYSIS)
    assert ours.name(ANALYSIS) != other.name(ANALYSIS)


def test_putting_again_replaces(cloud: CloudinaryServer) -> None:
    store = CloudStore(account(cloud))
    store.put(NAME, [overlay(level=1), overlay(level=2)])
    urls = store.put(NAME, [overlay(level=3), overlay(level=4)])
    assert len(cloud.assets) == 2
    assert delivered(cloud, urls[0]).content == overlay(level=3).content


def test_deleting_removes_the_pictures_of_that_analysis_only(cloud: CloudinaryServer) -> None:
    store = CloudStore(account(cloud))
    store.put(NAME, [overlay(), overlay()])
    (kept,) = store.put(OTHER_NAME, [overlay()])
    store.delete(NAME)
    store.delete(NAME)
    assert len(cloud.assets) == 1
    assert delivered(cloud, kept).status_code == 200


def test_no_overlays_need_no_request(cloud: CloudinaryServer) -> None:
    assert CloudStore(account(cloud)).put(NAME, []) == ()
    assert cloud.requests == []


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([(429, "Too many requests")], id="429"),
        pytest.param([(420, "Rate Limit Exceeded")], id="Cloudinary's own 420"),
        pytest.param([(500, "General Error")] * 3, id="500 three times"),
        pytest.param([(502, "Bad gateway")], id="502 as JSON"),
        pytest.param([(503, UNPARSEABLE)], id="503 of a proxy"),
    ],
)
def test_what_passes_is_tried_again(
    cloud: CloudinaryServer, failures: list[tuple[int, str | bytes]]
) -> None:
    cloud.failures = list(failures)
    (url,) = impatient(account(cloud)).put(NAME, [overlay()])
    assert delivered(cloud, url).status_code == 200


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([(429, "Too many requests")], id="429"),
        pytest.param([(502, "Bad gateway")], id="502, for which the SDK has no class"),
        pytest.param([(503, UNPARSEABLE)] * 3, id="503 of a proxy"),
    ],
)
def test_deleting_is_tried_again_too(
    cloud: CloudinaryServer, failures: list[tuple[int, str | bytes]]
) -> None:
    store = impatient(account(cloud))
    store.put(NAME, [overlay()])
    cloud.failures = list(failures)
    store.delete(NAME)
    assert cloud.assets == {}


def test_four_failures_are_enough(cloud: CloudinaryServer) -> None:
    cloud.failures = [(500, "General Error")] * 10
    with pytest.raises(StoreUnavailableError) as caught:
        impatient(account(cloud)).put(NAME, [overlay()])
    assert caught.value.retry_after
    uploads = [path for method, path in cloud.requests if method == "POST"]
    assert len(uploads) == 4


def test_no_attempt_begins_when_twice_the_timeout_is_over(
    cloud: CloudinaryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.failures = [(500, "General Error")] * 10
    moments = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: moments[-1]))
    store = CloudStore(account(cloud), sleep=lambda _: moments.append(moments[-1] + 6))
    with pytest.raises(StoreUnavailableError):
        store.put(NAME, [overlay()])
    assert moments == [0, 6, 12]  # the timeout is 5 seconds
    assert [method for method, _ in cloud.requests].count("POST") == 3


def test_a_wrong_secret_is_refused_once_and_said(cloud: CloudinaryServer) -> None:
    wrong = replace(account(cloud), api_secret="wrong-secret")
    with pytest.raises(StoreRejectedError, match="401"):
        impatient(wrong).put(NAME, [overlay()])
    assert [method for method, _ in cloud.requests] == ["POST", "DELETE"]


def test_errors_and_logs_quote_neither_secret_nor_name(
    cloud: CloudinaryServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(account(cloud), api_secret="wrong-secret")
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreRejectedError) as caught:
        impatient(wrong).put(NAME, [overlay()])
    text = f"{caught.value!r} {caplog.text} {wrong!r}"
    assert "pictures left behind" in text
    assert "wrong-secret" not in text
    assert cloud.forms[0]["public_id"] not in text
    assert cloud.forms[0]["signature"] not in text


def test_one_failed_upload_takes_the_others_back(cloud: CloudinaryServer) -> None:
    cloud.broken_ids = ("-1",)
    with pytest.raises(StoreRejectedError):
        impatient(account(cloud)).put(NAME, [overlay(), overlay(), overlay()])
    assert cloud.assets == {}


@pytest.mark.parametrize("delivery", ["authenticated", "upload"])
def test_an_account_that_changes_names_keeps_nothing_and_says_so(
    cloud: CloudinaryServer, delivery: Literal["authenticated", "upload"]
) -> None:
    cloud.preset_prefix = "studies/"
    store = impatient(replace(account(cloud), delivery=delivery))
    with pytest.raises(StoreRejectedError, match="default upload preset") as caught:
        store.put(NAME, [overlay(), overlay()])
    assert cloud.assets == {}
    assert "studies" not in str(caught.value)


def test_a_picture_that_the_plan_does_not_take_is_the_caller_s_to_mend(
    cloud: CloudinaryServer,
) -> None:
    small, large = overlay(), overlay(file_format="PNG")
    large = replace(large, content=large.content + bytes(5000))
    cloud.most_bytes = 5000
    with pytest.raises(ResultTooLargeError, match="take format jpeg or a smaller max_size") as told:
        impatient(account(cloud)).put(NAME, [small, large])
    assert "5000" not in str(told.value)
    assert "Upgrade" not in str(told.value)
    assert len(cloud.forms) == 2  # neither was sent again
    assert cloud.assets == {}


def test_a_body_that_is_too_large_is_too_large_a_picture(cloud: CloudinaryServer) -> None:
    cloud.failures = [(413, "Request Entity Too Large")]
    with pytest.raises(ResultTooLargeError):
        impatient(account(cloud)).put(NAME, [overlay()])


def test_pictures_that_may_be_of_somebody_else_are_not_taken_back(cloud: CloudinaryServer) -> None:
    (url,) = CloudStore(account(cloud)).put(NAME, [overlay()])
    cloud.broken_ids = ("-1",)
    with pytest.raises(StoreRejectedError):
        impatient(account(cloud)).put(NAME, [overlay(), overlay()], lambda: False)
    assert delivered(cloud, url).status_code == 200


class JobEndsError(Exception):
    """The end of a job's time."""


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Raise in the main thread after a while, as the alarm of a job does, and expect it to come through."""

    def end(*_: object) -> None:
        raise JobEndsError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(JobEndsError):
            yield
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_ends_the_job_meanwhile_leaves_the_pictures_to_its_next_try(
    cloud: CloudinaryServer,
) -> None:
    cloud.delay = 0.5
    store = CloudStore(account(cloud))
    with ends_within(0.2):
        store.put(NAME, [overlay(), overlay()])
    assert len(cloud.assets) == 2
    store.delete(NAME)
    assert cloud.assets == {}


def test_what_ends_the_job_meanwhile_ends_the_attempts_too(cloud: CloudinaryServer) -> None:
    cloud.failures = [(500, "General Error")] * 20
    with ends_within(0.3):
        CloudStore(account(cloud), sleep=lambda _: time.sleep(1)).put(NAME, [overlay(), overlay()])
    assert [method for method, _ in cloud.requests] == ["POST", "POST"]


def test_a_slow_server_is_given_up(cloud: CloudinaryServer) -> None:
    cloud.delay = 1.0
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        impatient(replace(account(cloud), timeout=0.2)).put(NAME, [overlay()])
    assert time.monotonic() - begin < 5


@contextmanager
def black_hole() -> Iterator[str]:
    """Give an address whose packets nobody answers: the line of those who want to connect is full."""
    with ExitStack() as line:
        server = line.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        try:
            while True:
                line.enter_context(socket.create_connection(server.getsockname(), timeout=0.3))
        except TimeoutError:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_each_attempt_waits_for_a_connection_once() -> None:
    with black_hole() as url:
        moments = [time.monotonic()]
        store = CloudStore(
            CloudAccount(
                cloud_name=CLOUD,
                api_key=API_KEY,
                api_secret=API_SECRET,
                delivery="authenticated",
                upload_prefix=url,
                timeout=1.0,
            ),
            sleep=lambda _: moments.append(time.monotonic()),
        )
        with pytest.raises(StoreUnavailableError):
            store.delete(NAME)
    assert moments[1] - moments[0] < 3


def test_a_deletion_that_hangs_is_asked_for_once_by_each_attempt(cloud: CloudinaryServer) -> None:
    cloud.failures = [(401, "Invalid Signature")]
    cloud.delay, cloud.delayed = 1.0, ("DELETE",)
    with pytest.raises(StoreRejectedError):
        impatient(replace(account(cloud), timeout=0.2)).put(NAME, [overlay()])
    assert [method for method, _ in cloud.requests] == ["POST", "DELETE"]


def test_a_server_that_is_away_is_unavailable(cloud: CloudinaryServer) -> None:
    away = replace(account(cloud), upload_prefix="http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError):
        impatient(away).put(NAME, [overlay()])


def test_accounts_that_the_sdk_finds_in_the_environment_have_no_say(
    cloud: CloudinaryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cloudinary

    monkeypatch.setenv("CLOUDINARY_CLOUD_NAME", "other")
    monkeypatch.setenv("CLOUDINARY_API_SECRET", "other")
    monkeypatch.setenv("CLOUDINARY_OAUTH_TOKEN", "other")
    monkeypatch.setenv("CLOUDINARY_UPLOAD_PREFIX", "http://127.0.0.1:9")
    monkeypatch.setenv("CLOUDINARY_UPLOAD_PRESET", "other")
    cloudinary.reset_config()
    try:
        (url,) = CloudStore(account(cloud)).put(NAME, [overlay()])
        assert delivered(cloud, url).status_code == 200
        CloudStore(account(cloud)).delete(NAME)
    finally:
        monkeypatch.undo()
        cloudinary.reset_config()
