"""Every alert is sound, tried both ways, and told of in docs/alerts.md."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = ("alerts.yaml", "drift.yaml", "backup.yaml")
TESTS = tuple(name.replace(".yaml", "_test.yaml") for name in RULES)


def load(name: str) -> Any:
    return yaml.safe_load((MONITORING / name).read_text())


def alerts(*names: str) -> list[dict[str, Any]]:
    names = names or RULES
    rules = [rule for name in names for group in load(name)["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule]


@pytest.mark.parametrize("name", RULES)
def test_the_rules_are_sound(promtool: str, name: str) -> None:
    promtool_run(promtool, "check", "rules", "--lint-fatal", name)


@pytest.mark.parametrize("name", TESTS)
def test_alerts_fire_where_they_should(promtool: str, name: str) -> None:
    promtool_run(promtool, "test", "rules", name)


@pytest.mark.parametrize("name", TESTS)
def test_a_namespace_that_is_well_does_not_silence_another(
    promtool: str, name: str, tmp_path: Path
) -> None:
    cases = list(side_by_side(load(name)["tests"]))
    fired = {case["alert_rule_test"][0]["alertname"] for case in cases}
    rules = {rule["alert"] for rule in alerts(name.replace("_test", ""))}
    assert fired == rules - {"CxrWatchdog"}
    whole = {
        **load(name),
        "rule_files": [str(MONITORING / each) for each in load(name)["rule_files"]],
        "tests": cases,
    }
    (tmp_path / name).write_text(yaml.safe_dump(whole))
    promtool_run(promtool, "test", "rules", str(tmp_path / name))


def side_by_side(cases: list[Any]) -> Iterator[Any]:
    """Give each case that fires again, with one that does not in another namespace."""
    well: dict[tuple[str, str], list[Any]] = {}
    for case in cases:
        (asked,) = case["alert_rule_test"]
        if not asked["exp_alerts"]:
            key = asked["alertname"], asked["eval_time"]
            well.setdefault(key, in_namespace("well", case))
    for case in cases:
        (asked,) = case["alert_rule_test"]
        key = asked["alertname"], asked["eval_time"]
        # where Prometheus asks nobody it knows no namespace either
        if asked["exp_alerts"] and key in well and "finds none" not in case["name"]:
            (expected,) = asked["exp_alerts"]
            labels = {**expected["exp_labels"], "namespace": "broken"}
            yield {
                **case,
                "input_series": [*in_namespace("broken", case), *well[key]],
                "alert_rule_test": [{**asked, "exp_alerts": [{**expected, "exp_labels": labels}]}],
            }


def in_namespace(namespace: str, case: Any) -> list[Any]:
    """Return the series of a case as the operator's monitors label them."""
    found = []
    for each in case["input_series"]:
        name, _, labels = each["series"].removesuffix("}").partition("{")
        series = f'{name}{{namespace="{namespace}"{", " * bool(labels)}{labels}}}'
        found.append({**each, "series": series})
    return found


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    promtool_run(promtool, "check", "config", "prometheus.yaml")


def promtool_run(promtool: str, *arguments: str) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_where_it_fires_and_where_it_does_not() -> None:
    tried: dict[str, set[bool]] = {}
    for name in TESTS:
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
