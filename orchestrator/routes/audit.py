"""Answer the audit trail."""

import csv
import io
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.answers import AuditAnswer
from orchestrator.audit.trail import FIELDS
from orchestrator.errors import NotFoundError
from orchestrator.routes.kinds import Choice, Parameter, Text, WholeNumber, refuse_unknown
from orchestrator.services import services

_COLUMNS: Final = ("id", "time", *FIELDS)

AFTER: Final = Parameter[str | None](
    "after",
    Text("the id of an entry such as 1795591371474-0", "^[0-9]{1,15}-[0-9]{1,15}$"),
    "Id of the last entry that was seen: `next` of the answer before.",
    None,
)
COUNT: Final = Parameter("count", WholeNumber(1, 10_000), "How many entries at most.", 1000)
FORMAT: Final = Parameter("format", Choice(("json", "csv")), "What to answer.", "json")
PARAMETERS: Final[tuple[Parameter[Any], ...]] = (AFTER, COUNT, FORMAT)


async def audit(request: Request) -> Response:
    """Answer who did what, oldest entries first."""
    here = services(request)
    query = request.query_params
    refuse_unknown(query, PARAMETERS)
    after, count, as_ = (each.read(query) for each in PARAMETERS)
    if here.audit is None:
        raise NotFoundError("no audit trail is kept; AUDIT_RETENTION_DAYS is 0")
    found = await here.task_threads.run(partial(here.audit.read, after, count))
    if as_ == "json":
        return JSONResponse(found)
    name = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(_table(found), media_type="text/csv", headers=name)


def _table(answer: AuditAnswer) -> str:
    file = io.StringIO()
    table = csv.DictWriter(file, _COLUMNS, restval="")
    table.writeheader()
    table.writerows(answer["entries"])
    return file.getvalue()


ROUTES = [Route("/audit", audit)]
