"""Keep one gRPC channel to the model server, opened when first needed, replaced when it fails."""

import json
import os
import threading
import time
from dataclasses import dataclass
from typing import Final

import grpc

from orchestrator.model import grpc_errors
from orchestrator.model import wire_pb2 as wire
from orchestrator.telemetry.trace import traceparent

CONNECT_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 1.0
# A channel this old is replaced when it fails. gRPC asks for a name again after as long as two
# minutes, and has no option for that; a new channel asks at once. In Compose a container's name
# goes away with it and comes back with another address.
REPLACE_SECONDS: Final = 2.0
# Servers answer pings more frequent than this with GOAWAY: https://grpc.io/docs/guides/keepalive/
KEEPALIVE_SECONDS: Final = 300
MAX_MESSAGE_BYTES: Final = 16 * 2**20

# A call that met a server going away is sent once more, to the next one. TF Serving says
# UNAVAILABLE for a full queue as well, where a second try after a pause does no harm: calls in
# flight are limited.
_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


@dataclass(frozen=True)
class _Stub:
    channel: grpc.Channel
    predict: "grpc.UnaryUnaryMultiCallable[wire.PredictRequest, wire.PredictResponse]"
    status: "grpc.UnaryUnaryMultiCallable[wire.GetModelStatusRequest, wire.GetModelStatusResponse]"
    process: int
    opened_at: float


class ModelChannel:
    """Call the two methods of TensorFlow Serving that this service needs, from any thread.

    Args:
        target: ``host:port``, resolved by DNS so that round robin sees every replica; or a URI.
        deadline: Seconds that callers wait at most. Connecting gets no more than half of them, so a
            server that can't be reached is told apart from one that is slow.
    """

    def __init__(self, target: str, *, deadline: float) -> None:
        self.target = (
            target if "://" in target or target.startswith("unix:") else f"dns:///{target}"
        )
        self._connect_seconds = min(CONNECT_SECONDS, deadline / 2)
        self._lock = threading.Lock()
        self._stub: _Stub | None = None

    def predict(self, request: wire.PredictRequest, *, timeout: float) -> wire.PredictResponse:
        """Run a signature, or raise what `grpc_errors` makes of the failure."""
        stub = self._open()
        try:
            return stub.predict(request, timeout=timeout, metadata=_metadata())
        except grpc.RpcError as err:
            raise self._failed(stub, err) from err

    def status(
        self, request: wire.GetModelStatusRequest, *, timeout: float
    ) -> wire.GetModelStatusResponse:
        """Ask for the state of every version, or raise as `predict` does."""
        stub = self._open()
        try:
            return stub.status(request, timeout=timeout)
        except grpc.RpcError as err:
            raise self._failed(stub, err) from err

    def close(self) -> None:
        """Close the channel, cancelling calls in flight; a later call opens another."""
        with self._lock:
            if self._stub is not None:
                self._stub.channel.close()
            self._stub = None

    def _open(self) -> _Stub:
        with self._lock:
            # A child that calls on its parent's channel hangs or fails: each process opens its own.
            if self._stub is None or self._stub.process != os.getpid():
                self._stub = self._connect()
            return self._stub

    def _connect(self) -> _Stub:
        channel = grpc.insecure_channel(
            self.target,
            options=[
                ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
                ("grpc.enable_http_proxy", 0),
                ("grpc.keepalive_time_ms", 1000 * KEEPALIVE_SECONDS),
                # One attempt to connect may take as long as the larger of these two.
                ("grpc.min_reconnect_backoff_ms", int(1000 * self._connect_seconds)),
                ("grpc.initial_reconnect_backoff_ms", int(500 * self._connect_seconds)),
                ("grpc.max_reconnect_backoff_ms", int(1000 * RECONNECT_SECONDS)),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        return _Stub(
            channel=channel,
            predict=channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict",
                request_serializer=wire.PredictRequest.SerializeToString,
                response_deserializer=wire.PredictResponse.FromString,
            ),
            status=channel.unary_unary(
                "/tensorflow.serving.ModelService/GetModelStatus",
                request_serializer=wire.GetModelStatusRequest.SerializeToString,
                response_deserializer=wire.GetModelStatusResponse.FromString,
            ),
            process=os.getpid(),
            opened_at=time.monotonic(),
        )

    def _failed(self, stub: _Stub, error: grpc.RpcError) -> Exception:
        expired = time.monotonic() - stub.opened_at > REPLACE_SECONDS
        if error.code() is grpc.StatusCode.UNAVAILABLE and expired:
            with self._lock:
                if self._stub is stub:  # dropped, not closed: others may still be waiting on it
                    self._stub = None
        return grpc_errors.translate(error)


def _metadata() -> tuple[tuple[str, str], ...]:
    """Return what ties a call to the span it belongs to (https://www.w3.org/TR/trace-context/)."""
    parent = traceparent()
    return (("traceparent", parent),) if parent else ()
