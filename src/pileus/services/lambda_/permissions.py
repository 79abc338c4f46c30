"""Which permissions Lambda's operations need, and the policies of functions and layers.

Source: "Actions, resources, and condition keys for AWS Lambda" of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.kernel.arn import parse_arn
from pileus.services.lambda_ import keys
from pileus.services.lambda_.names import parse, parse_layer, parse_own
from pileus.services.lambda_.records import Policy, decode
from pileus.store.contract import Reader

Permissions = Callable[[Context, Request], list[Permission]]
SERVICE_NAME = "lambda.amazonaws.com"


def on_function(action: str) -> Permissions:
    """Needs `action` on the function, version or alias that the request names."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
        return [Permission(f"lambda:{action}", at.asked_arn), *_passed(ctx, request)]

    return permissions


def on_new_function(action: str) -> Permissions:
    """The same for a function that is to be: in another account there is nobody who could allow it."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        parse_own(ctx, request["FunctionName"])
        return on_function(action)(ctx, request)

    return permissions


def on_url(action: str) -> Permissions:
    """Needs `action` on the function or alias, which policies may tie to the authentication of its URL."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
        conditions = {"lambda:FunctionUrlAuthType": request["AuthType"]} if request.get("AuthType") else {}
        return [Permission(f"lambda:{action}", at.asked_arn, conditions)]

    return permissions


def _passed(ctx: Context, request: Request) -> list[Permission]:
    """What a configuration refers to: the role that is passed, the layers that are read."""
    out: list[Permission] = []
    if role := request.get("Role"):
        out.append(Permission("iam:PassRole", role, {"iam:PassedToService": SERVICE_NAME}))
    for layer in request.get("Layers") or ():
        name = parse_layer(ctx, layer)
        # Another account's layer is shared by its own policy, which `layers.resolve` looks at.
        if name.account == ctx.account:
            out.append(Permission("lambda:GetLayerVersion", layer))
    return out


def on_layer(action: str) -> Permissions:
    """Needs `action` on the layer, or on the layer version where the request names one."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        name = parse_layer(ctx, request.get("LayerName") or request["Arn"], request.get("VersionNumber") or 0)
        return [Permission(f"lambda:{action}", name.version_arn if name.version else name.arn)]

    return permissions


def on_code_signing(action: str) -> Permissions:
    """Needs `action` on the code signing configuration."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"lambda:{action}", request["CodeSigningConfigArn"])]

    return permissions


def on_resource(action: str) -> Permissions:
    """Needs `action` on the ARN in `ResourceArn`."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"lambda:{action}", request["ResourceArn"])]

    return permissions


def on_tagged(action: str) -> Permissions:
    """Needs `action` on the ARN in `Resource`."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"lambda:{action}", request["Resource"])]

    return permissions


def on_all(action: str) -> Permissions:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"lambda:{action}")]

    return permissions


def document(policy: Policy) -> dict[str, Any]:
    """A policy as AWS shows it."""
    return {"Version": policy.version, "Id": policy.id, "Statement": policy.statements}


async def function_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    """The policy of the function, version or alias that is called: an alias's or version's own only."""
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    data = await tx.get(keys.policy(at))
    return document(decode(Policy, data)) if data is not None else None


async def tagged_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    """The policy of the function whose tags are meant; nothing else that has tags has a policy."""
    arn = parse_arn(request["Resource"])
    if arn is None or not arn.resource.startswith("function:"):
        return None
    return await function_policy(ctx, tx, {"FunctionName": request["Resource"]})


async def layer_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    name = parse_layer(ctx, request.get("LayerName") or request["Arn"], request.get("VersionNumber") or 0)
    data = await tx.get(keys.layer_policy(name.account, name.region, name.name, name.version))
    return document(decode(Policy, data)) if data is not None else None
