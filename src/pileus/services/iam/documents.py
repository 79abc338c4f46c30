"""What IAM demands of a policy document before it keeps it, and its words for what is wrong.

Source: "Grammar of the IAM JSON policy language", "IAM and AWS STS quotas" (IAM User Guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from pileus.access.policy import VERSION, VERSIONS, PolicyError, compile_policy
from pileus.services.iam.errors import limit_exceeded, malformed_policy, quota_exceeded

# Quotas, in characters without white space.
MANAGED_POLICY_SIZE_MAX = 6144
TRUST_POLICY_SIZE_MAX = 2048
INLINE_POLICIES_SIZE_MAX = {"user": 2048, "group": 5120, "role": 10240}

_POLICY_FIELDS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_FIELDS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_SID = re.compile(r"[0-9A-Za-z]*")
_VENDOR = re.compile(r"[A-Za-z0-9-]+|\*")
_PARTITIONS = frozenset(
    ("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "*")
)
_SERVICE = re.compile(r"[a-zA-Z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal|api\.aws)")
_AWS_PRINCIPAL = re.compile(
    r"\*|\d{12}|arn:[a-z-]+:(iam|sts)::\d{12}:(root|user/.+|role/.+|assumed-role/.+/.+|federated-user/.+)"
    r"|A(IDA|ROA|GPA|KIA|SIA)[A-Z0-9]{12,}"
)
_TRUST_ACTIONS = frozenset(
    (
        "sts:assumerole",
        "sts:assumerolewithsaml",
        "sts:assumerolewithwebidentity",
        "sts:tagsession",
        "sts:setsourceidentity",
        "sts:setcontext",
        "sts:*",
    )
)

_SYNTAX = "Syntax errors in policy."
_LEGACY = "The policy failed legacy parsing"


def size(document: str) -> int:
    """As IAM counts it: without white space."""
    return len(re.sub(r"\s", "", document))


def check_managed_policy(document: str) -> None:
    """Raise MalformedPolicyDocument or LimitExceeded unless this can be a managed policy."""
    _check_identity_policy(document)
    if orjson.loads(document).get("Version") != VERSION:
        raise malformed_policy("Policy document must be version 2012-10-17 or greater.")
    if size(document) > MANAGED_POLICY_SIZE_MAX:
        raise quota_exceeded("PolicySize", MANAGED_POLICY_SIZE_MAX)


def check_inline_policy(document: str, kind: str, name: str, others: Mapping[str, str]) -> None:
    """The same for an inline policy of a `kind` ("role") called `name`, beside the `others` it has."""
    _check_identity_policy(document)
    limit = INLINE_POLICIES_SIZE_MAX[kind]
    if size(document) + sum(map(size, others.values())) > limit:
        raise limit_exceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {name}")


def check_session_policy(document: str) -> None:
    """The same for a policy passed to AWS STS; its size is checked there."""
    _check_identity_policy(document)


def _check_identity_policy(document: str) -> None:
    statements = _statements(document, _SYNTAX)
    sids: set[str] = set()
    for statement in statements:
        if "Principal" in statement or "NotPrincipal" in statement:
            raise malformed_policy("Policy document should not specify a principal.")
        if not _STATEMENT_FIELDS.issuperset(statement) or statement.get("Effect") not in ("Allow", "Deny"):
            raise malformed_policy(_SYNTAX)
        actions = _texts(statement, "Action", "NotAction")
        if not actions:
            raise malformed_policy("Policy statement must contain actions.")
        resources = _texts(statement, "Resource", "NotResource")
        if not resources:
            raise malformed_policy("Policy statement must contain resources.")
        for action in actions:
            _check_action(action)
        for resource in resources:
            _check_resource(resource)
        _check_sid(statement.get("Sid"), sids)
    _compile(document, _SYNTAX)


def check_trust_policy(document: str) -> None:
    """Raise MalformedPolicyDocument or LimitExceeded unless this can be a role's trust policy."""
    try:
        source = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise malformed_policy("This policy contains invalid Json") from None
    if not isinstance(source, dict):
        raise malformed_policy("This policy contains invalid Json")
    for field in source:
        if field not in _POLICY_FIELDS:
            raise malformed_policy(f"Unknown field {field}")
    if "Statement" not in source:
        raise malformed_policy("Missing required field Statement")
    if source.get("Version", VERSION) not in VERSIONS:
        raise malformed_policy("The policy must contain a valid version string")
    statements = _list(source["Statement"])
    if not statements or not all(isinstance(statement, dict) for statement in statements):
        raise malformed_policy(_SYNTAX)
    sids: set[str] = set()
    for statement in statements:
        _check_trust_statement(statement)
        _check_sid(statement.get("Sid"), sids)
    _compile(document, _SYNTAX)
    if size(document) > TRUST_POLICY_SIZE_MAX:
        raise quota_exceeded("ACLSizePerRole", TRUST_POLICY_SIZE_MAX)


