"""Test the client of the model server against a fake one that speaks gRPC."""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator import errors
from orchestrator.model import channel as model_channel
from orchestrator.model import client as model_client
from orchestrator.model import grpc_errors
from orchestrator.model import wire_pb2 as wire
from orchestrator.model.client import ModelClient
from serving.contract import ModelCard
from tests.support.fake_model_server import (
    CARD,
    MAPS,
    OUTPUTS,
    PROBABILITIES,
    FakeServer,
    connected,
    serving,
)
from tests.support.ports import free_port


def pixels(card: ModelCard = CARD) -> NDArray[np.uint8]:
    return np.zeros((card.input_height, card.input_width), np.uint8)


def test_a_prediction_comes_with_the_card_of_its_version() -> None:
    with connected(FakeServer()) as client:
        servable, prediction = client.predict(pixels)
    assert (servable.version, servable.card) == (1, CARD)
    assert prediction.version == 1
    np.testing.assert_array_equal(prediction.probabilities, PROBABILITIES[0])
    np.testing.assert_array_equal(prediction.activation_maps, MAPS[0])


def test_the_card_is_asked_for_once() -> None:
    fake = FakeServer()
    with connected(fake) as client:
        for _ in range(5):
            client.predict(pixels)
    assert fake.describes == 1


def test_a_card_is_asked_for_again_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_client, "CARD_SECONDS", 0.0)
    fake = FakeServer()
    with connected(fake) as client:
        client.describe()
        fake.cards[1] = replace(CARD, labels=("Other", "Model"))
        assert client.describe().card.labels == ("Other", "Model")


def test_a_new_version_is_followed_at_once() -> None:
    fake = FakeServer()
    with connected(fake) as client:
        client.predict(pixels)
        fake.cards = {1: CARD, 2: replace(CARD, labels=("Mass", "Edema"))}
        servable, prediction = client.predict(pixels)
        assert (servable.version, prediction.version) == (2, 2)
        assert servable.card.labels == ("Mass", "Edema")
        fake.cards.pop(2)
        assert client.predict(pixels)[0].version == 1


def test_an_image_is_prepared_again_for_a_version_of_another_input_size() -> None:
    fake = FakeServer()
    with connected(fake) as client:
        client.predict(pixels)
        fake.cards = {2: replace(CARD, input_height=8)}
        servable, _ = client.predict(pixels)
    assert servable.version == 2
    assert fake.shapes[-2:] == [(1, 4, 6, 1), (1, 8, 6, 1)]


def test_an_image_is_prepared_again_for_a_version_that_crops() -> None:
    fake = FakeServer()
    modes: list[str] = []

    def preprocess(card: ModelCard) -> NDArray[np.uint8]:
        modes.append(card.resize)
        return pixels(card)

    with connected(fake) as client:
        client.predict(preprocess)
        fake.cards = {2: replace(CARD, resize="crop")}
        client.predict(preprocess)
    assert modes == ["squash", "squash", "crop"]


def test_servers_that_answer_in_turn_with_versions_of_two_input_sizes_are_asked_for_one() -> None:
    class InTurn(dict[str, int]):
        versions = cycle((1, 2))

        def __getitem__(self, label: str) -> int:
            return next(self.versions)

    cards = {1: CARD, 2: replace(CARD, input_height=8)}
    fake = FakeServer(cards=cards, labels=InTurn(stable=1))
    with connected(fake, label="stable") as client:
        for _ in range(4):
            servable, prediction = client.predict(pixels)
            assert prediction.version == servable.version
            assert fake.shapes[-1] == (1, servable.card.input_height, 6, 1)


def test_versions_that_are_gone_whenever_they_are_asked_for_are_given_up() -> None:
    sizes = cycle((8, 4))
    fake = FakeServer()

    def preprocess(card: ModelCard) -> NDArray[np.uint8]:
        fake.cards = {max(fake.cards) + 1: replace(CARD, input_height=next(sizes))}
        return np.zeros((card.input_height, 6), np.uint8)

    with connected(fake) as client, pytest.raises(errors.ModelMovedError, match="being replaced"):
        client.predict(preprocess)
    assert max(fake.cards) == 1 + model_client._ATTEMPTS


def test_a_version_that_goes_as_it_has_answered_is_left_for_the_next() -> None:
    fake = FakeServer()

    def during_predict() -> None:
        fake.cards = {2: replace(CARD, labels=("Mass", "Edema"))}
        client.forget()

    with connected(fake) as client:
        client.describe()
        fake.during_predict = during_predict
        servable, prediction = client.predict(pixels)
    assert (servable.version, prediction.version) == (2, 2)


