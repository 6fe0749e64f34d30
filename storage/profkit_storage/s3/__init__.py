"""Profiles and rollups in a bucket of S3, or of a server that speaks as S3 does."""

from profkit_storage.s3.address import S3Address
from profkit_storage.s3.patience import Patience
from profkit_storage.s3.storage import S3Storage

__all__ = ["Patience", "S3Address", "S3Storage"]
