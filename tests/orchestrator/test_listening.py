"""Names that stand for several addresses, as /etc/hosts has it on some machines."""

import asyncio
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


def test_answers_are_sent_without_waiting_for_what_came_before_to_be_acknowledged() -> None:
    """asyncio sets TCP_NODELAY on connections of sockets that say they speak TCP."""
    (listener,) = listen("", "127.0.0.1", 0)

    async def delays_nothing() -> bool:
        accepted: asyncio.Future[socket.socket] = asyncio.Future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.set_result(transport.get_extra_info("socket"))

        async with await asyncio.get_running_loop().create_server(Protocol, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            connection = await accepted
            option = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
        return bool(option)

    assert asyncio.run(delays_nothing())
