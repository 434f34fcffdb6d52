"""Wire the stand-in together: load, then open the ports, then wait for a signal."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from serving.embedded.core import ServerCore
from serving.embedded.errors import ServingError, failed_precondition
from serving.embedded.manager import ModelManager
from serving.embedded.metrics import Metrics
from serving.embedded.options import ServerOptions
from serving.embedded.rest import status_server
from serving.embedded.servable import Servable
from serving.embedded.services import grpc_server
from serving.embedded.warmup import warm_up

_log = logging.getLogger(__name__)

# Seconds that requests in flight get to finish when the server is told to stop.
STOP_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 0.2


class ModelServer:
    """Serve models until told to stop.

    Args:
        options: The flags.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._stopping = threading.Event()
        self._models = [
            ModelManager(model, self._load, options.load_policy) for model in options.models
        ]
        self._metrics = Metrics()
        self._core = ServerCore(
            self._models,
            as_content=options.enable_serialization_as_tensor_content,
            metrics=self._metrics,
        )

    def run(self) -> None:
        """Load, open the ports, and return after SIGTERM or SIGINT.

        When the ports are open, a line of JSON on standard output tells which they are.

        Raises:
            ServingError: A model did not load, or has a label while none may be at a version that isn't
                there yet: TF Serving then does not start either.
            OSError: A port is taken.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        if not self._options.allow_version_labels_for_unavailable_models:
            _refuse_labels(self._models)
        for model in self._models:
            model.start()
        try:
            for model in self._models:
                self._wait_for(model)
            if not self._stopping.is_set():
                self._serve()
        finally:
            for model in self._models:
                model.stop()

    def _load(self, path: Path) -> Servable:
        servable = Servable(
            path,
            batching=self._options.batching,
            intra_op_threads=self._options.intra_op_threads,
            inter_op_threads=self._options.inter_op_threads,
        )
        if self._options.enable_model_warmup:
            try:
                warm_up(servable, path)
            except ServingError:
                servable.close()
                raise
        return servable

    def _wait_for(self, model: ModelManager) -> None:
        while not model.wait_until_settled(_WAIT_SECONDS):
            if self._stopping.is_set():
                return
        for version in model.versions():
            if version.error is not None:
                raise failed_precondition(
                    f"1 servable(s) did not become available: {{{{name: {model.name} version: "
                    f"{version.number}}} due to error: {version.error.message}}}"
                )

    def _serve(self) -> None:
        options = self._options
        server = grpc_server(
            self._core,
            max_threads=options.grpc_max_threads,
            arguments=options.grpc_channel_arguments,
        )
        try:
            port = server.add_insecure_port(f"{options.host}:{options.port}")
        except RuntimeError as err:
            raise OSError(f"could not listen on {options.host}:{options.port}: {err}") from err
        server.start()
        # TF Serving opens no REST port for 0, its default.
        rest = None
        if options.rest_api_port:
            address = (options.host, options.rest_api_port)
            rest = status_server(address, self._core, self._metrics, options.metrics_path)
            threading.Thread(target=rest.serve_forever, name="rest", daemon=True).start()
        _log.info("Serving gRPC at %s:%d", options.host, port)
        _announce(port, options.rest_api_port)
        self._stopping.wait()
        _log.info("Stopping")
        if rest is not None:
            rest.shutdown()
        server.stop(STOP_SECONDS).wait()


def _refuse_labels(models: Sequence[ModelManager]) -> None:
    """Refuse every label, as TF Serving does at its start: it reads them before any version is available."""
    for model in models:
        for label, number in model.config.version_labels.items():
            raise failed_precondition(
                f"Request to assign label {label} to version {number} of model {model.name}, which "
                "is not currently available for inference"
            )


def _announce(grpc_port: int, rest_port: int) -> None:
    sys.stdout.write(json.dumps({"grpc_port": grpc_port, "rest_port": rest_port}) + "\n")
    sys.stdout.flush()
