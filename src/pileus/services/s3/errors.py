"""S3's errors in its own words.

Sources: "Error responses" in the Amazon S3 API Reference, and recorded answers of the service.
"""

from __future__ import annotations

import re
from typing import Any

from pileus.kernel.errors import AWSError

# Of old, names in us-east-1 could be nearly anything: what was never a name is another error.
BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{3,255}", re.ASCII)


def no_such_bucket(name: str) -> AWSError:
    if not BUCKET_NAME.fullmatch(name):
        return invalid_bucket_name(name)
    return AWSError("NoSuchBucket", "The specified bucket does not exist", status=404, BucketName=name)


def no_such_access_point(name: str) -> AWSError:
    return AWSError("NoSuchAccessPoint", "The specified accesspoint does not exist", status=404, AccessPointName=name)


def no_such_key(key: str, headers: dict[str, str] | None = None) -> AWSError:
    return AWSError("NoSuchKey", "The specified key does not exist.", status=404, headers=headers, Key=key)


def no_such_version(key: str, version_id: str) -> AWSError:
    return AWSError("NoSuchVersion", "The specified version does not exist.", status=404, Key=key, VersionId=version_id)


def no_such_upload(upload_id: str) -> AWSError:
    return AWSError(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        status=404,
        UploadId=upload_id,
    )


def access_denied(message: str = "Access Denied") -> AWSError:
    return AWSError("AccessDenied", message, status=403)


def bucket_already_exists(name: str) -> AWSError:
    return AWSError(
        "BucketAlreadyExists",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
        status=409,
        BucketName=name,
    )


def bucket_already_owned(name: str) -> AWSError:
    return AWSError(
        "BucketAlreadyOwnedByYou",
        "Your previous request to create the named bucket succeeded and you already own it.",
        status=409,
        BucketName=name,
    )


def bucket_not_empty(name: str, *, versioned: bool) -> AWSError:
    message = "The bucket you tried to delete is not empty"
    if versioned:
        message += ". You must delete all versions in the bucket."
    return AWSError("BucketNotEmpty", message, status=409, BucketName=name)


def invalid_bucket_name(name: str) -> AWSError:
    return AWSError("InvalidBucketName", "The specified bucket is not valid.", status=400, BucketName=name)


def permanent_redirect(name: str, region: str) -> AWSError:
    host = "s3.amazonaws.com" if region == "us-east-1" else f"s3.{region}.amazonaws.com"
    return AWSError(
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint.",
        status=301,
        headers={"x-amz-bucket-region": region},
        Endpoint=f"{name}.{host}",
        Bucket=name,
    )


def authorization_region(region: str, expected: str) -> AWSError:
    return AWSError(
        "AuthorizationHeaderMalformed",
        f"The authorization header is malformed; the region '{region}' is wrong; expecting '{expected}'",
        status=400,
        Region=expected,
    )


def illegal_location(location: str) -> AWSError:
    return AWSError(
        "IllegalLocationConstraintException",
        f"The {location or 'unspecified'} location constraint is incompatible for the region specific endpoint this "
        "request was sent to.",
        status=400,
    )


def invalid_location(location: str) -> AWSError:
    return AWSError(
        "InvalidLocationConstraint",
        "The specified location-constraint is not valid",
        status=400,
        LocationConstraint=location,
    )


def invalid_argument(message: str | None, name: str = "", value: str | None = None, **members: str) -> AWSError:
    shown: dict[str, Any] = dict(members)
    if name:
        shown["ArgumentName"] = name
    if value is not None:
        shown["ArgumentValue"] = value
    return AWSError("InvalidArgument", message or "", status=400, **shown)


def invalid_request(message: str) -> AWSError:
    return AWSError("InvalidRequest", message, status=400)


def no_object_lock() -> AWSError:
    return AWSError(
        "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration", status=404
    )


def invalid_bucket_state(message: str) -> AWSError:
    return AWSError("InvalidBucketState", message, status=409)


def malformed_xml() -> AWSError:
    return AWSError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )


def malformed_policy(message: str) -> AWSError:
    return AWSError("MalformedPolicy", message, status=400)


