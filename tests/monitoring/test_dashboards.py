"""The dashboards are what Grafana's provisioning takes; their queries are run in test_prometheus.py."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

GRAFANA = Path(__file__).parents[2] / "monitoring" / "grafana"
NAMES = ("service", "queue", "model")
# https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
COLUMNS = 24
PANELS = {"timeseries", "stat", "bargauge"}
UNITS = {"none", "s", "bytes", "percentunit", "reqps", "ops"}


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest) -> Any:
    return json.loads((GRAFANA / "dashboards" / f"{request.param}.json").read_text())


def test_the_folder_holds_these_dashboards_and_no_other() -> None:
    assert {path.stem for path in (GRAFANA / "dashboards").iterdir()} == set(NAMES)
    uids = [
        json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())["uid"] for name in NAMES
    ]
    assert len(set(uids)) == len(NAMES)


def test_the_head_is_complete(dashboard: Any) -> None:
    assert set(dashboard) >= {"uid", "title", "schemaVersion", "version", "time", "panels", "tags"}
    assert "id" not in dashboard  # of the database; a provisioned one has none
    assert len(dashboard["uid"]) <= 40
    assert dashboard["schemaVersion"] >= 36
    assert set(dashboard["time"]) == {"from", "to"}


def test_panels_are_complete_and_ask_the_datasource_that_is_chosen(dashboard: Any) -> None:
    choice, *variables = dashboard["templating"]["list"]
    # Whoever runs a Grafana already has named its data source: Kubernetes does not have the one that Compose makes.
    assert (choice["name"], choice["type"], choice["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert choice["current"]["value"] == "default"
    expected = {"type": "prometheus", "uid": "${datasource}"}
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    for panel in dashboard["panels"]:
        assert panel["type"] in PANELS
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["fieldConfig"]["overrides"] == []
        assert panel["datasource"] == expected
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
        for target in panel["targets"]:
            assert target["datasource"] == expected
            assert target["range"] is not target["instant"]
    for variable in variables:
        assert variable["datasource"] == expected


def test_the_provisioned_datasource_is_the_default_one() -> None:
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )
    (source,) = provisioned["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)


def cells(panel: Any) -> Iterator[tuple[int, int]]:
    place = panel["gridPos"]
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_panels_lie_in_the_grid_and_not_on_each_other(dashboard: Any) -> None:
    for panel in dashboard["panels"]:
        assert all(0 <= x < COLUMNS and y >= 0 for x, y in cells(panel))
    for one, other in combinations(dashboard["panels"], 2):
        assert not set(cells(one)) & set(cells(other)), (one["title"], other["title"])


def test_the_provider_looks_where_dashboards_are_mounted() -> None:
    found = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "cxr.yaml").read_text())
    assert found["apiVersion"] == 1
    assert [each["options"]["path"] for each in found["providers"]] == [
        "/var/lib/grafana/dashboards"
    ]


def test_the_kustomization_names_every_dashboard() -> None:
    root = GRAFANA.parent
    found = yaml.safe_load((root / "kustomization.yaml").read_text())
    files = {file for each in found["configMapGenerator"] for file in each["files"]}
    assert files == {*(f"grafana/dashboards/{name}.json" for name in NAMES)}
