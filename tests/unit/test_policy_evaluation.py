"""The evaluation order: which of all the policies decides."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.access.authorize import access_denied, authorize
from pileus.access.contract import Identities
from pileus.access.evaluate import Decision, IdentityPolicies, evaluate
from pileus.access.policy import PolicyError, compile_policy
from pileus.access.request import Call, Circumstances
from pileus.cloud.manifest import Permission
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import ANONYMOUS, Principal, service_principal

ACCOUNT, OTHER = "111111111111", "222222222222"
BUCKET = "arn:aws:s3:::b/k"
ROOT = Principal(kind="root", account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root", id=ACCOUNT)
USER = Principal(kind="user", account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/u", id="AIDAU", name="u")
SESSION = Principal(
    kind="role",
    account=ACCOUNT,
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s",
    id="AROAR:s",
    name="s",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/r",
)
SERVICE = service_principal("s3", account=ACCOUNT, source_arn="arn:aws:s3:::b")


def allow(action: str = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}],
    }


def deny(action: str = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": resource, **more}]}


def decision(
    principal: Principal,
    *,
    identity: tuple[Any, ...] = (),
    resource: tuple[Any, ...] = (),
    session: tuple[Any, ...] | None = None,
    boundary: tuple[Any, ...] | None = None,
    same_account: bool = True,
    must_be_named: bool = False,
    action: str = "s3:GetObject",
) -> Decision:
    return evaluate(
        Call(principal, action, BUCKET, {}, Circumstances()),
        IdentityPolicies(
            [compile_policy(p) for p in identity], None if boundary is None else [compile_policy(p) for p in boundary]
        ),
        [compile_policy(p) for p in resource],
        None if session is None else [compile_policy(p) for p in session],
        same_account=same_account,
        must_be_named=must_be_named,
    )


TO_USER = allow(Principal={"AWS": USER.arn})
TO_ROLE = allow(Principal={"AWS": SESSION.role_arn})
TO_SESSION = allow(Principal={"AWS": SESSION.arn})
TO_ACCOUNT = allow(Principal={"AWS": ACCOUNT})
TO_ACCOUNT_ROOT = allow(Principal={"AWS": [f"arn:aws:iam::{ACCOUNT}:root"]})
TO_ALL = allow(Principal="*")
TO_SERVICE = allow(Principal={"Service": "s3.amazonaws.com"})

CASES: list[tuple[str, Principal, dict[str, Any], bool, str]] = [
    ("nothing allows", USER, {}, False, "an identity-based policy"),
    ("identity allows", USER, {"identity": (allow(),)}, True, ""),
    ("another action", USER, {"identity": (allow("s3:PutObject"),)}, False, "an identity-based policy"),
    ("actions ignore case", USER, {"identity": (allow("S3:getobject"),)}, True, ""),
    ("another resource", USER, {"identity": (allow(resource="arn:aws:s3:::c/*"),)}, False, "an identity-based policy"),
    ("deny outweighs", USER, {"identity": (allow(), deny())}, False, "an identity-based policy"),
    ("deny of something else", USER, {"identity": (allow(), deny("s3:PutObject"))}, True, ""),
    ("resource names the user", USER, {"resource": (TO_USER,)}, True, ""),
    ("resource names everyone", USER, {"resource": (TO_ALL,)}, True, ""),
    ("resource names the account", USER, {"resource": (TO_ACCOUNT,)}, False, "an identity-based policy"),
    ("resource names the account's root", USER, {"resource": (TO_ACCOUNT_ROOT,)}, False, "an identity-based policy"),
    ("account and identity", USER, {"resource": (TO_ACCOUNT,), "identity": (allow(),)}, True, ""),
    ("resource denies", USER, {"identity": (allow(),), "resource": (deny(Principal="*"),)}, False,
     "a resource-based policy"),
    ("resource denies others", USER, {"identity": (allow(),), "resource": (deny(Principal={"AWS": SESSION.arn}),)},
     True, ""),
    ("root needs nothing", ROOT, {}, True, ""),
    ("root is denied by the resource", ROOT, {"resource": (deny(Principal="*"),)}, False, "a resource-based policy"),
    ("role named", SESSION, {"resource": (TO_ROLE,)}, True, ""),
    ("session named", SESSION, {"resource": (TO_SESSION,)}, True, ""),
    ("session policy narrows", SESSION, {"identity": (allow(),), "session": (allow("s3:PutObject"),)}, False,
     "a session policy"),
    ("session policy allows", SESSION, {"identity": (allow(),), "session": (allow("s3:Get*"),)}, True, ""),
    ("session policy alone", SESSION, {"session": (allow(),)}, False, "an identity-based policy"),
    ("session policy limits a named role", SESSION, {"resource": (TO_ROLE,), "session": (allow("s3:PutObject"),)},
     False, "a session policy"),
    ("session policy does not limit a named session", SESSION,
     {"resource": (TO_SESSION,), "session": (allow("s3:PutObject"),)}, True, ""),
    ("session policy denies", SESSION, {"resource": (TO_SESSION,), "session": (deny(),)}, False, "a session policy"),
    ("boundary narrows", USER, {"identity": (allow(),), "boundary": (allow("s3:PutObject"),)}, False,
     "a permissions boundary"),
    ("boundary allows nothing by itself", USER, {"boundary": (allow(),)}, False, "an identity-based policy"),
    ("boundary and identity", USER, {"identity": (allow(),), "boundary": (allow(),)}, True, ""),
    ("boundary of nothing", USER, {"identity": (allow(),), "boundary": ()}, False, "a permissions boundary"),
    ("elsewhere: identity alone", USER, {"identity": (allow(),), "same_account": False}, False,
     "a resource-based policy"),
    ("elsewhere: resource alone", USER, {"resource": (TO_USER,), "same_account": False}, False,
     "an identity-based policy"),
    ("elsewhere: both", USER, {"identity": (allow(),), "resource": (TO_USER,), "same_account": False}, True, ""),
    ("elsewhere: identity and account", USER,
     {"identity": (allow(),), "resource": (TO_ACCOUNT,), "same_account": False}, True, ""),
    ("elsewhere: root and account", ROOT, {"resource": (TO_ACCOUNT,), "same_account": False}, True, ""),
    ("elsewhere: root unnamed", ROOT, {"same_account": False}, False, "a resource-based policy"),
    ("service named", SERVICE, {"resource": (TO_SERVICE,)}, True, ""),
    ("service not named", SERVICE, {"resource": (TO_USER,)}, False, "a resource-based policy"),
    ("service among everyone", SERVICE, {"resource": (TO_ALL,)}, True, ""),
    ("service without a policy", SERVICE, {}, False, "a resource-based policy"),
    ("anonymous among everyone", ANONYMOUS, {"resource": (TO_ALL,), "same_account": False}, True, ""),
    ("anonymous", ANONYMOUS, {"resource": (TO_ACCOUNT,), "same_account": False}, False, "a resource-based policy"),
    ("must be named: identity alone", USER, {"identity": (allow(),), "must_be_named": True}, False,
     "a resource-based policy"),
    ("must be named: root", ROOT, {"must_be_named": True}, False, "a resource-based policy"),
    ("must be named: account and identity", USER,
     {"identity": (allow(),), "resource": (TO_ACCOUNT,), "must_be_named": True}, True, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("principal", "policies", "allowed", "by"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_order(principal: Principal, policies: dict[str, Any], allowed: bool, by: str) -> None:
    found = decision(principal, **policies)
    assert (found.allowed, found.policy) == (allowed, by)


def test_not_action_and_not_resource() -> None:
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "iam:*", "NotResource": BUCKET}}
    assert not decision(USER, identity=(document,)).allowed
    document["Statement"]["NotResource"] = "arn:aws:s3:::c/*"  # type: ignore[index]
    assert decision(USER, identity=(document,)).allowed
    assert not decision(USER, identity=(document,), action="iam:GetRole").allowed


def test_not_principal_denies_everyone_else() -> None:
    policy = deny(NotPrincipal={"AWS": USER.arn})
    assert decision(USER, identity=(allow(),), resource=(policy,)).allowed
    assert not decision(SESSION, identity=(allow(),), resource=(policy,)).allowed


def test_the_source_of_a_service_call() -> None:
    policy = allow(
        Principal={"Service": "s3.amazonaws.com"},
        Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::b"}, "StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )
    assert decision(SERVICE, resource=(policy,)).allowed
    other = service_principal("s3", account=OTHER, source_arn="arn:aws:s3:::b")
    assert not decision(other, resource=(policy,)).allowed


def test_the_owner_of_what_an_alarm_is_for() -> None:
    """What the policies that topics begin with ask for."""
    policy = allow(Principal={"AWS": "*"}, Condition={"StringEquals": {"AWS:SourceOwner": ACCOUNT}})
    for service, account, allowed in (
        ("cloudwatch", ACCOUNT, True),
        ("cloudwatch", OTHER, False),
        ("s3", ACCOUNT, False),
    ):
        principal = service_principal(service, account=account, source_arn="arn:aws:cloudwatch:::alarm:a")
        assert decision(principal, resource=(policy,)).allowed == allowed
    assert not decision(USER, resource=(policy,)).allowed


@pytest.mark.parametrize(
    "document",
    [
        "[]", "{", '{"Version":"2012-10-17"}', '{"Version":"2020-01-01","Statement":[]}',
        '{"Version":"2012-10-17","Statement":"x"}', '{"Version":"2012-10-17","Statement":["x"]}',
        '{"Version":"2012-10-17","Statement":[{"Action":"*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":1,"Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Principal":"me"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Principal":{"Me":"x"}}]}',
    ],
)  # fmt: skip
def test_what_is_no_policy(document: str) -> None:
    with pytest.raises(PolicyError):
        compile_policy(document)


def test_the_same_document_is_compiled_once() -> None:
    assert compile_policy(allow()) is compile_policy(allow())


class _Identities(Identities):
    def __init__(self, *policies: Any) -> None:
        self._policies = IdentityPolicies([compile_policy(policy) for policy in policies])

    async def policies(self, principal: Principal, reader: Any) -> IdentityPolicies:
        return self._policies


async def _authorize(principal: Principal, permission: Permission, *policies: Any, **options: Any) -> None:
    arguments: dict[str, Any] = {
        "account": ACCOUNT,
        "circumstances": Circumstances(),
        "reader": None,
        "identities": _Identities(*policies),
        "resource_policies": None,
        "family": "json",
        "mode": "enforce",
    }
    await authorize(principal, [permission], **{**arguments, **options})


PUT = Permission("dynamodb:PutItem", f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t")


async def test_a_denial_in_the_words_of_a_json_service() -> None:
    with pytest.raises(AWSError) as caught:
        await _authorize(USER, PUT)
    error = caught.value
    assert (error.code, error.status) == ("AccessDeniedException", 400)
    assert error.message == (
        f"User: {USER.arn} is not authorized to perform: dynamodb:PutItem on resource: {PUT.resource} "
        "because no identity-based policy allows the dynamodb:PutItem action"
    )


async def test_an_explicit_denial() -> None:
    with pytest.raises(AWSError, match=r"with an explicit deny in an identity-based policy$"):
        await _authorize(USER, PUT, allow("*"), deny("dynamodb:*"))


@pytest.mark.parametrize(
    ("family", "code", "status"),
    [
        ("query", "AccessDenied", 403),
        ("rest-json", "AccessDeniedException", 403),
        ("ec2", "UnauthorizedOperation", 403),
    ],
)
async def test_the_code_of_each_family(family: Any, code: str, status: int) -> None:
    with pytest.raises(AWSError) as caught:
        await _authorize(USER, PUT, family=family)
    assert (caught.value.code, caught.value.status) == (code, status)


async def test_s3_quotes_the_resource() -> None:
    with pytest.raises(AWSError) as caught:
        await _authorize(SESSION, Permission("s3:GetObject", BUCKET), family="s3")
    assert caught.value.message == (
        f'User: {SESSION.arn} is not authorized to perform: s3:GetObject on resource: "{BUCKET}" '
        "because no identity-based policy allows the s3:GetObject action"
    )


async def test_s3_says_little_to_strangers() -> None:
    for principal, account in ((ANONYMOUS, ACCOUNT), (USER, OTHER)):
        with pytest.raises(AWSError) as caught:
            await _authorize(principal, Permission("s3:GetObject", BUCKET), family="s3", account=account)
        assert (caught.value.code, caught.value.message) == ("AccessDenied", "Access Denied")


def test_sqs_and_sns_write_actions_their_own_way() -> None:
    denied = Decision(False, "an identity-based policy")
    sqs = access_denied(Call(USER, "sqs:SendMessage", "arn:q", {}, Circumstances()), denied, "query")
    assert "perform: sqs:sendmessage on" in sqs.message
    sns = access_denied(Call(USER, "sns:Publish", "arn:t", {}, Circumstances()), denied, "query")
    assert sns.code == "AuthorizationError"
    assert "perform: SNS:Publish on" in sns.message


async def test_modes() -> None:
    await _authorize(USER, PUT, mode="off")
    await _authorize(USER, PUT, mode="audit")


async def test_root_of_another_account() -> None:
    foreign = Permission("dynamodb:PutItem", f"arn:aws:dynamodb:us-east-1:{OTHER}:table/t")
    await _authorize(ROOT, PUT)
    with pytest.raises(AWSError, match="no resource-based policy allows"):
        await _authorize(ROOT, foreign)


async def test_session_policies_of_the_principal_count() -> None:
    narrowed = Principal(
        kind="role",
        account=ACCOUNT,
        arn=SESSION.arn,
        id=SESSION.id,
        role_arn=SESSION.role_arn,
        session_policies=(allow("s3:*"),),
    )
    with pytest.raises(AWSError, match="no session policy allows"):
        await _authorize(narrowed, PUT, allow("*"))


async def test_the_resource_policy_is_read_only_where_it_counts() -> None:
    async def policies() -> Any:
        return TO_USER

    await _authorize(USER, Permission("s3:GetObject", BUCKET), resource_policies=policies)
    with pytest.raises(AWSError):
        await _authorize(SESSION, Permission("s3:GetObject", BUCKET), resource_policies=policies)


async def test_a_decision_is_remembered_only_where_no_condition_had_a_say() -> None:
    identities = _Identities(
        allow("dynamodb:*", Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}})
    )
    policies = await identities.policies(USER, None)
    now = 1_700_000_000.0
    for later, allowed in ((0.0, True), (0.0, True), (10 * 365 * 86400.0, False), (0.0, True)):
        call = Call(USER, PUT.action, PUT.resource, {}, Circumstances(now=now + later))
        assert policies.decide(call).allowed is allowed
    plain = await _Identities(allow("dynamodb:PutItem")).policies(USER, None)
    for action, allowed in (("dynamodb:PutItem", True), ("dynamodb:GetItem", False), ("dynamodb:PutItem", True)):
        call = Call(USER, action, PUT.resource, {}, Circumstances())
        assert plain.decide(call).allowed is allowed