def test_an_image_that_met_those_of_another_size_in_a_batch_is_sent_again() -> None:
    words = "Dimensions of inputs should match: shape[0] = [1,8,6,1] vs. shape[1] = [1,4,6,1]"
    fake = FakeServer()
    with connected(fake) as client:
        client.describe()
        fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, words)]
        assert client.predict(pixels)[0].version == 1


def test_a_version_that_refuses_what_its_own_card_wants_is_not_asked_time_and_again() -> None:
    fake = FakeServer(outputs={})
    with connected(fake) as client, pytest.raises(errors.ModelContractError):
        client.predict(pixels)
    assert len(fake.shapes) == 2


def test_a_labelled_version_is_asked_for_and_followed_when_the_label_moves() -> None:
    cards = {1: CARD, 2: replace(CARD, labels=("Mass", "Edema"))}
    fake = FakeServer(cards=cards, labels={"stable": 1, "canary": 2})
    with connected(fake, label="stable") as client:
        servable, prediction = client.predict(pixels)
        assert (servable.version, prediction.version) == (1, 1)
        fake.labels["stable"] = 2
        servable, prediction = client.predict(pixels)
        assert (servable.version, prediction.version) == (2, 2)
        assert servable.card.labels == ("Mass", "Edema")


def test_a_label_that_no_version_has_may_come() -> None:
    fake = FakeServer()
    with connected(fake, label="canary") as client:
        with pytest.raises(errors.ModelUnavailableError, match="MODEL_LABEL"):
            client.predict(pixels)
        fake.labels["canary"] = 1
        assert client.predict(pixels)[0].version == 1


def test_status_names_every_version() -> None:
    with connected(FakeServer(cards={1: CARD, 3: CARD})) as client:
        assert client.states() == ["AVAILABLE", "AVAILABLE"]


def test_status_without_a_model_is_unavailable() -> None:
    with connected(FakeServer(cards={})) as client, pytest.raises(errors.ModelUnavailableError):
        client.states(timeout=1.0)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        OUTPUTS | {"probabilities": PROBABILITIES[:, :1]},
        OUTPUTS | {"activation_maps": MAPS[..., :2]},
        OUTPUTS | {"probabilities": PROBABILITIES.astype(np.int32)},
        OUTPUTS | {"probabilities": PROBABILITIES * np.float32("nan")},
    ],
    ids=["nothing", "labels", "map size", "type", "nan"],
)
def test_outputs_that_contradict_the_card_are_refused(
    outputs: dict[str, NDArray[np.float32]],
) -> None:
    with (
        connected(FakeServer(outputs=outputs)) as client,
        pytest.raises(errors.ModelContractError),
    ):
        client.predict(pixels)


@pytest.mark.parametrize(
    ("fake", "what"),
    [(FakeServer(told=b'{"name": 1}'), "model card"), (FakeServer(cut=True), "probabilities")],
    ids=["card", "tensor"],
)
def test_what_cannot_be_read_is_refused(fake: FakeServer, what: str) -> None:
    with (
        connected(fake) as client,
        pytest.raises(errors.ModelContractError, match=f"its {what} can't be read"),
    ):
        client.predict(pixels)


@pytest.mark.parametrize(
    "image",
    [np.zeros((0, 4), np.uint8), np.zeros((1, 4, 6), np.uint8), np.zeros((4, 6), np.float32)],
    ids=["empty", "rank", "type"],
)
def test_other_pixels_than_a_gray_image_are_refused(image: NDArray[np.uint8]) -> None:
    fake = FakeServer()
    with connected(fake) as client, pytest.raises(ValueError, match="expected uint8"):
        client.predict(lambda _: image)
    assert not fake.shapes


def test_every_grpc_code_is_translated() -> None:
    assert set(grpc_errors.TRANSLATION) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    ("code", "details", "error", "retry_after"),
    [
        ("UNAVAILABLE", "Socket closed", errors.ModelUnavailableError, 5),
        ("UNAVAILABLE", "The batch scheduling queue to which", errors.BusyError, 1),
        ("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted", errors.BusyError, 1),
        ("NOT_FOUND", "Servable not found", errors.ModelUnavailableError, 5),
        ("INVALID_ARGUMENT", "input tensor alias", errors.ModelContractError, None),
        ("FAILED_PRECONDITION", "signature key", errors.ModelContractError, None),
        ("FAILED_PRECONDITION", "have different shapes and padding", errors.ModelMovedError, 5),
        ("INTERNAL", "GPU sync failed", errors.ModelFailedError, 5),
        ("UNKNOWN", "Stream removed", errors.ModelFailedError, 5),
    ],
)
def test_a_code_becomes_an_error_that_keeps_its_cause(
    code: str, details: str, error: type[errors.ServiceError], retry_after: int | None
) -> None:
    fake = FakeServer()
    with connected(fake) as client:
        client.describe()
        fake.failures = [(grpc.StatusCode[code], details)] * 3
        with pytest.raises(error) as caught:
            client.predict(pixels)
    assert type(caught.value) is error
    assert caught.value.retry_after == retry_after
    assert details not in caught.value.detail
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_a_server_that_goes_away_once_is_asked_again() -> None:
    fake = FakeServer()
    with connected(fake) as client:
        client.describe()
        fake.failures = [(grpc.StatusCode.UNAVAILABLE, "Socket closed")]
        assert client.predict(pixels)[0].version == 1


