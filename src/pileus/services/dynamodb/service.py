"""The manifests: DynamoDB's, and that of DynamoDB Streams, whose records are written with the items themselves."""

from __future__ import annotations

from typing import Any

from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.dynamodb import disassociating, loops, permissions, replicas, work
from pileus.services.dynamodb.operations import (
    backups,
    batches,
    exports,
    imports,
    insights,
    items,
    policies,
    queries,
    scaling,
    settings,
    statements,
    streams,
    tables,
    transactions,
)

# Whose permissions and policies an operation on items, on a table and of PartiQL asks for.
_ITEMS: dict[str, Any] = {
    "permissions": permissions.items,
    "resource_policy": policies.of_items,
    "refine": permissions.refine,
    "guarded": policies.guarded,
}
_TABLE: dict[str, Any] = {
    "permissions": permissions.table,
    "resource_policy": policies.of_table,
    "guarded": policies.guarded,
}
_PARTIQL: dict[str, Any] = {"resource_policy": statements.resource_policy, "guarded": policies.guarded}
_STATEMENTS: dict[str, Any] = {**_PARTIQL, "refine": statements.refine}

SERVICE = Service(
    name="dynamodb",
    operations={
        "BatchExecuteStatement": free(statements.batch_execute_statement, statements.of_batch, **_PARTIQL),
        "BatchGetItem": reading(
            batches.batch_get_item, permissions.items, policies.of_items, permissions.refine, policies.guarded
        ),
        "BatchWriteItem": writing(
            batches.batch_write_item, permissions.items, policies.of_items, permissions.refine, policies.guarded
        ),
        "CreateBackup": writing(backups.create_backup, permissions.table),
        "CreateGlobalTable": reading(insights.create_global_table, permissions.global_table),
        "CreateTable": writing(tables.create_table, permissions.table),
        "DeleteBackup": writing(backups.delete_backup, backups.of_backup),
        "DeleteItem": writing(
            items.delete_item, permissions.items, policies.of_items, permissions.refine, policies.guarded
        ),
        "DeleteResourcePolicy": writing(policies.delete_resource_policy, permissions.resource),
        "DeleteTable": writing(tables.delete_table, **_TABLE),
        "DescribeBackup": reading(backups.describe_backup, backups.of_backup),
        "DescribeContinuousBackups": reading(
            backups.describe_continuous_backups, permissions.table, policies.of_table, guarded=policies.guarded
        ),
        "DescribeContributorInsights": reading(insights.describe_contributor_insights, permissions.table),
        "DescribeEndpoints": reading(settings.describe_endpoints),
        "DescribeExport": reading(exports.describe_export, exports.of_export),
        "DescribeGlobalTable": reading(insights.no_global_table, permissions.global_table),
        "DescribeGlobalTableSettings": reading(insights.no_global_table, permissions.global_table),
        "DescribeImport": reading(imports.describe_import, imports.of_import),
        "DescribeKinesisStreamingDestination": reading(
            insights.describe_kinesis_streaming_destination, permissions.table
        ),
        "DescribeLimits": reading(settings.describe_limits),
        "DescribeTable": reading(tables.describe_table, **_TABLE),
        "DescribeTableReplicaAutoScaling": free(scaling.describe_table_replica_auto_scaling, permissions.table),
        "DescribeTimeToLive": reading(
            settings.describe_time_to_live, permissions.table, policies.of_table, guarded=policies.guarded
        ),
        "DisableKinesisStreamingDestination": reading(
            insights.disable_kinesis_streaming_destination, permissions.table
        ),
        "EnableKinesisStreamingDestination": reading(insights.enable_kinesis_streaming_destination, permissions.table),
        "ExecuteStatement": free(
            statements.execute_statement, statements.of_statement, refine=statements.refine, **_PARTIQL
        ),
        "ExecuteTransaction": free(
            statements.execute_transaction, statements.of_transaction, refine=statements.refine, **_PARTIQL
        ),
        "ExportTableToPointInTime": writing(exports.export_table_to_point_in_time, exports.of_table_arn),
        "GetItem": reading(items.get_item, **_ITEMS),
        "GetResourcePolicy": reading(policies.get_resource_policy, permissions.resource),
        "ListBackups": reading(backups.list_backups),
        "ListContributorInsights": reading(insights.list_contributor_insights),
        "ListExports": reading(exports.list_exports),
        "ListGlobalTables": reading(insights.list_global_tables),
        "ImportTable": writing(imports.import_table, imports.of_new_table),
        "ListImports": reading(imports.list_imports),
        "ListTables": reading(tables.list_tables),
        "ListTagsOfResource": reading(settings.list_tags_of_resource, permissions.resource),
        "PutItem": writing(items.put_item, **_ITEMS),
        "PutResourcePolicy": writing(policies.put_resource_policy, permissions.resource),
        "Query": free(queries.query, **_ITEMS),
        "RestoreTableFromBackup": writing(backups.restore_table_from_backup, backups.of_restore),
        "RestoreTableToPointInTime": writing(backups.restore_table_to_point_in_time, backups.of_restore),
        "Scan": free(queries.scan, **_ITEMS),
        "TagResource": writing(settings.tag_resource, permissions.resource),
        "TransactGetItems": reading(
            transactions.transact_get_items, permissions.items, policies.of_items, permissions.refine, policies.guarded
        ),
        "TransactWriteItems": writing(
            transactions.transact_write_items,
            permissions.items,
            policies.of_items,
            permissions.refine,
            policies.guarded,
        ),
        "UntagResource": writing(settings.untag_resource, permissions.resource),
        "UpdateContinuousBackups": writing(backups.update_continuous_backups, **_TABLE),
        "UpdateContributorInsights": writing(insights.update_contributor_insights, permissions.table),
        "UpdateGlobalTable": reading(insights.no_global_table, permissions.global_table),
        "UpdateGlobalTableSettings": reading(insights.no_global_table, permissions.global_table),
        "UpdateItem": writing(
            items.update_item, permissions.items, policies.of_items, permissions.refine, policies.guarded
        ),
        "UpdateKinesisStreamingDestination": reading(insights.update_kinesis_streaming_destination, permissions.table),
        "UpdateTable": free(tables.update_table, permissions.update_table, policies.of_table, guarded=policies.guarded),
        "UpdateTableReplicaAutoScaling": free(scaling.update_table_replica_auto_scaling, permissions.table),
        "UpdateTimeToLive": writing(
            settings.update_time_to_live,
            permissions.table,
            policies.of_table,
            permissions.all_replicas,
            policies.guarded,
        ),
    },
    loops=(
        Loop("dynamodb.statistics", loops.count, period_s=5.0),
        Loop("dynamodb.history", loops.trim_history, period_s=600.0),
        Loop("dynamodb.expire", loops.expire_items, period_s=5.0),
        Loop("dynamodb.replicate", loops.replicate, period_s=60.0),
        Loop("dynamodb.deleted", loops.forget_deleted, period_s=600.0),
        Loop("dynamodb.tokens", loops.trim_tokens, period_s=600.0),
    ),
    targets={
        work.TARGET: work.handle,
        replicas.TARGET: replicas.handle,
        disassociating.TARGET: disassociating.handle,
    },
    start=loops.start,
    stop=loops.stop,
)

STREAMS = Service(
    name="dynamodbstreams",
    operations={
        "DescribeStream": reading(
            streams.describe_stream, permissions.stream, policies.of_stream, guarded=policies.guarded
        ),
        "GetRecords": reading(
            streams.get_records, permissions.shard_iterator, policies.of_iterator, guarded=policies.guarded
        ),
        "GetShardIterator": reading(
            streams.get_shard_iterator, permissions.stream, policies.of_stream, guarded=policies.guarded
        ),
        "ListStreams": reading(streams.list_streams),
    },
    loops=(Loop("dynamodbstreams.trim", loops.trim_streams, period_s=60.0),),
)
