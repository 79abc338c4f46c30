"""Which service a request is for: signing scope and X-Amz-Target first, then the host name, then path and query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

# Signing names that are not also the name of the one service's model.
_SIGNING_NAMES = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
    "es": "opensearch",
    "email": "ses",
    "execute-api": "apigatewaymanagementapi",
    "cloudcontrolapi": "cloudcontrol",
    "servicediscovery": "servicediscovery",
    "aps": "amp",
    "airflow": "mwaa",
    "elasticfilesystem": "efs",
    "elasticmapreduce": "emr",
    "s3express": "s3",
}

# The part of X-Amz-Target before the dot, for every JSON service whose model Pileus knows of by name.
_TARGET_PREFIXES = {
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AWSStepFunctions": "stepfunctions",
    "Kinesis_20131202": "kinesis",
    "Firehose_20150804": "firehose",
    "secretsmanager": "secretsmanager",
    "AmazonSSM": "ssm",
    "TrentService": "kms",
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSCognitoIdentityService": "cognito-identity",
    "CertificateManager": "acm",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "CodeDeploy_20141006": "codedeploy",
    "CodePipeline_20150709": "codepipeline",
    "CodeBuild_20161006": "codebuild",
    "AnyScaleFrontendService": "application-autoscaling",
    "AmazonDAXV3": "dax",
    "ResourceGroupsTaggingAPI_20170126": "resourcegroupstaggingapi",
    "CloudApiService": "cloudcontrol",
}

# Unsigned query calls (AssumeRoleWithWebIdentity) name their service by the API version alone.
_QUERY_VERSIONS = {
    "2011-06-15": "sts",
    "2010-05-08": "iam",
    "2010-03-31": "sns",
    "2012-11-05": "sqs",
    "2010-05-15": "cloudformation",
    "2010-08-01": "cloudwatch",
    "2014-10-31": "rds",
    "2015-12-01": "elbv2",
    "2016-11-15": "ec2",
}

# The addresses of SQS's queues, which are called without a version, and unsigned where a queue's policy allows that.
_QUEUE = re.compile(r"(?:/queue/[a-z0-9-]+)?/\d{12}/[A-Za-z0-9_-]{1,80}(?:\.fifo)?", re.ASCII)
_ACTION = re.compile(r"(?:^|&)Action=\w")

# Links in SNS's messages do not even say a version.
_LINKED = re.compile(r"(?:^|&)Action=(?:ConfirmSubscription|Unsubscribe)(?:&|$)")

# Labels of host names that a service serves itself (its manifest's `hosts`), and that service.
_HOSTED_LABELS = {"dax-clusters": "dax", "lambda-url": "lambda", "s3-website": "s3"}
# The same in a path, for clients that cannot resolve such names: /_aws/lambda-url/{name}/...
_HOSTED_PATH = "/_aws/"
# What services show of themselves beside AWS's interfaces, by path only: /_aws/sqs/messages
_HOSTED_PATHS = {**_HOSTED_LABELS, "sqs": "sqs", "sns": "sns"}

# What S3's general endpoints and those for directory buckets tell apart, and path and query do not.
EXPRESS_OPERATIONS = {"ListBuckets": "ListDirectoryBuckets"}
# The end of a directory bucket's name, and of an access point's of one.
_DIRECTORY_ENDS = ("--x-s3", "--xa-s3")

# Where SNS's signatures say that their certificate is, on whatever host.
_CERTIFICATE = "/SimpleNotificationService-"

_BASE_DOMAINS = ("localhost.localstack.cloud", "localhost", "amazonaws.com", "on.aws")
_S3_NAMES = ("s3", "s3express", "s3-object-lambda")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ACCESS_POINT = re.compile(r"([a-z0-9][a-z0-9-]{1,48}[a-z0-9])-(\d{12})", re.ASCII)
_OBJECT_LAMBDA = "arn:aws:s3-object-lambda:"
# What an access point's ARN begins with where the host says neither region nor kind.
_AT_OWN_ENDPOINT = "arn:aws:s3::"
# {alias}.mrap.accesspoint.s3-global.amazonaws.com; SDKs use this name whatever endpoint they are given.
_MULTI_REGION_LABELS = ("mrap", "accesspoint")
# The same in a path, as alias or ARN, the latter mostly encoded.
_MULTI_REGION_PATH = re.compile(r"/(?:arn(?::|%3A)[^/]*(?:/|%2F))?[a-z0-9]+\.mrap(?:/|$)", re.IGNORECASE)
# A key id has its end: looking for one behind each of thousands of beginnings took seconds.
_SCOPE = re.compile(r"Credential=[^/,\s]{1,256}/\d+/([^/,\s]*)/([^/,\s]*)/aws4_request")
_LAMBDA_PATH = re.compile(r"/20\d\d-\d\d-\d\d/(functions|layers|event-source-mappings|tags|account-settings)\b")


class Route(msgspec.Struct, frozen=True):
    """Where a request goes. `path` is the path as the service's protocol sees it: a virtual-host bucket is put in."""

    service: str
    path: str
    # From the host name, where it says one; the signing scope's region counts first.
    region: str = ""
    # Asked of S3's endpoints for directory buckets, by host name or by what it is signed for.
    express: bool = False
    # For one of S3's multi-Region access points, whose requests are signed for several regions.
    multi_region: bool = False


