"""Answer 429 to callers who ask too often, and tell all of them how they stand."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import RateLimitError
from orchestrator.limiter import Limiter, Standing
from orchestrator.problems import problem
from orchestrator.scope import caller_of

_SCOPE_KEY: Final = "cxr.limiter"


@dataclass
class _Counted:
    """Who was counted by what, and how it stands."""

    limiter: Limiter
    identity: str
    standing: Standing


class ThrottleMiddleware:
    """Count requests that need a key, by its name; where access is open, by the caller's address.

    Args:
        app: What is guarded.
        analyses: Counts what sends images.
        others: Counts everything else.
    """

    def __init__(self, app: ASGIApp, analyses: Limiter | None, others: Limiter | None) -> None:
        self.app = app
        self.analyses = analyses
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        caller = caller_of(scope) if scope["type"] == "http" else None
        limiter = self._limiter(scope) if caller is not None else None
        if caller is None or limiter is None:
            await self.app(scope, receive, send)
            return
        identity = caller.name or (scope.get("client") or ("unknown",))[0]
        standing = await limiter.hit(identity)
        if standing is None:
            await self.app(scope, receive, send)
            return
        counted = scope[_SCOPE_KEY] = _Counted(limiter, identity, standing)

        async def send_with_standing(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_headers(counted.standing))
            await send(message)

        if standing.allowed:
            await self.app(scope, receive, send_with_standing)
            return
        error = RateLimitError(
            f"expected at most {standing.limit} requests within the time that is set, got more; go on in"
            f" {standing.retry_after} seconds",
            retry_after=standing.retry_after,
        )
        await problem(Request(scope), error)(scope, receive, send_with_standing)

    def _limiter(self, scope: Scope) -> Limiter | None:
        return self.analyses if scope["method"] == "POST" else self.others


async def charge(request: Request, cost: int) -> None:
    """Count a request that was let in as several."""
    counted: _Counted | None = request.scope.get(_SCOPE_KEY)
    if counted is not None and cost > 0:
        standing = await counted.limiter.charge(counted.identity, cost)
        counted.standing = standing or counted.standing


def _headers(standing: Standing) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(standing.limit),
        "RateLimit-Remaining": str(standing.remaining),
        "RateLimit-Reset": str(standing.reset),
    }
