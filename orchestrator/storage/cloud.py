"""Keep overlays in Cloudinary; the only module that knows its SDK.

The SDK holds its configuration in a global; here every call is given its own, so that nothing but
:class:`CloudAccount` decides which account has the pictures.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from cloudinary import api, exceptions, uploader, utils
from cloudinary.api_client import call_api

from orchestrator.errors import (
    DependencyError,
    ResultTooLargeError,
    ServiceError,
    StoreRejectedError,
    StoreUnavailableError,
)
from orchestrator.storage.base import object_name
from orchestrator.study import Overlay

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 4
_FIRST_WAIT: Final = 0.5
_CONCURRENCY: Final = 5
_RETRY_AFTER: Final = 30
# Statuses that pass by themselves; Cloudinary says 420 for its rate limit, and 429.
_PASSING: Final = frozenset({408, 420, 425, 429, 500, 502, 503, 504})
# What a 400 begins with if a picture has more bytes than the account's plan lets it have.
_TOO_LARGE: Final = "File size too large"
_LASTING: Final = (
    exceptions.AlreadyExists,
    exceptions.AuthorizationRequired,
    exceptions.BadRequest,
    exceptions.NotAllowed,
    exceptions.NotFound,
)


@dataclass(frozen=True, kw_only=True)
class CloudAccount:
    """Where pictures go and how they are delivered.

    Attributes:
        cloud_name: Name of the account's product environment.
        api_key: Its key.
        api_secret: The key's secret.
        delivery: ``authenticated``: URLs work with their signature only. ``upload``: public URLs.
        upload_prefix: Scheme and host of the API; it has others in Europe and Asia.
        timeout: Seconds to wait for a connection, and for an answer.
    """

    cloud_name: str
    api_key: str
    api_secret: str = field(repr=False)
    delivery: Literal["upload", "authenticated"]
    upload_prefix: str
    timeout: float


class CloudStore:
    """Upload overlays to Cloudinary and answer their URLs."""

    def __init__(self, account: CloudAccount, sleep: Callable[[float], None] = time.sleep) -> None:
        self._account = account
        self._sleep = sleep
        # The pool of urllib3 keeps one connection and warns about each that it drops
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        _try_once()

    def name(self, analysis_id: str) -> str:
        """Return a name for the overlays of an analysis; see `Store.name`."""
        return object_name(self._account.api_secret.encode(), analysis_id)

    def put(
        self,
        name: str,
        overlays: Sequence[Overlay],
        may_take_back: Callable[[], bool] = lambda: True,
    ) -> tuple[str, ...]:
        """Upload overlays side by side and return their URLs, in order."""
        if not overlays:
            return ()
        prefix = _prefix(name)
        try:
            return self._upload_all(prefix, overlays)
        except ServiceError:
            # At the end of a job's time, which is none, they are left to its next try, which has the name
            if may_take_back():
                self._clean_up(partial(self._delete, prefix))
            raise

    def delete(self, name: str) -> None:
        """Delete the overlays of a name, and their copies in the delivery network."""
        self._retried(partial(self._delete, _prefix(name)), threading.Event())

    def sweep(self) -> int:
        """See `Store.sweep`; nothing there expires."""
        return 0

    @property
    def _options(self) -> dict[str, Any]:
        account = self._account
        return {
            "cloud_name": account.cloud_name,
            "api_key": account.api_key,
            "api_secret": account.api_secret,
            "upload_prefix": account.upload_prefix,
            "timeout": account.timeout,
            "oauth_token": None,  # given, so that the SDK's global has no say
        }

    def _upload_all(self, prefix: str, overlays: Sequence[Overlay]) -> tuple[str, ...]:
        over = threading.Event()
        # Threads of this call alone: a pool kept for later would not survive a fork
        with ThreadPoolExecutor(min(len(overlays), _CONCURRENCY)) as pool:
            pending = [
                pool.submit(self._upload, f"{prefix}{number}", overlay.content, over)
                for number, overlay in enumerate(overlays)
            ]
            try:
                return tuple(upload.result() for upload in pending)
            finally:  # after the first failure, or the end of the job's time, the rest need not begin
                over.set()
                for upload in pending:
                    upload.cancel()

    def _upload(self, public_id: str, content: bytes, over: threading.Event) -> str:
        call = partial(
            uploader.upload,
            content,
            public_id=public_id,
            type=self._account.delivery,
            overwrite=True,
            invalidate=True,
            filename="overlay",
            discard_original_filename=True,
            upload_preset=None,
            return_error=True,
            **self._options,
        )
        answer = self._retried(call, over)
        if answer["public_id"] != public_id:
            self._clean_up(partial(self._destroy, answer["public_id"]))
            raise _renamed()
        return self._url(public_id, answer)

    def _url(self, public_id: str, answer: Mapping[str, Any]) -> str:
        if self._account.delivery == "upload":
            public: str = answer["secure_url"]
            return public
        signed, _ = utils.cloudinary_url(
            public_id,
            cloud_name=self._account.cloud_name,
            api_secret=self._account.api_secret,
            type="authenticated",
            version=answer["version"],
            format=answer["format"],
            secure=True,
            sign_url=True,
            long_url_signature=True,
            auth_token=False,
        )
        url: str = signed
        return url

    def _delete(self, prefix: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = api.delete_resources_by_prefix(
            prefix, type=self._account.delivery, invalidate=True, **self._options
        )
        return answer

    def _destroy(self, public_id: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = uploader.destroy(
            public_id,
            type=self._account.delivery,
            invalidate=True,
            return_error=True,
            **self._options,
        )
        return answer

    def _clean_up(self, delete: Callable[[], Mapping[str, Any]]) -> None:
        """Delete what was uploaded in vain; once, as nobody holds a URL of it."""
        try:
            _called(delete)
        except DependencyError as err:
            _log.warning("pictures left behind in Cloudinary", extra={"code": err.code})

    def _retried(
        self, call: Callable[[], Mapping[str, Any]], over: threading.Event
    ) -> Mapping[str, Any]:
        """Call until there is an answer that waiting won't change, it is over, or no attempt or no time is left."""
        until = time.monotonic() + 2 * self._account.timeout
        wait = _FIRST_WAIT
        for _ in range(_ATTEMPTS - 1):
            try:
                return _called(call)
            except StoreUnavailableError:
                if over.is_set() or time.monotonic() > until:
                    raise
                self._sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - spreads callers
                if over.is_set():
                    raise
                wait *= 2
        return _called(call)


