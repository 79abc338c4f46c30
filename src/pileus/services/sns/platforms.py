"""Platform applications and the endpoints of devices: their names, and what they may be set to.

Sources: CreatePlatformApplication, CreatePlatformEndpoint, SetEndpointAttributes of the API reference; recorded
answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pileus.cloud.context import Context
from pileus.kernel.arn import make_arn
from pileus.services.sns import errors, keys
from pileus.services.sns.feedback_settings import is_percentage, is_role
from pileus.services.sns.names import check_arn
from pileus.services.sns.records import Application, Endpoint, decode
from pileus.store.contract import Reader

PLATFORMS = frozenset(
    (
        "ADM",
        "APNS",
        "APNS_SANDBOX",
        "APNS_VOIP",
        "APNS_VOIP_SANDBOX",
        "BAIDU",
        "GCM",
        "MACOS",
        "MACOS_SANDBOX",
        "MPNS",
        "WNS",
    )
)
# Platforms whose credential stands alone: a server key, a token.
_WITHOUT_PRINCIPAL = frozenset(("GCM",))
_CREDENTIALS = frozenset(("PlatformCredential", "PlatformPrincipal", "ApplePlatformTeamID", "ApplePlatformBundleID"))
_SHOWN = frozenset(
    (
        "Enabled",
        "EventDeliveryFailure",
        "EventEndpointCreated",
        "EventEndpointDeleted",
        "EventEndpointUpdated",
        "FailureFeedbackRoleArn",
        "SuccessFeedbackRoleArn",
        "SuccessFeedbackSampleRate",
    )
)
_APPLE = ("APNS", "MACOS")
_APPLE_TOKEN = re.compile(r"[0-9A-Fa-f]{1,400}")
_ENDPOINT = ("CustomUserData", "Enabled", "Token")
USER_DATA_BYTES_MAX = 2048
_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class ApplicationName(NamedTuple):
    account: str
    region: str
    platform: str
    name: str

    @property
    def arn(self) -> str:
        return make_arn("sns", self.region, self.account, f"app/{self.platform}/{self.name}")


class EndpointName(NamedTuple):
    account: str
    region: str
    platform: str
    application: str
    id: str

    @property
    def arn(self) -> str:
        return make_arn("sns", self.region, self.account, f"endpoint/{self.platform}/{self.application}/{self.id}")

    @property
    def of_application(self) -> ApplicationName:
        return ApplicationName(self.account, self.region, self.platform, self.application)


def check_name(name: str) -> str:
    if not name:
        raise errors.invalid_reason(name, "cannot be empty")
    if len(name) > 256:
        raise errors.invalid_reason(name, "must be at most 256 characters long")
    if not _NAME.fullmatch(name):
        raise errors.invalid_reason(name, "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'")
    return name


def application_of(ctx: Context, text: str) -> ApplicationName:
    arn = check_arn(text, "PlatformApplicationArn")
    parts = arn.resource.split("/")
    if len(parts) != 3:
        raise errors.invalid_reason("PlatformApplicationArn", "Wrong number of slashes in relative portion of the ARN.")
    if arn.service != "sns" or arn.region != ctx.region or parts[0] != "app":
        raise errors.invalid("PlatformApplicationArn")
    return ApplicationName(arn.account, arn.region, parts[1], parts[2])


def endpoint_of(ctx: Context, text: str, parameter: str = "EndpointArn") -> EndpointName:
    arn = check_arn(text, parameter)
    if arn.resource.count("/") != 3:
        raise errors.invalid_reason(parameter, "Wrong number of slashes in relative portion of the ARN.")
    if arn.service != "sns" or arn.region != ctx.region or not arn.resource.startswith("endpoint/"):
        raise errors.invalid(parameter)
    return endpoint_at(text)


def endpoint_at(arn: str) -> EndpointName:
    """The endpoint of an ARN that has been checked."""
    _, _, _, region, account, resource = arn.split(":", 5)
    _, platform, application, id = resource.split("/", 3)
    return EndpointName(account, region, platform, application, id)


def check_application(platform: str, given: dict[str, str], former: dict[str, str], *, new: bool) -> dict[str, str]:
    """An application's attributes as they are kept."""
    principal, credential = given.get("PlatformPrincipal"), given.get("PlatformCredential")
    if principal and not credential:
        raise errors.invalid_reason("Attributes", "PlatformPrincipal attribute provided without PlatformCredential")
    if credential and not principal and platform not in _WITHOUT_PRINCIPAL:
        raise errors.invalid_reason("Attributes", "PlatformCredential attribute provided without PlatformPrincipal")
    if new and not credential:
        raise errors.invalid_reason("Attributes", "PlatformCredential attribute is required")
    for name in given:
        if name not in _SHOWN and name not in _CREDENTIALS:
            raise errors.invalid_reason("Attributes", f"Invalid attribute name: {name}")
    _check_feedback(given)
    return {"Enabled": "true"} | former | {name: value for name, value in given.items() if name in _SHOWN}


