"""Every alert is sound, tried both ways, and told of in docs/alerts.md."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = ("alerts.yaml", "drift.yaml")


def load(name: str) -> Any:
    return yaml.safe_load((MONITORING / name).read_text())


def alerts() -> list[dict[str, Any]]:
    rules = [rule for name in RULES for group in load(name)["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule]


@pytest.mark.parametrize("name", RULES)
def test_the_rules_are_sound(promtool: str, name: str) -> None:
    promtool_run(promtool, "check", "rules", "--lint-fatal", name)


@pytest.mark.parametrize("name", ["alerts_test.yaml", "drift_test.yaml"])
def test_alerts_fire_where_they_should(promtool: str, name: str) -> None:
    promtool_run(promtool, "test", "rules", name)


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    promtool_run(promtool, "check", "config", "prometheus.yaml")


def promtool_run(promtool: str, *arguments: str) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_where_it_fires_and_where_it_does_not() -> None:
    tried: dict[str, set[bool]] = {}
    for name in ("alerts_test.yaml", "drift_test.yaml"):
        for case in load(name)["tests"]:
            for each in case["alert_rule_test"]:
                tried.setdefault(each["alertname"], set()).add(bool(each["exp_alerts"]))
    always = {"CxrWatchdog": {True}}
    assert tried == {alert["alert"]: {True, False} for alert in alerts()} | always


def test_each_alert_has_its_section_and_points_at_it() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) != []
    assert set(sections) == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        section = sections[alert["alert"]]
        assert section.startswith(f"`{alert['labels']['severity']}`. ")
        assert "- **See**: " in section
        assert "- **Do**: " in section
        assert alert["annotations"]["runbook_url"] == f"docs/alerts.md#{alert['alert'].lower()}"


def test_each_alert_has_a_severity_and_a_summary() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning", "info", "none")
        assert alert["annotations"]["summary"].endswith(".")
