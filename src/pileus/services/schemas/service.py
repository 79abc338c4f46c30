"""EventBridge Schemas' manifest.

Permissions: "Actions, resources, and condition keys for Amazon EventBridge Schemas" of the Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request, Service, free, reading, writing
from pileus.services.schemas import discovering, telling
from pileus.services.schemas.names import discoverer_arn, registry_arn, schema_arn
from pileus.services.schemas.operations import discoverers, policies, registries, schemas

Needed = Callable[[Context, Request], Sequence[Permission]]


def _on_registry(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", registry_arn(ctx, request["RegistryName"]))]


def _on_schema(action: str) -> Needed:
    return lambda ctx, request: [
        Permission(f"schemas:{action}", schema_arn(ctx, request["RegistryName"], request["SchemaName"]))
    ]


def _on_resource(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", request["ResourceArn"])]


def _on_policy(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", registry_arn(ctx, request.get("RegistryName") or "*"))]


def _on_discoverer(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", discoverer_arn(ctx, request["DiscovererId"]))]


def _on_source(action: str) -> Needed:
    """Of a discoverer that is still to be made, which has its id from its bus."""
    return lambda ctx, request: [
        Permission(f"schemas:{action}", discoverer_arn(ctx, discovering.discoverer_id(bus)))
        for bus in (discovering.bus_of(ctx, request["SourceArn"]),)
    ]


SERVICE = Service(
    name="schemas",
    operations={
        "CreateRegistry": writing(registries.create_registry, _on_registry("CreateRegistry")),
        "DescribeRegistry": reading(
            registries.describe_registry, _on_registry("DescribeRegistry"), policies.of_registry
        ),
        "UpdateRegistry": writing(registries.update_registry, _on_registry("UpdateRegistry"), policies.of_registry),
        "DeleteRegistry": writing(registries.delete_registry, _on_registry("DeleteRegistry"), policies.of_registry),
        "ListRegistries": reading(registries.list_registries),
        "CreateSchema": writing(schemas.create_schema, _on_schema("CreateSchema"), policies.of_registry),
        "UpdateSchema": writing(schemas.update_schema, _on_schema("UpdateSchema"), policies.of_registry),
        "DescribeSchema": reading(schemas.describe_schema, _on_schema("DescribeSchema"), policies.of_registry),
        "DeleteSchema": writing(schemas.delete_schema, _on_schema("DeleteSchema"), policies.of_registry),
        "DeleteSchemaVersion": writing(
            schemas.delete_schema_version, _on_schema("DeleteSchemaVersion"), policies.of_registry
        ),
        "ListSchemas": reading(schemas.list_schemas, _on_registry("ListSchemas"), policies.of_registry),
        "ListSchemaVersions": reading(
            schemas.list_schema_versions, _on_schema("ListSchemaVersions"), policies.of_registry
        ),
        "SearchSchemas": reading(schemas.search_schemas, _on_registry("SearchSchemas"), policies.of_registry),
        "ExportSchema": reading(schemas.export_schema, _on_schema("ExportSchema"), policies.of_registry),
        "GetDiscoveredSchema": reading(schemas.get_discovered_schema),
        "PutResourcePolicy": writing(policies.put_resource_policy, _on_policy("PutResourcePolicy")),
        "GetResourcePolicy": reading(policies.get_resource_policy, _on_policy("GetResourcePolicy")),
        "DeleteResourcePolicy": writing(policies.delete_resource_policy, _on_policy("DeleteResourcePolicy")),
        "CreateDiscoverer": free(discoverers.create_discoverer, _on_source("CreateDiscoverer")),
        "DescribeDiscoverer": reading(discoverers.describe_discoverer, _on_discoverer("DescribeDiscoverer")),
        "UpdateDiscoverer": free(discoverers.update_discoverer, _on_discoverer("UpdateDiscoverer")),
        "StartDiscoverer": free(discoverers.start_discoverer, _on_discoverer("StartDiscoverer")),
        "StopDiscoverer": free(discoverers.stop_discoverer, _on_discoverer("StopDiscoverer")),
        "DeleteDiscoverer": free(discoverers.delete_discoverer, _on_discoverer("DeleteDiscoverer")),
        "ListDiscoverers": reading(discoverers.list_discoverers),
        # From inside only: AWS's API has no such operation.
        "DiscoverEvent": free(discovering.discover_event, lambda ctx, request: ()),
        "TagResource": writing(registries.tag_resource, _on_resource("TagResource")),
        "UntagResource": writing(registries.untag_resource, _on_resource("UntagResource")),
        "ListTagsForResource": reading(registries.list_tags_for_resource, _on_resource("ListTagsForResource")),
    },
    targets={telling.TARGET: telling.tell, discovering.TARGET: discovering.keep_later},
)