def test_an_answer_larger_than_the_limit_is_not_taken_for_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_channel, "MAX_MESSAGE_BYTES", 900)
    fake = FakeServer()
    with connected(fake) as client:
        client.describe()
        fake.outputs["more"] = np.zeros(1000, np.float32)
        with pytest.raises(errors.ModelContractError):
            client.predict(pixels)


def test_a_slow_model_is_a_timeout() -> None:
    released = threading.Event()

    def during_predict() -> None:
        released.wait(5)

    fake = FakeServer(during_predict=during_predict)
    with connected(fake, deadline=0.5) as client:
        client.describe()
        with pytest.raises(errors.ModelTimeoutError):
            client.predict(pixels)
        released.set()


def test_so_is_a_deadline_that_passed_while_an_image_was_prepared() -> None:
    def preprocess(card: ModelCard) -> NDArray[np.uint8]:
        time.sleep(0.6)
        return pixels(card)

    fake = FakeServer()
    with connected(fake, deadline=0.5) as client, pytest.raises(errors.ModelTimeoutError):
        client.predict(preprocess)
    assert not fake.shapes


def test_a_closed_port_is_unavailable_at_once() -> None:
    client = ModelClient(f"127.0.0.1:{free_port()}", deadline=5.0)
    started = time.monotonic()
    with pytest.raises(errors.ModelUnavailableError) as caught:
        client.predict(pixels)
    assert time.monotonic() - started < 4
    assert caught.value.retry_after == 5
    client.close()


def test_a_port_that_never_answers_is_unavailable_within_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = ModelClient(f"127.0.0.1:{silent.getsockname()[1]}", deadline=1.0)
        started = time.monotonic()
        with pytest.raises(errors.ModelUnavailableError):
            client.predict(pixels)
        assert time.monotonic() - started < 3
        client.close()


def test_a_server_that_comes_back_is_found_again() -> None:
    port = free_port()
    client = ModelClient(f"127.0.0.1:{port}", deadline=2.0)
    with serving(FakeServer(), port):
        client.predict(pixels)
    with pytest.raises(errors.ModelUnavailableError):
        client.predict(pixels)
    with serving(FakeServer(), port):
        until = time.monotonic() + 20
        while True:
            try:
                client.predict(pixels)
                break
            except errors.ModelUnavailableError:
                assert time.monotonic() < until
                time.sleep(0.05)
    client.close()


def test_a_channel_that_failed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_channel, "REPLACE_SECONDS", 0.0)
    channel = model_channel.ModelChannel(f"127.0.0.1:{free_port()}", deadline=1.0)
    opened = channel._open()
    with pytest.raises(errors.ModelUnavailableError):
        channel.status(wire.GetModelStatusRequest(), timeout=1.0)
    assert channel._open() is not opened
    channel.close()


def test_as_many_threads_as_call_reach_the_server_at_once() -> None:
    together = threading.Barrier(20)

    def during_predict() -> None:
        together.wait(4)

    with (
        connected(FakeServer(during_predict=during_predict)) as client,
        ThreadPoolExecutor(20) as callers,
    ):
        answers = list(callers.map(lambda _: client.predict(pixels), range(20)))
    assert [prediction.version for _, prediction in answers] == [1] * 20


def test_many_threads_share_one_client() -> None:
    with connected(FakeServer()) as client, ThreadPoolExecutor(16) as callers:
        results = list(callers.map(lambda _: client.predict(pixels), range(200)))
    assert {servable.version for servable, _ in results} == {1}


def test_each_process_opens_its_own_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = model_channel.ModelChannel("127.0.0.1:1", deadline=1.0)
    opened = channel._open()
    assert channel._open() is opened
    monkeypatch.setattr(os, "getpid", os.getppid)
    assert channel._open() is not opened


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("densenet:8500", "dns:///densenet:8500"),
        ("ipv4:///127.0.0.1:8500", "ipv4:///127.0.0.1:8500"),
        ("unix:/run/model.sock", "unix:/run/model.sock"),
    ],
)
def test_a_bare_target_is_resolved_by_dns(target: str, expected: str) -> None:
    assert model_channel.ModelChannel(target, deadline=1.0).target == expected
