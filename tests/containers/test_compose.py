"""What compose.yaml promises, read out of the file: nothing of it needs a container engine."""

import json
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.serve import GRACE_SECONDS
from orchestrator.settings import Settings
from orchestrator.startup import read_settings
from serving.contract import MODEL_NAME
from tests.containers.env_example import COMPOSE, FILE, ROOT, STACK, env_example
from tests.support.ports import free_port
from tests.support.reckoning import api_memory, memory_limit, worker_memory

KNOWN_FLAGS = {
    line.partition("=")[0]
    for line in (ROOT / "tests/serving/tf_serving_flags.txt").read_text().splitlines()
}
STACK_FILE: Any = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, Any] = STACK_FILE["services"]
VARIABLE = re.compile(r"\$\{([A-Z_]+)")
OWN_IMAGES = {"cxr-service", "cxr-export", "cxr-model-server"}


def settings() -> set[str]:
    return {name.upper() for name in Settings.__dataclass_fields__}


def without_variables(text: str) -> str:
    """Return a text as it reads when no variable is set."""
    return re.sub(r"\$\{[A-Z_]+(?::-([^}]*))?\}", lambda found: found[1] or "", text)


def seconds(duration: str) -> int:
    """Return a duration of compose in seconds."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def test_it_has_the_services_of_the_design() -> None:
    names = (
        "redis model-export model-server model-server-gpu api worker dashboard prometheus grafana"
    )
    assert set(SERVICES) == set(names.split())
    gpu = [name for name, service in SERVICES.items() if "profiles" in service]
    assert gpu == ["model-server-gpu"]
    assert SERVICES["worker"]["deploy"]["replicas"] == "${WORKER_CONTAINERS:-2}"


def test_the_example_of_an_environment_holds_every_setting() -> None:
    assert FILE.read_text() == env_example(), "run 'make env-example'"


def test_every_variable_is_a_setting_or_told_in_the_example() -> None:
    used = set(VARIABLE.findall(COMPOSE.read_text()))
    assert used <= settings() | {name for name, _, _ in STACK}


def test_everything_the_stack_tells_the_service_is_a_setting() -> None:
    for name in ("model-export", "api", "worker", "dashboard"):
        assert set(SERVICES[name]["environment"]) <= settings(), name
    wiring = {name: str(value) for name, value in STACK_FILE["x-wiring"].items()}
    assert Settings.from_mapping(wiring).model_server == "model-server:8500"


def test_what_others_need_of_the_settings_does_not_stop_the_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = {
        "API_KEYS_FILE": "models/no-such-file",
        "CLOUDINARY_API_KEY": "123",
        "MODEL_PATH": "models/my.keras",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "THRESHOLDS": "models/no-such-file.json",
    }
    for name, value in {**wanted, **SERVICES["model-export"]["environment"]}.items():
        monkeypatch.setenv(name, value)
    found = read_settings()
    assert found.model_path == Path("models/my.keras")
    assert found.otel_exporter_otlp_endpoint is None  # the lock of its image has no OpenTelemetry
    assert "opentelemetry" not in (ROOT / "requirements/export.txt").read_text()


def test_no_flag_of_the_model_server_would_be_ignored() -> None:
    given = [
        flag
        for name in ("model-server", "model-server-gpu")
        for flag in SERVICES[name].get("command", [])
    ]
    built_in = re.findall(r'"(--[^"]+)"', (ROOT / "serving/Dockerfile").read_text())
    assert len(given) >= 1
    assert len(built_in) >= 8
    names = {flag.removeprefix("--").partition("=")[0] for flag in (*given, *built_in)}
    assert names <= KNOWN_FLAGS


def test_configuration_files_that_flags_name_are_in_the_image() -> None:
    text = (ROOT / "serving/Dockerfile").read_text()
    # whatever the umask of the checkout, the server's user must be able to read them
    copied = re.search(r"^COPY --chmod=644 (.+) /etc/tensorflow-serving/$", text, re.MULTILINE)
    assert copied is not None
    named = re.findall(r"=/etc/tensorflow-serving/([a-z.]+)", text)
    assert set(named) == set(copied[1].split())
    assert all((ROOT / "serving" / name).is_file() for name in named)


def test_ports_are_published_on_loopback_unless_told_otherwise() -> None:
    published = {
        name: [without_variables(port) for port in service.get("ports", [])]
        for name, service in SERVICES.items()
    }
    assert {name: ports for name, ports in published.items() if ports} == {
        "api": ["127.0.0.1:5000:5000"],
        "dashboard": ["127.0.0.1:5555:5555"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_a_variable_means_the_same_to_every_reader() -> None:
    """podman-compose fills a service's variables in from that service's own environment as well."""
    for name, service in SERVICES.items():
        inside = {key: str(value) for key, value in service.get("environment", {}).items()}
        for variable, default in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", str(service)):
            if "${" not in inside.get(variable, "${"):
                assert inside[variable] == default, (name, variable)


def test_published_images_are_pinned_and_others_are_built_here() -> None:
    for name, service in SERVICES.items():
        image, _, tag = service["image"].partition(":")
        if image in OWN_IMAGES:
            assert "build" in service, name
        else:
            assert re.search(r"\d+\.\d+", tag), name
    for file in [*ROOT.glob("*/Dockerfile")]:
        text = file.read_text()
        stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
        for source in set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - set(stages):
            assert re.fullmatch(r"[a-z/]+:\$\{[A-Z_]+_TAG\}", source), (file, source)
        tags = re.findall(r"^ARG [A-Z_]+_TAG=(\S+)", file.read_text(), re.MULTILINE)
        assert tags, file
        assert all(re.match(r"\d+\.\d+", tag) for tag in tags), file


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "max-size" in service["logging"]["options"]
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "pid", "ipc"} & set(service)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"model-export"}))
def test_what_runs_on_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    dockerfile = ROOT / service.get("build", {}).get("dockerfile", "none")
    watched = dockerfile.is_file() and "\nHEALTHCHECK --" in dockerfile.read_text()
    assert "healthcheck" in service or (watched and name == "api")


@pytest.mark.parametrize("name", ["api", "worker"])
def test_health_is_asked_for_without_a_proxy(name: str, tmp_path: Path) -> None:
    """Docker gives containers the proxy of its user."""
    (tmp_path / {"api": "health", "worker": "metrics"}[name]).touch()
    with HTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)
    ) as asked:
        threading.Thread(target=asked.serve_forever).start()
        try:
            port = str(asked.server_port)
            dead = f"http://127.0.0.1:{free_port()}"
            done = subprocess.run(
                [sys.executable, *[word.replace("9100", port) for word in check_of(name)[1:]]],
                env={"PORT": port, "http_proxy": dead, "HTTP_PROXY": dead},
                check=False,
            )
        finally:
            asked.shutdown()
    assert done.returncode == 0


def check_of(name: str) -> list[str]:
    """Return the command that asks for a service's health."""
    if "healthcheck" in SERVICES[name]:
        command: list[str] = SERVICES[name]["healthcheck"]["test"][1:]
    else:
        text = (ROOT / "orchestrator" / "Dockerfile").read_text()
        command = json.loads(text.split("HEALTHCHECK")[1].split("CMD ")[1].split("\n")[0])
    assert command[0] == "python"
    return command


