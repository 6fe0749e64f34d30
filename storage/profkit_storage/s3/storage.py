"""`S3Storage`: profiles and rollups in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profkit_storage.errors import ConfigurationError
from profkit_storage.object_storage import ObjectStorage
from profkit_storage.s3.address import S3Address
from profkit_storage.s3.patience import Patience

if TYPE_CHECKING:
    from profkit_storage.s3.objects import S3Objects


class S3Storage(ObjectStorage):
    """The store below a prefix in a bucket of S3, or of a server that speaks as S3 does.

    boto3 finds the credentials. With `create`, the bucket, which is never made, is tried by writing to it; without,
    it need only be readable; without `check` it is not asked at all. Any number of threads and processes may use it at
    once, forked ones too.

    Raises:
        ConfigurationError: the address is not allowed, its profile is not known, or boto3 is not installed.
        StorageError: the bucket is missing, or cannot be reached, read or written.
    """

    parallel_loads = 16

    def __init__(
        self,
        address: S3Address | str,
        *,
        create: bool = True,
        check: bool = True,
        patience: Patience | None = None,
    ) -> None:
        self.address = S3Address.parse(address) if isinstance(address, str) else address
        """Where it is."""
        objects = _objects(self.address, patience or Patience())
        super().__init__(objects)
        if not check:
            return
        try:
            if create:
                objects.check_writable()
            else:
                objects.check_readable()
        except BaseException:
            objects.close()
            raise


def _objects(address: S3Address, patience: Patience) -> S3Objects:
    try:
        from profkit_storage.s3.objects import S3Objects
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("profkit_storage"):
            raise
        raise ConfigurationError(
            f"storage address {address.url!r}: needs {error.name}, which is not installed: "
            "pip install 'profkit[s3]'"
        ) from error
    return S3Objects(address, patience)
