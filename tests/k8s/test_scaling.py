"""The scalers keep what a steady load needs, as Kubernetes' autoscaler is simulated with what they ask for."""

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
import yaml

from tests.k8s.build import K8S

UTILISATION: Final = 0.7  # as docs/capacity.md reckons
TICK: Final = 15  # seconds between scrapes, and between looks of the autoscaler
JOB_SECONDS: Final = 0.05
CALLERS: Final = 48  # that call at most
WARM: Final = 600 // TICK

Figures = Mapping[str, float]
# One term of a sum: its weight, its series, and the minutes that it is averaged over.
TERM: Final = re.compile(
    r"(?:(\d+) \* )?(?:max|sum)\((?:avg_over_time\()?(cxr_\w+)\{[^}]*\}(?:\[(\d+)m\])?"
)


def scaler(name: str) -> dict[str, Any]:
    text = (K8S / "components" / "keda" / "scaled-objects.yaml").read_text()
    (spec,) = [
        each["spec"] for each in yaml.safe_load_all(text) if each["metadata"]["name"] == name
    ]
    return dict(spec)


def simulate(name: str, figures: Callable[[int], Figures], pods: int) -> list[int]:
    """Return the pods there are at each tick of two hours.

    The autoscaler takes the most that was wanted within its window, leaves a tenth of difference alone,
    and does not take away more within a period than its policy allows:
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
    """
    spec = scaler(name)
    (trigger,) = [each["metadata"] for each in spec["triggers"]]
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    (policy,) = down["policies"]
    terms = TERM.findall(trigger["query"])
    assert [each[1] for each in terms] == re.findall(r"cxr_\w+", trigger["query"])
    seen: list[Figures] = []
    wanted: deque[int] = deque(maxlen=down["stabilizationWindowSeconds"] // TICK)
    counts = [pods]
    for _ in range(2 * 3600 // TICK):
        seen.append(figures(pods))
        value = 0.0
        for weight, series, minutes in terms:
            last = seen[-max(1, int(minutes or 0) * 60 // TICK) :]
            value += int(weight or 1) * sum(each[series] for each in last) / len(last)
        asked = value / float(trigger["threshold"])
        want = pods if abs(asked / pods - 1) <= 0.1 else math.ceil(asked)
        wanted.append(min(spec["maxReplicaCount"], max(spec["minReplicaCount"], want)))
        before = max(counts[-policy["periodSeconds"] // TICK :])
        share = policy["type"] == "Percent"
        least = int(before * (1 - policy["value"] / 100)) if share else before - policy["value"]
        kept = min(pods, max(*wanted, least))
        pods = min(max(wanted[-1], kept), max(2 * pods, pods + 4))
        counts.append(pods)
    return counts


def workers_at(load: float) -> Callable[[int], Figures]:
    """Return what is seen of tasks that keep so many workers at work; what finds none waits."""
    waiting = 0.0

    def figures(pods: int) -> Figures:
        nonlocal waiting
        due = waiting + load * TICK / JOB_SECONDS
        waiting = max(0.0, due - pods * TICK / JOB_SECONDS)
        running = min(pods, due * JOB_SECONDS / TICK)
        return {"cxr_tasks_waiting": waiting, "cxr_tasks_running": running}

    return figures


def calls_at(load: float, series: str) -> Callable[[int], Figures]:
    """Return what is seen of calls that keep so many servers at work, each a queue before two cores (M/M/2)."""

    def figures(pods: int) -> Figures:
        busy = load / pods
        calls = pods * 2 * busy / (1 - busy**2) if busy < 1 else CALLERS
        return {"cxr_model_calls_in_flight": 0, "cxr_workers_busy": 0, series: min(CALLERS, calls)}

    return figures


@pytest.mark.parametrize("needed", [3, 8, 14, 20])
@pytest.mark.parametrize("start", [2, 20])
def test_a_steady_load_keeps_its_workers(needed: int, start: int) -> None:
    pods = simulate("worker", workers_at(needed * UTILISATION), start)
    assert min(pods[WARM:]) == pods[-1]
    assert needed <= pods[-1] <= 1.1 * needed


@pytest.mark.parametrize("needed", [3, 5, 8])
@pytest.mark.parametrize("start", [2, 8])
@pytest.mark.parametrize("series", ["cxr_model_calls_in_flight", "cxr_workers_busy"])
def test_a_steady_load_keeps_its_model_servers(needed: int, start: int, series: str) -> None:
    pods = simulate("model-server", calls_at(needed * UTILISATION, series), start)
    assert min(pods[WARM:]) == pods[-1] == needed


def test_workers_that_are_all_busy_are_kept() -> None:
    for count in range(2, 21):
        pods = simulate("worker", workers_at(count), count)
        assert min(pods) == count
