"""Data protection policies: messages with sensitive data are denied, masked, or reported.

Data is found by patterns. Identifiers that are found by more than a pattern (names, addresses) are refused when a
policy is put. Messages are strangers': no pattern may take long over any text, so none repeats without a bound.

Sources: "Amazon SNS message data protection" of the developer guide and its pages on operations and data identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.sns import errors
from pileus.services.sns.records import Message, Recipient

VERSION = "2021-06-01"
POLICY_BYTES_MAX = 30 * 1024
CUSTOM_MAX = 10
_REDACTED = ""
_GROUP = re.compile(r"/aws/vendedlogs/.+")
# Of patterns of a user's own: as many ways to match at one place, and as often as "*" and "+" repeat.
_WAYS_MAX = 256
_REPEATS_MAX = 64
_CUSTOM_CHARS_MAX = 200
_TOKEN = re.compile(r"\\.|\[[^\]]*\]|\{(\d{1,3})(,)?(\d{0,3})\}|.", re.DOTALL)
_IDENTIFIERS = {
    "AwsSecretKey": r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])",
    "CreditCardNumber": r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)",
    "EmailAddress": r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,63}",
    "IpAddress": r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])",
    "OpenSshPrivateKey": r"-----BEGIN OPENSSH PRIVATE KEY-----[\s\S]{1,8000}?-----END OPENSSH PRIVATE KEY-----",
    "PgpPrivateKey": r"-----BEGIN PGP PRIVATE KEY BLOCK-----[\s\S]{1,8000}?-----END PGP PRIVATE KEY BLOCK-----",
    "PhoneNumber-US": r"(?<!\d)(?:\+?1[-. ]?)?\(?[2-9]\d{2}\)?[-. ]?[2-9]\d{2}[-. ]?\d{4}(?!\d)",
    "PkcsPrivateKey": r"-----BEGIN (?:RSA )?PRIVATE KEY-----[\s\S]{1,8000}?-----END (?:RSA )?PRIVATE KEY-----",
    "PuttyPrivateKey": r"PuTTY-User-Key-File-\d: [\s\S]{1,8000}?Private-MAC: [0-9a-f]{1,128}",
    "Ssn-US": r"(?<!\d)(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)",
}


class Finding(NamedTuple):
    identifier: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    inbound: bool
    principals: tuple[str, ...]
    exempt: tuple[str, ...]
    patterns: Mapping[str, re.Pattern[str]]
    # "Deny", "Deidentify", "Audit".
    operation: str
    # What stands in the place of each masked character; "" removes it.
    mask: str = ""
    # Of audits: the sample rate, and the log groups for messages with and without findings.
    rate: int = 0
    findings_group: str = ""
    no_findings_group: str = ""

    def concerns(self, principal: str) -> bool:
        if principal in self.exempt:
            return False
        return "*" in self.principals or principal in self.principals

    def find(self, text: str) -> list[Finding]:
        found = [
            Finding(name, match.start(), match.end())
            for name, pattern in self.patterns.items()
            for match in pattern.finditer(text)
            if name != "CreditCardNumber" or _is_card(match[0])
        ]
        return sorted(found, key=lambda one: one.start)

    def masked(self, text: str) -> str:
        for one in reversed(self.find(text)):
            text = text[: one.start] + self.mask * (one.end - one.start) + text[one.end :]
        return text


def _is_card(text: str) -> bool:
    """Luhn's check."""
    digits = [int(one) for one in text if one.isdigit()][::-1]
    return (sum(digits[::2]) + sum(sum(divmod(2 * one, 10)) for one in digits[1::2])) % 10 == 0


