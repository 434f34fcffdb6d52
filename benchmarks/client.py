"""Post one image over and over, as a process of its own that costs little: raw HTTP/1.1 on asyncio.

    python -m benchmarks.client PORT FILE HEATMAPS CLIENTS REQUESTS

Prints JSON: the milliseconds of every answered request, how many were refused (503) or failed, the seconds from the
first request to the last answer, and the processor time that this client itself took.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

ROOM = 2**23  # of answers, in bytes: with less, asyncio stops and starts reading many times in each
BOUNDARY = "b0undary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(content: bytes, heatmaps: str) -> bytes:
    """Return the form of a request."""
    fields = {"heatmaps": heatmaps, "max_size": "1024"}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="image"\r\n\r\n'
    return b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])


def request(content: bytes, heatmaps: str, path: str = "/densenet_predict") -> bytes:
    """Return a whole request, head and form."""
    body = form(content, heatmaps)
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer and return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def _client(port: int, wire: bytes, left: list[int], found: dict[str, list[float]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=ROOM)
    while left[0] > 0:
        left[0] -= 1
        begin = time.perf_counter()
        writer.write(wire)
        await writer.drain()
        status = await _answer(reader)
        kind = {200: "answered", 503: "refused"}.get(status, "failed")
        found[kind].append(1000 * (time.perf_counter() - begin))
        if kind == "refused":
            await asyncio.sleep(0.1)
    writer.close()


async def run(port: int, wire: bytes, clients: int, requests: int) -> dict[str, object]:
    """Let some clients share a number of requests."""
    found: dict[str, list[float]] = {"answered": [], "refused": [], "failed": []}
    left = [requests]
    begin, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_client(port, wire, left, found) for _ in range(clients)))
    return {
        "answered": found["answered"],
        "refused": len(found["refused"]),
        "failed": len(found["failed"]),
        "seconds": time.perf_counter() - begin,
        "processor": time.process_time() - spent,
    }


def main() -> None:
    """Read the arguments, post, and print what was found."""
    port, file, heatmaps, clients, requests = sys.argv[1:]
    wire = request(Path(file).read_bytes(), heatmaps)
    print(json.dumps(asyncio.run(run(int(port), wire, int(clients), int(requests)))))


if __name__ == "__main__":
    main()
