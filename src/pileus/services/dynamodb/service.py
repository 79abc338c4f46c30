"""The manifests: DynamoDB's, and that of DynamoDB Streams, whose records are written with the items themselves."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.dynamodb import loops, permissions, work
from pileus.services.dynamodb.operations import (
    batches,
    items,
    queries,
    settings,
    statements,
    streams,
    tables,
    transactions,
)

SERVICE = Service(
    name="dynamodb",
    operations={
        "BatchExecuteStatement": free(statements.batch_execute_statement, statements.of_batch),
        "BatchGetItem": reading(batches.batch_get_item, permissions.items, refine=permissions.refine),
        "BatchWriteItem": writing(batches.batch_write_item, permissions.items, refine=permissions.refine),
        "CreateTable": writing(tables.create_table, permissions.table),
        "DeleteItem": writing(items.delete_item, permissions.items, refine=permissions.refine),
        "DeleteTable": writing(tables.delete_table, permissions.table),
        "DescribeContinuousBackups": reading(settings.describe_continuous_backups, permissions.table),
        "DescribeEndpoints": reading(settings.describe_endpoints),
        "DescribeLimits": reading(settings.describe_limits),
        "DescribeTable": reading(tables.describe_table, permissions.table),
        "DescribeTimeToLive": reading(settings.describe_time_to_live, permissions.table),
        "ExecuteStatement": free(statements.execute_statement, statements.of_statement, refine=statements.refine),
        "ExecuteTransaction": free(statements.execute_transaction, statements.of_transaction, refine=statements.refine),
        "GetItem": reading(items.get_item, permissions.items, refine=permissions.refine),
        "ListTables": reading(tables.list_tables),
        "ListTagsOfResource": reading(settings.list_tags_of_resource, permissions.resource),
        "PutItem": writing(items.put_item, permissions.items, refine=permissions.refine),
        "Query": free(queries.query, permissions.items, refine=permissions.refine),
        "Scan": free(queries.scan, permissions.items, refine=permissions.refine),
        "TagResource": writing(settings.tag_resource, permissions.resource),
        "TransactGetItems": reading(transactions.transact_get_items, permissions.items, refine=permissions.refine),
        "TransactWriteItems": writing(transactions.transact_write_items, permissions.items, refine=permissions.refine),
        "UntagResource": writing(settings.untag_resource, permissions.resource),
        "UpdateItem": writing(items.update_item, permissions.items, refine=permissions.refine),
        "UpdateTable": writing(tables.update_table, permissions.table),
        "UpdateTimeToLive": writing(settings.update_time_to_live, permissions.table),
    },
    loops=(
        Loop("dynamodb.statistics", loops.count, period_s=5.0),
        Loop("dynamodb.expire", loops.expire_items, period_s=5.0),
    ),
    targets={work.TARGET: work.handle},
    start=loops.start,
    stop=loops.stop,
)

STREAMS = Service(
    name="dynamodbstreams",
    operations={
        "DescribeStream": reading(streams.describe_stream, permissions.stream),
        "GetRecords": reading(streams.get_records, permissions.shard_iterator),
        "GetShardIterator": reading(streams.get_shard_iterator, permissions.stream),
        "ListStreams": reading(streams.list_streams),
    },
    loops=(Loop("dynamodbstreams.trim", loops.trim_streams, period_s=60.0),),
)
