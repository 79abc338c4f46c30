"""Function roles: assumed as the service principal of Lambda, kept until their credentials are about to end."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSession, RoleSessions, assume
from pileus.kernel.arn import make_arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.lambda_ import errors
from pileus.services.lambda_.names import Target

# What AWS gives functions; a role's own limit may be lower.
SESSION_S = 12 * 3600


async def session(cloud: Cloud, function: Target, role: str) -> RoleSession:
    """Credentials of `role` for `function` that last long enough; raises where Lambda may not assume it."""
    try:
        return await cloud.part(RoleSessions).session(
            "lambda", role, source_arn=function.arn, session_name=function.name, duration_s=SESSION_S
        )
    except AWSError as error:
        raise _not_assumable(error) from None


async def check(cloud: Cloud, function: Target, role: str) -> None:
    """Raise unless Lambda may assume `role` for `function`, whether or not the function is there yet."""
    try:
        await assume(cloud, "lambda", role, source_arn=function.arn, session_name=function.name, duration_s=SESSION_S)
    except AWSError as error:
        raise _not_assumable(error) from None


async def may(cloud: Cloud, at: Target, role: str, action: str, resource: str) -> bool:
    """Whether the policies of a function's role let it do something: asked before what needs it is kept."""
    if cloud.settings.iam != "enforce":
        return True
    owner = Principal(kind="root", account=at.account, arn=make_arn("iam", "", at.account, "root"), id=at.account)
    request = {"PolicySourceArn": role, "ActionNames": [action], "ResourceArns": [resource]}
    answer = await cloud.call(owner, "iam", "SimulatePrincipalPolicy", request, region=at.region)
    return all(each["EvalDecision"] == "allowed" for each in answer["EvaluationResults"])


# What Lambda does with the targets of each service that functions' events are sent on to.
SENDING = {
    "sqs": ("SendMessage", "SQS"),
    "sns": ("Publish", "SNS"),
    "lambda": ("InvokeFunction", "Lambda"),
    "events": ("PutEvents", "EventBridge"),
    "s3": ("PutObject", "S3"),
}


async def may_send(cloud: Cloud, at: Target, role: str, target: str) -> bool:
    """Whether a function's role may send events to what the ARN names."""
    arn = parse_arn(target)
    assert arn is not None, "targets are checked before"
    resource = f"{target}/*" if arn.service == "s3" else target
    return await may(cloud, at, role, f"{arn.service}:{SENDING[arn.service][0]}", resource)


def _not_assumable(error: AWSError) -> AWSError:
    return error if error.fault == "server" else errors.role_not_assumable()
