"""Let through only those requests whose key opens what they ask for."""

from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.access.browsers import Site
from orchestrator.access.caller import ANYBODY, Caller
from orchestrator.access.credentials import read_credentials
from orchestrator.access.keyring import Keyring
from orchestrator.access.policy import ANY, OPEN, Need, need_of
from orchestrator.errors import InsufficientScopeError, RequestError, UnauthorizedError
from orchestrator.limiter import Limiter
from orchestrator.middleware.throttle import ThrottleMiddleware
from orchestrator.problems import problem
from orchestrator.scope import tell_caller

# Two challenges, in a header each: some clients read one per header only.
CHALLENGES: Final = (
    'Bearer realm="Chest X-ray service"',
    'Basic realm="Chest X-ray service", charset="UTF-8"',
)


class GuardMiddleware:
    """Answer 401 or 403 for whoever may not ask, before anything else is done or told.

    What no rule names, unknown paths among it, is closed: nothing is told of what exists.

    Args:
        app: What is guarded.
        keyring: The keys; without one, access is open.
        site: The service as browsers see it.
        others: Counts what callers are refused, as everything that sends no images.
    """

    def __init__(
        self, app: ASGIApp, keyring: Keyring | None, site: Site, others: Limiter | None
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.site = site
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        need, route = _need(scope)
        if route is not None:
            scope["route"] = route  # log, figures and trail name its template, whoever answers
        try:
            if need != OPEN:
                self._admit(scope, need)
        except RequestError as err:
            refuse = partial(_refuse, error=err)
            counted = ThrottleMiddleware(refuse, analyses=self.others, others=self.others)
            await counted(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _admit(self, scope: Scope, need: Need) -> None:
        """Say who sent a request, and make sure that they may.

        Raises:
            UnauthorizedError: It shows no key that is known.
            HostNotAllowedError: It names another host.
            CrossSiteError: A browser was made to send it.
            InsufficientScopeError: Its key does not open this.
        """
        headers = Headers(scope=scope)
        if self.keyring is None:
            tell_caller(scope, ANYBODY)
            self.site.refuse_other_hosts(headers)
            self.site.refuse_other_sites(scope["method"], headers, named=True)
            return
        credentials = read_credentials(headers)
        entry = self.keyring.find(credentials.key)
        if entry is None:
            raise UnauthorizedError("expected a key that the service knows, got another one")
        caller = Caller(entry.name, entry.scopes)
        tell_caller(scope, caller)
        if credentials.automatic:
            self.site.refuse_other_sites(scope["method"], headers, named=False)
        if not caller.may(need):
            raise InsufficientScopeError(
                f"expected a key with the scope {' or '.join(sorted({*need, 'admin'}))}, got one with"
                f" {', '.join(sorted(caller.scopes))}"
            )


def _need(scope: Scope) -> tuple[Need, BaseRoute | None]:
    """Return which scopes open what a request asks for, and its route."""
    partial_route: BaseRoute | None = None
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if match is Match.FULL and _takes(route, scope["method"]):
            return need_of(scope["method"], route.path), route
        if match is not Match.NONE:
            partial_route = route
    # Whoever has a key, whichever, may know that there is no such path or method.
    return ANY, partial_route


def _takes(route: BaseRoute, method: str) -> bool:
    """Tell whether a route that matches takes a method; a mount of files, which matches any, takes but two."""
    return not isinstance(route, Mount) or method in ("GET", "HEAD")


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RequestError) -> None:
    response = problem(Request(scope), error)
    if isinstance(error, UnauthorizedError):
        for challenge in CHALLENGES:
            response.headers.append("WWW-Authenticate", challenge)
    await response(scope, receive, send)
