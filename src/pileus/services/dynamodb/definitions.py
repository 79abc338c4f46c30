"""What CreateTable and UpdateTable are given: from their members to a table's record, with AWS's checks.

Sources: the API reference's pages CreateTable, UpdateTable, Projection; "Quotas in Amazon DynamoDB".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import encryption, errors, records

LOCAL_INDEXES_MAX = 5
GLOBAL_INDEXES_MAX = 20
# Of a global index, in its partition key and in its sort key.
KEY_ATTRIBUTES_MAX = 4
TAGS_MAX = 50
PROJECTED_MAX = 100

Request = Mapping[str, Any]


def refuse_unbuilt(request: Request) -> None:
    """Name what Pileus does not do, rather than pass over it."""
    for member in (
        "GlobalTableSourceArn",
        "GlobalTableSettingsReplicationMode",
        "VectorIndexes",
        "VectorIndexUpdates",
    ):
        if request.get(member):
            raise NotBuilt(f"DynamoDB's {member}")


def new_table(ctx: Context, name: str, request: Request) -> records.Table:
    """The record of the table that CreateTable asks for."""
    refuse_unbuilt(request)
    for member, spoken in (("AttributeDefinitions", "attributeDefinitions"), ("KeySchema", "keySchema")):
        if member not in request:
            raise errors.validation(
                f"1 validation error detected: Value null at '{spoken}' failed to satisfy constraint: "
                "Member must not be null"
            )
    billing = request.get("BillingMode", "PROVISIONED")
    read_units, write_units = _table_throughput(request, billing)
    check_on_demand(request, billing)
    attributes = _attributes(request["AttributeDefinitions"])
    partition, sort = _key_schema(request["KeySchema"])
    indexes = _indexes(ctx, request, partition, sort, billing)
    _check_definitions(attributes, partition, sort, indexes)
    warm = request.get("WarmThroughput") or {}
    return records.Table(
        name=name,
        id=ctx.cloud.ids.uuid(),
        created=ctx.now,
        attributes=attributes,
        hash=partition,
        range=sort,
        indexes=indexes,
        billing=billing,
        on_demand_since=ctx.now if billing == "PAY_PER_REQUEST" else 0.0,
        read_units=read_units,
        write_units=write_units,
        on_demand=dict(request.get("OnDemandThroughput") or {}),
        warm_read=warm.get("ReadUnitsPerSecond", 0),
        warm_write=warm.get("WriteUnitsPerSecond", 0),
        table_class=request.get("TableClass", ""),
        deletion_protection=request.get("DeletionProtectionEnabled", False),
        managed_key=encryption.is_managed(ctx, request.get("SSESpecification") or {}),
        tags=merged_tags({}, request.get("Tags", ())),
    )


def check_on_demand(request: Request, billing: str) -> None:
    """Check that an OnDemandThroughput fits the billing mode, and says something."""
    given = request.get("OnDemandThroughput")
    if given is None:
        return
    if billing == "PROVISIONED":
        raise errors.invalid("OnDemandThroughput cannot be specified when BillingMode is PROVISIONED")
    for member, units in given.items():
        if units == 0 or units < -1:
            raise errors.invalid(f"{member} must be greater than 0, or -1 for no maximum")


def stream_view(request: Request) -> records.View | None:
    """The view type of the stream that is asked for; None: no stream."""
    given = request.get("StreamSpecification") or {}
    view: records.View | None = given.get("StreamViewType")
    if given.get("StreamEnabled"):
        if view is None:
            raise errors.invalid("StreamViewType must be specified when StreamEnabled is true")
        return view
    if view is not None:
        raise errors.invalid("StreamViewType cannot be specified when StreamEnabled is false")
    return None


def _table_throughput(request: Request, billing: str) -> tuple[int, int]:
    given = request.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST":
        if given is not None:
            raise errors.invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        return 0, 0
    if given is None:
        raise errors.invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    return given["ReadCapacityUnits"], given["WriteCapacityUnits"]


def _attributes(definitions: list[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for definition in definitions:
        name = definition["AttributeName"]
        if name in found:
            raise errors.invalid(f"Duplicate AttributeName in AttributeDefinitions: {name}")
        found[name] = definition["AttributeType"]
    return found


def _index_keys(elements: list[Mapping[str, str]]) -> dict[str, Any]:
    """The attributes of a global index's keys, as members of its record."""
    if len(elements) <= 2 and [each["KeyType"] for each in elements] != ["HASH", "HASH"]:
        partition, sort = _key_schema(elements)
        return {"hash": partition, "range": sort}
    hashes = [each["AttributeName"] for each in elements if each["KeyType"] == "HASH"]
    ranges = [each["AttributeName"] for each in elements if each["KeyType"] == "RANGE"]
    if not hashes or elements[0]["KeyType"] != "HASH":
        raise errors.validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if [each["KeyType"] for each in elements] != ["HASH"] * len(hashes) + ["RANGE"] * len(ranges):
        raise errors.validation("Invalid KeySchema: All HASH key types must come before all RANGE key types")
    for kind, names in (("HASH", hashes), ("RANGE", ranges)):
        if len(names) > KEY_ATTRIBUTES_MAX:
            raise errors.validation(
                f"Invalid KeySchema: Number of {kind} key types exceeds the limit of {KEY_ATTRIBUTES_MAX} per index"
            )
    if len({*hashes, *ranges}) < len(elements):
        raise errors.validation("Invalid KeySchema: Some index key attributes have the same name")
    return {
        "hash": hashes[0],
        "range": ranges[0] if ranges else "",
        "more_hash": tuple(hashes[1:]),
        "more_range": tuple(ranges[1:]),
    }


