"""A real Prometheus asks the real service: what it is told is sound, documented, and what dashboards and alerts use."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.crew import Crew, Process, running_crew
from tests.support.images import gradient, png
from tests.support.prometheus_server import Prometheus, running_prometheus

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
IMAGE = png(gradient(200, 150))
NAME = re.compile(
    r"\b(?:(?:cxr|process|python)_\w+|(?:service|route|label):\w+:\w+|up)\b(?=[\s{\[)+*/><=-]|$)"
)


@dataclass
class Watched:
    """The service and who watches it."""

    crew: Crew
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, prometheus: str) -> Iterator[Watched]:
    """Run both, with every kind of event once, so that every metric has a series."""
    from export.servable import export_model
    from tests.support.tiny_models import PLANTED_LABELS, planted_model

    folder = tmp_path_factory.mktemp("watched")
    export_model(planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale")
    with running_crew(folder / "stack", folder / "densenet", MODEL_TIMEOUT="3") as crew:
        targets = {"cxr-api": _addresses(crew.apis), "cxr-worker": _addresses(crew.workers)}
        with running_prometheus(prometheus, folder / "prometheus", targets) as running:
            running.wait_for_targets(4)
            for _ in range(3):
                _events(crew)
            crew.stack.model.running.kill()
            assert crew.apis[0].client.post("/densenet_predict", files={"file": IMAGE}).is_error
            time.sleep(3)  # three scrapes and evaluations
            yield Watched(crew, running)


def _addresses(processes: list[Process]) -> list[str]:
    return [each.client.base_url.netloc.decode() for each in processes]


def _events(crew: Crew) -> None:
    tasks = crew.stack.submit([IMAGE] * 6 + [b"no image"])
    for api in crew.apis:
        assert api.client.post("/densenet_predict", files={"file": IMAGE}).status_code == 200
        assert api.client.post("/densenet_predict", files={"file": b"no"}).status_code == 400
    crew.stack.wait(tasks)
    time.sleep(1.5)


def test_promtool_finds_nothing_to_mend_in_what_processes_answer(
    watched: Watched, promtool: str
) -> None:
    for each in [*watched.crew.apis, *watched.crew.workers]:
        done = subprocess.run(
            [promtool, "check", "metrics"],
            input=each.text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def documented() -> dict[str, tuple[str, ...]]:
    """Return names and labels as the table of docs/metrics.md has them."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(cxr_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    assert all(kind in ("counter", "gauge", "histogram") and unit for _, kind, unit, _ in rows)
    return {name: tuple(re.findall(r"`(\w+)`", labels)) for name, _, _, labels in rows}


def answered(watched: Watched) -> dict[str, tuple[str, ...]]:
    """Return names and labels as the processes answer them."""
    found: dict[str, tuple[str, ...]] = {}
    for each in [*watched.crew.apis, *watched.crew.workers]:
        for family in text_string_to_metric_families(each.text()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if name.startswith("cxr_") and not name.endswith("_created"):
                labels = {key for sample in family.samples for key in sample.labels} - {"le"}
                found[name] = tuple(sorted({*found.get(name, ()), *labels}))
    return found


def test_every_metric_is_documented_with_its_labels(watched: Watched) -> None:
    told = {name: tuple(sorted(labels)) for name, labels in documented().items()}
    assert told == answered(watched)


def expressions() -> Iterator[tuple[str, str]]:
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]
    for name in ("alerts.yaml", "drift.yaml", "backup.yaml"):
        for group in yaml.safe_load((MONITORING / name).read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]


def test_every_query_is_sound_and_asks_for_metrics_that_exist(watched: Watched) -> None:
    existing = watched.prometheus.names()
    recorded = {name for name, _ in expressions() if ":" in name}
    asked: set[str] = set()
    for where, expression in expressions():
        watched.prometheus.query(filled(expression))
        names = set(NAME.findall(expression))
        assert names or where == "CxrWatchdog", (where, expression)
        assert names <= existing | recorded, (where, names - existing)
        asked |= names
    of_service = {name for name in existing if name.startswith("cxr_")}
    assert len(asked & of_service) > 30  # the names were found, and not passed over


def filled(expression: str) -> str:
    """Return an expression as Grafana would ask it."""
    return expression.replace("$__rate_interval", "10s").replace("$label", ".*")


def test_panels_of_the_busy_service_show_something(watched: Watched) -> None:
    empty = []
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            found: list[Any] = []
            for target in panel["targets"]:
                wide = filled(target["expr"]).replace("[10s]", "[2m]")
                found += watched.prometheus.query(wide)
            if not found:
                empty.append(panel["title"])
    # these compare with the week before, which this Prometheus has not seen
    assert empty == [
        "Drift of positives against the week before",
        "Drift of probabilities against the week before",
        "Distribution of probabilities, a day, a week ago",
    ]


def test_the_alert_on_a_model_that_is_away_is_under_way(watched: Watched) -> None:
    assert watched.prometheus.query('ALERTS{alertname="CxrModelAway"}')
    assert not watched.prometheus.query('ALERTS{alertname="CxrRedisAway"}')
