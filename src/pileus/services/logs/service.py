"""CloudWatch Logs: its manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, reading, writing
from pileus.services.logs import loops
from pileus.services.logs.lookup import on_group, on_resource, on_stream
from pileus.services.logs.operations import events, groups, policies, streams, tags

SERVICE = Service(
    name="logs",
    operations={
        "CreateLogGroup": writing(groups.create_log_group, on_group("CreateLogGroup")),
        "DescribeLogGroups": reading(groups.describe_log_groups, on_group("DescribeLogGroups")),
        "ListLogGroups": reading(groups.list_log_groups, on_group("ListLogGroups")),
        "DeleteLogGroup": writing(groups.delete_log_group, on_group("DeleteLogGroup")),
        "PutRetentionPolicy": writing(groups.put_retention_policy, on_group("PutRetentionPolicy")),
        "DeleteRetentionPolicy": writing(groups.delete_retention_policy, on_group("DeleteRetentionPolicy")),
        "AssociateKmsKey": writing(groups.associate_kms_key, on_group("AssociateKmsKey")),
        "DisassociateKmsKey": writing(groups.disassociate_kms_key, on_group("DisassociateKmsKey")),
        "PutLogGroupDeletionProtection": writing(
            groups.put_log_group_deletion_protection, on_group("PutLogGroupDeletionProtection")
        ),
        "TagResource": writing(tags.tag_resource, on_resource("TagResource")),
        "UntagResource": writing(tags.untag_resource, on_resource("UntagResource")),
        "ListTagsForResource": reading(tags.list_tags_for_resource, on_resource("ListTagsForResource")),
        "TagLogGroup": writing(tags.tag_log_group, on_group("TagLogGroup")),
        "UntagLogGroup": writing(tags.untag_log_group, on_group("UntagLogGroup")),
        "ListTagsLogGroup": reading(tags.list_tags_log_group, on_group("ListTagsLogGroup")),
        "CreateLogStream": writing(streams.create_log_stream, on_stream("CreateLogStream"), policies.account_policies),
        "DescribeLogStreams": reading(streams.describe_log_streams, on_group("DescribeLogStreams")),
        "DeleteLogStream": writing(streams.delete_log_stream, on_stream("DeleteLogStream")),
        "PutLogEvents": writing(events.put_log_events, on_stream("PutLogEvents"), policies.account_policies),
        "GetLogEvents": reading(events.get_log_events, on_stream("GetLogEvents")),
        "FilterLogEvents": reading(events.filter_log_events, on_group("FilterLogEvents")),
        "PutResourcePolicy": writing(policies.put_resource_policy),
        "DeleteResourcePolicy": writing(policies.delete_resource_policy),
        "DescribeResourcePolicies": reading(policies.describe_resource_policies),
    },
    loops=(
        Loop("logs.sweep", loops.sweep, period_s=600),
        Loop("logs.retention", loops.expire, period_s=3600),
    ),
)
