"""Amazon S3's manifest."""

from __future__ import annotations

from dataclasses import replace

from pileus.cloud.manifest import Loop, Operation, Service, free, reading, writing
from pileus.services.s3 import (
    abac,
    accesspoints,
    configurations,
    inventories,
    log_delivery,
    loops,
    object_lambda,
    policies,
    replicating,
    replication,
    restorations,
    serving,
    start,
    targets,
)
from pileus.services.s3 import notifications as events
from pileus.services.s3 import permissions as needs
from pileus.services.s3.directories import permissions
from pileus.services.s3.operations import (
    acls,
    buckets,
    configuration,
    copies,
    directories,
    lifecycle,
    listing,
    locks,
    notifications,
    objects,
    parts,
    posting,
    renaming,
    restoring,
    settings,
    tagging,
    uploads,
)
from pileus.services.s3.operations import configurations as of_id
from pileus.services.s3.operations import object_lambda as lambdas
from pileus.services.s3.operations import reading as reads
from pileus.services.s3.preflight import preflight

_guard = policies.of_bucket


def _configurations(name: str, permission: str, kind: configurations.Kind) -> dict[str, Operation]:
    """The four operations on configurations of one kind."""
    reads, writes = needs.bucket(f"Get{permission}"), needs.bucket(f"Put{permission}")
    return {
        f"Put{name}": writing(of_id.put(kind), writes, _guard),
        f"Get{name}": reading(of_id.get(kind), reads, _guard),
        f"Delete{name}": writing(of_id.delete(kind), writes, _guard),
        f"List{name}s": reading(of_id.list_(kind), reads, _guard),
    }


def _of_all_buckets(name: str, operation: Operation) -> Operation:
    """The operation, with the permissions of either kind of bucket. Whatever a bucket's policy guards, its tags may
    have a say in."""
    assert operation.permissions is not None
    return replace(
        operation,
        permissions=permissions(name, operation.permissions),
        refine=operation.refine if operation.resource_policy is None else abac.refine,
    )


