"""Put overlays in a store and say in JSON where they are.

The synchronous and the asynchronous path answer the same: both call :func:`host`, and
:func:`with_base` when the answer leaves.
"""

from collections.abc import Callable, Sequence

from orchestrator.answers import HostedPicture, HostedReportAnswer
from orchestrator.storage.base import Store
from orchestrator.study import Analysis


def host(
    analysis: Analysis, store: Store, name: str, may_take_back: Callable[[], bool] = lambda: True
) -> HostedReportAnswer:
    """Put the overlays of an analysis in a store and return its report with their URLs; see `Store.put`.

    Raises:
        DependencyError: The store can't keep them.
        ResultTooLargeError: One is too large for it.
    """
    urls = store.put(name, analysis.overlays, may_take_back)
    return as_json(analysis, urls)


def as_json(analysis: Analysis, urls: Sequence[str]) -> HostedReportAnswer:
    """Return the report as plain JSON values, with ``image_urls`` and a description of each image."""
    images: list[HostedPicture] = [
        {**overlay.as_json(), "url": url, "media_type": overlay.media_type}
        for overlay, url in zip(analysis.overlays, urls, strict=True)
    ]
    return {**analysis.report.as_json(), "image_urls": list(urls), "images": images}


def with_base(result: HostedReportAnswer, base: str) -> HostedReportAnswer:
    """Return a result whose links to files of this service begin with the service's address.

    Args:
        result: What :func:`host` returned, perhaps in another process and long ago.
        base: Address of the service, as its caller knows it.
    """
    images: list[HostedPicture] = [
        {**image, "url": _absolute(image["url"], base)} for image in result["images"]
    ]
    return {**result, "image_urls": [image["url"] for image in images], "images": images}


def _absolute(url: str, base: str) -> str:
    return base.rstrip("/") + url if url.startswith("/") else url
