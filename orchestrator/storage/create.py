"""Choose the store that the settings ask for."""

from typing import Literal, cast

from orchestrator.settings import Settings
from orchestrator.storage.base import Store
from orchestrator.storage.cloud import CloudAccount, CloudStore
from orchestrator.storage.disk import DiskStore
from orchestrator.storage.links import Links, shared_secret
from orchestrator.storage.moved import MovedStore


def create_store(settings: Settings) -> Store:
    """Return a Cloudinary store if its three settings are there, else one on the disk.

    If there are files of a time before Cloudinary was set, they are looked after, too.
    """
    account, folder = _account(settings), settings.data_dir / "files"
    if account is not None and not folder.is_dir():
        return CloudStore(account)
    given = settings.files_secret
    secret = given.encode() if given else shared_secret(settings.data_dir / "files.secret")
    on_disk = DiskStore(folder, Links(secret, settings.files_ttl))
    return on_disk if account is None else MovedStore(CloudStore(account), on_disk)


def keeps_on_disk(settings: Settings) -> bool:
    """Tell whether pictures or blobs are kept in the data folder."""
    return _account(settings) is None or settings.blobs == "disk"


def _account(settings: Settings) -> CloudAccount | None:
    name, key = settings.cloudinary_cloud_name, settings.cloudinary_api_key
    secret = settings.cloudinary_api_secret
    if not (name and key and secret):
        return None
    return CloudAccount(
        cloud_name=name,
        api_key=key,
        api_secret=secret,
        delivery=cast(Literal["upload", "authenticated"], settings.cloudinary_delivery),
        upload_prefix=settings.cloudinary_upload_prefix,
        timeout=settings.cloudinary_timeout,
    )
