"""The order application, deployed and used with plain boto3.

Nothing here knows Pileus: with AWS_ENDPOINT_URL unset and an account's credentials it does the same on AWS.

    function URL ─▶ take ─▶ table ─▶ its stream ─▶ publish ─▶ bus ─▶ rule ─▶ topic ─▶ queue "shipping" ─▶ ship
                                                                               ├───▶ queue "billing"  ─▶ bill
                                                             100 and more ─────└───▶ queue "review"
"""

from __future__ import annotations

import http.client
import io
import json
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
# How long each step may take before the demo says that something is wrong.
PATIENCE_S = 60.0
# Deliveries of a message before it goes to the dead-letter queue.
RECEIVES_MAX = 2
LARGE = 100


def allow(*statements: dict[str, Any]) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
    )


class Orders:
    """One deployment of the application. `client` makes boto3's clients; `say` hears of every step."""

    def __init__(self, client: Callable[[str], Any], say: Callable[[str, str], None]) -> None:
        self.say = say
        self.iam, self.lambda_, self.dynamodb = client("iam"), client("lambda"), client("dynamodb")
        self.events, self.sns, self.sqs = client("events"), client("sns"), client("sqs")
        self.suffix = uuid.uuid4().hex[:8]
        self.table = f"orders-{self.suffix}"
        self.bus = f"orders-{self.suffix}"
        self.functions: list[str] = []
        # Names of the queues -> (URL, ARN).
        self.queues: dict[str, tuple[str, str]] = {}
        self.mappings: list[str] = []
        self.topic = ""
        self.url = ""

    # -- deploying -----------------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        table = self.dynamodb.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "order", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "order", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]
        self.dynamodb.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1})
        self.say("table", f"{self.table}, with a stream")
        self._queues()
        self._bus()
        self._functions(table["TableArn"], table["LatestStreamArn"])

    def _queues(self) -> None:
        for name in ("billing-dead", "billing", "shipping", "review"):
            # At least as long as the function behind it may take.
            attributes = {"VisibilityTimeout": "5"}
            if name == "billing":
                dead = {"deadLetterTargetArn": self.queues["billing-dead"][1], "maxReceiveCount": RECEIVES_MAX}
                attributes = {"VisibilityTimeout": "3", "RedrivePolicy": json.dumps(dead)}
            url = self.sqs.create_queue(QueueName=f"{name}-{self.suffix}", Attributes=attributes)["QueueUrl"]
            found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            self.queues[name] = (url, found["Attributes"]["QueueArn"])
        self.say("queues", "shipping, billing with a dead-letter queue, and review")

    def _bus(self) -> None:
        self.events.create_event_bus(Name=self.bus)
        pattern = {"source": ["shop.orders"], "detail-type": ["Order Placed"]}
        rule = self.events.put_rule(Name="placed", EventBusName=self.bus, EventPattern=json.dumps(pattern))["RuleArn"]
        self._topic(rule)
        targets = [{"Id": "topic", "Arn": self.topic}]
        self.events.put_targets(Rule="placed", EventBusName=self.bus, Targets=targets)
        self.say("bus", f"{self.bus}: what is placed goes to the topic")

    def _topic(self, rule: str) -> None:
        """A topic that the rule may publish to, and that may send to the queues."""
        self.topic = self.sns.create_topic(Name=self.bus)["TopicArn"]
        policy = allow(
            {
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": self.topic,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
        )
        self.sns.set_topic_attributes(TopicArn=self.topic, AttributeName="Policy", AttributeValue=policy)
        large = {"detail": {"total": [{"numeric": [">=", LARGE]}]}}
        for name in ("shipping", "billing", "review"):
            url, arn = self.queues[name]
            policy = allow(
                {
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
                }
            )
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
            attributes = {"RawMessageDelivery": "true"}
            if name == "review":
                attributes |= {"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps(large)}
            self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        self.say("topic", f"placed orders are to be shipped and billed, those of {LARGE} and more reviewed, too")

    def _functions(self, table_arn: str, stream_arn: str) -> None:
        of_table = {"Action": ["dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:UpdateItem"], "Resource": table_arn}
        of_stream = {
            "Action": [
                *("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"),
                "dynamodb:ListStreams",
            ],
            "Resource": stream_arn,
        }
        of_queues = {
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            "Resource": [self.queues["billing"][1], self.queues["shipping"][1]],
        }
        bus_arn = self.events.describe_event_bus(Name=self.bus)["Arn"]
        self._function("take", of_table)
        self._function("publish", of_stream, {"Action": "events:PutEvents", "Resource": bus_arn})
        self._function("ship", of_table, of_queues)
        self._function("bill", of_table, of_queues)
        take = f"take-{self.suffix}"
        self.url = self.lambda_.create_function_url_config(FunctionName=take, AuthType="NONE")["FunctionUrl"]
        self.lambda_.add_permission(
            FunctionName=take,
            StatementId="everybody",
            Action="lambda:InvokeFunctionUrl",
            Principal="*",
            FunctionUrlAuthType="NONE",
        )
        self.lambda_.add_permission(
            FunctionName=take,
            StatementId="everybody-through-the-url",
            Action="lambda:InvokeFunction",
            Principal="*",
            InvokedViaFunctionUrl=True,
        )
        self.say("function URL", self.url)
        inserts = {
            "Filters": [
                {
                    "Pattern": json.dumps(
                        {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"total": {"N": [{"exists": True}]}}}}
                    )
                }
            ]
        }
        self._feed("publish", stream_arn, StartingPosition="TRIM_HORIZON", FilterCriteria=inserts)
        self._feed("ship", self.queues["shipping"][1])
        self._feed("bill", self.queues["billing"][1], BatchSize=1)
        self.say("mappings", "the stream feeds publish, the queues feed ship and bill")

    def _function(self, name: str, *statements: dict[str, Any]) -> None:
        trust = allow({"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
        full = f"{name}-{self.suffix}"
        role = self.iam.create_role(RoleName=full, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        logs = {"Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
        self.iam.put_role_policy(RoleName=full, PolicyName="does", PolicyDocument=allow(logs, *statements))
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(HERE / "functions" / f"{name}.py", "function.py")
        self.lambda_.create_function(
            FunctionName=full,
            Runtime=RUNTIME,
            Handler="function.handle",
            Role=role,
            Code={"ZipFile": code.getvalue()},
            Environment={"Variables": {"TABLE": self.table, "BUS": self.bus}},
            # Not longer than the queue in front of it hides a message.
            Timeout=3 if name == "bill" else 5,
        )
        self.functions.append(full)
        self.lambda_.get_waiter("function_active_v2").wait(
            FunctionName=full, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )

    def _feed(self, function: str, source: str, **settings: Any) -> None:
        mapping = self.lambda_.create_event_source_mapping(
            FunctionName=f"{function}-{self.suffix}", EventSourceArn=source, **settings
        )["UUID"]
        self.mappings.append(mapping)
        self.wait(f"the mapping of {function}", lambda: self._mapping_state(mapping) == "Enabled")

    def _mapping_state(self, mapping: str) -> str:
        return str(self.lambda_.get_event_source_mapping(UUID=mapping)["State"])

    # -- using ---------------------------------------------------------------------------------------------------------

    def place(self, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer of the function URL."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        # Names under .localhost are this machine's, whether or not its resolver knows that.
        reached = "127.0.0.1" if host.endswith("localhost") else host
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(reached, parts.port, timeout=PATIENCE_S)
        try:
            headers = {"Content-Type": "application/json", "Host": parts.netloc}
            connection.request("POST", "/", json.dumps(order), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def order(self, order: str) -> dict[str, Any]:
        item = self.dynamodb.get_item(TableName=self.table, Key={"order": {"S": order}}, ConsistentRead=True)
        return {name: next(iter(value.values())) for name, value in item.get("Item", {}).items()}

    def set_provider(self, *, down: bool) -> None:
        """Whether the payment provider answers."""
        self.dynamodb.put_item(TableName=self.table, Item={"order": {"S": "provider"}, "down": {"BOOL": down}})

    def waiting(self, queue: str) -> int:
        found = self.sqs.get_queue_attributes(
            QueueUrl=self.queues[queue][0], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def take_review(self) -> dict[str, Any] | None:
        """An order that waits for review."""
        url = self.queues["review"][0]
        for message in self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", ()):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            event: dict[str, Any] = json.loads(message["Body"])
            return event
        return None

    def move_back(self) -> str:
        """Move what is in the dead-letter queue back to where it came from; the task's status at the end."""
        dead = self.queues["billing-dead"][1]
        self.sqs.start_message_move_task(SourceArn=dead)

        def status() -> str:
            task = self.sqs.list_message_move_tasks(SourceArn=dead)["Results"][0]
            return "" if task["Status"] == "RUNNING" else str(task["Status"])

        return str(self.wait("the move task", status))

    def wait(self, what: str, find: Callable[[], Any]) -> Any:
        """What `find` returns once it is something."""
        end = time.monotonic() + PATIENCE_S
        while not (found := find()):
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: nothing after {PATIENCE_S:.0f} s")
            time.sleep(0.02)
        return found

    # -- removing ------------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Take everything down again."""
        for mapping in self.mappings:
            self.lambda_.delete_event_source_mapping(UUID=mapping)
        for function in self.functions:
            self.lambda_.delete_function(FunctionName=function)
            self.iam.delete_role_policy(RoleName=function, PolicyName="does")
            self.iam.delete_role(RoleName=function)
        self.events.remove_targets(Rule="placed", EventBusName=self.bus, Ids=["topic"])
        self.events.delete_rule(Name="placed", EventBusName=self.bus)
        self.events.delete_event_bus(Name=self.bus)
        self.sns.delete_topic(TopicArn=self.topic)
        for url, _ in self.queues.values():
            self.sqs.delete_queue(QueueUrl=url)
        self.dynamodb.delete_table(TableName=self.table)


def run(orders: Orders) -> None:
    """The whole story. Raises where anything is not as it should be."""
    say = orders.say
    orders.deploy()
    status, answer = orders.place({"customer": "Ada"})
    if status != 400:
        raise RuntimeError(f"an order without lines was answered {status} {answer}")
    say("no order", f"answered {status}: {answer['message']}")

    begun = time.perf_counter()
    _, small = orders.place({"customer": "Ada", "lines": [{"what": "a cap", "price": 19.5, "count": 2}]})
    orders.wait("the first order", lambda: {"shipped", "billed"} <= orders.order(small["order"]).keys())
    say("small order", f"{small['total']:.2f}: shipped and billed after {(time.perf_counter() - begun) * 1000:.0f} ms")

    orders.set_provider(down=True)
    begun = time.perf_counter()
    _, large = orders.place({"customer": "Grace", "lines": [{"what": "felt", "price": 50, "count": 3}]})
    event = orders.wait("the review", orders.take_review)
    if event["detail"]["order"] != large["order"]:
        raise RuntimeError(f"another order is in review: {event}")
    say("large order", f"{large['total']:.2f}: in review")
    orders.wait("the dead letter", lambda: orders.waiting("billing-dead"))
    found = orders.order(large["order"])
    if "billed" in found or "shipped" not in found:
        raise RuntimeError(f"the provider is down, and yet: {found}")
    seconds = time.perf_counter() - begun
    say("dead letter", f"billing failed {RECEIVES_MAX} times; in the dead-letter queue after {seconds:.1f} s")

    orders.set_provider(down=False)
    status_of_task = orders.move_back()
    if status_of_task != "COMPLETED":
        raise RuntimeError(f"the move task is {status_of_task}")
    orders.wait("the second order", lambda: "billed" in orders.order(large["order"]))
    if orders.waiting("billing-dead"):
        raise RuntimeError("the dead-letter queue is not empty")
    say("moved back", "and billed; the dead-letter queue is empty")
    orders.remove()
    say("removed", "functions, mappings, queues, topic, bus, table and roles")