def _check_feedback(given: dict[str, str]) -> None:
    """An empty value is always good: it takes the setting back."""
    for name, is_good, wanted in (
        ("SuccessFeedbackSampleRate", is_percentage, "must be an integer between 0 and 100"),
        ("SuccessFeedbackRoleArn", is_role, "must be the ARN of a role"),
        ("FailureFeedbackRoleArn", is_role, "must be the ARN of a role"),
    ):
        if (value := given.get(name)) and not is_good(value):
            raise errors.invalid_reason("Attributes", f"Invalid value for attribute: {name}: {wanted}")


def check_token(platform: str, token: str) -> None:
    if not token:
        raise errors.no_value("Token")
    if platform.startswith(_APPLE) and not _APPLE_TOKEN.fullmatch(token):
        raise errors.invalid_reason("Token", "iOS device tokens must be no more than 400 hexadecimal characters")


def check_endpoint(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if name not in _ENDPOINT:
            raise errors.invalid_reason("Attributes", f"Invalid attribute name: {name}")
        if name == "CustomUserData" and len(value.encode()) > USER_DATA_BYTES_MAX:
            raise errors.invalid_reason(
                "Attributes",
                f"Invalid value for attribute: CustomUserData: must be at most {USER_DATA_BYTES_MAX} bytes long in "
                "UTF-8 encoding",
            )
        if name == "Enabled" and value.lower() not in ("true", "false"):
            raise errors.invalid_reason("Attributes", "Invalid value for attribute: Enabled: must be true or false")
    return {name: value.lower() if name == "Enabled" else value for name, value in given.items()}


async def find_application(tx: Reader, at: ApplicationName) -> Application | None:
    raw = await tx.get(keys.application(*at))
    return None if raw is None else decode(Application, raw)


async def get_application(tx: Reader, at: ApplicationName) -> Application:
    application = await find_application(tx, at)
    if application is None:
        raise errors.no_application()
    return application


async def find_endpoint(tx: Reader, at: EndpointName) -> Endpoint | None:
    raw = await tx.get(keys.endpoint(*at))
    return None if raw is None else decode(Endpoint, raw)


async def get_endpoint(tx: Reader, at: EndpointName) -> Endpoint:
    endpoint = await find_endpoint(tx, at)
    if endpoint is None:
        raise errors.no_endpoint()
    return endpoint


async def get_enabled(tx: Reader, at: EndpointName) -> tuple[Application, Endpoint]:
    """An endpoint with its application. Raises unless it takes messages."""
    endpoint = await get_endpoint(tx, at)
    application = await get_application(tx, at.of_application)
    if application.attributes.get("Enabled") == "false":
        raise errors.application_disabled()
    if endpoint.attributes.get("Enabled") == "false":
        raise errors.endpoint_disabled()
    return application, endpoint
