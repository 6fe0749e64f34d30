"""What boto3 raises, said as the store's own errors."""

from __future__ import annotations

from typing import Any, NamedTuple

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from profkit_storage.errors import StorageError, StoreUnavailable

FAILURES = (BotoCoreError, ClientError, Boto3Error, ResponseParserError, HTTPError, OSError)
"""What boto3, and what is below it, may raise."""

MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
EXISTS = frozenset({"PreconditionFailed", "412"})
CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)
_MAX_DETAIL = 300
_NOT_S3 = "what answers there does not answer as S3 does"

_REFUSED = "the credentials that boto3 found are refused"
_DENIED = (
    "access denied: the credentials need s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there"
)
_REGION = "wrong region: give the bucket's own as region="
_KMS = "the key of KMS cannot be used"
_REASONS = {
    "NoSuchBucket": "there is no such bucket, and none is made: make it, or name another",
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "InvalidToken": _REFUSED,
    "ExpiredToken": f"{_REFUSED}: they have expired",
    "ExpiredTokenException": f"{_REFUSED}: they have expired",
    "TokenRefreshRequired": f"{_REFUSED}: they have expired",
    "RequestTimeTooSkewed": "this machine's clock and the server's differ too much: set the clock",
    "RequestExpired": "this machine's clock and the server's differ too much: set the clock",
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "InvalidObjectState": "the object has been archived: restore it first",
    "InvalidStorageClass": "the server does not know this storage class",
    "KMS.NotFoundException": _KMS,
    "KMS.DisabledException": _KMS,
    "KMS.KMSInvalidStateException": _KMS,
    "KMS.InvalidKeyUsageException": _KMS,
}
_EXPLAINED = {_DENIED, _KMS}
"""Where what the server says besides is worth reading, and holds no more than names."""

_BUSY = frozenset({
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "TooManyRequests",
    "TooManyRequestsException",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
})  # fmt: skip


class Again(Exception):
    """What was asked did not succeed, for the reason told, and may be asked again."""


def must_have(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an answer that has what all of S3's have: a gateway's page must not pass for an empty bucket.

    Raises:
        Again: it has not.
    """
    if name not in answer:
        raise Again(_NOT_S3)
    return answer


class TooLate(Exception):
    """The time for a call is over."""


class Refusal(NamedTuple):
    """What a server says that does not do what it was asked."""

    code: str
    message: str
    status: int = 0
    region: str = ""

    @classmethod
    def of(cls, error: ClientError) -> Refusal:
        """Return what is in an error; empty where it says nothing."""
        response: dict[str, Any] = error.response
        said, about = response.get("Error", {}), response.get("ResponseMetadata", {})
        region = said.get("Region") or about.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
        return cls(said.get("Code", ""), said.get("Message", ""), about.get("HTTPStatusCode", 0), region)

    @property
    def passing(self) -> bool:
        """Whether it may be well in a while."""
        return self.status == 429 or (self.status >= 500 and self.status != 501) or self.code in _BUSY

    def __str__(self) -> str:
        if self.passing and self.code not in _REASONS:
            return f"the server is too busy, or fails: {_line(self.code)}"
        reason = _REASONS.get(self.code, "")
        if reason == _REGION and self.region:
            return f"{reason}: {_line(self.region)}"
        if reason and reason not in _EXPLAINED:
            return reason
        said = ": ".join(filter(None, [_line(self.code), _line(self.message)])) or f"status {self.status}"
        return f"{reason} ({said})" if reason else said


def code_of(error: BaseException) -> str:
    """Return the server's code for what it refused; empty if that is not what happened."""
    return Refusal.of(error).code if isinstance(error, ClientError) else ""


def translated(error: Exception, store: str, what: str) -> StorageError:
    """Return what happened as the store's error: `store` is its address, `what` what could not be done."""
    if isinstance(error, ClientError):
        refusal = Refusal.of(error)
        kind = StoreUnavailable if refusal.passing else StorageError
        return kind(f"{store}: {what}: {refusal}")
    if isinstance(error, _CREDENTIALS):
        return StorageError(f"{store}: {what}: boto3 finds no credentials, or cannot get them")
    if isinstance(error, TooLate | Again):
        return StoreUnavailable(f"{store}: {what}: {error}")
    if isinstance(error, ResponseParserError):
        return StoreUnavailable(f"{store}: {what}: {_NOT_S3}")
    if isinstance(error, BotoConnectionError | HTTPClientError | HTTPError | OSError):
        return StoreUnavailable(f"{store}: {what}: {_unreachable(error)}")
    # Its text may hold an address from the environment, with a password in it.
    return StorageError(f"{store}: {what}: {type(error).__name__}")


def _unreachable(error: BaseException) -> str:
    """Return why there was no answer, without boto3's own text: that holds addresses."""
    if isinstance(error, ReadTimeoutError):
        return "cannot be reached: no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot be reached: {_line(cause.strerror)}"
        cause = cause.__cause__ or cause.__context__
    return f"cannot be reached: {type(error).__name__}"


def _line(text: str) -> str:
    """Return what a server says as it may be shown: on one line, and not too long."""
    cut = text[:_MAX_DETAIL]
    return cut if cut.isprintable() else ascii(cut)[1:-1]
