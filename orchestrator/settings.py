"""Read the settings, once, from a mapping that is handed in.

Every setting is an environment variable, named as the field is, in capitals; ``docs/settings.md``
lists them all.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import redis

from serving.contract import MODEL_NAME

_T = TypeVar("_T")

# Pillow's own bound, Image.MAX_IMAGE_PIXELS: it warns of each larger file, and of twice as many pixels it opens none.
_MOST_PIXELS: Final = 89_478_485

# What redis-py takes from an address' query too, which the dashboard shows.
_REDIS_SECRETS: Final = frozenset({"username", "password", "ssl_password"})


class SettingsError(ValueError):
    """A setting that can't be used; the message names the variable."""


def client_key() -> str:
    """Return the API key that commands send: CXR_API_KEY, as arguments are seen by whoever lists processes.

    Raises:
        SettingsError: No header can carry it.
    """
    key = os.environ.get("CXR_API_KEY", "")
    if not re.fullmatch("[!-~]*", key):
        raise SettingsError(
            "CXR_API_KEY: expected a key as `cxr key` prints it, got one with spaces, line breaks or characters"
            " beyond ASCII; correct it or unset it"
        )
    return key


def names_redis() -> bool:
    """Tell whether a Redis was named, be it the one that is the default."""
    return bool(os.environ.get("REDIS_URL"))


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text) if text.strip().lstrip("-").isdigit() else None
        if value is None or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def _rate(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*/([1-9][0-9]*)?(second|minute|hour|day)s?", text):
        raise ValueError("a rate such as 600/minute or 20/10seconds")
    return text


def _choice(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return text

    return parse


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    is_url = text.startswith(("http://", "https://"))
    if is_url or not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("HOST:PORT")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(filter(None, map(str.strip, text.lower().split(","))))
    for host in hosts:
        if not re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?", host, re.ASCII):
            raise ValueError("hosts such as HOST or HOST:8443, comma-separated")
    return hosts


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address such as https://HOST")
    return text.rstrip("/")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(map(str.strip, text.split(",")))
    for origin in origins:
        parts = urlsplit(origin)
        if f"{parts.scheme}://{parts.netloc}" != origin or parts.scheme not in ("http", "https"):
            raise ValueError("origins such as https://HOST, without a path, comma-separated")
    return origins


def _redis_url(text: str) -> str:
    if not _is_redis_url(text):
        raise ValueError(
            "an address such as redis://HOST:6379/0, name and password before the host and not behind the ?, with each"
            " / # ? % @ in them percent-encoded"
        )
    return text


def _is_redis_url(text: str) -> bool:
    """Tell whether redis-py can use an address; of what it raises itself, some quotes the password."""
    try:
        parts = urlsplit(text)
        redis.ConnectionPool.from_url(text).make_connection()
    except (ValueError, TypeError, AttributeError, redis.RedisError):
        return False
    # Others belong to a password: it was cut off at a / # ? before, or the dashboard shows what follows the first
    other_ats = text.count("@") - int("@" in parts.netloc)
    return (
        parts.scheme in ("redis", "rediss")
        and other_ats == 0
        and re.fullmatch("/?[0-9]*", parts.path) is not None
        and _REDIS_SECRETS.isdisjoint(parse_qs(parts.query))
    )


def _setting(default: _T, parse: Callable[[str], _T], text: str, *, secret: bool = False) -> _T:
    """Declare one setting: its default, how its text is read, and its line in the documentation."""
    metadata = {"parse": parse, "help": text, "secret": secret}
    field: _T = dataclasses.field(default=default, repr=not secret, metadata=metadata)
    return field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold every setting of the service; build it with :meth:`from_mapping`."""

    host: str = _setting(
        "127.0.0.1", str, "Address the API listens on; `::` is any, of IPv4 and IPv6."
    )
    port: int = _setting(5000, _integer(0, 65535), "Port the API listens on; 0 takes a free one.")
    data_dir: Path = _setting(Path(".data"), Path, "Folder for everything the service writes.")
    log_level: str = _setting(
        "info", _choice("debug", "info", "warning", "error"), "Least severe level that is logged."
    )

    access: str | None = _setting(
        None,
        _choice("keys", "open"),
        "`keys` lets in requests with a key only, `open` every one; if unset, `keys` where there are any, and `open`"
        " on loopback without.",
    )
    api_keys: str | None = _setting(
        None,
        str,
        "Entries NAME:SCOPES:SHA256 of keys, as `cxr key` writes them, separated by commas or white space.",
        secret=True,
    )
    api_keys_file: Path | None = _setting(
        None, Path, "A file of such entries, one a line; read again when it has changed."
    )

    rate_limit: str | None = _setting(
        None,
        _rate,
        "How often one caller may send images, such as 600/minute; a batch counts as its images. No limit if unset.",
    )
    rate_limit_read: str | None = _setting(
        None, _rate, "How often one caller may ask for anything else. No limit if unset."
    )

    audit_retention_days: int = _setting(
        90, _integer(0, 3660), "Days that the audit trail is kept; 0 keeps none."
    )
    audit_entries: int = _setting(
        1_000_000,
        _integer(1000, 1_000_000_000),
        "Entries of the audit trail that are kept, about; the oldest go first.",
    )

    cors_origins: tuple[str, ...] = _setting(
        (),
        _origins,
        "Sites whose scripts may ask, comma-separated, such as https://HOST; none if unset.",
    )
    keep_alive: int = _setting(
        120,
        _integer(1, 86_400),
        "Seconds that a connection may rest between two requests; longer than a proxy before the API keeps its own.",
    )
    head_timeout: float = _setting(
        20.0, _seconds(0.1, 3600), "Seconds that a request's line and headers may take."
    )
    body_timeout: float = _setting(
        60.0,
        _seconds(0.1, 3600),
        "Seconds that a body may take, beside one for every 10 kB that have come.",
    )
    send_timeout: float = _setting(
        60.0, _seconds(0.1, 3600), "Seconds that a client may take nothing of what it is sent."
    )
    connections: int = _setting(
        500, _integer(1, 1_000_000), "Connections that the API holds at once, per process."
    )

    metrics_host: str = _setting(
        "127.0.0.1", str, "Address that API and workers answer Prometheus on, without a key."
    )
    metrics_port: int | None = _setting(
        None,
        _integer(1, 65535),
        "Port that API and workers answer Prometheus on; none if unset. `cxr up` gives it to the API and counts on from"
        " it, one for each worker.",
    )
    otel_exporter_otlp_endpoint: str | None = _setting(
        None,
        _base_url,
        "Collector that traces are sent to, as OTLP over HTTP, such as http://127.0.0.1:4318; none are made if unset.",
    )

    model_name: str = _setting(MODEL_NAME, str, "Name of the model on the model server.")
    model_label: str | None = _setting(
        None,
        str,
        "Label of the version to ask for, such as `stable`, as models.config has it; the newest there if unset.",
    )
    model_server: str = _setting(
        "127.0.0.1:8500", _address, "HOST:PORT of the model server's gRPC interface."
    )
    model_timeout: float = _setting(
        10.0,
        _seconds(0.1, 600),
        "Seconds a call to the model server may take; of a task's, no more than half of JOB_TIMEOUT.",
    )
    model_path: Path | None = _setting(
        None,
        Path,
        "A .keras or .h5 file that `cxr up` exports, unless it was the last it exported, and serves.",
    )
    model_labels: Path | None = _setting(
        None, Path, "Labels of MODEL_PATH, one a line; ChestX-ray14's if unset."
    )
    model_preprocess: str | None = _setting(
        None,
        _choice("densenet", "rescale", "none"),
        "What MODEL_PATH expects of its pixels; `densenet`, or what is written beside the file."
        " A model that normalises them itself needs it said.",
    )

    thresholds: Path | None = _setting(
        None,
        Path,
        "A threshold set that `cxr calibrate` wrote, used in place of the model card's thresholds; read at the start.",
    )

    max_upload_bytes: int = _setting(
        32_000_000,
        _integer(1, 2**31),
        "Largest upload, in bytes: the body of a form, or the image that a JSON body encodes.",
    )
    max_pixels: int = _setting(
        40_000_000,
        _integer(1024, _MOST_PIXELS),
        "Most pixels an image may have, 89478485 at most; checked before decoding.",
    )
    max_result_bytes: int = _setting(
        100_000_000,
        _integer(1_000_000, 500_000_000),
        "Most bytes that the overlays of one image may take together, 500000000 at most.",
    )
    request_threads: int = _setting(
        8, _integer(1, 256), "Analyses that the API works on at once, per process."
    )
    request_queue: int = _setting(
        32, _integer(0, 10_000), "Analyses that may wait for a thread before the API answers 503."
    )

    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0",
        _redis_url,
        "Redis 7 or newer, or Valkey, that holds tasks and statistics; `cxr up` starts its own if unset.",
        secret=True,
    )
    blobs: str = _setting(
        "redis",
        _choice("redis", "disk"),
        "Where uploads and results of tasks lie: `redis`, or `disk` for DATA_DIR/blobs, shared by API and workers.",
    )
    queue_limit: int = _setting(
        1000, _integer(1, 1_000_000), "Tasks that may wait before the API answers 503."
    )
    queue_bytes: int = _setting(
        1_000_000_000,
        _integer(1, 2**50),
        "Bytes of uploads and results that may be kept before the API answers 503.",
    )
    queue_ttl: int = _setting(
        86_400, _integer(1, 31_536_000), "Seconds that a task may wait for a worker."
    )
    result_ttl: int = _setting(
        3600,
        _integer(1, 31_536_000),
        "Seconds that results, and uploads of failed tasks, are kept.",
    )
    result_memory: int = _setting(
        86_400,
        _integer(0, 31_536_000),
        "Seconds that a result is remembered after it was deleted, to answer 410 and not 404.",
    )
    job_timeout: int = _setting(
        120,
        _integer(1, 86_400),
        "Seconds that a task may be worked on at a time; one that takes longer five times fails.",
    )
    job_retries: int = _setting(
        40,
        _integer(1, 100),
        "Times that a task is tried again while something it needs is away; four at most where it took too long.",
    )
    batch_files: int = _setting(1000, _integer(1, 5000), "Most files of a batch.")
    batch_bytes: int = _setting(
        500_000_000, _integer(1, 2**40), "Largest batch, in bytes, as sent and as unpacked."
    )
    body_bytes: int = _setting(
        500_000_000,
        _integer(1, 2**40),
        "Bytes of bodies that an API process takes in at once before it answers 503.",
    )
    callback_hosts: tuple[str, ...] = _setting(
        (),
        _hosts,
        "Hosts that `callback_url` may name, comma-separated; none if this or CALLBACK_SECRET is unset.",
    )
    callback_secret: str | None = _setting(
        None,
        str,
        "What calls of `callback_url` are signed with; needed for CALLBACK_HOSTS.",
        secret=True,
    )
    workers: int = _setting(2, _integer(1, 64), "Workers that `cxr up` starts.")
    dashboard_host: str = _setting("127.0.0.1", str, "Address the dashboard listens on.")
    dashboard_port: int = _setting(5555, _integer(0, 65535), "Port of the dashboard.")
    dashboard_user: str = _setting("admin", str, "Name to log in to the dashboard with.")
    dashboard_password: str | None = _setting(
        None, str, "Password of the dashboard; needed unless it listens on loopback.", secret=True
    )
    dashboard_write: str = _setting(
        "no", _choice("yes", "no"), "Whether the dashboard may requeue and delete jobs."
    )

    stats_retention_days: int = _setting(
        400, _integer(1, 3660), "Days that statistics are kept, today included."
    )

    public_url: str | None = _setting(
        None,
        _base_url,
        "Address that callers reach the service at, for links to files and tasks; taken from each request if unset.",
    )
    files_ttl: int = _setting(
        86_400,
        _integer(1, 315_360_000),
        "Seconds that overlays are kept on the disk and links to them work.",
    )
    files_secret: str | None = _setting(
        None,
        str,
        "What links to files are signed with; made once, in DATA_DIR/files.secret, if unset.",
        secret=True,
    )
    cloudinary_cloud_name: str | None = _setting(
        None, str, "Cloudinary's cloud name; with key and secret it makes Cloudinary the store."
    )
    cloudinary_api_key: str | None = _setting(None, str, "Cloudinary's API key.")
    cloudinary_api_secret: str | None = _setting(None, str, "Cloudinary's API secret.", secret=True)
    cloudinary_delivery: str = _setting(
        "authenticated",
        _choice("upload", "authenticated"),
        "How Cloudinary delivers: `upload` is public, `authenticated` needs the signature in the URL.",
    )
    cloudinary_upload_prefix: str = _setting(
        "https://api.cloudinary.com",
        _base_url,
        "Cloudinary's API; `https://api-eu.cloudinary.com` keeps pictures in Europe.",
    )
    cloudinary_timeout: float = _setting(
        10.0, _seconds(0.1, 600), "Seconds a call to Cloudinary may take."
    )

    @classmethod
    def from_mapping(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings out of a mapping such as the process's environment.

        A variable that is unset or empty takes its default.

        Raises:
            SettingsError: A value can't be used; the message names the variable.
        """
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            text = environ.get(field.name.upper(), "")
            if text == "":
                continue
            try:
                values[field.name] = field.metadata["parse"](text)
            except ValueError as err:
                got = "something else" if field.metadata["secret"] else repr(text)
                raise SettingsError(
                    f"{field.name.upper()}: expected {err}, got {got}; correct it or unset it"
                ) from err
        settings = cls(**values)
        settings._check_cloudinary()
        return settings

    @property
    def called_hosts(self) -> tuple[str, ...]:
        """Return the hosts that may be called when a task is done: none where calls can't be signed."""
        return self.callback_hosts if self.callback_secret else ()

    def _check_cloudinary(self) -> None:
        """Refuse half an account: pictures would go to the disk unnoticed."""
        names = ("cloudinary_cloud_name", "cloudinary_api_key", "cloudinary_api_secret")
        missing = [name.upper() for name in names if not getattr(self, name)]
        if missing and len(missing) < len(names):
            raise SettingsError(
                f"{missing[0]}: expected a value, as other CLOUDINARY settings have one; set it, or unset them all"
            )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the settings out of this process's environment."""
        return cls.from_mapping(os.environ)
