"""Layers: PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, ListLayers, ListLayerVersions,
DeleteLayerVersion, and the policies that share them."""

from __future__ import annotations

import json

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import errors, keys, locations, packages, runtimes, storage
from pileus.services.lambda_.configurations import shown_sha256, timestamp
from pileus.services.lambda_.names import LayerName, parse_layer
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.permissions import document
from pileus.services.lambda_.records import Layer, LayerHead, LayerVersion, Policy, decode, encode
from pileus.store.contract import Reader, Transaction

LAYERS_MAX = 5
_SCAN_LIMIT = 20
_DIGITS_MAX = 9


async def layers_of(ctx: Context, tx: Reader, arns: list[str]) -> tuple[Layer, ...]:
    """The layer versions that a function names, in their order."""
    if len(arns) > LAYERS_MAX:
        raise errors.invalid_parameter(f"Cannot reference more than {LAYERS_MAX} layers.")
    names = [parse_layer(ctx, arn) for arn in arns]
    seen: dict[str, str] = {}
    out: list[Layer] = []
    for arn, name in zip(arns, names, strict=True):
        if name.region != ctx.region:
            raise errors.invalid_parameter(
                f"Layers are not in the same region as the function. Layers are expected to be in region {ctx.region}."
            )
        version = await _find(tx, name)
        if version is None:
            raise errors.invalid_parameter(f"Layer version {arn} does not exist.")
        if name.account != ctx.account and not await _shared_with(tx, name, ctx.account):
            raise AWSError(
                "AccessDeniedException",
                f"User: {ctx.principal.arn} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} "
                "because no resource-based policy allows the lambda:GetLayerVersion action",
                status=403,
            )
        if name.arn in seen:
            raise errors.invalid_parameter(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[name.arn]} and {arn} are versions of the same layer."
            )
        seen[name.arn] = arn
        out.append(Layer(name.version_arn, version.code_sha256, version.size_bytes, version.unpacked_bytes))
    return tuple(out)


async def _find(tx: Reader, name: LayerName) -> LayerVersion | None:
    data = await tx.get(keys.layer_version(name.account, name.region, name.name, name.version))
    return decode(LayerVersion, data) if data is not None else None


async def _get(tx: Reader, name: LayerName) -> LayerVersion:
    version = await _find(tx, name)
    if version is None:
        raise errors.layer_version_not_found(name.version_arn)
    return version


async def _policy(tx: Reader, name: LayerName) -> Policy | None:
    data = await tx.get(keys.layer_policy(name.account, name.region, name.name, name.version))
    return decode(Policy, data) if data is not None else None


async def _shared_with(tx: Reader, name: LayerName, account: str) -> bool:
    policy = await _policy(tx, name)
    return policy is not None and any(
        (statement["Principal"] == "*" and "Condition" not in statement)
        or (
            isinstance(statement["Principal"], dict)
            and statement["Principal"].get("AWS") == f"arn:aws:iam::{account}:root"
        )
        for statement in policy.statements
    )


def _describe(name: LayerName, version: LayerVersion) -> Answer:
    answer: Answer = {
        "LayerVersionArn": name.version_arn,
        "Version": version.version,
        "Description": version.description,
        "CreatedDate": timestamp(version.created),
    }
    if version.runtimes is not None:
        answer["CompatibleRuntimes"] = version.runtimes
    if version.architectures is not None:
        answer["CompatibleArchitectures"] = version.architectures
    if version.license:
        answer["LicenseInfo"] = version.license
    return answer


def _with_content(ctx: Context, name: LayerName, version: LayerVersion) -> Answer:
    return {
        **_describe(name, version),
        "LayerArn": name.arn,
        "Content": {
            "Location": locations.make(ctx, version.code_sha256),
            "CodeSha256": shown_sha256(version.code_sha256),
            "CodeSize": version.size_bytes,
        },
    }


async def publish_layer_version(ctx: Context, request: Request) -> Answer:
    name = parse_layer(ctx, request["LayerName"])
    if name.account != ctx.account or name.region != ctx.region:
        raise errors.access_denied()
    compatible, architectures = request.get("CompatibleRuntimes"), request.get("CompatibleArchitectures")
    if architectures is not None and compatible is None:
        compatible = []
    runtimes.check_compatible(compatible or ())
    package = await packages.take(ctx, request["Content"])

    async def publish(tx: Transaction) -> Answer:
        key = keys.layer(name.account, name.region, name.name)
        data = await tx.get(key)
        head = decode(LayerHead, data) if data is not None else LayerHead(name=name.name)
        head.last_version += 1
        version = LayerVersion(
            name=name.name,
            version=head.last_version,
            created=ctx.now,
            code_sha256=package.sha256,
            size_bytes=package.size_bytes,
            unpacked_bytes=package.unpacked_bytes,
            description=request.get("Description") or "",
            license=request.get("LicenseInfo") or "",
            runtimes=compatible,
            architectures=architectures,
        )
        await storage.change(tx, name.account, name.region, version.size_bytes)
        await packages.adopt(ctx.cloud, tx, package)
        tx.put(key, encode(head))
        tx.put(keys.layer_version(name.account, name.region, name.name, version.version), encode(version))
        return _with_content(ctx, name._replace(version=version.version), version)

    try:
        return await ctx.cloud.store.write(publish)
    except AWSError:
        await packages.discard(ctx.cloud, package)
        raise