class HostedName(msgspec.Struct, frozen=True):
    """A name that `service` serves itself under `label`."""

    service: str
    label: str
    name: str
    # "" where neither host nor path says one.
    region: str
    # The host's name, without port.
    domain: str
    # Without the beginning of the path form.
    path: str


class Hosts:
    """Host names under which services are reached, and what they say."""

    def __init__(self, domains: tuple[str, ...] = ()) -> None:
        # The longest first: localhost.localstack.cloud before localhost.
        self._suffixes = sorted((*domains, *_BASE_DOMAINS), key=len, reverse=True)
        self._known: dict[str, tuple[str, str, str]] = {}
        # Sites that are this node's own; not amazonaws.com, where others have pages.
        self._own = (*domains, "localhost", "localhost.localstack.cloud")

    def read(self, host: str) -> tuple[str, str, str]:
        """(service, region, bucket) that a Host header names; each "" where it does not."""
        known = self._known.get(host)
        if known is None:
            known = self._read(host)
            if len(self._known) < 4096:  # a stranger chooses host names: the cache has an end
                self._known[host] = known
        return known

    def hosted(self, host: str, path: str) -> HostedName | None:
        """What a service serves itself, by host name or by path; None for all the rest."""
        if path.startswith(_HOSTED_PATH):
            label, _, rest = path[len(_HOSTED_PATH) :].partition("/")
            name, slash, rest = rest.partition("/")
            if label not in _HOSTED_PATHS or not name:
                return None
            return HostedName(_HOSTED_PATHS[label], label, name, "", host.rsplit(":", 1)[0], slash + rest or "/")
        if path.startswith(_CERTIFICATE) and path.endswith(".pem") and self.read(host)[0] in ("", "sns"):
            return HostedName("sns", "sns", path[1:], "", host.rsplit(":", 1)[0], "/")
        service, region, _ = self.read(host)
        if service not in _HOSTED_LABELS:
            return None
        domain = host.rsplit(":", 1)[0].lower().rstrip(".")
        # From the right: a bucket may have dots in its name.
        name, found, _ = domain.rpartition(f".{service}.")
        if not found:
            name, found, _ = domain.rpartition(f".{service}-{region}.")
        if not name:
            return None
        return HostedName(_HOSTED_LABELS[service], service, name, region, domain, path)

    def is_foreign(self, headers: Mapping[str, str]) -> bool:
        """Whether a web page of another site makes this request, in a browser that can reach us and the page cannot.

        Browsers say in `Origin` where a page comes from, and in `Sec-Fetch-Site` that it is another site's where they
        send no origin. Everybody knows the loopback's keys: a page that signs with them must not get in.
        """
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "cross-site"
        host = origin.partition("://")[2].rpartition(":")[0] or origin.partition("://")[2]
        if host in ("localhost", "127.0.0.1", "[::1]"):
            return False
        return not any(host == suffix or host.endswith("." + suffix) for suffix in self._own)

    def _read(self, host: str) -> tuple[str, str, str]:
        name = host.rsplit(":", 1)[0].lower().rstrip(".") if not host.startswith("[") else ""
        for suffix in self._suffixes:
            if name.endswith("." + suffix):
                labels = name[: -len(suffix) - 1].split(".")
                break
        else:
            return "", "", ""
        # From the right: [bucket ...] s3 [region], as buckets may contain dots and even a label "s3".
        for at in range(len(labels) - 1, max(-1, len(labels) - 4), -1):
            label = labels[at]
            after = labels[at + 1 :]
            if label == "s3-control":
                return "s3control", after[0] if after else "", ""
            if label == "s3-accesspoint" and at == 1 and (found := _ACCESS_POINT.fullmatch(labels[0])):
                region = next((one for one in after if _REGION.fullmatch(one)), "")
                return "s3", region, f"arn:aws:s3:{region}:{found[2]}:accesspoint%2F{found[1]}"
            if label == "s3-object-lambda":
                region = next((one for one in after if _REGION.fullmatch(one)), "")
                found = _ACCESS_POINT.fullmatch(labels[0]) if at == 1 else None
                # Where functions write their responses, the name before is no access point's.
                point = f"{_OBJECT_LAMBDA}{region}:{found[2]}:accesspoint%2F{found[1]}" if found else ""
                return "s3-object-lambda", region, point
            if label == "s3-global" and at > 1 and tuple(labels[at - 2 : at]) == _MULTI_REGION_LABELS:
                return "s3", "", ".".join(labels[: at - 1])
            if label.startswith("s3-website-") and _REGION.fullmatch(label[11:]):
                return "s3-website", label[11:], ""
            if label.startswith("s3express-"):
                # s3express-control (a bucket is in the path), s3express-{zone}; both with "fips-" before that.
                region = next((one for one in after if _REGION.fullmatch(one)), "")
                return "s3express", region, ".".join(labels[:at])
            if label == "s3" or (label.startswith("s3-") and _REGION.fullmatch(label[3:])):
                region = label[3:] or next((one for one in after if _REGION.fullmatch(one)), "")
                return "s3", region, ".".join(labels[:at])
        if len(labels) == 1 and labels[0].endswith(_DIRECTORY_ENDS):
            # How SDKs address a directory bucket at an endpoint of one's own.
            return "s3express", "", labels[0]
        if len(labels) == 1 and (found := _ACCESS_POINT.fullmatch(labels[0])):
            # How SDKs address an access point at an endpoint of one's own.
            return "s3", "", f"arn:aws:s3::{found[2]}:accesspoint%2F{found[1]}"
        region = labels[-1] if _REGION.fullmatch(labels[-1]) else ""
        service = labels[-2] if region and len(labels) > 1 else labels[-1]
        return ("" if _REGION.fullmatch(service) else _SIGNING_NAMES.get(service, service)), region, ""


