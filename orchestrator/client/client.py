"""Send an image to a running service, patiently: what passes is tried again."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Final

import click
import httpx

from orchestrator.access.mode import is_loopback
from orchestrator.errors import BusyError, QueueFullError
from orchestrator.jobs.callbacks import trusted_certificates
from orchestrator.settings import SettingsError, client_key

_PATH: Final = "/densenet_predict"
_ATTEMPTS: Final = 6
# Waits grow from attempt to attempt up to this; what an answer asks for is waited anyway, up to the longest.
_LONGEST_GROWN: Final = 30.0
_LONGEST_WAIT: Final = 600.0
MOST_WAITING: Final = 3600.0  # in all, while others are served
_RETRIED: Final = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
_OF_PROXIES: Final = (httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT)


class ClientError(Exception):
    """An image that got no result; the message says why."""


class TooLargeError(ClientError):
    """What was sent is more than the service takes at once."""


class Patience:
    """Wait between attempts, unless somebody has lost patience: who waits then gets no result."""

    def __init__(self) -> None:
        self._lost = Event()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            ClientError: Patience was lost meanwhile, or before.
        """
        if self._lost.wait(seconds):
            raise ClientError("interrupted")

    def lose(self) -> None:
        """Wait no more, in any thread."""
        self._lost.set()


def open_client(server: str, timeout: float) -> httpx.Client:
    """Return a client of a service that shows the key in CXR_API_KEY, if there is one.

    Raises:
        click.ClickException: The address, the key, the certificates or the proxies can't be used.
    """
    if not _is_address(server):
        raise click.BadParameter(
            f"expected an address such as http://127.0.0.1:5000, got {server!r}",
            param_hint="'--server'",
        )
    try:
        key = client_key()
        tls = trusted_certificates()
    except SettingsError as err:
        raise click.ClickException(str(err)) from err
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if is_loopback(httpx.URL(server).host):  # what is meant for this machine goes through no proxy
        return httpx.Client(
            base_url=server, timeout=timeout, headers=headers, verify=tls, trust_env=False
        )
    try:
        return httpx.Client(base_url=server, timeout=timeout, headers=headers, verify=tls)
    except (httpx.InvalidURL, ValueError, ImportError) as err:
        raise click.ClickException(
            "expected HTTP_PROXY, HTTPS_PROXY and ALL_PROXY to be addresses such as http://HOST:PORT, and NO_PROXY to"
            f" be names and addresses of hosts, got one that can't be used ({type(err).__name__}); correct or unset it"
        ) from err


def _is_address(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def read_image(path: Path) -> bytes:
    """Read an image, which may have gone or become unreadable since it was listed.

    Raises:
        ClientError: It can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as err:
        raise ClientError(f"expected a file that can be read: {err.strerror}") from err


def request_report(
    client: httpx.Client,
    image: bytes,
    form: Mapping[str, str],
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """Send one image and return its report.

    Raises:
        ClientError: There was no answer, or a refusal.
    """
    return read_report(request_archive(client, image, form, sleep))


def read_report(content: bytes) -> dict[str, Any]:
    """Return the report in a ZIP.

    Raises:
        ClientError: There is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            report: dict[str, Any] = json.loads(archive.read("report.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as err:
        raise ClientError(
            "expected a ZIP with a report, got something else; is this the service?"
        ) from err
    return report


def request_archive(
    client: httpx.Client,
    image: bytes,
    form: Mapping[str, str],
    sleep: Callable[[float], object] = time.sleep,
) -> bytes:
    """Send one image until there is an answer that waiting won't change; return the ZIP.

    Raises:
        ClientError: There was no answer, or a refusal.
    """
    # The name sent is always the same: file names often are patients' names.
    return send(client, _PATH, form, [("file", ("image", image))], sleep=sleep).content


def send(
    client: httpx.Client,
    path: str,
    form: Mapping[str, str],
    files: Sequence[tuple[str, tuple[str, bytes]]],
    headers: Mapping[str, str] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> httpx.Response:
    """Post a form until there is an answer that waiting won't change; return it if it is a success.

    Raises:
        TooLargeError: It was too large.
        ClientError: There was no answer, or a refusal; one that asks to wait for too long is a refusal.
    """
    attempt, waited = 1, 0.0
    while True:
        try:
            response = client.post(path, data=dict(form), files=list(files), headers=headers)
        except httpx.RequestError as err:
            if attempt == _ATTEMPTS or not _was_cut_off(err, attempt):
                why = f"no answer from {client.base_url} ({type(err).__name__})"
                raise ClientError(why) from err
            pause = 1.5**attempt
            attempt += 1
        else:
            if not _passes(response):
                break
            serves_others = _serves_others(response)
            if waited > MOST_WAITING or (attempt == _ATTEMPTS and not serves_others):
                break
            pause = retry_after(response)
            if not serves_others:
                pause = max(pause, min(pause * 1.5 ** (attempt - 1), _LONGEST_GROWN))
                attempt += 1
        waited += max(pause, 1.0)
        sleep(pause)
    if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise TooLargeError(reason(response))
    if not response.is_success:
        raise ClientError(reason(response))
    return response


def _was_cut_off(error: httpx.RequestError, attempt: int) -> bool:
    """Tell whether a service that was there went away, as it does when it is started again."""
    return isinstance(
        error, httpx.ReadError | httpx.WriteError | httpx.CloseError | httpx.RemoteProtocolError
    ) or (attempt > 1 and isinstance(error, httpx.ConnectError))


def _passes(response: httpx.Response) -> bool:
    """Tell whether the same may be answered otherwise in a while; a proxy's word is none of the service's own."""
    own = response.headers.get("Content-Type", "").startswith("application/problem+json")
    status = response.status_code
    return status in _RETRIED or (status in _OF_PROXIES and not own)


def _serves_others(response: httpx.Response) -> bool:
    """Tell whether a service only has others to serve first, which is no reason to give an image up."""
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return True
    try:
        return response.json()["code"] in (BusyError.code, QueueFullError.code)
    except (ValueError, KeyError, TypeError):
        return False


def retry_after(response: httpx.Response) -> float:
    """Return the seconds that an answer asks to wait; a second where a proxy asks otherwise, by a date.

    Raises:
        ClientError: They are more than anybody waits in front of a command.
    """
    given = response.headers.get("Retry-After", "")
    seconds = float(given) if given.isdecimal() else 1.0
    if seconds > _LONGEST_WAIT:
        raise ClientError(reason(response))
    return seconds


def reason(response: httpx.Response) -> str:
    """Return why a response is none that was hoped for."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = "no reason given; is this the service?"
    return f"status {response.status_code}: {detail}"
