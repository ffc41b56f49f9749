"""Buckets that speak S3: which one the settings name, how long it may take, and what its refusals mean."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from app.core.bucket import REGIONS, BucketAccess

if TYPE_CHECKING:
    from obstore.store import S3Store

_CONNECT_SECONDS = 5
_SILENT_SECONDS = 20
# What one who listens to a chapter, slowly, may take to fetch it; a bucket that falls silent is given up on sooner.
_MAX_HOURS = 4
_TRIES_AGAIN = 3
_TRYING_SECONDS = 10
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ADVICE = {
    "InvalidAccessKeyId": "it does not know the access key; mend SMARTVOICE_S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; mend SMARTVOICE_S3_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "AccessDenied": "the key may not do this; allow it to get, put, delete and list objects of the bucket",
    "NoSuchBucket": "there is no such bucket; make it, or mend SMARTVOICE_STORAGE_URL",
    "PermanentRedirect": "the bucket is in another region; mend SMARTVOICE_S3_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; mend SMARTVOICE_S3_REGION",
}


def open_bucket(url: str, access: BucketAccess) -> S3Store:
    """The bucket and prefix that `url` names, `s3://bucket/prefix`; nothing is asked of it yet."""
    from obstore.store import S3Store  # 8 MB, which commands that touch no files do without

    options: dict[str, Any] = {
        "endpoint": access.address.rstrip("/"),
        "access_key_id": access.access_key_id,
        "secret_access_key": access.secret_access_key,
        # What is not Amazon's has no regions as a rule, but a signature needs one.
        "region": access.region or ("" if any(map(os.environ.get, REGIONS)) else "us-east-1"),
    }
    return S3Store.from_url(
        url,
        client_options={
            "allow_http": access.address.startswith("http://"),
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=_SILENT_SECONDS),
            "timeout": timedelta(hours=_MAX_HOURS),
        },
        # Soon enough for somebody who waits for an answer; a worker has its own tries after these.
        retry_config={"max_retries": _TRIES_AGAIN, "retry_timeout": timedelta(seconds=_TRYING_SECONDS)},
        **{name: value for name, value in options.items() if value},
    )


def advice(error: BaseException) -> str:
    """What is wrong with the bucket, and what to do about it, of an error that it gave."""
    text = str(error)
    code = _CODE.search(text)
    if code:
        return _ADVICE.get(code[1], f"it answers {code[1]}")
    # Not the digits alone: a name may have them.
    if "403 Forbidden" in text:
        return _ADVICE["AccessDenied"]
    if "404 Not Found" in text:
        return _ADVICE["NoSuchBucket"]
    return "nothing answers there; start it, or mend SMARTVOICE_S3_ENDPOINT"