def signing_scope(authorization: str, query: str) -> tuple[str, str] | None:
    """(region, service) of a request's credential scope, from its header or its presigned query."""
    if authorization:
        found = _SCOPE.search(authorization)
    elif "X-Amz-Credential=" in query:
        value = query.split("X-Amz-Credential=", 1)[1].split("&", 1)[0]
        found = _SCOPE.search("Credential=" + unquote(value))
    else:
        return None
    return (found[1], found[2]) if found else None


def names_service(target: str) -> bool:
    """Whether an X-Amz-Target alone says which service is meant."""
    return target.rpartition(".")[0] in _TARGET_PREFIXES


def route(hosts: Hosts, headers: dict[str, str], path: str, query: str, body: bytes = b"") -> Route:
    """The service meant by a request; the last resort, as at the field's other endpoints, is S3."""
    target = headers.get("x-amz-target")
    if target:
        service = _TARGET_PREFIXES.get(target.rpartition(".")[0])
        if service:
            return Route(service, path)
    host_service, region, bucket = hosts.read(headers.get("host", ""))
    scope = signing_scope(headers.get("authorization", ""), query)
    name = scope[1] if scope else ""
    if name in _S3_NAMES or (not name and host_service in _S3_NAMES):
        if path.startswith("/v20180820/") and "x-amz-account-id" in headers:
            return Route("s3control", path, region)
        express = "s3express" in (name, host_service)
        if name == "s3-object-lambda" and bucket.startswith(_AT_OWN_ENDPOINT):
            bucket = f"{_OBJECT_LAMBDA}{region}:" + bucket.removeprefix(_AT_OWN_ENDPOINT)
        return _s3(f"/{bucket}{path}" if bucket else path, region, express=express)
    if name:
        return Route(_refine(_SIGNING_NAMES.get(name, name), path), path, region)
    if host_service:
        return Route(_refine(host_service, path), path, region)
    if _LAMBDA_PATH.match(path):
        return Route("lambda", path)
    if path.startswith("/service/") and "smithy-protocol" in headers:
        return Route("cloudwatch", path)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded") or "Action=" in query:
        fields = query if "Action=" in query else body.decode("latin-1")
        version = re.search(r"(?:^|&)Version=([\d-]+)", fields)
        if version and version[1] in _QUERY_VERSIONS:
            return Route(_QUERY_VERSIONS[version[1]], path)
        if not version and path == "/" and _LINKED.search(fields):
            return Route("sns", path)
        if not version and _ACTION.search(fields) and _QUEUE.fullmatch(path):
            return Route("sqs", path)
    return _s3(path)


def _s3(path: str, region: str = "", *, express: bool = False) -> Route:
    multi_region = ".mrap" in path and _MULTI_REGION_PATH.match(path) is not None
    return Route("s3", path, region, express, multi_region)


def _refine(service: str, path: str) -> str:
    """Tell apart the services that share a signing name."""
    if service == "apigateway" and path.startswith("/v2/"):
        return "apigatewayv2"
    return service
