"""Run the RQ dashboard: ``cxr dashboard``; read-only, and behind a password unless it is on loopback."""

import hmac
import logging
import signal
import socket
import sys
from importlib.util import find_spec
from typing import Any, Final

import click

from orchestrator import logs
from orchestrator.access.browsers import host_name
from orchestrator.access.mode import is_loopback
from orchestrator.listening import listen
from orchestrator.security_headers import DEFAULTS
from orchestrator.settings import Settings, SettingsError
from orchestrator.startup import read_settings, settings_explained

_EXTRA: Final = "install this project with its extra 'dashboard'"
_REALM: Final = {"WWW-Authenticate": 'Basic realm="Dashboard"'}
_READING: Final = frozenset({"GET", "HEAD"})
# Those of the API, but for what its pages may load: rq-dashboard's have scripts and styles of their own within.
_HEADERS: Final = {**DEFAULTS, "Content-Security-Policy": "frame-ancestors 'none'"}
# rq-dashboard answers GET here too, and then requeues everything, whatever else is forbidden.
_WRITING_ENDPOINTS: Final = frozenset({"rq_dashboard.requeue_all"})


@click.command()
def dashboard() -> None:
    """Show queue, workers and failed jobs to the operator in the browser."""
    settings = read_settings()
    logs.configure(settings.log_level)
    try:
        with settings_explained():
            app = create_dashboard(settings)
            sockets = listen("DASHBOARD_", settings.dashboard_host, settings.dashboard_port)
        from werkzeug.serving import make_server  # noqa: PLC0415 - an optional package
    except ModuleNotFoundError as err:
        raise click.ClickException(f"the dashboard is not installed; {_EXTRA}") from err
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Werkzeug answers at one address: of a name that stands for several, at that of IPv4
    listener, *others = sorted(sockets, key=lambda each: each.family != socket.AF_INET)
    for each in others:
        each.close()
    # The first process of a container is deaf to signals that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    make_server(
        *listener.getsockname()[:2], app, threaded=True, fd=listener.fileno()
    ).serve_forever()


def create_dashboard(settings: Settings) -> Any:
    """Return the Flask application.

    Raises:
        SettingsError: It would listen to the network without a password.
    """
    check_access(settings)
    from flask import Flask  # noqa: PLC0415 - an optional package
    from rq.serializers import DefaultSerializer, JSONSerializer  # noqa: PLC0415
    from rq_dashboard import web  # noqa: PLC0415

    # Parts of rq-dashboard use RQ's default, which unpickles what lies in Redis: in this process it is JSON as well.
    DefaultSerializer.loads = JSONSerializer.loads
    DefaultSerializer.dumps = JSONSerializer.dumps
    web.config.serializer = JSONSerializer
    app = Flask("rq_dashboard")  # whose own static files its pages ask for
    writable = settings.dashboard_write == "yes"
    app.config["RQ_DASHBOARD_REDIS_URL"] = (settings.redis_url,)
    app.config["RQ_DASHBOARD_DISABLE_DELETE"] = not writable
    app.before_request(_Guard(settings.dashboard_user, settings.dashboard_password, writable))
    app.after_request(_with_headers)
    app.register_blueprint(web.blueprint)
    web.setup_rq_connection(app)
    return app


def check_access(settings: Settings) -> None:
    """Make sure that the dashboard is out of strangers' reach.

    Raises:
        SettingsError: It would listen to the network without a password.
    """
    if not is_loopback(settings.dashboard_host) and not settings.dashboard_password:
        raise SettingsError(
            "DASHBOARD_PASSWORD: expected a password, as DASHBOARD_HOST is not loopback; set it, or"
            " unset DASHBOARD_HOST"
        )


def is_installed() -> bool:
    """Tell whether the dashboard's packages are there."""
    return find_spec("rq_dashboard") is not None


def _with_headers(answer: Any) -> Any:
    """Tell browsers what they may not do with an answer."""
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


class _Guard:
    """Ask for the password, and let nobody change anything who mustn't."""

    def __init__(self, user: str, password: str | None, writable: bool) -> None:
        self._user = user
        self._password = password
        self._writable = writable

    def __call__(self) -> tuple[str, int, dict[str, str]] | None:
        """Answer a request that is not let through."""
        from flask import request  # noqa: PLC0415 - an optional package

        # A site whose name is made to lead to loopback could else read what is there without a password (DNS rebinding)
        if not self._password and not is_loopback(host_name(f"//{request.host}")):
            return "Ask for it by a name of this machine.", 403, {}
        if self._password and not self._knows_password(request.authorization):
            return "Please log in.", 401, _REALM
        if request.method in _READING:
            return ("Send POST.", 405, {}) if request.endpoint in _WRITING_ENDPOINTS else None
        if not self._writable:
            return "The dashboard is read-only; set DASHBOARD_WRITE=yes to change that.", 403, {}
        origin = request.headers.get("Origin", "")
        if origin and origin.partition("://")[2] != request.host:
            return "Another site may not send this.", 403, {}
        return None

    def _knows_password(self, given: Any) -> bool:
        user, password = (given.username or "", given.password or "") if given else ("", "")
        right_user = hmac.compare_digest(user.encode(), self._user.encode())
        return (
            hmac.compare_digest(password.encode(), (self._password or "").encode()) and right_user
        )
