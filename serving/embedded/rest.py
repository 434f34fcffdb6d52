"""Serve the status page ``GET /v1/models/NAME[/versions/N]`` and the metrics.

https://www.tensorflow.org/tfx/serving/api_rest; predictions are answered over gRPC alone.
"""

import json
import logging
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_status_pb2

from serving.embedded.core import ServerCore
from serving.embedded.errors import ServingError, invalid_argument
from serving.embedded.metrics import Metrics

_log = logging.getLogger(__name__)

_STATUS_PATH: Final = re.compile(r"/v1/models/([^/:]+)(?:/(versions|labels)/([^/:]+))?")
_HTTP_STATUS: Final = {
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
}


def status_server(
    address: tuple[str, int], core: ServerCore, metrics: Metrics, metrics_path: str | None
) -> ThreadingHTTPServer:
    """Bind a server of the status page; it answers once ``serve_forever`` runs.

    Args:
        address: Host and port.
        core: Knows the state of the models.
        metrics: Served at ``metrics_path``.
        metrics_path: None hides the metrics.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer one request."""
            path = self.path.partition("?")[0]
            if path == metrics_path:
                self._send(HTTPStatus.OK, "text/plain", metrics.render())
                return
            try:
                self._send(HTTPStatus.OK, "application/json", _status(core, path))
            except ServingError as err:
                body = json.dumps({"error": err.message})
                self._send(
                    _HTTP_STATUS.get(err.code, HTTPStatus.INTERNAL_SERVER_ERROR),
                    "application/json",
                    body,
                )

        def _send(self, status: HTTPStatus, content_type: str, body: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    return server


def _status(core: ServerCore, path: str) -> str:
    match = _STATUS_PATH.fullmatch(path)
    if match is None:
        raise invalid_argument(f"Malformed request: GET {path}")
    name, kind, value = match.groups()
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if kind == "labels":
        request.model_spec.version_label = value
    elif kind == "versions":
        if re.fullmatch("[0-9]+", value) is None:
            raise invalid_argument(f"Malformed request: GET {path}")
        try:
            request.model_spec.version.value = int(value)
        except ValueError as err:  # beyond int64
            raise invalid_argument(f"Failed to convert version: {value} to numeric.") from err
    return json_format.MessageToJson(
        core.status(request),
        indent=1,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
