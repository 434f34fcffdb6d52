"""Wrap the rules of monitoring/ into the object that the Prometheus Operator reads: ``make rules``."""

from pathlib import Path
from typing import Final

import yaml

from tests.k8s.build import K8S, ROOT

SOURCES: Final = ("alerts.yaml", "drift.yaml")
# What Prometheus is told on Kubernetes alone.
CLUSTER: Final = ("backup.yaml",)
TARGET: Final = K8S / "components" / "monitoring" / "rules.yaml"


def prometheus_rule() -> str:
    """Return the object as YAML."""
    groups = [
        group
        for name in (*SOURCES, *CLUSTER)
        for group in yaml.safe_load((ROOT / "monitoring" / name).read_text())["groups"]
    ]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "cxr"},
        "spec": {"groups": groups},
    }
    made_of = ", ".join(f"monitoring/{name}" for name in (*SOURCES, *CLUSTER))
    head = f"# Made of {made_of} by `make rules`; change those.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    Path(TARGET).write_text(prometheus_rule())
