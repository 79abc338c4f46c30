"""Clusters, their nodes, tags and events.

Source: the pages of these operations in the "Amazon DynamoDB Accelerator" API reference.
"""

from __future__ import annotations

import re
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.dax import errors, keys
from pileus.services.dax.nodes import DEFAULT_GROUP, Nodes, find_group, place_of
from pileus.services.dax.operations.common import EVENTS_S, named, note, page
from pileus.services.dax.records import Cluster, Event, Node, decode, encode
from pileus.store.contract import Reader, Transaction

NODES_MAX = 11
# Of all of an account's clusters in a region.
ALL_NODES_MAX = 50
TAGS_MAX = 50
DEFAULT_SUBNETS = "default"
_NAME = re.compile(r"[a-z](?:-?[a-z0-9]){0,19}", re.IGNORECASE)
_HOUR_S = 3600.0


def _key(ctx: Context, name: str) -> bytes:
    return keys.cluster(ctx.account, ctx.region, name.lower())


async def _get(ctx: Context, tx: Reader, name: str) -> Cluster:
    content = await tx.get(_key(ctx, name))
    if content is None:
        raise errors.cluster_not_found()
    return decode(Cluster, content)


async def _save(ctx: Context, tx: Transaction, cluster: Cluster) -> None:
    tx.put(_key(ctx, cluster.name), encode(cluster))
    group = await find_group(tx, ctx.account, ctx.region, cluster.parameter_group)
    if group is None:
        raise errors.parameter_group_not_found(cluster.parameter_group)
    tx.on_commit(lambda: ctx.cloud.part(Nodes).changed(cluster, group))


def _shown(ctx: Context, cluster: Cluster, status: str = "available") -> Answer:
    host = ctx.cloud.endpoint.partition("://")[2].rpartition(":")[0] or "localhost"
    endpoint = {
        "Address": host,
        "Port": cluster.port,
        "URL": f"dax{'s' if cluster.tls else ''}://{host}:{cluster.port}",
    }
    shown: dict[str, Any] = {
        "ClusterName": cluster.name,
        "ClusterArn": cluster.arn,
        "TotalNodes": len(cluster.nodes),
        "ActiveNodes": 0 if status == "creating" else len(cluster.nodes),
        "NodeType": cluster.node_type,
        "Status": status,
        "ClusterDiscoveryEndpoint": endpoint,
        "Nodes": [
            {
                "NodeId": node.id,
                "Endpoint": {"Address": host, "Port": cluster.port},
                "NodeCreateTime": node.created,
                "AvailabilityZone": node.zone,
                "NodeStatus": status,
                "ParameterGroupStatus": "in-sync",
            }
            for node in cluster.nodes
        ],
        "PreferredMaintenanceWindow": cluster.maintenance_window,
        "SubnetGroup": cluster.subnet_group,
        "SecurityGroups": [{"SecurityGroupIdentifier": one, "Status": "active"} for one in cluster.security_groups],
        "IamRoleArn": cluster.role,
        "ParameterGroup": {
            "ParameterGroupName": cluster.parameter_group,
            "ParameterApplyStatus": "in-sync",
            "NodeIdsToReboot": [],
        },
        "SSEDescription": {"Status": "ENABLED" if cluster.encrypted else "DISABLED"},
        "ClusterEndpointEncryptionType": "TLS" if cluster.tls else "NONE",
        "NetworkType": cluster.network_type,
    }
    if cluster.description:
        shown["Description"] = cluster.description
    if cluster.topic:
        shown["NotificationConfiguration"] = {"TopicArn": cluster.topic, "TopicStatus": cluster.topic_status}
    return {"Cluster": shown}


async def _check_nodes(ctx: Context, tx: Reader, more: int) -> None:
    """Check that so many more nodes are within the account's quota; no cluster has none."""
    rows = await tx.scan(*keys.clusters(ctx.account, ctx.region), limit=ALL_NODES_MAX)
    if more + sum(len(decode(Cluster, content).nodes) for _, content in rows) > ALL_NODES_MAX:
        raise errors.too_many_nodes_in_all(ALL_NODES_MAX)


def _add_nodes(ctx: Context, cluster: Cluster, count: int, zones: list[str]) -> None:
    places = zones or [f"{ctx.region}{letter}" for letter in "abc"]
    letters = [chr(ord("a") + at % 26) for at in range(cluster.nodes_made, cluster.nodes_made + count)]
    cluster.nodes += tuple(
        Node(
            id=f"{cluster.name}-{letter}",
            zone=places[(len(cluster.nodes) + at) % len(places)],
            created=ctx.now,
        )
        for at, letter in enumerate(letters)
    )
    cluster.nodes_made += count


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise errors.too_many_tags()


