"""Functions that use what others wrote for AWS, as it is: Powertools, the X-Ray SDK, Mangum with FastAPI."""

from __future__ import annotations

import functools
import importlib.metadata
import io
import json
import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waiting import until

# The runtime has these.
GIVEN = {"boto3", "botocore", "s3transfer", "jmespath", "urllib3", "six", "python-dateutil"}


@functools.cache
def packages(*names: str) -> bytes:
    """A zip file of these distributions as they are installed here, and of all they need."""
    wanted, files = list(names), dict[str, Path]()
    seen = set(GIVEN)
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            path = str(file)
            if not path.startswith("..") and "__pycache__" not in path and not path.endswith(".pyi"):
                files[path] = Path(str(distribution.locate_file(file)))
        for requirement in distribution.requires or ():
            needed, _, marker = requirement.partition(";")
            if "extra ==" not in marker and not re.search(r"sys_platform|platform_system|python_version\s*<", marker):
                wanted.append(re.split(r"[\s<>=!~\[(]", needed.strip(), maxsplit=1)[0])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, source in files.items():
            archive.write(source, name)
    return out.getvalue()


def with_packages(code: str, *names: str) -> dict[str, Any]:
    out = io.BytesIO(packages(*names))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("index.py", code)
    return {"Code": {"ZipFile": out.getvalue()}, "MemorySize": 512, "Timeout": 30}


def call(lambda_: Any, event: Any, **request: Any) -> Any:
    answer = lambda_.invoke(FunctionName="f", Payload=json.dumps(event), **request)
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def output(aws: Any, *, of: Callable[[list[str]], bool]) -> list[str]:
    """The function's log, once it has what is looked for."""
    logs = aws.client("logs")

    def read() -> list[str] | None:
        found = logs.filter_log_events(logGroupName="/aws/lambda/f")["events"]
        messages = [each["message"] for each in found]
        return messages if of(messages) else None

    found: list[str] = until(read)
    return found


POWERTOOLS = """
import os
from aws_lambda_powertools import Logger, Metrics, Tracer, single_metric
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function

logger, metrics, tracer = Logger(service="shop"), Metrics(namespace="Shop", service="shop"), Tracer(service="shop")
app = APIGatewayRestResolver()
processor = BatchProcessor(event_type=EventType.SQS)
table = DynamoDBPersistenceLayer(table_name="idempotency")
times = 0

@app.get("/orders/<order>")
def get_order(order):
    if order == "0":
        raise NotFoundError("no such order")
    return {"order": order, "agent": app.current_event.headers["User-Agent"]}

@tracer.capture_method
def take(record):
    if record.body == "bad":
        raise ValueError("bad")
    return record.body

config = IdempotencyConfig(expires_after_seconds=60)

@idempotent_function(data_keyword_argument="order", persistence_store=table, config=config)
def pay(order):
    global times
    times += 1
    return {"order": order["id"], "payment": times}

@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(log_event=False)
@tracer.capture_lambda_handler
def handler(event, context):
    logger.info("called", extra={"keys": sorted(event)})
    metrics.add_metric(name="Calls", unit=MetricUnit.Count, value=1)
    if "httpMethod" in event:
        return app.resolve(event, context)
    if "Records" in event:
        return process_partial_response(event=event, record_handler=take, processor=processor, context=context)
    first = pay(order={"id": event["id"]})
    return [first, pay(order={"id": event["id"]}), times]
"""


