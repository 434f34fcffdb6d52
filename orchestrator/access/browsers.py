"""Know requests that a browser sends because another site wants it to."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from orchestrator.access.mode import is_loopback
from orchestrator.errors import CrossSiteError, HostNotAllowedError
from orchestrator.settings import Settings

# https://www.w3.org/TR/fetch-metadata/: what browsers say of where a request comes from
_OWN_SITES: Final = ("same-origin", "none")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Site:
    """The service as browsers see it.

    Attributes:
        public: Address that callers reach it at, or empty if only they know.
        origins: Sites whose scripts may ask.
        is_local: Whether it is open to its own machine, and to nobody else.
    """

    public: str = ""
    origins: frozenset[str] = frozenset()
    is_local: bool = False

    def refuse_other_hosts(self, headers: Headers) -> None:
        """Refuse what names another host: a site whose name leads to loopback is to its own scripts the same site.

        Raises:
            HostNotAllowedError: That is so.
        """
        host = headers.get("host")
        if not self.is_local or host is None:
            return
        name = host_name(f"//{host}")
        if not is_loopback(name) and name not in {host_name(self.public)} - {""}:
            raise HostNotAllowedError(
                "expected a request to localhost or to the host of PUBLIC_URL, got another name in the Host header; set"
                " PUBLIC_URL to the address that callers use, or ACCESS=open to let in whatever arrives"
            )

    def refuse_other_sites(self, method: str, headers: Headers, *, named: bool) -> None:
        """Refuse what a browser sends, with what it remembers, because another site wants it to.

        Args:
            method: That of the request.
            headers: Its headers.
            named: Whether scripts of `origins` are let through; they may ask, but with no key that they don't know.

        Raises:
            CrossSiteError: That is so.
        """
        if not self._is_cross_site(headers) or (named and headers.get("origin") in self.origins):
            return
        if method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate":
            return  # somebody follows a link: the answer is shown to them, and to no script
        raise CrossSiteError(
            "expected a request of this service's own pages, got one that a browser sends for another site; programs"
            " send a key as 'Authorization: Bearer KEY', scripts of sites need CORS_ORIGINS"
        )

    def _is_cross_site(self, headers: Headers) -> bool:
        """Tell whether a browser says so; where it does not, as to addresses without TLS, Origin tells."""
        said = headers.get("sec-fetch-site", "")
        if said or "origin" not in headers:
            return said not in ("", *_OWN_SITES)
        scheme, _, _ = headers["origin"].partition(":")
        own = {_place(f"{scheme}://{headers.get('host', '')}"), _place(self.public)} - {None}
        return _place(headers["origin"]) not in own


def site_of(settings: Settings, *, with_keys: bool) -> Site:
    """Return what browsers see of a service with these settings."""
    return Site(
        public=settings.public_url or "",
        origins=frozenset(settings.cors_origins),
        is_local=settings.access is None and not with_keys,
    )


def host_name(url: str) -> str:
    """Return the name or address of the host in an address; nothing if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _place(url: str) -> tuple[str, int | None] | None:
    """Return host and port of an address; None if there are none, as of the origin ``null``."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None