async def create_cluster(ctx: Context, request: Request) -> Answer:
    name = request["ClusterName"].lower()
    if not _NAME.fullmatch(name) or len(name) > 20:
        raise errors.invalid_value(
            "The cluster name must have 1 to 20 letters, digits or hyphens, begin with a letter, and not end with a "
            "hyphen or have two in a row."
        )
    count = request["ReplicationFactor"]
    if count < 1:
        raise errors.invalid_value("The replication factor must be at least 1.")
    if count > NODES_MAX:
        raise errors.too_many_nodes()
    zones = request.get("AvailabilityZones") or []
    if zones and len(zones) != count:
        raise errors.invalid_combination("AvailabilityZones must name a zone for each node.")
    cluster = Cluster(
        name=name,
        account=ctx.account,
        region=ctx.region,
        label=ctx.cloud.ids.hex(6),
        node_type=request["NodeType"],
        nodes=(),
        nodes_made=0,
        role=request["IamRoleArn"],
        created=ctx.now,
        port=0,
        description=request.get("Description") or "",
        subnet_group=request.get("SubnetGroupName") or DEFAULT_SUBNETS,
        security_groups=tuple(request.get("SecurityGroupIds") or ()),
        parameter_group=request.get("ParameterGroupName") or DEFAULT_GROUP,
        maintenance_window=request.get("PreferredMaintenanceWindow") or "sun:05:00-sun:06:00",
        topic=request.get("NotificationTopicArn") or "",
        encrypted=bool((request.get("SSESpecification") or {}).get("Enabled")),
        tls=request.get("ClusterEndpointEncryptionType") == "TLS",
        network_type=request.get("NetworkType") or "ipv4",
        tags={tag["Key"]: tag.get("Value", "") for tag in request.get("Tags") or ()},
    )
    _check_tags(cluster.tags)
    _add_nodes(ctx, cluster, count, zones)
    nodes = ctx.cloud.part(Nodes)
    group = await ctx.cloud.store.read(lambda tx: find_group(tx, ctx.account, ctx.region, cluster.parameter_group))
    if group is None:
        raise errors.parameter_group_not_found(cluster.parameter_group)
    opened = await nodes.open(cluster, group)

    async def write(tx: Transaction) -> None:
        if await tx.get(_key(ctx, name)) is not None:
            raise errors.cluster_exists(name)
        subnets = keys.subnet_group(ctx.account, ctx.region, cluster.subnet_group)
        if cluster.subnet_group != DEFAULT_SUBNETS and await tx.get(subnets) is None:
            raise errors.subnet_group_not_found(cluster.subnet_group)
        await _check_nodes(ctx, tx, count)
        await _save(ctx, tx, cluster)
        tx.put(keys.serving(*place_of(cluster)), b"")
        note(ctx, tx, "CLUSTER", name, "Cluster created.")

    try:
        await ctx.cloud.store.write(write)
    except BaseException:
        nodes.close(opened)
        raise
    nodes.serve(opened)
    return _shown(ctx, cluster, "creating")


