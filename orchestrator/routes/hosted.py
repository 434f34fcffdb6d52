"""Analyse one radiograph while the caller waits, and answer URLs of its overlays."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.answers import HostedReportAnswer
from orchestrator.hosted import host, with_base
from orchestrator.routes.bodies import receive_json_upload
from orchestrator.scope import tell_subject
from orchestrator.services import public_url, services


async def densenet_predict(request: Request) -> Response:
    """Answer the report as JSON, with the URL of one annotated overlay per reported label."""
    here = services(request)
    read_upload = await receive_json_upload(request)

    def work() -> HostedReportAnswer:
        upload, wanted, _ = read_upload()
        with here.telemetry.analysis("sync") as stages:
            analysis = here.analyse(upload, wanted, stages.begin)
            stages.begin("storing")
            hosted = host(analysis, here.store, here.store.name(analysis.report.analysis_id))
        tell_subject(request.scope, "analysis_id", analysis.report.analysis_id)
        here.telemetry.analysed(analysis.report)
        here.notes.add(analysis.report)
        return hosted

    result = await here.analysis_threads.run(work)
    return JSONResponse(with_base(result, public_url(request)))


ROUTES = [Route("/v2/densenet_predict", densenet_predict, methods=["POST"])]
