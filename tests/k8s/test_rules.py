"""The Prometheus Operator gets the rules that are tried elsewhere."""

import re

import yaml

from tests.k8s.build import K8S, ROOT
from tests.k8s.rules import CLUSTER, SOURCES, TARGET, prometheus_rule


def test_the_operators_rules_are_those_of_monitoring() -> None:
    assert TARGET.read_text() == prometheus_rule(), "run 'make rules'"
    groups = yaml.safe_load(TARGET.read_text())["spec"]["groups"]
    files = [ROOT / "monitoring" / name for name in (*SOURCES, *CLUSTER)]
    loaded = [yaml.safe_load(file.read_text()) for file in files]
    assert groups == [group for each in loaded for group in each["groups"]]
    names = yaml.safe_load((ROOT / "monitoring" / "prometheus.yaml").read_text())["rule_files"]
    assert names == list(SOURCES)


def test_the_backup_has_the_name_that_its_rule_knows() -> None:
    text = (ROOT / "monitoring" / "backup.yaml").read_text()
    objects = yaml.safe_load_all((K8S / "components" / "redis-backup" / "backup.yaml").read_text())
    (name,) = [each["metadata"]["name"] for each in objects if each["kind"] == "CronJob"]
    assert set(re.findall(r'cronjob="([^"]+)"', text)) == {name}


def test_jobs_have_the_names_that_rules_and_dashboards_know() -> None:
    text = (K8S / "components" / "monitoring" / "monitors.yaml").read_text()
    jobs = set(re.findall(r"targetLabel: job, replacement: (\S+)}", text))
    scraped = yaml.safe_load((ROOT / "monitoring" / "prometheus.yaml").read_text())
    assert jobs == {job["job_name"] for job in scraped["scrape_configs"]} - {"prometheus"}


def test_what_scales_is_asked_for_by_its_name() -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text()
    text = (K8S / "components" / "keda" / "scaled-objects.yaml").read_text()
    names = set(re.findall(r"\bcxr_[a-z_]+", text))
    assert names == {
        "cxr_tasks_waiting",
        "cxr_tasks_running",
        "cxr_model_calls_in_flight",
        "cxr_workers_busy",
    }
    for name in names:
        assert f"`{name}`" in documented
