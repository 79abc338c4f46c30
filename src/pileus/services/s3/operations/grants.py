"""S3 Access Grants: the instance, its locations and grants, and credentials for what is granted.

Sources: the pages of these actions under "Amazon S3 Control" in the API Reference; "Register a location" and "Request
access to Amazon S3 data through S3 Access Grants" in the User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from pileus.access.contract import Identities
from pileus.access.policy import PolicyError, compile_policy
from pileus.access.sessions import Sessions, issue_session
from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import service_principal
from pileus.services.s3 import buckets, errors, grants, keys
from pileus.services.s3.control_pages import page
from pileus.services.s3.control_tags import check
from pileus.services.s3.grants import AccessGrant, GrantsInstance, GrantsLocation, Path
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.records import encode
from pileus.store.contract import Reader, Transaction

_GRANTS_OF_ONE_MAX = 100_000
# What AssumeRole refuses, in the words of GetDataAccess.
_STS_ERRORS = {
    "AccessDenied": ("StsNotAuthorizedError", 403),
    "PackedPolicyTooLarge": ("StsPackedPolicyTooLargeError", 400),
    "ValidationError": ("StsValidationError", 400),
}


async def _instance(ctx: Context, tx: Reader, account: str) -> GrantsInstance:
    data = await tx.get(keys.grants_instance(account, ctx.region))
    if data is None:
        raise grants.no_instance()
    return grants.decode_instance(data)


async def _location(ctx: Context, tx: Reader, account: str, id: str) -> GrantsLocation:
    await _instance(ctx, tx, account)
    data = await tx.get(keys.grants_location(account, ctx.region, id))
    if data is None:
        raise grants.no_location()
    return grants.decode_location(data)


async def _grant(ctx: Context, tx: Reader, account: str, id: str) -> AccessGrant:
    await _instance(ctx, tx, account)
    data = await tx.get(keys.access_grant(account, ctx.region, id))
    if data is None:
        raise grants.no_grant()
    return grants.decode_grant(data)


# ------------------------------------------------------------------------------------------------------- instances


async def create_access_grants_instance(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    if request.get("IdentityCenterArn"):
        raise NotBuilt("CreateAccessGrantsInstance with IAM Identity Center")
    at = keys.grants_instance(account, ctx.region)
    if await tx.get(at) is not None:
        raise AWSError("AccessGrantsInstanceAlreadyExists", "Access Grants Instance already exists", status=409)
    made = GrantsInstance(account=account, region=ctx.region, created=ctx.now, tags=check(request.get("Tags") or ()))
    tx.put(at, encode(made))
    return _shown_instance(made)


def _shown_instance(instance: GrantsInstance) -> dict[str, Any]:
    return {
        "CreatedAt": instance.created,
        "AccessGrantsInstanceId": grants.DEFAULT,
        "AccessGrantsInstanceArn": instance.arn,
    }


async def get_access_grants_instance(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return _shown_instance(await _instance(ctx, tx, check_account(ctx, request)))


async def list_access_grants_instances(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """Of this region: there is one at most."""
    data = await tx.get(keys.grants_instance(check_account(ctx, request), ctx.region))
    found = [] if data is None else [grants.decode_instance(data)]
    return {"AccessGrantsInstancesList": [_shown_instance(one) for one in found]}


async def get_access_grants_instance_for_prefix(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """The instance of whoever owns the bucket that a path names; its policy must let other accounts know."""
    check_account(ctx, request)
    path = grants.parse(request["S3Prefix"])
    bucket = await buckets.load(tx, path.bucket) if path is not None else None
    if bucket is None or bucket.region != ctx.region:
        raise grants.no_instance()
    # For the policy that is asked, see `guard`.
    request["AccountId"] = bucket.account
    assert ctx.permit is not None
    needed = Permission("s3:GetAccessGrantsInstanceForPrefix", grants.instance_arn(ctx.region, bucket.account))
    await ctx.permit(ctx, tx, [needed])
    instance = await _instance(ctx, tx, bucket.account)
    return {"AccessGrantsInstanceArn": instance.arn, "AccessGrantsInstanceId": grants.DEFAULT}


async def delete_access_grants_instance(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account = check_account(ctx, request)
    await _instance(ctx, tx, account)
    if await tx.scan(*keys.grants_locations_range(account, ctx.region), limit=1):
        raise AWSError(
            "AccessGrantsInstanceNotEmptyError",
            "Please clean up locations before deleting the access grants instance",
            status=400,
        )
    tx.delete(keys.grants_instance(account, ctx.region))
    ctx.status = 204


# ----------------------------------------------------------------------------------------------- the instance's policy


async def guard(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any] | None:
    """The policy of the instance that a call is about."""
    data = await tx.get(keys.grants_instance(request.get("AccountId") or ctx.account, ctx.region))
    policy = grants.decode_instance(data).policy if data is not None else ""
    return dict(orjson.loads(policy)) if policy else None


async def put_access_grants_instance_resource_policy(
    ctx: Context, tx: Transaction, request: dict[str, Any]
) -> dict[str, Any]:
    instance = await _instance(ctx, tx, check_account(ctx, request))
    _check_policy(request["Policy"], instance.arn)
    instance = msgspec.structs.replace(
        instance, policy=request["Policy"], policy_put=ctx.now, organization=request.get("Organization") or ""
    )
    tx.put(keys.grants_instance(instance.account, instance.region), encode(instance))
    return _shown_policy(instance)


def _check_policy(text: str, arn: str) -> None:
    try:
        document = orjson.loads(text)
        compile_policy(document)
        statements = document["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            resources = statement["Resource"]
            for one in resources if isinstance(resources, list) else [resources]:
                if one != arn and not one.startswith((f"{arn}/", f"{arn}*")):
                    raise ValueError(one)
            if "Principal" not in statement:
                raise ValueError(statement)
    except (PolicyError, ValueError, KeyError, TypeError, AttributeError):
        # A document that has not the form of a policy is refused, whatever it is that it has not.
        raise AWSError("InvalidResourcePolicy", "The specified Resource Policy is invalid", status=400) from None


def _shown_policy(instance: GrantsInstance) -> dict[str, Any]:
    return {
        "Policy": instance.policy,
        **({"Organization": instance.organization} if instance.organization else {}),
        "CreatedAt": instance.policy_put,
    }


async def get_access_grants_instance_resource_policy(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    instance = await _instance(ctx, tx, check_account(ctx, request))
    if not instance.policy:
        raise grants.no_policy()
    return _shown_policy(instance)


async def delete_access_grants_instance_resource_policy(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    instance = await _instance(ctx, tx, check_account(ctx, request))
    bare = msgspec.structs.replace(instance, policy="", policy_put=0.0, organization="")
    tx.put(keys.grants_instance(instance.account, instance.region), encode(bare))
    ctx.status = 204


# ------------------------------------------------------------------------------------------------------- locations


async def create_access_grants_location(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account, scope = check_account(ctx, request), request["LocationScope"]
    await _instance(ctx, tx, account)
    if scope != grants.EVERYTHING:
        await _check_bucket(ctx, tx, account, grants.parse(scope), grants.invalid_location())
    await _check_role(ctx, tx, account, request["IAMRoleArn"])
    rows = await tx.scan(*keys.grants_locations_range(account, ctx.region), limit=grants.LOCATIONS_MAX)
    if any(grants.decode_location(value).scope == scope for _, value in rows):
        raise AWSError(
            "AccessGrantsLocationAlreadyExistsError", "The specified access grants location already exists", status=409
        )
    if len(rows) == grants.LOCATIONS_MAX:
        raise AWSError(
            "AccessGrantsLocationsQuotaExceededError",
            "The access grants location quota has been exceeded. "
            f"Access Grants Locations Quota: {grants.LOCATIONS_MAX}. "
            "Please reach out to S3 if an increase is required.",
            status=409,
        )
    made = GrantsLocation(
        id=grants.DEFAULT if scope == grants.EVERYTHING else ctx.cloud.ids.uuid(),
        account=account,
        region=ctx.region,
        created=ctx.now,
        scope=scope,
        role=request["IAMRoleArn"],
        tags=check(request.get("Tags") or ()),
    )
    tx.put(keys.grants_location(account, ctx.region, made.id), encode(made))
    return _shown_location(made)


async def _check_bucket(ctx: Context, tx: Reader, account: str, path: Path | None, error: AWSError) -> None:
    """The bucket must be the account's, in this region."""
    bucket = await buckets.load(tx, path.bucket) if path is not None else None
    if bucket is None or bucket.account != account or bucket.region != ctx.region or bucket.is_directory:
        raise error


