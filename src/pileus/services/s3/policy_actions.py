"""Actions that bucket policies name: whether there are such, and what kind of resource they apply to.

Source: "Actions, resources, and condition keys for Amazon S3" in the Service Authorization Reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pileus.access.patterns import compile_pattern

_OBJECT = frozenset(
    """
    AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion
    DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention
    GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
    GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication
    ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold
    PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject
    ReplicateTags RestoreObject
    """.lower().split()
)
_BUCKET = frozenset(
    """
    CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration
    GetAnalyticsConfiguration GetBucketAcl GetBucketABAC GetBucketCORS GetBucketLocation GetBucketLogging
    GetBucketNotification GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy
    GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning
    GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
    GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
    ListBucketMultipartUploads ListBucketVersions PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl
    PutBucketABAC PutBucketCORS PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration
    PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging
    PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration
    PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration PutReplicationConfiguration
    """.lower().split()
)
# S3 gets new actions; what begins like one may be one.
_VERBS = re.compile(
    "abort|associate|bypass|create|delete|describe|dissociate|get|initiate|invoke|list|object|pause|put|replicate|"
    "restore|submit|tag|untag|update"
)


def matcher(pattern: str) -> Callable[[str], bool]:
    """What `*` and `?` in an ARN or an action stand for; its cost is bounded whatever stands in the pattern."""
    compiled = compile_pattern(pattern, variables=False)
    return lambda text: compiled.matches(text, lambda _: None)


def is_known(action: str) -> bool:
    """Whether "s3:GetObject", "s3:Get*", "*" may name an action."""
    name = action.rpartition(":")[2].lower()
    if "*" in name or "?" in name or name in _OBJECT or name in _BUCKET:
        return True
    return _VERBS.match(name) is not None


def applies(action: str, resources: Sequence[str]) -> bool:
    """Whether an action, or one of those that it stands for, can be done to one of the resources (ARNs)."""
    fits = matcher(action.rpartition(":")[2].lower())
    of_objects = any(fits(one) for one in _OBJECT)
    of_buckets = any(fits(one) for one in _BUCKET)
    if not of_objects and not of_buckets:
        return True
    # A pattern that ends in a wildcard reaches into the bucket.
    on_objects = any("/" in one or "*" in one for one in resources)
    on_bucket = any("/" not in one for one in resources)
    return (of_objects and on_objects) or (of_buckets and on_bucket)