@pytest.fixture
def allowed(aws: Any, role: str) -> str:
    """The functions' role, which may use DynamoDB, too."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    aws.client("iam").put_role_policy(
        RoleName=role.rpartition("/")[2], PolicyName="tables", PolicyDocument=json.dumps(policy)
    )
    return role


def test_powertools(aws: Any, lambda_: Any, make: Callable[..., Any], allowed: str) -> None:
    aws.client("dynamodb").create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = with_packages(POWERTOOLS, "aws-lambda-powertools", "aws-xray-sdk")
    make(**made, Role=allowed, TracingConfig={"Mode": "Active"})

    # Event handler.
    request = {"httpMethod": "GET", "path": "/orders/7", "headers": {"User-Agent": "test"}, "requestContext": {}}
    answer = call(lambda_, request)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"order": "7", "agent": "test"})
    answer = call(lambda_, {**request, "path": "/orders/0"})
    assert (answer["statusCode"], json.loads(answer["body"])) == (404, {"statusCode": 404, "message": "no such order"})

    # Batch: the failed record alone is told back.
    records = [
        {"messageId": body, "body": body, "eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}}
        for body in ("good", "bad")
    ]
    assert call(lambda_, {"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}

    # Idempotency: the second payment is the first one's, kept in the table.
    first, second, times = call(lambda_, {"id": "a"})
    assert first == second == {"order": "a", "payment": 1}
    assert times == 1
    assert call(lambda_, {"id": "a"}) == [first, first, 1]
    assert aws.client("dynamodb").scan(TableName="idempotency")["Count"] == 1

    # Logger and metrics: a line of JSON each, and the cold start among them, once.
    messages = output(aws, of=lambda found: sum("_aws" in each for each in found) >= 6)
    lines = [json.loads(each) for each in messages if each.startswith("{")]
    logged = [each for each in lines if each.get("message") == "called"]
    assert len(logged) == 5
    assert [each["cold_start"] for each in logged] == [True, False, False, False, False]
    assert logged[0]["function_name"] == "f"
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", logged[0]["xray_trace_id"])
    counted = [each for each in lines if "_aws" in each]
    assert sum("Calls" in each for each in counted) == 5
    (cold,) = [each for each in counted if "ColdStart" in each]
    assert cold["function_name"] == "f"

    # Tracer: the first call in a second is traced; what the function does is below the function's own segment.
    segments = until(lambda: _named(aws, "f", "## handler"))
    functions = {each["id"]: each for each in segments if each.get("origin") == "AWS::Lambda::Function"}
    assert functions
    own = [each for each in segments if each.get("name") == "## handler"]
    assert own
    assert {each["parent_id"] for each in own} <= functions.keys()
    assert own[0]["annotations"]["ColdStart"] is True


def traced(aws: Any) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{aws.endpoint}/_pileus/traces?account={aws.account}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["segments"]
    return found


XRAY = """
import boto3
from aws_xray_sdk.core import patch, xray_recorder
patch(["botocore"])
s3 = boto3.client("s3")

@xray_recorder.capture("the work")
def work(event):
    xray_recorder.current_subsegment().put_annotation("number", event)
    try:
        s3.list_buckets()
    except Exception:
        pass

def handler(event, context):
    work(event)
"""


def test_the_xray_sdk(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make(**with_packages(XRAY, "aws-xray-sdk"), TracingConfig={"Mode": "Active"})
    call(lambda_, 5)
    segments = {each["name"]: each for each in until(lambda: _named(aws, "f", "s3", "the work"))}
    function, work = segments["f"], segments["the work"]
    assert (work["parent_id"], work["trace_id"]) == (function["id"], function["trace_id"])
    assert work["annotations"] == {"number": 5}
    # The call that the SDK made is below it, whatever became of it.
    call_of_s3 = segments["s3"]
    assert (call_of_s3["parent_id"], call_of_s3["namespace"]) == (work["id"], "aws")
    assert call_of_s3["aws"]["operation"] == "ListBuckets"


def _named(aws: Any, *names: str) -> list[dict[str, Any]] | None:
    """All segments but Lambda's own, once there are some of these names."""
    found = [each for each in traced(aws) if each.get("origin") != "AWS::Lambda"]
    return found if {*names} <= {each["name"] for each in found} else None


FASTAPI = """
from fastapi import FastAPI, HTTPException
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()

class Item(BaseModel):
    name: str
    price: float = 1.0

@app.get("/items/{number}")
def get_item(number: int, q: str = ""):
    if number == 0:
        raise HTTPException(404, "no such item")
    return {"number": number, "q": q}

@app.post("/items", status_code=201)
def add_item(item: Item):
    return item

handler = Mangum(app, lifespan="off")
"""


def test_mangum_and_fastapi_behind_a_function_url(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make(**with_packages(FASTAPI, "fastapi", "mangum"))
    url = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    lambda_.add_permission(
        FunctionName="f",
        StatementId="all",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    host = url.split("/")[2]

    def ask(path: str, body: Any = None) -> tuple[int, Any]:
        # The name of the function's URL need not resolve: it comes in the header.
        data = None if body is None else json.dumps(body).encode()
        headers = {"Host": host, "Content-Type": "application/json"}
        request = urllib.request.Request(aws.endpoint + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    assert ask("/items/7?q=x%20y") == (200, {"number": 7, "q": "x y"})
    assert ask("/items/0") == (404, {"detail": "no such item"})
    assert ask("/items", {"name": "n", "price": 2.5}) == (201, {"name": "n", "price": 2.5})
    status, answer = ask("/items", {"price": "x"})
    assert status == 422
    assert {each["type"] for each in answer["detail"]} == {"missing", "float_parsing"}
    assert ask("/openapi.json")[1]["openapi"].startswith("3.")