async def _check_role(ctx: Context, tx: Reader, account: str, role: str) -> None:
    parts = role.split(":")
    known = len(parts) > 5 and parts[4] == account
    if not known or await ctx.cloud.part(Identities).assumable_role(role, tx) is None:
        raise AWSError("InvalidIamRole", "The specified IAM Role is invalid", status=400)


def _shown_location(location: GrantsLocation) -> dict[str, Any]:
    return {
        "CreatedAt": location.created,
        "AccessGrantsLocationId": location.id,
        "AccessGrantsLocationArn": location.arn,
        "LocationScope": location.scope,
        "IAMRoleArn": location.role,
    }


async def get_access_grants_location(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return _shown_location(await _location(ctx, tx, check_account(ctx, request), request["AccessGrantsLocationId"]))


async def list_access_grants_locations(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account, scope = request["AccountId"], request.get("LocationScope")
    await _instance(ctx, tx, account)
    found, token = await page(
        tx,
        keys.grants_locations_range(account, ctx.region),
        request,
        grants.decode_location,
        lambda one: scope is None or one.scope.startswith(scope),
    )
    return {"AccessGrantsLocationsList": [_shown_location(one) for one in found], **token}


async def update_access_grants_location(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    location = await _location(ctx, tx, account, request["AccessGrantsLocationId"])
    await _check_role(ctx, tx, account, request["IAMRoleArn"])
    location = msgspec.structs.replace(location, role=request["IAMRoleArn"])
    tx.put(keys.grants_location(account, ctx.region, location.id), encode(location))
    return _shown_location(location)


async def delete_access_grants_location(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account = check_account(ctx, request)
    location = await _location(ctx, tx, account, request["AccessGrantsLocationId"])
    if await tx.scan(*keys.grants_at_range(account, ctx.region, location.id), limit=1):
        raise AWSError(
            "AccessGrantsLocationNotEmptyError",
            "Please clean up access grants before deleting access grants location",
            status=400,
        )
    tx.delete(keys.grants_location(account, ctx.region, location.id))
    ctx.status = 204


# ---------------------------------------------------------------------------------------------------------- grants


async def create_access_grant(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account, grantee = check_account(ctx, request), request["Grantee"]
    if grantee.get("GranteeType") != "IAM" or request.get("ApplicationArn"):
        if grantee.get("GranteeType") in ("DIRECTORY_USER", "DIRECTORY_GROUP") or request.get("ApplicationArn"):
            raise NotBuilt("CreateAccessGrant for IAM Identity Center")
        raise grants.invalid_grant()
    if not grants.GRANTEE.fullmatch(grantee.get("GranteeIdentifier") or ""):
        raise grants.invalid_grant()
    if request["Permission"] not in grants.PERMISSIONS:
        raise errors.malformed_xml()
    location = await _location(ctx, tx, account, request["AccessGrantsLocationId"])
    subprefix = (request.get("AccessGrantsLocationConfiguration") or {}).get("S3SubPrefix") or ""
    if (location.scope == grants.EVERYTHING or request.get("S3PrefixType")) and not subprefix:
        raise grants.invalid_grant()
    if request.get("S3PrefixType") not in (None, "Object") or (request.get("S3PrefixType") and subprefix[-1:] == "*"):
        raise grants.invalid_grant()
    scope = grants.joined(location.scope, subprefix)
    await _check_bucket(ctx, tx, account, grants.parse(scope), grants.invalid_grant())
    made = AccessGrant(
        id=ctx.cloud.ids.uuid(),
        account=account,
        region=ctx.region,
        created=ctx.now,
        location=location.id,
        subprefix=subprefix,
        scope=scope,
        grantee=grantee["GranteeIdentifier"],
        permission=request["Permission"],
        tags=check(request.get("Tags") or ()),
    )
    for one in await _grants_to(ctx, tx, account, made.grantee):
        if (one.scope, one.permission) == (made.scope, made.permission):
            raise AWSError("AccessGrantAlreadyExists", "The specified access grant already exists", status=409)
    tx.put(keys.access_grant(account, ctx.region, made.id), encode(made))
    tx.put(keys.grants_to(account, ctx.region, made.grantee, made.id), b"")
    tx.put(keys.grants_at(account, ctx.region, made.location, made.id), b"")
    return _shown_grant(made)


async def _grants_to(ctx: Context, tx: Reader, account: str, grantee: str) -> list[AccessGrant]:
    rows = await tx.scan(*keys.grants_to_range(account, ctx.region, grantee), limit=_GRANTS_OF_ONE_MAX)
    values = await tx.get_many([keys.access_grant(account, ctx.region, keys.last_name(key)) for key, _ in rows])
    return [grants.decode_grant(value) for value in values if value is not None]


def _shown_grant(grant: AccessGrant) -> dict[str, Any]:
    return {
        "CreatedAt": grant.created,
        "AccessGrantId": grant.id,
        "AccessGrantArn": grant.arn,
        "Grantee": _shown_grantee(grant.grantee),
        "Permission": grant.permission,
        "AccessGrantsLocationId": grant.location,
        **({"AccessGrantsLocationConfiguration": {"S3SubPrefix": grant.subprefix}} if grant.subprefix else {}),
        "GrantScope": grant.scope,
    }


def _shown_grantee(arn: str) -> dict[str, str]:
    return {"GranteeType": "IAM", "GranteeIdentifier": arn}


async def get_access_grant(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return _shown_grant(await _grant(ctx, tx, check_account(ctx, request), request["AccessGrantId"]))


async def delete_access_grant(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account = check_account(ctx, request)
    grant = await _grant(ctx, tx, account, request["AccessGrantId"])
    tx.delete(keys.access_grant(account, ctx.region, grant.id))
    tx.delete(keys.grants_to(account, ctx.region, grant.grantee, grant.id))
    tx.delete(keys.grants_at(account, ctx.region, grant.location, grant.id))
    ctx.status = 204


async def list_access_grants(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account = request["AccountId"]
    await _instance(ctx, tx, account)

    def wanted(one: AccessGrant) -> bool:
        return (
            request.get("GranteeType") in (None, "IAM")
            and request.get("GranteeIdentifier") in (None, one.grantee)
            and request.get("Permission") in (None, one.permission)
            and request.get("ApplicationArn") is None
            and _begins(one, request)
        )

    found, token = await page(tx, keys.access_grants_range(account, ctx.region), request, grants.decode_grant, wanted)
    return {"AccessGrantsList": [_shown_grant(one) for one in found], **token}


def _begins(grant: AccessGrant, request: Mapping[str, Any]) -> bool:
    """Whether a grant's scope is one that is asked for, by its beginning."""
    asked = request.get("GrantScope")
    return asked is None or grant.scope.startswith(asked.removesuffix("*"))


# ------------------------------------------------------------------------------------------------------ the grantees


def _caller(ctx: Context) -> str:
    """Who the caller is to grants: a user, or a session's role."""
    return ctx.principal.role_arn if ctx.principal.kind == "role" else ctx.principal.arn


async def list_caller_access_grants(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account, caller = request["AccountId"], _caller(ctx)
    instance = await _instance(ctx, tx, account)
    found, token = await page(
        tx,
        keys.access_grants_range(account, ctx.region),
        request,
        grants.decode_grant,
        lambda one: one.grantee == caller and _begins(one, request),
    )
    shown = [
        {
            "Permission": one.permission,
            "GrantScope": one.scope,
            "ApplicationArn": "ALL",
            "AccessGrantsInstanceArn": instance.arn,
        }
        for one in found
    ]
    return {"CallerAccessGrantsList": shown, **token}


async def get_data_access(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Credentials of the location's role, confined to what the narrowest grant that covers the target gives."""
    account, permission = request["AccountId"], request["Permission"]
    target = grants.parse(request["Target"], is_object=request.get("TargetType") == "Object")
    duration = request.get("DurationSeconds", grants.DURATION_DEFAULT_S)
    privilege = request.get("Privilege", "Default")
    if target is None or permission not in grants.PERMISSIONS or request.get("TargetType") not in (None, "Object"):
        raise errors.invalid_request("The specified target, target type or permission is not valid.")
    if privilege not in ("Minimal", "Default") or not grants.DURATION_MIN_S <= duration <= grants.DURATION_MAX_S:
        raise errors.invalid_request("The specified privilege or duration is not valid.")

    async def find(tx: Reader) -> tuple[GrantsInstance, AccessGrant, GrantsLocation]:
        instance = await _instance(ctx, tx, account)
        fitting = [
            one for one in await _grants_to(ctx, tx, account, _caller(ctx)) if grants.allows(one, permission, target)
        ]
        if not fitting:
            raise grants.denied(permission, request["Target"])
        grant = max(fitting, key=lambda one: (len(one.scope), one.permission == permission, one.id))
        return instance, grant, await _location(ctx, tx, account, grant.location)

    instance, grant, location = await ctx.cloud.store.read(find)
    scope = target if privilege == "Minimal" else grants.parse(grant.scope)
    assert scope is not None, "a grant's scope is a path"
    asked = {
        "RoleArn": location.role,
        "RoleSessionName": f"access-grants-{ctx.cloud.ids.uuid()}",
        "DurationSeconds": duration,
        "Policy": orjson.dumps(grants.session_policy(scope, permission)).decode(),
        "SourceIdentity": ctx.principal.id.partition(":")[0],
    }
    acting = service_principal(grants.SERVICE, account=account, source_arn=instance.arn)
    try:
        answer = await ctx.cloud.call(acting, "sts", "AssumeRole", asked, region=ctx.region)
    except AWSError as error:
        if error.code not in _STS_ERRORS:
            raise
        code, status = _STS_ERRORS[error.code]
        raise AWSError(code, error.message, status=status) from error
    return {
        "Credentials": _of_instance(ctx, instance, answer["Credentials"]),
        "MatchedGrantTarget": request["Target"] if privilege == "Minimal" else grant.scope,
        "Grantee": _shown_grantee(grant.grantee),
        "MatchedInstanceArn": instance.arn,
    }


def _of_instance(ctx: Context, instance: GrantsInstance, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same session, as one that comes from the instance: roles' policies ask for that."""
    sessions = ctx.cloud.part(Sessions)
    principal = sessions.credential(given["AccessKeyId"], given["SessionToken"], ctx.now).principal
    issued = issue_session(
        sessions,
        ctx.cloud.ids,
        msgspec.structs.replace(principal, grants_instance=instance.arn),
        now=ctx.now,
        duration_s=float(given["Expiration"]) - ctx.now,
    )
    return {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "Expiration": issued.expiration,
    }
