"""Which bucket the settings name, and how it is reached."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import urlsplit

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


class BucketAccess(NamedTuple):
    """How a bucket is reached; what is empty is taken from the standard AWS variables, files and machine roles."""

    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""

    @property
    def address(self) -> str:
        """Where the service is; empty for Amazon's own."""
        return self.endpoint or next((found for name in ENDPOINTS if (found := os.environ.get(name))), "")


def is_s3(url: str) -> bool:
    """Whether `url` names a bucket that speaks S3."""
    return urlsplit(url).scheme in {"s3", "s3a"}


def origin(url: str, access: BucketAccess) -> str:
    """Where a browser is sent for an object, as the origin that a page must allow: `https://host`."""
    if access.address:
        parts = urlsplit(access.address)
        return f"{parts.scheme}://{parts.netloc}"
    region = access.region or next((found for name in REGIONS if (found := os.environ.get(name))), "us-east-1")
    return f"https://s3.{region}.amazonaws.com"
