"""EventBridge Schemas' manifest.

Permissions: "Actions, resources, and condition keys for Amazon EventBridge Schemas" of the Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request, Service, reading, writing
from pileus.services.schemas.operations import registries, schemas

Needed = Callable[[Context, Request], Sequence[Permission]]


def _on_registry(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", registries.registry_arn(ctx, request["RegistryName"]))]


def _on_schema(action: str) -> Needed:
    return lambda ctx, request: [
        Permission(f"schemas:{action}", schemas.schema_arn(ctx, request["RegistryName"], request["SchemaName"]))
    ]


def _on_resource(action: str) -> Needed:
    return lambda ctx, request: [Permission(f"schemas:{action}", request["ResourceArn"])]


SERVICE = Service(
    name="schemas",
    operations={
        "CreateRegistry": writing(registries.create_registry, _on_registry("CreateRegistry")),
        "DescribeRegistry": reading(registries.describe_registry, _on_registry("DescribeRegistry")),
        "UpdateRegistry": writing(registries.update_registry, _on_registry("UpdateRegistry")),
        "DeleteRegistry": writing(registries.delete_registry, _on_registry("DeleteRegistry")),
        "ListRegistries": reading(registries.list_registries),
        "CreateSchema": writing(schemas.create_schema, _on_schema("CreateSchema")),
        "UpdateSchema": writing(schemas.update_schema, _on_schema("UpdateSchema")),
        "DescribeSchema": reading(schemas.describe_schema, _on_schema("DescribeSchema")),
        "DeleteSchema": writing(schemas.delete_schema, _on_schema("DeleteSchema")),
        "DeleteSchemaVersion": writing(schemas.delete_schema_version, _on_schema("DeleteSchemaVersion")),
        "ListSchemas": reading(schemas.list_schemas, _on_registry("ListSchemas")),
        "ListSchemaVersions": reading(schemas.list_schema_versions, _on_schema("ListSchemaVersions")),
        "SearchSchemas": reading(schemas.search_schemas, _on_registry("SearchSchemas")),
        "ExportSchema": reading(schemas.export_schema, _on_schema("ExportSchema")),
        "GetDiscoveredSchema": reading(schemas.get_discovered_schema),
        "TagResource": writing(registries.tag_resource, _on_resource("TagResource")),
        "UntagResource": writing(registries.untag_resource, _on_resource("UntagResource")),
        "ListTagsForResource": reading(registries.list_tags_for_resource, _on_resource("ListTagsForResource")),
    },
)
