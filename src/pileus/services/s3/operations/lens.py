"""Configurations and groups of S3 Storage Lens, and their tags.

Source: the pages of these actions under "Amazon S3 Control" in the API Reference.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import keys, lens
from pileus.services.s3.control_pages import page
from pileus.services.s3.control_tags import check
from pileus.services.s3.lens import LensConfiguration, LensGroup
from pileus.services.s3.metadata import Tags, shown_tags
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.records import encode
from pileus.store.contract import Reader, Transaction

# -------------------------------------------------------------------------------------------------- configurations


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> LensConfiguration:
    data = await tx.get(keys.lens_configuration(check_account(ctx, request), ctx.region, request["ConfigId"]))
    if data is None:
        raise lens.no_configuration()
    return lens.decode_configuration(data)


def _save(tx: Transaction, kept: LensConfiguration) -> None:
    tx.put(keys.lens_configuration(kept.account, kept.region, kept.id), encode(kept))


async def put_storage_lens_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account, id, configuration = check_account(ctx, request), request["ConfigId"], request["StorageLensConfiguration"]
    lens.check_configuration(id, configuration, account=account, region=ctx.region)
    tags = check(request.get("Tags") or ())
    before = await tx.get(keys.lens_configuration(account, ctx.region, id))
    if before is not None:
        kept = lens.decode_configuration(before)
        # Tags are changed by what is for that.
        _save(tx, msgspec.structs.replace(kept, configuration=configuration, tags=tags or kept.tags))
        return
    most = lens.CONFIGURATIONS_MAX
    if len(await tx.scan(*keys.lens_configurations_range(account, ctx.region), limit=most)) == most:
        raise lens.too_many(most)
    _save(tx, LensConfiguration(id=id, account=account, region=ctx.region, configuration=configuration, tags=tags))


async def get_storage_lens_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    kept = await _find(ctx, tx, request)
    return {"StorageLensConfiguration": {**kept.configuration, "StorageLensArn": kept.arn}}


async def list_storage_lens_configurations(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bounds = keys.lens_configurations_range(check_account(ctx, request), ctx.region)
    found, token = await page(tx, bounds, request, lens.decode_configuration)
    shown = [
        {
            "Id": one.id,
            "StorageLensArn": one.arn,
            "HomeRegion": one.region,
            "IsEnabled": bool(one.configuration["IsEnabled"]),
        }
        for one in found
    ]
    return {"StorageLensConfigurationList": shown, **token}


async def delete_storage_lens_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    if request["ConfigId"] == lens.DEFAULT_ID:
        raise AWSError(
            "DefaultConfigurationDeleteForbidden", "The Default configuration cannot be deleted.", status=403
        )
    kept = await _find(ctx, tx, request)
    tx.delete(keys.lens_configuration(kept.account, kept.region, kept.id))
    ctx.status = 204


def _tag(tx: Transaction, kept: LensConfiguration, tags: Tags) -> None:
    _save(tx, msgspec.structs.replace(kept, tags=tags))


async def put_storage_lens_configuration_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    _tag(tx, await _find(ctx, tx, request), check(request["Tags"]))


async def get_storage_lens_configuration_tagging(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": shown_tags((await _find(ctx, tx, request)).tags)}


async def delete_storage_lens_configuration_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    _tag(tx, await _find(ctx, tx, request), ())
    ctx.status = 204


# ---------------------------------------------------------------------------------------------------------- groups


async def _group(ctx: Context, tx: Reader, request: dict[str, Any]) -> LensGroup:
    data = await tx.get(keys.lens_group(check_account(ctx, request), ctx.region, request["Name"]))
    if data is None:
        raise lens.no_configuration()
    return lens.decode_group(data)


async def create_storage_lens_group(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account, group = check_account(ctx, request), request["StorageLensGroup"]
    lens.check_group(group)
    at = keys.lens_group(account, ctx.region, group["Name"])
    if await tx.get(at) is not None:
        raise AWSError("ConfigurationAlreadyExists", "The specified configuration already exists.", status=409)
    if len(await tx.scan(*keys.lens_groups_range(account, ctx.region), limit=lens.GROUPS_MAX)) == lens.GROUPS_MAX:
        raise AWSError(
            "TooManyConfigurations",
            f"You have attempted to create more Storage Lens group configurations than the {lens.GROUPS_MAX} allowed.",
            status=400,
        )
    made = LensGroup(
        name=group["Name"],
        account=account,
        region=ctx.region,
        filter=group["Filter"],
        tags=check(request.get("Tags") or ()),
    )
    tx.put(at, encode(made))


async def get_storage_lens_group(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    group = await _group(ctx, tx, request)
    return {"StorageLensGroup": {"Name": group.name, "Filter": group.filter, "StorageLensGroupArn": group.arn}}


async def list_storage_lens_groups(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bounds = keys.lens_groups_range(check_account(ctx, request), ctx.region)
    found, token = await page(tx, bounds, request, lens.decode_group)
    shown = [{"Name": one.name, "StorageLensGroupArn": one.arn, "HomeRegion": one.region} for one in found]
    return {"StorageLensGroupList": shown, **token}


async def update_storage_lens_group(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    group, given = await _group(ctx, tx, request), request["StorageLensGroup"]
    if given["Name"] != group.name:
        raise AWSError(
            "MismatchedName",
            "The name specified in the request doesn't match the Storage Lens group name.",
            status=400,
        )
    lens.check_group(given)
    tx.put(
        keys.lens_group(group.account, group.region, group.name),
        encode(msgspec.structs.replace(group, filter=given["Filter"])),
    )


async def delete_storage_lens_group(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    group = await _group(ctx, tx, request)
    tx.delete(keys.lens_group(group.account, group.region, group.name))