async def delete_cluster(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _get(ctx, tx, request["ClusterName"])
    tx.delete(_key(ctx, cluster.name))
    tx.delete(keys.serving(*place_of(cluster)))
    note(ctx, tx, "CLUSTER", cluster.name, "Cluster deleted.")
    tx.on_commit(lambda: ctx.cloud.part(Nodes).forget(place_of(cluster)))
    return _shown(ctx, cluster, "deleting")


async def describe_clusters(ctx: Context, tx: Reader, request: Request) -> Answer:
    names = request.get("ClusterNames")
    more: dict[str, str] = {}
    if names:
        found = await named(tx, Cluster, names, lambda one: _key(ctx, one), lambda _: errors.cluster_not_found())
    else:
        within = keys.clusters(ctx.account, ctx.region)
        found, more = await page(tx, Cluster, within, request.get("MaxResults"), request.get("NextToken"))
    return {"Clusters": [_shown(ctx, one)["Cluster"] for one in found], **more}


async def update_cluster(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _get(ctx, tx, request["ClusterName"])
    cluster.description = request.get("Description", cluster.description)
    cluster.maintenance_window = request.get("PreferredMaintenanceWindow", cluster.maintenance_window)
    cluster.topic = request.get("NotificationTopicArn", cluster.topic)
    cluster.topic_status = request.get("NotificationTopicStatus", cluster.topic_status)
    cluster.parameter_group = request.get("ParameterGroupName", cluster.parameter_group)
    cluster.security_groups = tuple(request.get("SecurityGroupIds", cluster.security_groups))
    await _save(ctx, tx, cluster)
    return _shown(ctx, cluster)


async def increase_replication_factor(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _get(ctx, tx, request["ClusterName"])
    wanted = request["NewReplicationFactor"]
    if wanted <= len(cluster.nodes):
        raise errors.invalid_value("The new replication factor must be larger than the number of nodes.")
    if wanted > NODES_MAX:
        raise errors.too_many_nodes()
    await _check_nodes(ctx, tx, wanted - len(cluster.nodes))
    _add_nodes(ctx, cluster, wanted - len(cluster.nodes), request.get("AvailabilityZones") or [])
    await _save(ctx, tx, cluster)
    note(ctx, tx, "CLUSTER", cluster.name, f"Replication factor increased to {wanted}.")
    return _shown(ctx, cluster)


async def decrease_replication_factor(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _get(ctx, tx, request["ClusterName"])
    wanted = request["NewReplicationFactor"]
    if not 1 <= wanted < len(cluster.nodes):
        raise errors.invalid_value("The new replication factor must be smaller than the number of nodes, and not 0.")
    count = len(cluster.nodes) - wanted
    zones = request.get("AvailabilityZones") or ()
    removed = (
        request.get("NodeIdsToRemove")
        or [node.id for node in reversed(cluster.nodes) if not zones or node.zone in zones][:count]
    )
    known = {node.id for node in cluster.nodes}
    for id in removed:
        if id not in known:
            raise errors.node_not_found(id)
    if len(set(removed)) != count:
        raise errors.invalid_combination("As many nodes must be removed as the replication factor decreases by.")
    cluster.nodes = tuple(node for node in cluster.nodes if node.id not in removed)
    await _save(ctx, tx, cluster)
    note(ctx, tx, "CLUSTER", cluster.name, f"Replication factor decreased to {wanted}.")
    return _shown(ctx, cluster)


async def reboot_node(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _get(ctx, tx, request["ClusterName"])
    if all(node.id != request["NodeId"] for node in cluster.nodes):
        raise errors.node_not_found(request["NodeId"])
    note(ctx, tx, "CLUSTER", cluster.name, f"Node {request['NodeId']} rebooted.")

    def clear() -> None:
        proxy = ctx.cloud.part(Nodes).proxy(place_of(cluster))
        if proxy is not None:
            proxy.clear()

    # The nodes share their caches: where one starts anew, all do.
    tx.on_commit(clear)
    return _shown(ctx, cluster)


async def _of_arn(ctx: Context, tx: Reader, arn: str) -> Cluster:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "dax" or not parts[5].startswith("cache/"):
        raise errors.bad_arn(arn)
    if parts[3:5] != [ctx.region, ctx.account]:
        raise errors.cluster_not_found()
    return await _get(ctx, tx, parts[5].removeprefix("cache/"))


def _tags(cluster: Cluster) -> Answer:
    return {"Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()]}


async def list_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _tags(await _of_arn(ctx, tx, request["ResourceName"]))


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _of_arn(ctx, tx, request["ResourceName"])
    cluster.tags = {**cluster.tags, **{tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}}
    _check_tags(cluster.tags)
    await _save(ctx, tx, cluster)
    return _tags(cluster)


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    cluster = await _of_arn(ctx, tx, request["ResourceName"])
    for key in request["TagKeys"]:
        if key not in cluster.tags:
            raise errors.tag_not_found(key)
    cluster.tags = {key: value for key, value in cluster.tags.items() if key not in request["TagKeys"]}
    await _save(ctx, tx, cluster)
    return _tags(cluster)


async def describe_events(ctx: Context, tx: Reader, request: Request) -> Answer:
    until = request.get("EndTime", ctx.now)
    since = request.get("StartTime", until - request.get("Duration", _HOUR_S / 60) * 60)
    start = max(since, ctx.now - EVENTS_S, 0.0)
    # All of them are looked at: a token holds where the next page begins among those, while time goes on.
    within = keys.events(ctx.account, ctx.region, 0.0, ctx.now + 1)

    def is_asked(event: Event) -> bool:
        return (
            start <= event.date <= until
            and request.get("SourceName") in (None, event.source)
            and request.get("SourceType") in (None, event.type)
        )

    found, more = await page(tx, Event, within, request.get("MaxResults"), request.get("NextToken"), keep=is_asked)
    shown = [
        {"SourceName": one.source, "SourceType": one.type, "Message": one.message, "Date": one.date} for one in found
    ]
    return {"Events": shown, **more}
