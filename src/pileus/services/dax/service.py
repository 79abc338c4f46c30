"""DynamoDB Accelerator's manifest.

Permissions: "Actions, resources, and condition keys for Amazon DynamoDB Accelerator (DAX)" of the Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Permission, Request, Service, free, reading, writing
from pileus.kernel.arn import make_arn
from pileus.services.dax import hosted
from pileus.services.dax.nodes import Nodes
from pileus.services.dax.operations import clusters, groups


def _on_cluster(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        arn = make_arn("dax", ctx.region, ctx.account, f"cache/{request['ClusterName'].lower()}")
        needed = [Permission(f"dax:{action}", arn)]
        if role := request.get("IamRoleArn"):
            needed.append(Permission("iam:PassRole", role, {"iam:PassedToService": "dax.amazonaws.com"}))
        return needed

    return permissions


def _on_clusters(ctx: Context, request: Request) -> list[Permission]:
    names = request.get("ClusterNames") or ["*"]
    return [
        Permission("dax:DescribeClusters", make_arn("dax", ctx.region, ctx.account, f"cache/{name.lower()}"))
        for name in names
    ]


def _on_resource(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    return lambda ctx, request: [Permission(f"dax:{action}", request["ResourceName"])]


async def _start(cloud: Cloud) -> None:
    nodes = cloud.parts[Nodes] = Nodes(cloud)
    await nodes.start()


async def _stop(cloud: Cloud) -> None:
    cloud.part(Nodes).stop()


SERVICE = Service(
    name="dax",
    operations={
        "CreateCluster": free(clusters.create_cluster, _on_cluster("CreateCluster")),
        "DeleteCluster": writing(clusters.delete_cluster, _on_cluster("DeleteCluster")),
        "DescribeClusters": reading(clusters.describe_clusters, _on_clusters),
        "UpdateCluster": writing(clusters.update_cluster, _on_cluster("UpdateCluster")),
        "IncreaseReplicationFactor": writing(
            clusters.increase_replication_factor, _on_cluster("IncreaseReplicationFactor")
        ),
        "DecreaseReplicationFactor": writing(
            clusters.decrease_replication_factor, _on_cluster("DecreaseReplicationFactor")
        ),
        "RebootNode": writing(clusters.reboot_node, _on_cluster("RebootNode")),
        "ListTags": reading(clusters.list_tags, _on_resource("ListTags")),
        "TagResource": writing(clusters.tag_resource, _on_resource("TagResource")),
        "UntagResource": writing(clusters.untag_resource, _on_resource("UntagResource")),
        "DescribeEvents": reading(clusters.describe_events),
        "CreateParameterGroup": writing(groups.create_parameter_group),
        "UpdateParameterGroup": writing(groups.update_parameter_group),
        "DeleteParameterGroup": writing(groups.delete_parameter_group),
        "DescribeParameterGroups": reading(groups.describe_parameter_groups),
        "DescribeParameters": reading(groups.describe_parameters),
        "DescribeDefaultParameters": reading(groups.describe_default_parameters),
        "CreateSubnetGroup": writing(groups.create_subnet_group),
        "UpdateSubnetGroup": writing(groups.update_subnet_group),
        "DeleteSubnetGroup": writing(groups.delete_subnet_group),
        "DescribeSubnetGroups": reading(groups.describe_subnet_groups),
    },
    hosts={hosted.LABEL: hosted.serve},
    start=_start,
    stop=_stop,
)
