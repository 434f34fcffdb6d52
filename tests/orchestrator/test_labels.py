"""Labels that the model doesn't have are told of before a task is made, and never in place of accepting one."""

from dataclasses import replace

import grpc
import pytest

from orchestrator.errors import ParameterError
from orchestrator.model.client import ModelClient
from orchestrator.routes.labels import refuse_early
from orchestrator.study import Options
from tests.support.fake_model_server import CARD, FakeServer, connected, serving
from tests.support.ports import free_port

GOUT = Options(heatmaps=("Gout",))


def test_an_unknown_label_is_refused_with_those_there_are() -> None:
    with connected(FakeServer()) as model:
        model.describe()
        with pytest.raises(ParameterError, match=r"labels out of Edema, Mass; got") as told:
            refuse_early(Options(heatmaps=("mass", "Gout", "Edema", "")), model)
    assert told.value.detail.endswith("got a name that is none of them in place 2")


@pytest.mark.parametrize("heatmaps", ["positive", "all", "none", ("mass",), ("Edema", "MASS")])
def test_what_the_model_has_costs_no_call(heatmaps: str | tuple[str, ...]) -> None:
    fake = FakeServer()
    with connected(fake) as model:
        model.describe()
        refuse_early(Options(heatmaps=heatmaps), model)  # type: ignore[arg-type]
    assert fake.describes == 1


def test_a_label_of_the_model_that_is_served_by_now_is_accepted() -> None:
    fake = FakeServer()
    with connected(fake) as model:
        model.describe()
        fake.cards[2] = replace(CARD, labels=("Edema", "Gout"))
        refuse_early(GOUT, model)
        with pytest.raises(ParameterError, match="Edema, Gout;"):
            refuse_early(Options(heatmaps=("Mass",)), model)


def test_nothing_is_refused_while_nobody_knows_the_model() -> None:
    fake = FakeServer()
    with connected(fake) as model:
        refuse_early(GOUT, model)
        model.describe()
        fake.failures = [(grpc.StatusCode.UNAVAILABLE, "away")] * 20
        refuse_early(GOUT, model)
    assert fake.describes == 1


def test_a_model_server_that_went_away_does_not_keep_a_task_from_being_accepted() -> None:
    port = free_port()
    model = ModelClient(f"127.0.0.1:{port}", deadline=5.0)
    with serving(FakeServer(), port):
        model.describe()
    refuse_early(GOUT, model)
    model.close()