def _check_trust_statement(statement: dict[str, Any]) -> None:
    for field in statement:
        if field in ("Resource", "NotResource"):
            raise malformed_policy(f"Has prohibited field {field}")
        if field not in _STATEMENT_FIELDS:
            raise malformed_policy(f"Unknown field {field}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        missing = "Effect" not in statement
        raise malformed_policy("Missing required field Effect" if missing else f"Invalid effect: {statement['Effect']}")
    if "Principal" not in statement and "NotPrincipal" not in statement:
        raise malformed_policy("Missing required field Principal")
    actions = _texts(statement, "Action", "NotAction")
    if not actions:
        raise malformed_policy("Missing required field Action")
    for action in actions:
        if action.lower() not in _TRUST_ACTIONS:
            raise malformed_policy("AssumeRole policy may only specify STS AssumeRole actions.")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise malformed_policy("Invalid principal in policy.")
    for kind, value in principal.items():
        for one in _list(value):
            if not _is_principal(kind, one):
                raise malformed_policy(f'Invalid principal in policy: "{kind.upper()}":"{one}"')


def _is_principal(kind: str, one: Any) -> bool:
    if not isinstance(one, str):
        return False
    if kind == "AWS":
        return _AWS_PRINCIPAL.fullmatch(one) is not None
    if kind == "Service":
        return _SERVICE.fullmatch(one) is not None
    return kind in ("Federated", "CanonicalUser")


def _statements(document: str, message: str) -> list[dict[str, Any]]:
    try:
        source = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise malformed_policy(message) from None
    if not isinstance(source, dict) or not _POLICY_FIELDS.issuperset(source) or "Statement" not in source:
        raise malformed_policy(message)
    if source.get("Version", VERSION) not in VERSIONS:
        raise malformed_policy(message)
    statements = _list(source["Statement"])
    if not statements or not all(isinstance(statement, dict) for statement in statements):
        raise malformed_policy(message)
    return statements


def _texts(statement: dict[str, Any], name: str, negated: str) -> list[str]:
    if name in statement and negated in statement:
        raise malformed_policy(_SYNTAX)
    texts = _list(statement.get(name, statement.get(negated, [])))
    if not all(isinstance(text, str) for text in texts):
        raise malformed_policy(_SYNTAX)
    return texts


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, colon, name = action.partition(":")
    if not colon:
        raise malformed_policy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    if ":" in name:
        raise malformed_policy("Actions/Condition can contain only one colon.")
    if not _VENDOR.fullmatch(vendor):
        raise malformed_policy(f"Vendor {vendor} is not valid")


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    if not resource.startswith("arn:"):
        raise malformed_policy(f'Resource {resource} must be in ARN format or "*".')
    parts = resource.split(":", 5)
    if len(parts) > 1 and parts[1] not in _PARTITIONS and "${" not in parts[1]:
        raise malformed_policy(f'Partition "{parts[1]}" is not valid for resource "{resource}".')
    if len(parts) < 6 and not (len(parts) > 2 and parts[-1].endswith("*")):
        raise malformed_policy(_LEGACY)
    if parts[2] == "s3" and len(parts) == 6 and parts[3] and "*" not in parts[3] and "accesspoint" not in parts[5]:
        raise malformed_policy(f"Resource {resource} can not contain region information.")


def _check_sid(sid: Any, seen: set[str]) -> None:
    if sid is None:
        return
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise malformed_policy(
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    if sid and sid in seen:
        raise malformed_policy("Statement IDs (SID) in a single policy must be unique.")
    seen.add(sid)


def _compile(document: str, message: str) -> None:
    try:
        compile_policy(document)
    except PolicyError:
        raise malformed_policy(message) from None