_OPERATIONS = {
    "CreateBucket": writing(buckets.create_bucket, needs.create_bucket),
    "HeadBucket": reading(buckets.head_bucket, needs.bucket("ListBucket"), _guard),
    "GetBucketLocation": reading(
        buckets.get_bucket_location, needs.bucket("GetBucketLocation"), policies.of_bucket_anywhere
    ),
    "ListBuckets": reading(buckets.list_buckets, needs.account("ListAllMyBuckets")),
    "ListDirectoryBuckets": reading(directories.list_directory_buckets, needs.list_directory_buckets),
    "CreateSession": reading(directories.create_session, needs.asked_later, _guard),
    "DeleteBucket": writing(buckets.delete_bucket, needs.bucket("DeleteBucket"), _guard),
    "GetBucketVersioning": reading(configuration.get_bucket_versioning, needs.bucket("GetBucketVersioning"), _guard),
    "PutBucketVersioning": writing(configuration.put_bucket_versioning, needs.bucket("PutBucketVersioning"), _guard),
    "GetBucketTagging": reading(configuration.get_bucket_tagging, needs.bucket("GetBucketTagging"), _guard),
    "PutBucketTagging": writing(configuration.put_bucket_tagging, needs.bucket("PutBucketTagging"), _guard),
    "DeleteBucketTagging": writing(configuration.delete_bucket_tagging, needs.bucket("PutBucketTagging"), _guard),
    "GetBucketPolicy": reading(configuration.get_bucket_policy, needs.bucket("GetBucketPolicy"), _guard),
    "GetBucketPolicyStatus": reading(
        configuration.get_bucket_policy_status, needs.bucket("GetBucketPolicyStatus"), _guard
    ),
    "PutBucketPolicy": writing(configuration.put_bucket_policy, needs.bucket("PutBucketPolicy"), _guard),
    "DeleteBucketPolicy": writing(configuration.delete_bucket_policy, needs.bucket("DeleteBucketPolicy"), _guard),
    "GetBucketCors": reading(configuration.get_bucket_cors, needs.bucket("GetBucketCORS"), _guard),
    "PutBucketCors": writing(configuration.put_bucket_cors, needs.bucket("PutBucketCORS"), _guard),
    "DeleteBucketCors": writing(configuration.delete_bucket_cors, needs.bucket("PutBucketCORS"), _guard),
    "GetPublicAccessBlock": reading(
        configuration.get_public_access_block, needs.bucket("GetBucketPublicAccessBlock"), _guard
    ),
    "PutPublicAccessBlock": writing(
        configuration.put_public_access_block, needs.bucket("PutBucketPublicAccessBlock"), _guard
    ),
    "DeletePublicAccessBlock": writing(
        configuration.delete_public_access_block, needs.bucket("PutBucketPublicAccessBlock"), _guard
    ),
    "GetBucketOwnershipControls": reading(
        configuration.get_bucket_ownership_controls, needs.bucket("GetBucketOwnershipControls"), _guard
    ),
    "PutBucketOwnershipControls": writing(
        configuration.put_bucket_ownership_controls, needs.bucket("PutBucketOwnershipControls"), _guard
    ),
    "DeleteBucketOwnershipControls": writing(
        configuration.delete_bucket_ownership_controls, needs.bucket("PutBucketOwnershipControls"), _guard
    ),
    "GetBucketEncryption": reading(
        configuration.get_bucket_encryption, needs.bucket("GetEncryptionConfiguration"), _guard
    ),
    "PutBucketEncryption": writing(
        configuration.put_bucket_encryption, needs.bucket("PutEncryptionConfiguration"), _guard
    ),
    "DeleteBucketEncryption": writing(
        configuration.delete_bucket_encryption, needs.bucket("PutEncryptionConfiguration"), _guard
    ),
    "GetBucketNotificationConfiguration": reading(
        notifications.get_bucket_notification_configuration, needs.bucket("GetBucketNotification"), _guard
    ),
    "PutBucketNotificationConfiguration": free(
        notifications.put_bucket_notification_configuration, needs.bucket("PutBucketNotification"), _guard
    ),
    "GetObjectLockConfiguration": reading(
        locks.get_object_lock_configuration, needs.bucket("GetBucketObjectLockConfiguration"), _guard
    ),
    "PutObjectLockConfiguration": writing(
        locks.put_object_lock_configuration, needs.bucket("PutBucketObjectLockConfiguration"), _guard
    ),
    "GetObjectRetention": reading(locks.get_object_retention, needs.object_("GetObjectRetention"), _guard),
    "PutObjectRetention": writing(
        locks.put_object_retention, needs.bypassing(needs.object_("PutObjectRetention")), _guard
    ),
    "GetObjectLegalHold": reading(locks.get_object_legal_hold, needs.object_("GetObjectLegalHold"), _guard),
    "PutObjectLegalHold": writing(locks.put_object_legal_hold, needs.object_("PutObjectLegalHold"), _guard),
    "GetBucketAcl": reading(acls.get_bucket_acl, needs.bucket("GetBucketAcl"), _guard),
    "PutBucketAcl": writing(acls.put_bucket_acl, needs.bucket("PutBucketAcl"), _guard),
    "GetObjectAcl": reading(acls.get_object_acl, needs.versioned("GetObjectAcl"), _guard),
    "PutObjectAcl": writing(acls.put_object_acl, needs.versioned("PutObjectAcl"), _guard),
    "GetBucketRequestPayment": reading(
        settings.get_bucket_request_payment, needs.bucket("GetBucketRequestPayment"), _guard
    ),
    "PutBucketRequestPayment": writing(
        settings.put_bucket_request_payment, needs.bucket("PutBucketRequestPayment"), _guard
    ),
    "GetBucketAccelerateConfiguration": reading(
        settings.get_bucket_accelerate_configuration, needs.bucket("GetAccelerateConfiguration"), _guard
    ),
    "PutBucketAccelerateConfiguration": writing(
        settings.put_bucket_accelerate_configuration, needs.bucket("PutAccelerateConfiguration"), _guard
    ),
    "GetBucketAbac": reading(settings.get_bucket_abac, needs.bucket("GetBucketABAC"), _guard),
    "PutBucketAbac": writing(settings.put_bucket_abac, needs.bucket("PutBucketABAC"), _guard),
    "GetBucketLogging": reading(settings.get_bucket_logging, needs.bucket("GetBucketLogging"), _guard),
    "PutBucketLogging": writing(settings.put_bucket_logging, needs.bucket("PutBucketLogging"), _guard),
    "GetBucketWebsite": reading(settings.get_bucket_website, needs.bucket("GetBucketWebsite"), _guard),
    "PutBucketWebsite": writing(settings.put_bucket_website, needs.bucket("PutBucketWebsite"), _guard),
    "DeleteBucketWebsite": writing(settings.delete_bucket_website, needs.bucket("DeleteBucketWebsite"), _guard),
    "GetBucketReplication": reading(
        settings.get_bucket_replication, needs.bucket("GetReplicationConfiguration"), _guard
    ),
    "PutBucketReplication": writing(settings.put_bucket_replication, needs.put_replication, _guard),
    "DeleteBucketReplication": writing(
        settings.delete_bucket_replication, needs.bucket("PutReplicationConfiguration"), _guard
    ),
    **_configurations("BucketInventoryConfiguration", "InventoryConfiguration", configurations.INVENTORY),
    **_configurations("BucketAnalyticsConfiguration", "AnalyticsConfiguration", configurations.ANALYTICS),
    **_configurations("BucketMetricsConfiguration", "MetricsConfiguration", configurations.METRICS),
    **_configurations(
        "BucketIntelligentTieringConfiguration", "IntelligentTieringConfiguration", configurations.TIERING
    ),
    "GetBucketLifecycleConfiguration": reading(
        lifecycle.get_bucket_lifecycle_configuration, needs.bucket("GetLifecycleConfiguration"), _guard
    ),
    "PutBucketLifecycleConfiguration": writing(
        lifecycle.put_bucket_lifecycle_configuration, needs.bucket("PutLifecycleConfiguration"), _guard
    ),
    "DeleteBucketLifecycle": writing(
        lifecycle.delete_bucket_lifecycle, needs.bucket("PutLifecycleConfiguration"), _guard
    ),
    "ListObjects": reading(listing.list_objects, needs.bucket("ListBucket"), _guard),
    "ListObjectsV2": reading(listing.list_objects_v2, needs.bucket("ListBucket"), _guard),
    "ListObjectVersions": reading(listing.list_object_versions, needs.bucket("ListBucketVersions"), _guard),
    "PutObject": free(objects.put_object, needs.put_object, _guard),
    "GetObject": reading(reads.get_object, needs.versioned("GetObject"), _guard),
    "WriteGetObjectResponse": free(lambdas.write_get_object_response, object_lambda.write_permission),
    "HeadObject": reading(reads.head_object, needs.versioned("GetObject"), _guard),
    "GetObjectAttributes": reading(reads.get_object_attributes, needs.get_object_attributes, _guard),
    "DeleteObject": writing(objects.delete_object, needs.bypassing(needs.versioned("DeleteObject")), _guard),
    "DeleteObjects": writing(objects.delete_objects, needs.asked_later, _guard),
    "RenameObject": writing(renaming.rename_object, needs.object_("PutObject"), _guard),
    "CopyObject": free(copies.copy_object, needs.copy_object, policies.of_copy),
    "GetObjectTagging": reading(tagging.get_object_tagging, needs.versioned("GetObjectTagging"), _guard),
    "PutObjectTagging": writing(tagging.put_object_tagging, needs.versioned("PutObjectTagging"), _guard),
    "DeleteObjectTagging": writing(tagging.delete_object_tagging, needs.versioned("DeleteObjectTagging"), _guard),
    "RestoreObject": writing(restoring.restore_object, needs.object_("RestoreObject"), _guard),
    "SelectObjectContent": free(restoring.select_object_content, needs.object_("GetObject"), _guard),
    "GetObjectTorrent": free(restoring.get_object_torrent, needs.object_("GetObjectTorrent"), _guard),
    "CreateMultipartUpload": writing(uploads.create_multipart_upload, needs.put_object, _guard),
    "UploadPart": free(parts.upload_part, needs.object_("PutObject"), _guard),
    "UploadPartCopy": free(parts.upload_part_copy, needs.copy_object, policies.of_copy),
    "CompleteMultipartUpload": writing(uploads.complete_multipart_upload, needs.object_("PutObject"), _guard),
    "AbortMultipartUpload": writing(uploads.abort_multipart_upload, needs.object_("AbortMultipartUpload"), _guard),
    "ListParts": reading(uploads.list_parts, needs.object_("ListMultipartUploadParts"), _guard),
    "ListMultipartUploads": reading(uploads.list_multipart_uploads, needs.bucket("ListBucketMultipartUploads"), _guard),
}

