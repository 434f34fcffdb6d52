"""Let the client post to a small server that answers, refuses and fails."""

import asyncio

from benchmarks.client import request, run

ANSWERS = (b"200 OK", b"503 Service Unavailable", b"200 OK", b"400 Bad Request", b"200 OK")


def test_answers_refusals_and_failures_are_told_apart() -> None:
    wire = request(b"an image", "Mass")
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(seen) < len(ANSWERS):
            seen.append(await reader.readexactly(len(wire)))
            status = ANSWERS[len(seen) - 1]
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()

    async def post() -> dict[str, object]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await run(port, wire, clients=1, requests=len(ANSWERS))

    found = asyncio.run(post())

    assert set(seen) == {wire}
    answered = found["answered"]
    assert isinstance(answered, list)
    assert (len(answered), found["refused"], found["failed"]) == (3, 1, 1)


def test_a_request_is_a_whole_form() -> None:
    head, _, body = request(b"an image", "Mass").partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body)}".encode() in head
    assert b'name="heatmaps"\r\n\r\nMass\r\n' in body
    assert b'filename="image"\r\n\r\nan image\r\n--' in body
