"""Tell Schemathesis what no schema says: what a radiograph is, what an event, and which links lead to a picture.

Loaded by its command line, see tests/test_schemathesis.py.
"""

import base64
import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import encoded, gradient, png

SOUND = [
    png(gradient(64, 64)),
    png(gradient(300, 200)),
    encoded(Image.fromarray(gradient(90, 120)), "JPEG"),
]
BROKEN = [b"", b"GIF89a", SOUND[0][:60], png(gradient(3, 3)), b"PK\x03\x04broken"]

EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["task", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}

schemathesis.openapi.format(
    "binary",
    st.one_of(st.sampled_from(SOUND), st.sampled_from([*SOUND, *BROKEN]), st.binary(max_size=200)),
)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Describe a single event, as Schemathesis takes the schema of a stream for that of each of them."""
    answers = raw_schema["paths"]["/tasks/{task_id}/events"]["get"]["responses"]
    answers["200"]["content"]["text/event-stream"]["schema"] = EVENT


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give most sound requests an image that is one, and every other one for a picture a link that leads to it."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("image"), str) and len(body["image"]) % 4:
        case.body = body | {"image": base64.b64encode(SOUND[len(body["image"]) % 3]).decode()}
    if "key" in case.path_parameters and len(case.path_parameters["key"]) % 2:
        link = urlsplit(os.environ["PICTURE_LINK"])
        case.path_parameters = {"key": link.path.rpartition("/")[2]}
        case.query = {name: values[0] for name, values in parse_qs(link.query).items()}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Leave out two kinds of answers that Schemathesis takes for overlooked nonsense.

    Parameters that are empty or null count as absent, as forms of browsers send them; a body that is too large is
    refused with 413 before anything else is looked at.
    """
    if type(failure).__name__ != "AcceptedNegativeData":
        return True
    query = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
    given = [values[-1] for values in query.values()]
    given += case.body.values() if isinstance(case.body, dict) else []
    return response.status_code != 413 and not any(value in ("", None) for value in given)
