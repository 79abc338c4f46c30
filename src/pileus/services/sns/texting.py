"""Text messages: an account's settings, and who wants none.

Sources: SetSMSAttributes, GetSMSAttributes, OptInPhoneNumber of the API reference; recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from pileus.services.sns import errors, keys
from pileus.services.sns.records import Sent, SmsSettings, decode, encode
from pileus.store.contract import Reader, Transaction

_DEFAULTS = {"MonthlySpendLimit": "1"}
_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}", re.ASCII)
_RULES = {
    "MonthlySpendLimit": re.compile(r"[0-9]{1,9}", re.ASCII),
    "DeliveryStatusIAMRole": re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+", re.ASCII),
    "DeliveryStatusSuccessSamplingRate": re.compile(r"[0-9]{1,2}|100", re.ASCII),
    "DefaultSenderID": _SENDER,
    "DefaultSMSType": re.compile("Promotional|Transactional"),
    "UsageReportS3Bucket": re.compile(r"[a-z0-9.-]+", re.ASCII),
}


def _normal(number: str) -> str:
    """However a number is punctuated, it is the same one."""
    return re.sub(r"[^0-9+]", "", number)


async def settings_of(tx: Reader, account: str, region: str) -> SmsSettings:
    raw = await tx.get(keys.sms(account, region))
    return SmsSettings() if raw is None else decode(SmsSettings, raw)


def put(tx: Transaction, account: str, region: str, settings: SmsSettings) -> None:
    tx.put(keys.sms(account, region), encode(settings))


def check(given: dict[str, str]) -> None:
    """An empty value is always good: it takes the setting back."""
    for name, value in given.items():
        rule = _RULES.get(name)
        if rule is None:
            raise errors.bad(f"{name} is not a valid attribute")
        if value and not rule.fullmatch(value):
            raise errors.bad(f"{name} is invalid")


def show(settings: SmsSettings, names: Iterable[str]) -> dict[str, str]:
    wanted = set(names)
    found = _DEFAULTS | settings.attributes
    return {name: value for name, value in found.items() if not wanted or name in wanted}


def type_of(settings: SmsSettings, sent: Sent) -> str:
    """What kind of text message it is: "Promotional", "Transactional"."""
    own = sent.attributes.get("AWS.SNS.SMS.SMSType", {}).get("StringValue")
    return str(own or settings.attributes.get("DefaultSMSType") or "Promotional")


def parts_of(text: str) -> int:
    """How many messages a phone is sent for a text; what is not ASCII takes two bytes a character."""
    single, several = (160, 153) if text.isascii() else (70, 67)
    length = len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
    return 1 if length <= single else -(-length // several)


async def is_opted_out(tx: Reader, account: str, region: str, number: str) -> bool:
    return _normal(number) in (await settings_of(tx, account, region)).opted_out


async def opt_out(tx: Transaction, account: str, region: str, number: str) -> None:
    settings = await settings_of(tx, account, region)
    numbers = sorted({*settings.opted_out, _normal(number)})
    put(tx, account, region, msgspec.structs.replace(settings, opted_out=numbers))


async def opt_in(tx: Transaction, account: str, region: str, number: str) -> None:
    settings = await settings_of(tx, account, region)
    numbers = [one for one in settings.opted_out if one != _normal(number)]
    put(tx, account, region, msgspec.structs.replace(settings, opted_out=numbers))