def _try_once() -> None:
    """Have the SDK's connections fail at once: they would try each call four times, and wait as often."""
    for pools in (uploader._http, call_api._http):
        pools.connection_pool_kw["retries"] = 0
        pools.clear()


def _prefix(name: str) -> str:
    return f"cxr-{name}-"


def _called(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Call the SDK once and translate its errors; their texts quote the request, so they go no further."""
    try:
        answer = call()
    except _LASTING as err:
        raise _rejected(type(err).__name__) from err
    except Exception as err:  # the SDK raises Exception itself for statuses it has no class for
        raise _unavailable(type(err).__name__) from err
    error = answer.get("error")
    if error is None:
        return answer
    status = error["http_code"]
    if status == 413 or str(error.get("message")).startswith(_TOO_LARGE):
        raise _too_large()
    raise _unavailable(status) if status in _PASSING else _rejected(status)


def _unavailable(reason: object) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"Cloudinary does not answer as it should ({reason}); try again later",
        retry_after=_RETRY_AFTER,
    )


def _rejected(reason: object) -> StoreRejectedError:
    return StoreRejectedError(
        f"Cloudinary refuses the service's request ({reason}); the operator must look at the"
        " CLOUDINARY settings and the account"
    )


def _renamed() -> StoreRejectedError:
    return StoreRejectedError(
        "Cloudinary keeps pictures by other names than the service gives them: a default upload preset of the"
        " account changes names; the operator must take folder and public_id out of it, or it out of the defaults"
    )


def _too_large() -> ResultTooLargeError:
    return ResultTooLargeError(
        "expected overlays that each have at most as many bytes as the account's plan at Cloudinary allows, got a"
        " larger one; take format jpeg or a smaller max_size"
    )