def check(text: str) -> str:
    """The policy as it is kept. Raises InvalidParameter, and NotBuilt for what cannot be looked for."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise _invalid("must be at most 30 KB")
    _parse(text)
    return text


@lru_cache(maxsize=256)
def _parse(text: str) -> tuple[Statement, ...]:
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _invalid("failed to parse JSON") from None
    if not isinstance(policy, dict) or policy.get("Version") != VERSION or not isinstance(policy.get("Name"), str):
        raise _invalid(f"must have a Name and the Version {VERSION}")
    statements = policy.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise _invalid("must have statements")
    custom = _custom(policy.get("Configuration") or {})
    parsed = tuple(_statement(one, custom) for one in statements)
    if sum(one.operation == "Audit" for one in parsed) > 1:
        raise _invalid("may have one audit statement")
    return parsed


def _invalid(reason: str) -> AWSError:
    return errors.invalid(f"DataProtectionPolicy: {reason}")


def _custom(configuration: Any) -> dict[str, re.Pattern[str]]:
    given = configuration.get("CustomDataIdentifier") or [] if isinstance(configuration, dict) else None
    if not isinstance(given, list) or len(given) > CUSTOM_MAX:
        raise _invalid(f"may have {CUSTOM_MAX} custom data identifiers")
    try:
        return {one["Name"]: _bounded(one["Regex"]) for one in given}
    except (TypeError, KeyError, re.error):
        raise _invalid("custom data identifiers have a Name and a Regex") from None


def _bounded(text: str) -> re.Pattern[str]:
    """A user's pattern with a bound for every repetition. Raises NotBuilt where it might take too long."""
    if len(text) > _CUSTOM_CHARS_MAX:
        raise _invalid(f"a Regex has at most {_CUSTOM_CHARS_MAX} characters")
    ways, parts = 1, []
    for token in _TOKEN.finditer(text):
        part = token[0]
        if part in "()":
            raise _invalid("a Regex has no groups")
        if token[1] is not None:
            least = int(token[1])
            most = least if not token[2] else int(token[3]) if token[3] else least + _REPEATS_MAX
            ways *= max(1, most - least + 1)
            part = f"{{{least},{most}}}"
        elif part in "*+":
            ways *= _REPEATS_MAX
            part = f"{{{int(part == '+')},{_REPEATS_MAX}}}"
        elif part == "?":
            ways *= 2
        elif part[0] == "\\" and part[1].isdigit():
            raise _invalid("a Regex has no groups")
        parts.append(part)
    if ways > _WAYS_MAX:
        raise NotBuilt("Custom data identifiers that may match in so many ways")
    return re.compile("".join(parts))


def _statement(given: Any, custom: Mapping[str, re.Pattern[str]]) -> Statement:
    if not isinstance(given, dict) or given.get("DataDirection") not in ("Inbound", "Outbound"):
        raise _invalid("DataDirection must be Inbound or Outbound")
    principals = _texts(given.get("Principal", ["*"]), "Principal")
    patterns: dict[str, re.Pattern[str]] = {}
    for one in _texts(given.get("DataIdentifier"), "DataIdentifier"):
        name = one.rpartition("/")[2]
        if one in custom:
            patterns[one] = custom[one]
        elif not one.startswith("arn:") or "data-identifier/" not in one:
            raise _invalid(f"{one} is not a data identifier")
        elif name in _IDENTIFIERS:
            patterns[name] = re.compile(_IDENTIFIERS[name])
        else:
            raise NotBuilt(f"Looking for {name} in messages")
    operation = given.get("Operation")
    if not isinstance(operation, dict) or len(operation) != 1:
        raise _invalid("Operation must be one of Audit, Deidentify, Deny")
    ((name, settings),) = operation.items()
    common: dict[str, Any] = {
        "inbound": given["DataDirection"] == "Inbound",
        "principals": principals,
        "exempt": _texts(given.get("NoPrincipal", []), "NoPrincipal"),
        "patterns": patterns,
        "operation": name,
    }
    if name == "Deny":
        return Statement(**common)
    if name == "Deidentify":
        return Statement(**common, mask=_mask(settings))
    if name == "Audit":
        return Statement(**common, **_audit(settings, common["inbound"]))
    raise _invalid("Operation must be one of Audit, Deidentify, Deny")


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _invalid(f"{name} must be a list of strings")
    return tuple(value)