def _name(ctx: Context, request: Request) -> LayerName:
    version = request.get("VersionNumber")
    if version is not None and version < 1:
        raise errors.invalid_parameter("Layer Version Cannot be less than 1.")
    return parse_layer(ctx, request.get("LayerName") or request["Arn"], version or 0)


async def get_layer_version(ctx: Context, tx: Reader, request: Request) -> Answer:
    name = _name(ctx, request)
    version = await _find(tx, name)
    if version is None:
        raise errors.not_found("The resource you requested does not exist.")
    return _with_content(ctx, name, version)


async def delete_layer_version(ctx: Context, tx: Transaction, request: Request) -> None:
    name = _name(ctx, request)
    version = await _find(tx, name)
    if version is None:
        return
    await storage.change(tx, name.account, name.region, -version.size_bytes)
    await packages.drop(ctx.cloud, tx, [version.code_sha256])
    tx.delete(keys.layer_version(name.account, name.region, name.name, name.version))
    tx.delete(keys.layer_policy(name.account, name.region, name.name, name.version))


def _compatible(request: Request, version: LayerVersion) -> bool:
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    if runtime is not None and runtime not in (version.runtimes or ()):
        return False
    return architecture is None or architecture in (version.architectures or ())


async def list_layer_versions(ctx: Context, tx: Reader, request: Request) -> Answer:
    name = _name(ctx, request)
    found = await tx.scan(*keys.layer_versions(name.account, name.region, name.name), limit=10_000)
    versions = [decode(LayerVersion, data) for _, data in reversed(found)]
    marker = request.get("Marker") or ""
    before = int(marker) if marker.isdecimal() and len(marker) <= _DIGITS_MAX else None
    limit = request.get("MaxItems") or 50
    wanted = [v for v in versions if _compatible(request, v) and (before is None or v.version < before)]
    answer: Answer = {"LayerVersions": [_describe(name._replace(version=v.version), v) for v in wanted[:limit]]}
    if len(wanted) > limit:
        answer["NextMarker"] = str(wanted[limit - 1].version)
    return answer


async def list_layers(ctx: Context, tx: Reader, request: Request) -> Answer:
    found, marker = await page(tx, request, *keys.layers(ctx.account, ctx.region))
    answer: Answer = {"Layers": []}
    for _, data in found:
        name = LayerName(ctx.account, ctx.region, decode(LayerHead, data).name, 0)
        version = await _newest(tx, name, request)
        if version is not None:
            shown = _describe(name._replace(version=version.version), version)
            answer["Layers"].append({"LayerName": name.name, "LayerArn": name.arn, "LatestMatchingVersion": shown})
    if marker:
        answer["NextMarker"] = marker
    return answer


async def _newest(tx: Reader, name: LayerName, request: Request) -> LayerVersion | None:
    """The layer's newest version that is compatible with what the request names."""
    start, end = keys.layer_versions(name.account, name.region, name.name)
    while found := await tx.scan(start, end, limit=_SCAN_LIMIT, reverse=True):
        versions = (decode(LayerVersion, data) for _, data in found)
        if (match := next((each for each in versions if _compatible(request, each)), None)) is not None:
            return match
        end = found[-1][0]
    return None


async def add_layer_version_permission(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = _name(ctx, request)
    await _get(tx, name)
    policy = await _policy(tx, name) or Policy()
    if request.get("RevisionId") not in (None, policy.revision):
        raise errors.revision_mismatch("GetLayerPolicy")
    sid, principal = request["StatementId"], request["Principal"]
    if any(statement["Sid"] == sid for statement in policy.statements):
        raise errors.statement_exists(sid)
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": _root(principal)},
        "Action": request["Action"],
        "Resource": name.version_arn,
    }
    if request.get("OrganizationId"):
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": request["OrganizationId"]}}
    policy.statements.append(statement)
    policy.revision = ctx.cloud.ids.uuid()
    tx.put(keys.layer_policy(name.account, name.region, name.name, name.version), encode(policy))
    return {"Statement": json.dumps(statement, separators=(",", ":")), "RevisionId": policy.revision}


def _root(principal: str) -> str:
    return f"arn:aws:iam::{principal}:root" if principal.isdecimal() else principal


async def get_layer_version_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    name = _name(ctx, request)
    await _get(tx, name)
    policy = await _policy(tx, name)
    if policy is None:
        raise errors.not_found("No policy is associated with the given resource.")
    return {
        "Policy": json.dumps(document(policy), separators=(",", ":")),
        "RevisionId": policy.revision,
    }


async def remove_layer_version_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    name = _name(ctx, request)
    await _get(tx, name)
    policy = await _policy(tx, name)
    if policy is None:
        raise errors.not_found("No policy is associated with the given resource.")
    if request.get("RevisionId") not in (None, policy.revision):
        raise errors.revision_mismatch("GetLayerPolicy")
    sid = request["StatementId"]
    left = [statement for statement in policy.statements if statement["Sid"] != sid]
    if len(left) == len(policy.statements):
        raise errors.not_found(f"Statement {sid} is not found in resource policy.")
    key = keys.layer_policy(name.account, name.region, name.name, name.version)
    if left:
        tx.put(key, encode(Policy(statements=left, revision=ctx.cloud.ids.uuid())))
    else:
        tx.delete(key)