SERVICE = Service(
    name="s3",
    operations={name: _of_all_buckets(name, operation) for name, operation in _OPERATIONS.items()},
    loops=(
        Loop("s3.lifecycle", loops.run_lifecycles, period_s=3600),
        Loop("s3.inventory", inventories.run_inventories, period_s=3600),
        Loop("s3.access-logs", log_delivery.run_access_logs, period_s=log_delivery.PERIOD_S),
    ),
    preflight=preflight,
    start=start.start,
    stop=start.stop,
    resolve=accesspoints.resolve,
    alternatives={
        object_lambda.TRANSFORMED["GetObject"]: free(
            lambdas.get_object, object_lambda.get_permission, policies.of_object_lambda
        ),
        object_lambda.TRANSFORMED["HeadObject"]: free(
            lambdas.head_object, object_lambda.get_permission, policies.of_object_lambda
        ),
    },
    admit=buckets.admit,
    forms=posting.read_form,
    hosts={serving.LABEL: serving.serve},
    targets={
        events.TARGET: targets.deliver,
        log_delivery.TARGET: log_delivery.deliver,
        replication.TARGET: replicating.deliver,
        replication.THRESHOLD_TARGET: replicating.tell_threshold,
        replication.DEAD_TARGET: replicating.give_up,
        restorations.TARGET: restorations.deliver,
    },
)
