"""Functions of Node.js with what others wrote, as npm brings it: Express behind serverless-http, Powertools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waiting import until

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture(scope="module")
def with_modules(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Installs packages, and makes of them and of code what `make` takes. Skips the test where npm has no registry."""

    def install(code: str, *names: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("npm")
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries", "0", *names]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
        if done.returncode:
            pytest.skip(f"npm does not bring {', '.join(names)}: {done.stderr[-300:]}")
        (folder / "index.mjs").write_text(code)
        packed = folder / "function.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(folder / "index.mjs", "index.mjs")
            for parent, _, files in os.walk(folder / "node_modules"):
                for name in files:
                    if name.endswith((".js", ".mjs", ".cjs", ".json")):
                        path = Path(parent, name)
                        archive.write(path, path.relative_to(folder))
        return {
            "Code": {"ZipFile": packed.read_bytes()},
            "Runtime": "nodejs20.x",
            "MemorySize": 512,
            "Timeout": 30,
        }

    return install


def call(lambda_: Any, event: Any) -> Any:
    answer = lambda_.invoke(FunctionName="f", Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


EXPRESS = """
import express from "express";
import serverless from "serverless-http";

const app = express();
app.use(express.json());
app.get("/items/:number", (asked, answer) => {
  if (asked.params.number === "0") return answer.status(404).json({ detail: "no such item" });
  answer.cookie("a", "1").cookie("b", "2").set("X-Seen", asked.get("X-Asked"));
  answer.json({ number: Number(asked.params.number), q: asked.query.q });
});
app.post("/items", (asked, answer) => answer.status(201).json(asked.body));
app.get("/bytes", (asked, answer) => answer.type("application/octet-stream").send(Buffer.from([0, 255, 254, 1])));

export const handler = serverless(app, { binary: ["application/octet-stream"] });
"""


def test_express_behind_a_function_url(
    aws: Any, lambda_: Any, make: Callable[..., Any], with_modules: Callable[..., dict[str, Any]]
) -> None:
    make(**with_modules(EXPRESS, "express", "serverless-http"))
    url = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    lambda_.add_permission(
        FunctionName="f",
        StatementId="all",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )

    def ask(path: str, body: Any = None) -> tuple[int, Any, bytes]:
        # The name of the function's URL need not resolve: it comes in the header.
        data = None if body is None else json.dumps(body).encode()
        headers = {"Host": url.split("/")[2], "Content-Type": "application/json", "X-Asked": "yes"}
        try:
            with urllib.request.urlopen(urllib.request.Request(aws.endpoint + path, data, headers)) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    status, headers, body = ask("/items/7?q=x%20y")
    assert (status, json.loads(body)) == (200, {"number": 7, "q": "x y"})
    assert headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert (headers["X-Seen"], headers["X-Powered-By"]) == ("yes", "Express")
    status, _, body = ask("/items/0")
    assert (status, json.loads(body)) == (404, {"detail": "no such item"})
    status, _, body = ask("/items", {"name": "n"})
    assert (status, json.loads(body)) == (201, {"name": "n"})
    assert ask("/bytes")[2] == bytes([0, 255, 254, 1])


POWERTOOLS = """
import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { Tracer } from "@aws-lambda-powertools/tracer";
import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";
import { makeIdempotent, IdempotencyConfig } from "@aws-lambda-powertools/idempotency";
import { DynamoDBPersistenceLayer } from "@aws-lambda-powertools/idempotency/dynamodb";
import { Router } from "@aws-lambda-powertools/event-handler/http";

const logger = new Logger({ serviceName: "shop" });
const metrics = new Metrics({ namespace: "Shop", serviceName: "shop" });
const tracer = new Tracer({ serviceName: "shop" });
const processor = new BatchProcessor(EventType.SQS);
const persistenceStore = new DynamoDBPersistenceLayer({ tableName: "idempotency" });
const app = new Router();
let times = 0;

app.get("/orders/:order", async ({ params }) => ({ order: params.order }));

const take = async (record) => {
  if (record.body === "bad") throw new Error("bad");
  return record.body;
};

const pay = makeIdempotent(async (order) => ({ order: order.id, payment: ++times }), {
  persistenceStore,
  config: new IdempotencyConfig({ expiresAfterSeconds: 60 }),
});

export const handler = async (event, context) => {
  logger.addContext(context);
  logger.info("called", { keys: Object.keys(event).sort() });
  metrics.captureColdStartMetric();
  metrics.addMetric("Calls", MetricUnit.Count, 1);
  metrics.publishStoredMetrics();
  tracer.annotateColdStart();
  tracer.putAnnotation("service", "shop");
  if (event.httpMethod) return app.resolve(event, context);
  if (event.Records) return processPartialResponse(event, take, processor, { context });
  return await tracer.provider.captureAsyncFunc("## pay", async (segment) => {
    const first = await pay({ id: event.id }, context);
    const second = await pay({ id: event.id }, context);
    segment.close();
    return [first, second, times];
  });
};
"""


def test_powertools(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], with_modules: Callable[..., dict[str, Any]]
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    aws.client("iam").put_role_policy(
        RoleName=role.rpartition("/")[2], PolicyName="tables", PolicyDocument=json.dumps(policy)
    )
    aws.client("dynamodb").create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    tools = ("logger", "metrics", "tracer", "batch", "idempotency", "event-handler")
    made = with_modules(
        POWERTOOLS,
        *(f"@aws-lambda-powertools/{name}" for name in tools),
        *("@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"),
    )
    make(**made, TracingConfig={"Mode": "Active"})

    # Event handler.
    request = {
        **{"httpMethod": "GET", "path": "/orders/7", "resource": "/orders/{order}", "headers": {"Host": "shop"}},
        **{"multiValueHeaders": {}, "queryStringParameters": None, "multiValueQueryStringParameters": None},
        **{"pathParameters": None, "stageVariables": None, "body": None, "isBase64Encoded": False},
        "requestContext": {"domainName": "shop", "httpMethod": "GET", "path": "/orders/7", "stage": "$default"},
    }
    answer = call(lambda_, request)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"order": "7"})

    # Batch: the failed record alone is told back.
    records = [
        {"messageId": body, "body": body, "eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}}
        for body in ("good", "bad")
    ]
    assert call(lambda_, {"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}

    # Idempotency: the second payment is the first one's, kept in the table.
    first = {"order": "a", "payment": 1}
    assert call(lambda_, {"id": "a"}) == [first, first, 1]
    assert call(lambda_, {"id": "a"}) == [first, first, 1]
    assert aws.client("dynamodb").scan(TableName="idempotency")["Count"] == 1

    # Logger and metrics: a line of JSON each, and the cold start among them, once.
    def lines() -> list[dict[str, Any]] | None:
        found = aws.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
        parsed = [json.loads(each["message"]) for each in found if each["message"].startswith("{")]
        return parsed if sum("Calls" in each for each in parsed) >= 4 else None

    told = until(lines)
    logged = [each for each in told if each.get("message") == "called"]
    assert [each["cold_start"] for each in logged] == [True, False, False, False]
    assert logged[0]["function_name"] == "f"
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", logged[0]["xray_trace_id"])
    assert [each["_aws"]["CloudWatchMetrics"][0]["Namespace"] for each in told if "ColdStart" in each] == ["Shop"]

    # Tracer: what the function does is below the segment that Lambda gave it.
    def traced() -> list[dict[str, Any]] | None:
        with urllib.request.urlopen(f"{aws.endpoint}/_pileus/traces?account={aws.account}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["segments"]
        return found if any(each.get("origin") == "AWS::Lambda::Function" for each in found) else None

    functions = {each["id"] for each in until(traced) if each.get("origin") == "AWS::Lambda::Function"}
    own = [each for each in until(traced) if each["name"] == "## pay"]
    assert {each["parent_id"] for each in own} <= functions