def _key_schema(elements: list[Mapping[str, str]]) -> tuple[str, str]:
    """Partition and sort key ("" where there is none)."""
    if len(elements) > 2:
        shown = ", ".join(
            f"KeySchemaElement(attributeName={each['AttributeName']}, keyType={each['KeyType']})" for each in elements
        )
        raise errors.constraint(f"[{shown}]", "keySchema", "Member must have length less than or equal to 2")
    if elements[0]["KeyType"] != "HASH":
        raise errors.validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(elements) == 1:
        return elements[0]["AttributeName"], ""
    if elements[1]["KeyType"] != "RANGE":
        raise errors.validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    if elements[0]["AttributeName"] == elements[1]["AttributeName"]:
        raise errors.validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    return elements[0]["AttributeName"], elements[1]["AttributeName"]


def _indexes(ctx: Context, request: Request, partition: str, sort: str, billing: str) -> tuple[records.Index, ...]:
    found: list[records.Index] = []
    for member, most in (("LocalSecondaryIndexes", LOCAL_INDEXES_MAX), ("GlobalSecondaryIndexes", GLOBAL_INDEXES_MAX)):
        given = request.get(member)
        if given is None:
            continue
        if not given:
            raise errors.invalid(f"List of {member} is empty")
        if len(given) > most:
            raise errors.invalid(f"Number of {member} exceeds per-table limit of {most}")
        for description in given:
            if member == "LocalSecondaryIndexes":
                index = _local_index(ctx, description, partition, sort)
            else:
                index = global_index(ctx, description, billing)
            if any(index.name == other.name for other in found):
                raise errors.invalid(f"Duplicate index name: {index.name}")
            found.append(index)
    if sum(len(index.non_key_attributes) for index in found) > PROJECTED_MAX:
        raise errors.invalid(
            f"Number of NonKeyAttributes across all indexes exceeds per-table limit of {PROJECTED_MAX}"
        )
    return tuple(found)


def _local_index(ctx: Context, description: Mapping[str, Any], partition: str, sort: str) -> records.Index:
    name = description["IndexName"]
    if not sort:
        raise errors.invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    index_partition, index_sort = _key_schema(description["KeySchema"])
    if not index_sort:
        raise errors.invalid(f"Index KeySchema does not have a range key for index: {name}")
    if index_partition != partition:
        raise errors.invalid(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
            f"{name}. index hash key: {index_partition}, table hash key: {partition}"
        )
    projection, others = _projection(description.get("Projection"))
    return records.Index(
        name=name,
        id=ctx.cloud.ids.token_bytes(8),
        scope="local",
        hash=index_partition,
        range=index_sort,
        projection=projection,
        non_key_attributes=others,
    )