def key_too_long(size: int) -> AWSError:
    return AWSError("KeyTooLongError", "Your key is too long", status=400, Size=str(size), MaxSizeAllowed="1024")


def entity_too_large(size: int, limit: int) -> AWSError:
    return AWSError(
        "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed size",
        status=400,
        ProposedSize=str(size),
        MaxSizeAllowed=str(limit),
    )


def entity_too_small(etag: str, number: int, size: int, least: int) -> AWSError:
    return AWSError(
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size",
        status=400,
        ETag=etag,
        MinSizeAllowed=str(least),
        PartNumber=str(number),
        ProposedSize=str(size),
    )


def missing_content_length() -> AWSError:
    return AWSError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)


def metadata_too_large(size: int, limit: int) -> AWSError:
    return AWSError(
        "MetadataTooLarge",
        "Your metadata headers exceed the maximum allowed metadata size",
        status=400,
        Size=str(size),
        MaxSizeAllowed=str(limit),
    )


def invalid_digest(given: str) -> AWSError:
    members: dict[str, Any] = {"Content-MD5": given}
    return AWSError("InvalidDigest", "The Content-MD5 you specified was invalid.", status=400, **members)


def bad_md5(calculated: str, expected: str) -> AWSError:
    return AWSError(
        "BadDigest",
        "The Content-MD5 you specified did not match what we received.",
        status=400,
        CalculatedDigest=calculated,
        ExpectedDigest=expected,
    )


def bad_checksum(algorithm: str) -> AWSError:
    return AWSError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", status=400)


def invalid_range(size: int, requested: str) -> AWSError:
    return AWSError(
        "InvalidRange",
        "The requested range is not satisfiable",
        status=416,
        ActualObjectSize=str(size),
        RangeRequested=requested,
    )


def invalid_part_number(actual: int, requested: int) -> AWSError:
    return AWSError(
        "InvalidPartNumber",
        "The requested partnumber is not satisfiable",
        status=416,
        ActualPartCount=str(actual),
        PartNumberRequested=str(requested),
    )


def invalid_part(etag: str, number: int, upload_id: str) -> AWSError:
    return AWSError(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag.",
        status=400,
        ETag=etag,
        PartNumber=str(number),
        UploadId=upload_id,
    )


def invalid_part_order(upload_id: str) -> AWSError:
    return AWSError(
        "InvalidPartOrder",
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
        status=400,
        UploadId=upload_id,
    )


def precondition_failed(condition: str) -> AWSError:
    return AWSError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        status=412,
        Condition=condition,
    )


def conditional_conflict(condition: str, key: str) -> AWSError:
    return AWSError(
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
        status=409,
        Condition=condition,
        Key=key,
    )


def header_not_implemented(header: str, more: str = "") -> AWSError:
    """S3's own "not implemented": a header that the API knows and this operation does not take."""
    members: dict[str, Any] = {"Header": header}
    if more:
        members["additionalMessage"] = more
    return AWSError(
        "NotImplemented",
        "A header you provided implies functionality that is not implemented",
        status=501,
        **members,
    )


def not_modified(headers: dict[str, str]) -> AWSError:
    return AWSError("NotModified", "Not Modified", status=304, headers=headers)


def method_not_allowed(
    method: str, headers: dict[str, str] | None = None, *, resource_type: str = "DeleteMarker"
) -> AWSError:
    return AWSError(
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        status=405,
        headers=headers,
        Method=method,
        ResourceType=resource_type,
    )


def invalid_object_state(storage_class: str) -> AWSError:
    return AWSError(
        "InvalidObjectState",
        "The operation is not valid for the object's storage class",
        status=403,
        StorageClass=storage_class,
    )


def invalid_tag(message: str, key: str = "") -> AWSError:
    members: dict[str, Any] = {"TagKey": key} if key else {}
    return AWSError("InvalidTag", message, status=400, **members)


def not_found(code: str, message: str, bucket: str) -> AWSError:
    """A part of a bucket's configuration that is not there."""
    return AWSError(code, message, status=404, BucketName=bucket)


def no_such_website(bucket: str) -> AWSError:
    return not_found("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", bucket)
