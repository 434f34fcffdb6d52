"""Stand in for Cloudinary: check signatures as its API does, keep what is uploaded, deliver it, fail when told.

Written from the documentation of its upload, admin and delivery APIs, not from the SDK:
https://cloudinary.com/documentation/authentication_signatures,
https://cloudinary.com/documentation/image_upload_api_reference,
https://cloudinary.com/documentation/admin_api, and
https://cloudinary.com/documentation/delivery_url_signatures.
"""

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image, UnidentifiedImageError

CLOUD = "demo-cloud"
API_KEY = "874837483274837"
API_SECRET = "a676b67565c6767a6767d6767f676fe1"

_UNSIGNED = {"file", "cloud_name", "resource_type", "api_key", "signature"}
_KNOWN = {
    "discard_original_filename",
    "invalidate",
    "overwrite",
    "public_id",
    "timestamp",
    "type",
}
_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_HOUR = 3600


@dataclass
class Asset:
    """One uploaded picture."""

    content: bytes
    format: str
    version: int


@dataclass
class CloudinaryServer:
    """Keep pictures by (delivery type, public id), and the requests that came.

    Attributes:
        failures: Answers to give instead of the next ones: status, and a message or a body that is no JSON.
        delay: Seconds to wait before each answer.
        delayed: The methods that wait so.
        broken_ids: Ends of public ids whose uploads are refused.
        most_bytes: How large a picture may be.
        preset_prefix: What the account's default upload preset puts before public ids.
    """

    failures: list[tuple[int, str | bytes]] = field(default_factory=list)
    delay: float = 0.0
    delayed: tuple[str, ...] = ("GET", "POST", "DELETE")
    broken_ids: tuple[str, ...] = ()
    most_bytes: int = 10_485_760
    preset_prefix: str = ""
    assets: dict[tuple[str, str], Asset] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    file_names: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        with self._lock:
            self.requests.append((method, path))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            failure = self.failures.pop(0) if self.failures else None
        try:
            time.sleep(self.delay if method in self.delayed else 0)
            if failure is not None:
                status, what = failure
                return status, what if isinstance(what, bytes) else _error(what)
            return self._route(method, path, headers, body)
        finally:
            with self._lock:
                self._at_once -= 1

    def _route(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "POST", ["v1_1", cloud, "image", "upload"] if cloud == CLOUD:
                return self._upload(headers["content-type"], body)
            case "POST", ["v1_1", cloud, "image", "destroy"] if cloud == CLOUD:
                return self._destroy(headers["content-type"], body)
            case "DELETE", ["v1_1", cloud, "resources", "image", kind] if cloud == CLOUD:
                return self._delete(kind, headers, body)
            case "GET", [cloud, "image", kind, *rest] if cloud == CLOUD:
                return self._deliver(kind, rest)
        return 404, _error("Resource not found")

    def _upload(self, content_type: str, body: bytes) -> tuple[int, Any]:
        form, file_name, content = _multipart(content_type, body)
        with self._lock:
            self.forms.append(form)
            self.file_names.append(file_name)
        refused = _refused(form)
        if refused is not None:
            return refused
        if content is None:
            return 400, _error("Missing required parameter - file")
        if form["public_id"].endswith(self.broken_ids or ("/",)):
            return 400, _error("public_id is not valid")
        if len(content) > self.most_bytes:
            return 400, _error(
                f"File size too large. Got {len(content)}. Maximum is {self.most_bytes}."
                " Upgrade your plan to enjoy higher limits"
            )
        try:
            picture = Image.open(io.BytesIO(content))
        except UnidentifiedImageError:
            return 400, _error("Invalid image file")
        asset = Asset(content, _FORMATS[picture.format or ""], int(form["timestamp"]))
        kind, public_id = form.get("type", "upload"), self.preset_prefix + form["public_id"]
        with self._lock:
            self.assets[kind, public_id] = asset
        place = f"res.cloudinary.com/{CLOUD}/image/{kind}/v{asset.version}/{public_id}"
        return 200, {
            "asset_id": hashlib.md5(public_id.encode()).hexdigest(),
            "public_id": public_id,
            "version": asset.version,
            "width": picture.width,
            "height": picture.height,
            "format": asset.format,
            "resource_type": "image",
            "created_at": "2026-11-22T10:00:00Z",
            "tags": [],
            "bytes": len(content),
            "type": kind,
            "url": f"http://{place}.{asset.format}",
            "secure_url": f"https://{place}.{asset.format}",
        }

    def _destroy(self, content_type: str, body: bytes) -> tuple[int, Any]:
        form, _, _ = _multipart(content_type, body)
        refused = _refused(form)
        if refused is not None:
            return refused
        with self._lock:
            gone = self.assets.pop((form.get("type", "upload"), form["public_id"]), None)
        return 200, {"result": "ok" if gone else "not found"}

    def _delete(self, kind: str, headers: Any, body: bytes) -> tuple[int, Any]:
        expected = base64.b64encode(f"{API_KEY}:{API_SECRET}".encode()).decode()
        if headers["authorization"] != f"Basic {expected}":
            return 401, _error("unknown api_key")
        prefix = json.loads(body)["prefix"]
        with self._lock:
            gone = [key for key in self.assets if key[0] == kind and key[1].startswith(prefix)]
            for key in gone:
                del self.assets[key]
        return 200, {"deleted": {key[1]: "deleted" for key in gone}, "partial": False}

    def _deliver(self, kind: str, rest: list[str]) -> tuple[int, Any]:
        """Deliver a picture as res.cloudinary.com does: authenticated ones for the right signature only."""
        signature = rest.pop(0) if rest[0].startswith("s--") else None
        version, name = rest
        digest = hashlib.sha256(f"{name}{API_SECRET}".encode()).digest()
        expected = f"s--{base64.urlsafe_b64encode(digest).decode()[:32]}--"
        if kind == "authenticated" and signature != expected:
            return 401, _error("Unauthorized")
        public_id, _, extension = name.rpartition(".")
        asset = self.assets.get((kind, public_id))
        if asset is None or asset.format != extension or version != f"v{asset.version}":
            return 404, _error("Resource not found")
        return 200, asset.content


def _refused(form: dict[str, str]) -> tuple[int, Any] | None:
    if form.get("api_key") != API_KEY:
        return 401, _error(f"Unknown API key {form.get('api_key')}")
    signed = {key: value for key, value in form.items() if key not in _UNSIGNED}
    to_sign = "&".join(
        sorted(f"{key}={value}".replace("&", "%26") for key, value in signed.items())
    )
    expected = hashlib.sha1((to_sign + API_SECRET).encode()).hexdigest()
    if form.get("signature") != expected:
        return 401, _error(
            f"Invalid Signature {form.get('signature')}. String to sign - '{to_sign}'."
        )
    if abs(time.time() - int(form.get("timestamp", "0"))) > _HOUR:
        return 400, _error("Stale request - reported time is more than 1 hour ago")
    if set(signed) - _KNOWN:
        return 400, _error(f"Unknown parameters {sorted(set(signed) - _KNOWN)}")
    return None


def _multipart(content_type: str, body: bytes) -> tuple[dict[str, str], str | None, bytes | None]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts: dict[str, str] = {}
    file_name, content = None, None
    for part in BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        if name == "file":
            file_name, content = part.get_filename(), payload
        else:
            parts[name] = payload.decode()
    return parts, file_name, content


def _error(message: str) -> dict[str, dict[str, str]]:
    return {"error": {"message": message}}


@contextmanager
def cloudinary_server() -> Iterator[CloudinaryServer]:
    """Run the server on a free port of the loopback interface."""
    cloud = CloudinaryServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            status, content = cloud.answer(self.command, self.path, self.headers, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Request-Id", "0123456789abcdef")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names that http.server looks for

        def log_message(self, *_: object) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # a client that gave up
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
