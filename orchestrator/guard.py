"""Let through only those requests whose key opens what they ask for."""

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.access.caller import ANYBODY, Caller, tell_caller
from orchestrator.access.credentials import Credentials, read_credentials
from orchestrator.access.keyring import Keyring
from orchestrator.access.policy import ANY, OPEN, Need, need_of
from orchestrator.errors import (
    CrossSiteError,
    InsufficientScopeError,
    RequestError,
    UnauthorizedError,
)
from orchestrator.problems import problem

# Two challenges, in a header each: some clients read one per header only.
CHALLENGES: Final = (
    'Bearer realm="Chest X-ray service"',
    'Basic realm="Chest X-ray service", charset="UTF-8"',
)
# https://www.w3.org/TR/fetch-metadata/: what browsers say of where a request comes from
_OWN_SITES: Final = ("", "same-origin", "none")


class GuardMiddleware:
    """Answer 401 or 403 for whoever may not ask, before anything else is done or told.

    What no rule names, unknown paths among it, is closed: nothing is told of what exists.

    Args:
        app: What is guarded.
        keyring: The keys; without one, access is open.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring | None) -> None:
        self.app = app
        self.keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        need, route = _need(scope)
        if need != OPEN and self.keyring is None:
            tell_caller(scope, ANYBODY)
        elif need != OPEN and self.keyring is not None:
            try:
                _admit(self.keyring, scope, need)
            except RequestError as err:
                scope["route"] = (
                    route  # the log names its template, as it does of requests let through
                )
                await _refuse(scope, receive, send, err)
                return
        await self.app(scope, receive, send)


def _need(scope: Scope) -> tuple[Need, BaseRoute | None]:
    """Return which scopes open what a request asks for, and its route."""
    partial: BaseRoute | None = None
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return need_of(scope["method"], route.path), route
        if match is Match.PARTIAL:
            partial = route
    # Whoever has a key, whichever, may know that there is no such path or method.
    return ANY, partial


def _admit(keyring: Keyring, scope: Scope, need: Need) -> None:
    """Say who sent a request, and make sure that they may.

    Raises:
        UnauthorizedError: It shows no key that is known.
        CrossSiteError: A browser was made to send it.
        InsufficientScopeError: Its key does not open this.
    """
    credentials = read_credentials(Headers(scope=scope))
    entry = keyring.find(credentials.key)
    if entry is None:
        raise UnauthorizedError("expected a key that the service knows, got another one")
    caller = Caller(entry.name, entry.scopes)
    tell_caller(scope, caller)
    _refuse_cross_site(scope, credentials)
    if not caller.may(need):
        raise InsufficientScopeError(
            f"expected a key with the scope {' or '.join(sorted({*need, 'admin'}))}, got one with"
            f" {', '.join(sorted(caller.scopes))}"
        )


def _refuse_cross_site(scope: Scope, credentials: Credentials) -> None:
    """Refuse what a browser sends with a remembered key because another site wants it to.

    Raises:
        CrossSiteError: That is so.
    """
    headers = Headers(scope=scope)
    if not credentials.automatic or headers.get("sec-fetch-site", "") in _OWN_SITES:
        return
    if scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate":
        return  # somebody follows a link: the answer is shown to them, and to no script
    raise CrossSiteError(
        "expected a request of this service's own pages, got one that a browser sends for another site;"
        " programs send the key as 'Authorization: Bearer KEY'"
    )


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RequestError) -> None:
    response = problem(Request(scope), error)
    if isinstance(error, UnauthorizedError):
        for challenge in CHALLENGES:
            response.headers.append("WWW-Authenticate", challenge)
    await response(scope, receive, send)
