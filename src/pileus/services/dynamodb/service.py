"""The manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, reading, writing
from pileus.services.dynamodb import loops, permissions, work
from pileus.services.dynamodb.operations import batches, items, queries, settings, tables, transactions

SERVICE = Service(
    name="dynamodb",
    operations={
        "BatchGetItem": reading(batches.batch_get_item, permissions.tables),
        "BatchWriteItem": writing(batches.batch_write_item, permissions.tables),
        "CreateTable": writing(tables.create_table, permissions.table),
        "DeleteItem": writing(items.delete_item, permissions.table),
        "DeleteTable": writing(tables.delete_table, permissions.table),
        "DescribeContinuousBackups": reading(settings.describe_continuous_backups, permissions.table),
        "DescribeEndpoints": reading(settings.describe_endpoints),
        "DescribeLimits": reading(settings.describe_limits),
        "DescribeTable": reading(tables.describe_table, permissions.table),
        "DescribeTimeToLive": reading(settings.describe_time_to_live, permissions.table),
        "GetItem": reading(items.get_item, permissions.table),
        "ListTables": reading(tables.list_tables),
        "ListTagsOfResource": reading(settings.list_tags_of_resource, permissions.resource),
        "PutItem": writing(items.put_item, permissions.table),
        "Query": reading(queries.query, permissions.table_or_index),
        "Scan": reading(queries.scan, permissions.table_or_index),
        "TagResource": writing(settings.tag_resource, permissions.resource),
        "TransactGetItems": reading(transactions.transact_get_items, permissions.transaction),
        "TransactWriteItems": writing(transactions.transact_write_items, permissions.transaction),
        "UntagResource": writing(settings.untag_resource, permissions.resource),
        "UpdateItem": writing(items.update_item, permissions.table),
        "UpdateTable": writing(tables.update_table, permissions.table),
        "UpdateTimeToLive": writing(settings.update_time_to_live, permissions.table),
    },
    loops=(Loop("dynamodb.statistics", loops.count, period_s=5.0),),
    targets={work.TARGET: work.handle},
    start=loops.start,
    stop=loops.stop,
)
