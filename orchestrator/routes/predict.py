"""Analyse one radiograph while the caller waits."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.package import as_zip
from orchestrator.routes.forms import read_form, uploaded_file
from orchestrator.routes.parameters import options
from orchestrator.scope import tell_subject
from orchestrator.services import services


async def densenet_predict(request: Request) -> Response:
    """Answer a ZIP of ``report.json`` and one annotated overlay per reported label."""
    here = services(request)
    form = await read_form(request)
    wanted = options(form)
    upload = await uploaded_file(form)

    def work() -> bytes:
        with here.telemetry.analysis("sync") as stages:
            analysis = here.analyse(upload, wanted, stages.begin)
        tell_subject(request.scope, "analysis_id", analysis.report.analysis_id)
        here.telemetry.analysed(analysis.report)
        here.notes.add(analysis.report)
        return as_zip(analysis)

    archive = await here.analysis_threads.run(work)
    return Response(
        archive,
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="result.zip"'},
    )


ROUTES = [Route("/densenet_predict", densenet_predict, methods=["POST"])]