def test_a_model_server_that_is_deaf_to_sigterm_is_not_waited_for() -> None:
    longest = Settings().model_timeout
    for name in ("model-server", "model-server-gpu"):
        assert seconds(SERVICES[name]["stop_grace_period"]) <= longest


def test_every_service_is_told_of_in_the_documentation() -> None:
    text = (ROOT / "docs/containers.md").read_text()
    assert {name for name in SERVICES if f"`{name}`" not in text} == set()
    for variable in set(re.findall(r"`([A-Z_]{4,})=?", text)) - {"STAND_INS", "RADIOGRAPH"}:
        assert variable in settings() | {name for name, _, _ in STACK}, variable


def test_a_worker_has_time_to_end_its_job() -> None:
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > Settings().job_timeout


def test_the_api_has_time_to_end_what_is_under_way() -> None:
    assert seconds(SERVICES["api"]["stop_grace_period"]) > GRACE_SECONDS + 5


def test_api_and_workers_have_the_memory_that_their_settings_may_take() -> None:
    assert memory_limit(SERVICES["api"]["mem_limit"]) > api_memory(Settings())
    assert memory_limit(SERVICES["worker"]["mem_limit"]) > worker_memory(Settings())


def test_redis_forgets_nothing_it_has_answered() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert (options["--rdbcompression"], options["--auto-aof-rewrite-min-size"]) == ("no", "512mb")
    assert options["--save"] == ""
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])
    assert "ports" not in SERVICES["redis"]
    maximum = int(options["--maxmemory"].removesuffix("gb")) * 10**9
    assert maximum > Settings().queue_bytes