def _mask(settings: Any) -> str:
    if isinstance(settings, dict) and "RedactConfig" in settings:
        return _REDACTED
    character = (settings.get("MaskConfig") or {}).get("MaskWithCharacter") if isinstance(settings, dict) else None
    if not isinstance(character, str) or len(character) != 1:
        raise _invalid("Deidentify needs a MaskConfig with a MaskWithCharacter, or a RedactConfig")
    return character


def _audit(settings: Any, inbound: bool) -> dict[str, Any]:
    if not inbound or not isinstance(settings, dict):
        raise _invalid("Audit is for Inbound messages")
    try:
        rate = int(settings["SampleRate"])
    except (KeyError, TypeError, ValueError):
        raise _invalid("SampleRate must be an integer between 0 and 99") from None
    groups = {}
    for member, name in (("FindingsDestination", "findings_group"), ("NoFindingsDestination", "no_findings_group")):
        destination = settings.get(member) or {}
        if not isinstance(destination, dict):
            raise _invalid(f"{member} must be an object")
        for other in ("Firehose", "S3"):
            if other in destination:
                raise NotBuilt(f"Reports of findings to {other}")
        group = (destination.get("CloudWatchLogs") or {}).get("LogGroup", "")
        if group and not _GROUP.fullmatch(group):
            raise _invalid("LogGroup must begin with /aws/vendedlogs/")
        groups[name] = group
    if not 0 <= rate <= 99 or not any(groups.values()):
        raise _invalid("Audit needs a SampleRate between 0 and 99 and a destination")
    return {"rate": rate, **groups}


class Denied(Exception):
    """The message has data that it may not have."""


def let_in(policy: str, message: Message, principal: str) -> Message:
    """A message as it may be published by `principal`. Raises Denied."""
    return _applied(_parse(policy), message, principal, inbound=True)


def let_out(
    policy: str, message: Message, recipients: Sequence[Recipient], principals: Mapping[str, str]
) -> Iterator[tuple[Message, list[Recipient]]]:
    """A message as its subscribers may have it, and who may; whoever may not have it at all is left out."""
    statements = _parse(policy)
    by_principal: dict[str, list[Recipient]] = {}
    for one in recipients:
        by_principal.setdefault(principals.get(one.id, ""), []).append(one)
    for principal, own in by_principal.items():
        try:
            yield _applied(statements, message, principal, inbound=False), own
        except Denied:
            continue


def _applied(statements: Sequence[Statement], message: Message, principal: str, *, inbound: bool) -> Message:
    texts = [message.body, *message.bodies.values()]
    for one in statements:
        if one.inbound != inbound or one.operation == "Audit" or not one.concerns(principal):
            continue
        if not any(one.find(text) for text in texts):
            continue
        if one.operation == "Deny":
            raise Denied
        bodies = {name: one.masked(text) for name, text in message.bodies.items()}
        message = msgspec.structs.replace(message, body=one.masked(message.body), bodies=bodies)
        texts = [message.body, *message.bodies.values()]
    return message


def reports(policy: str, message: Message, principal: str, *, sample: float, time: str) -> list[tuple[str, str]]:
    """(log group, text) of what an audit says of a message; `sample` is drawn from 0 to 100."""
    found = []
    for one in _parse(policy):
        if one.operation != "Audit" or sample >= one.rate:
            continue
        findings = one.find(message.body)
        group = one.findings_group if findings else one.no_findings_group
        if not group:
            continue
        identifiers = [
            {
                "name": name,
                "count": len(own),
                "detections": [{"start": each.start, "end": each.end} for each in own],
            }
            for name in one.patterns
            if (own := [each for each in findings if each.identifier == name])
        ]
        report = {
            "messageId": message.id,
            "auditTimestamp": time,
            "callerPrincipal": principal,
            "resourceArn": message.topic_arn,
            "dataIdentifiers": identifiers,
        }
        found.append((group, orjson.dumps(report).decode()))
    return found
