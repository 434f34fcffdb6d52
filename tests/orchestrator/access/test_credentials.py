import base64

import pytest
from starlette.datastructures import Headers

from orchestrator.access.credentials import Credentials, read_credentials
from orchestrator.errors import UnauthorizedError


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": "Bearer cxr_1"}, Credentials("cxr_1")),
        ({"Authorization": "bearer  cxr_1 "}, Credentials("cxr_1")),
        ({"X-API-Key": "cxr_1"}, Credentials("cxr_1")),
        ({"Authorization": basic("anybody:cxr_1")}, Credentials("cxr_1", automatic=True)),
        ({"Authorization": basic(":cxr_1")}, Credentials("cxr_1", automatic=True)),
        ({"Authorization": basic("a:cxr:1")}, Credentials("cxr:1", automatic=True)),
        # A script that shows a key of its own is no browser that was made to send one
        ({"Authorization": basic("a:old"), "X-API-Key": "cxr_1"}, Credentials("cxr_1")),
    ],
)
def test_a_key_is_read_wherever_it_may_stand(
    headers: dict[str, str], expected: Credentials
) -> None:
    assert read_credentials(Headers(headers)) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic /w==", "Digest cxr_1", "cxr_1"),
        basic(":cxr_1") + "!",
    ],
)
def test_without_a_key_it_says_how_to_show_one(value: str) -> None:
    with pytest.raises(UnauthorizedError, match="Authorization: Bearer KEY") as caught:
        read_credentials(Headers({"Authorization": value}))
    assert "cxr_1" not in caught.value.detail