def test_networks_and_volumes_that_are_named_exist() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("networks", [])) <= set(STACK_FILE["networks"]), name
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        named = {source for source in sources if not source.startswith(".")}
        assert named <= set(STACK_FILE["volumes"]), name


def test_files_that_are_mounted_exist() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source != "./models":
                assert (ROOT / source).exists(), (name, source)


def members(network: str) -> set[str]:
    """Return the services of a network."""
    return {
        name
        for name, service in SERVICES.items()
        if network in service.get("networks", ["default"]) and "network_mode" not in service
    }


def test_redis_and_the_model_server_are_reached_by_those_alone_that_use_them() -> None:
    assert all(STACK_FILE["networks"][name]["internal"] for name in ("store", "models", "metrics"))
    servers = {"model-server", "model-server-gpu"}
    assert members("store") == {"redis", "api", "worker", "dashboard"}
    assert members("models") == {*servers, "api", "worker"}
    assert members("metrics") == {*servers, "prometheus"}
    assert members("default") == {"api", "worker", "dashboard", "prometheus", "grafana"}


def test_prometheus_finds_each_process_once() -> None:
    monitored = yaml.safe_load((ROOT / "monitoring/prometheus.yaml").read_text())
    found = {
        name: str(config["port"])
        for job in monitored["scrape_configs"]
        for config in job.get("dns_sd_configs", [])
        for name in config["names"]
    }
    assert found == {"api": "9100", "worker": "9100", "model-server": "8501"}
    for name in found:
        shared = [
            network
            for network in STACK_FILE["networks"]
            if {name, "prometheus"} <= members(network)
        ]
        assert len(shared) == 1, (name, shared)


def test_grafana_asks_prometheus_by_its_name_and_nobody_outside() -> None:
    folder = ROOT / "monitoring/grafana/provisioning/datasources/prometheus.yaml"
    (source,) = yaml.safe_load(folder.read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    environment = SERVICES["grafana"]["environment"]
    outside = ("REPORTING", "CHECK_FOR", "NEWS", "SIGN_UP")
    asked = {name: value for name, value in environment.items() if any(x in name for x in outside)}
    assert len(asked) == 5
    assert set(asked.values()) == {"false"}
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_the_model_is_exported_to_where_the_model_server_looks() -> None:
    folder = SERVICES["model-export"]["command"][-1]
    assert folder == f"/models/{MODEL_NAME}"
    assert f'base_path: "{folder}"' in (ROOT / "serving/models.config").read_text()
    assert "models:/models" in SERVICES["model-export"]["volumes"]
    assert "models:/models:ro" in SERVICES["model-server"]["volumes"]


@pytest.mark.parametrize("file", [ROOT / "orchestrator/Dockerfile", ROOT / "export/Dockerfile"])
def test_an_image_is_locked_and_runs_as_nobody_special(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^USER 1000:1000$", text.rpartition("FROM")[2], re.MULTILINE)
    assert text.count("\nFROM ") == 3
    for requirements in re.findall(r"--requirement /requirements/(\S+)", text):
        lock = (ROOT / "requirements" / requirements).read_text()
        assert lock.count("--hash=sha256:") >= lock.count("==") > 0
    assert text.count("--require-hashes") == 2
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', project, re.MULTILINE)
    assert version is not None
    assert f"ARG VERSION={version[1]}\n" in text


def test_the_image_of_the_service_locks_no_tensorflow() -> None:
    lock = (ROOT / "requirements/service.txt").read_text()
    assert not re.search(r"^(tensorflow|keras)", lock, re.MULTILINE)
    assert "rq-dashboard==" in lock
