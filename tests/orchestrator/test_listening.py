"""Names that stand for several addresses, as /etc/hosts has it on some machines."""

import socket
from typing import Any

import pytest

from orchestrator.listening import listen
from orchestrator.settings import SettingsError
from tests.support.ports import free_port

ELSEWHERE = "192.0.2.1"


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name stand for these addresses of IPv4."""

    def getaddrinfo(_: str, port: int, **__: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["127.0.0.1", "127.0.0.1"], ["127.0.0.1"]),
        (["127.0.0.2", "127.0.0.1"], ["127.0.0.2", "127.0.0.1"]),
        ([ELSEWHERE, "127.0.0.1"], ["127.0.0.1"]),
    ],
    ids=["named twice", "two", "one is not here"],
)
def test_every_address_of_this_machine_is_listened_on_once(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], expected: list[str]
) -> None:
    resolve_to(monkeypatch, *addresses)
    sockets = listen("", "box", free_port())
    assert [each.getsockname()[0] for each in sockets] == expected
    for each in sockets:
        each.close()


def test_a_name_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ELSEWHERE)
    with pytest.raises(SettingsError, match=r"^METRICS_HOST, METRICS_PORT: .* got box and 9100 "):
        listen("METRICS_", "box", 9100)