def global_index(ctx: Context, description: Mapping[str, Any], billing: str) -> records.Index:
    """The record of a global index; `description` as in CreateTable or UpdateTable."""
    name = description["IndexName"]
    key = _index_keys(description["KeySchema"])
    projection, others = _projection(description.get("Projection"))
    given = description.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST" and given is not None:
        raise errors.invalid(
            f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
        )
    if billing == "PROVISIONED" and given is None:
        raise errors.invalid(f"ProvisionedThroughput must be specified for index: {name}")
    check_on_demand(description, billing)
    warm = description.get("WarmThroughput") or {}
    return records.Index(
        name=name,
        id=ctx.cloud.ids.token_bytes(8),
        scope="global",
        **key,
        projection=projection,
        non_key_attributes=others,
        read_units=(given or {}).get("ReadCapacityUnits", 0),
        write_units=(given or {}).get("WriteCapacityUnits", 0),
        warm_read=warm.get("ReadUnitsPerSecond", 0),
        warm_write=warm.get("WriteUnitsPerSecond", 0),
        on_demand=dict(description.get("OnDemandThroughput") or {}),
    )


def _projection(description: Mapping[str, Any] | None) -> tuple[Any, tuple[str, ...]]:
    kind = (description or {}).get("ProjectionType")
    others = (description or {}).get("NonKeyAttributes")
    if kind is None:
        raise errors.invalid("Unknown ProjectionType: null")
    if kind != "INCLUDE":
        if others is not None:
            raise errors.invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
        return kind, ()
    if not others:
        raise errors.invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    return kind, tuple(others)


def _check_definitions(
    attributes: Mapping[str, str], partition: str, sort: str, indexes: tuple[records.Index, ...]
) -> None:
    keyed = [name for name in (partition, sort) if name]
    defined = f"AttributeDefinitions: [{', '.join(attributes)}]"
    check_defined(attributes, keyed[:1], keyed[1:])
    if not indexes and len(attributes) != len(keyed):
        raise errors.invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    used = set(keyed)
    for index in indexes:
        check_defined(attributes, index.hashes, index.ranges)
        used.update(index.names)
    if len(used) < len(attributes):
        raise errors.invalid(
            f"Some AttributeDefinitions are not used. {defined}, keys used: [{', '.join(sorted(used))}]"
        )


def check_defined(attributes: Mapping[str, str], hashes: Sequence[str], ranges: Sequence[str]) -> None:
    """Check that the attributes of a table's or an index's key are among the definitions."""
    if not attributes.keys() >= set(hashes):
        raise errors.invalid(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join((*hashes, *ranges))}], AttributeDefinitions: [{', '.join(attributes)}]"
        )
    if not attributes.keys() >= set(ranges):
        raise errors.validation("Invalid KeySchema: Some index key attribute have no definition")


def merged_definitions(
    attributes: Mapping[str, str], definitions: list[Mapping[str, str]], index: records.Index
) -> dict[str, str]:
    """A table's definitions with those of an UpdateTable, which has to give all of those of its new index."""
    given = _attributes(definitions)
    check_defined(given, index.hashes, index.ranges)
    for name, kind in given.items():
        if attributes.get(name, kind) != kind:
            raise errors.invalid(f"Cannot change the type of attribute {name} from {attributes[name]} to {kind}")
    return {**attributes, **given}


def merged_tags(tags: Mapping[str, str], given: Any) -> dict[str, str]:
    """A table's tags with further ones."""
    merged = dict(tags)
    for tag in given:
        if tag["Key"].lower().startswith("aws:"):
            raise errors.invalid(f"Tag keys starting with 'aws:' are reserved for system use: {tag['Key']}")
        merged[tag["Key"]] = tag["Value"]
    if len(merged) > TAGS_MAX:
        raise AWSError("LimitExceededException", f"Subscriber limit exceeded: a table has at most {TAGS_MAX} tags")
    return merged
