"""DynamoDB against a model of a few lines: any sequence of calls leaves table and indexes as the model has them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from dynamodb_cases import definition, index
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

partitions = st.sampled_from(["p", "q"])
sorts = st.sampled_from(["-10", "-1", "0", "0.5", "2", "11"])
groups = st.sampled_from(["g", "h"])
Key = tuple[str, str]
Item = dict[str, Any]
# Filters over x, n and g, and what they say of an item of the model.
FILTERS: dict[str, Callable[[Item], bool]] = {
    "n BETWEEN :low AND :high": lambda item: "n" in item and -1 <= int(item["n"]["N"]) <= 2,
    "NOT n > :low": lambda item: "n" not in item or int(item["n"]["N"]) <= -1,
    "attribute_exists(x) AND NOT contains(x, :g)": lambda item: "x" in item and "g" not in item["x"]["S"],
    "g = :g OR n IN (:low, :high)": lambda item: (
        item.get("g") == {"S": "g"} or item.get("n") in ({"N": "-1"}, {"N": "2"})
    ),
    "attribute_not_exists(g) OR (g <> :g AND NOT begins_with(g, :g))": lambda item: item.get("g") != {"S": "g"},
}
# Items live for half of a turn of the clock more than some whole ones, so nothing expires while it turns.
TURN_S = 60
FILTER_VALUES = {":low": {"N": "-1"}, ":high": {"N": "2"}, ":g": {"S": "g"}}


class Machine(RuleBasedStateMachine):
    """Keys are "id" and "sort"; a global index has "g" and "n", a local one "n"; items expire by "t"."""

    names = count()

    def __init__(self, server: Any, client: Any, streams: Any) -> None:
        super().__init__()
        self.server, self.client, self.streams = server, client, streams
        self.table = f"table-{next(self.names)}"
        made = client.create_table(
            TableName=self.table,
            **definition(
                "id:S sort:N | g:S n:N",
                GlobalSecondaryIndexes=[index("global", "g", "n")],
                LocalSecondaryIndexes=[index("local", "id", "n", kind="KEYS_ONLY")],
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            ),
        )
        client.update_time_to_live(
            TableName=self.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "t"}
        )
        # On the server's clock, which moves only when it is told to.
        self.now = int(made["TableDescription"]["CreationDateTime"].timestamp())
        self.model: dict[Key, Item] = {}
        # What each item was and became, change by change.
        self.changes: dict[Key, list[tuple[Item | None, Item | None]]] = {}

    def become(self, key: Key, new: Item | None) -> None:
        """What an item of the model is from now on; None: nothing."""
        old = self.model.pop(key, None)
        if new is not None:
            self.model[key] = new
        if old != new:
            self.changes.setdefault(key, []).append((old, new))

    def key(self, key: Key) -> dict[str, Any]:
        return {"id": {"S": key[0]}, "sort": {"N": key[1]}}

    @rule(
        key=st.tuples(partitions, sorts), g=groups | st.none(), n=st.integers(-3, 3) | st.none(), x=st.text(max_size=3)
    )
    def put(self, key: Key, g: str | None, n: int | None, x: str) -> None:
        item = {**self.key(key), "x": {"S": x}}
        if g is not None:
            item["g"] = {"S": g}
        if n is not None:
            item["n"] = {"N": str(n)}
        answer = self.client.put_item(TableName=self.table, Item=item, ReturnValues="ALL_OLD")
        assert answer.get("Attributes") == self.model.get(key)
        self.become(key, item)

    @rule(key=st.tuples(partitions, sorts))
    def put_if_new(self, key: Key) -> None:
        item = self.key(key)
        try:
            self.client.put_item(TableName=self.table, Item=item, ConditionExpression="attribute_not_exists(id)")
        except self.client.exceptions.ConditionalCheckFailedException:
            assert key in self.model
        else:
            assert key not in self.model
            self.become(key, item)

    @rule(key=st.tuples(partitions, sorts), by=st.integers(-2, 2))
    def add(self, key: Key, by: int) -> None:
        answer = self.client.update_item(
            TableName=self.table,
            Key=self.key(key),
            UpdateExpression="ADD n :by",
            ExpressionAttributeValues={":by": {"N": str(by)}},
            ReturnValues="ALL_NEW",
        )
        item = {**self.model.get(key, self.key(key))}
        item["n"] = {"N": str(int(item.get("n", {"N": "0"})["N"]) + by)}
        self.become(key, item)
        assert answer["Attributes"] == item

    @rule(key=st.tuples(partitions, sorts), g=groups)
    def move(self, key: Key, g: str) -> None:
        self.client.update_item(
            TableName=self.table,
            Key=self.key(key),
            UpdateExpression="SET g = :g REMOVE x",
            ExpressionAttributeValues={":g": {"S": g}},
        )
        item = {**self.model.get(key, self.key(key)), "g": {"S": g}}
        item.pop("x", None)
        self.become(key, item)

    @rule(key=st.tuples(partitions, sorts), turns=st.integers(0, 2))
    def live_for(self, key: Key, turns: int) -> None:
        until = {"N": str(self.now + turns * TURN_S + TURN_S // 2)}
        self.client.update_item(
            TableName=self.table,
            Key=self.key(key),
            UpdateExpression="SET t = :t",
            ExpressionAttributeValues={":t": until},
        )
        self.become(key, {**self.model.get(key, self.key(key)), "t": until})

    @rule()
    def time_passes(self) -> None:
        self.server.advance(TURN_S)
        self.now += TURN_S
        for key, item in list(self.model.items()):
            if "t" in item and int(item["t"]["N"]) < self.now:
                self.become(key, None)

    @rule(key=st.tuples(partitions, sorts))
    def delete(self, key: Key) -> None:
        answer = self.client.delete_item(TableName=self.table, Key=self.key(key), ReturnValues="ALL_OLD")
        assert answer.get("Attributes") == self.model.get(key)
        self.become(key, None)

    @rule(writes=st.dictionaries(st.tuples(partitions, sorts), st.booleans(), min_size=1, max_size=4))
    def batch(self, writes: dict[Key, bool]) -> None:
        requests = [
            {"PutRequest": {"Item": self.key(key)}} if kept else {"DeleteRequest": {"Key": self.key(key)}}
            for key, kept in writes.items()
        ]
        self.client.batch_write_item(RequestItems={self.table: requests})
        for key, kept in writes.items():
            self.become(key, self.key(key) if kept else None)

    @rule(one=st.tuples(partitions, sorts), other=st.tuples(partitions, sorts))
    def both_or_none(self, one: Key, other: Key) -> None:
        if one == other:
            return
        put = {"Put": {"TableName": self.table, "Item": self.key(one)}}
        check = {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": self.key(other),
                "ConditionExpression": "attribute_exists(id)",
            }
        }
        try:
            self.client.transact_write_items(TransactItems=[put, check])
        except self.client.exceptions.TransactionCanceledException:
            assert other not in self.model
        else:
            assert other in self.model
            self.become(one, self.key(one))

    @rule(
        moves=st.dictionaries(
            st.tuples(partitions, sorts), st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=4
        )
    )
    def all_or_none(self, moves: dict[Key, tuple[int, int]]) -> None:
        """Each from one number to another."""
        updates = [
            {
                "Update": {
                    "TableName": self.table,
                    "Key": self.key(key),
                    "UpdateExpression": "SET n = :after",
                    "ConditionExpression": "n = :before OR attribute_not_exists(n)",
                    "ExpressionAttributeValues": {":before": {"N": str(before)}, ":after": {"N": str(after)}},
                }
            }
            for key, (before, after) in moves.items()
        ]
        holds = [self.model.get(key, {}).get("n") in (None, {"N": str(before)}) for key, (before, _) in moves.items()]
        try:
            self.client.transact_write_items(TransactItems=updates)
        except self.client.exceptions.TransactionCanceledException as error:
            codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
        else:
            codes = ["None"] * len(moves)
            for key, (_, after) in moves.items():
                self.become(key, {**self.model.get(key, self.key(key)), "n": {"N": str(after)}})
        assert codes == ["None" if held else "ConditionalCheckFailed" for held in holds]

    @rule(text=st.sampled_from(list(FILTERS)), limit=st.integers(1, 5))
    def scan(self, text: str, limit: int) -> None:
        values = {name: value for name, value in FILTER_VALUES.items() if name in text}
        pages = list(
            self.client.get_paginator("scan").paginate(
                TableName=self.table, FilterExpression=text, ExpressionAttributeValues=values, Limit=limit
            )
        )
        found = [item for page in pages for item in page["Items"]]
        expected = [item for item in self.model.values() if FILTERS[text](item)]
        assert sorted(map(repr, map(sorted_items, found))) == sorted(map(repr, map(sorted_items, expected)))
        assert sum(page["ScannedCount"] for page in pages) == len(self.model)

    @rule(key=st.tuples(partitions, sorts))
    def get(self, key: Key) -> None:
        answer = self.client.get_item(TableName=self.table, Key=self.key(key))
        assert answer.get("Item") == self.model.get(key)

    @rule(wanted=st.sets(st.tuples(partitions, sorts), min_size=1, max_size=6), whole=st.booleans())
    def get_batch(self, wanted: set[Key], whole: bool) -> None:
        part = {} if whole else {"ProjectionExpression": "id, sort, n"}
        request = {self.table: {"Keys": [self.key(key) for key in wanted], **part}}
        answer = self.client.batch_get_item(RequestItems=request)
        assert answer["UnprocessedKeys"] == {}
        found = {(item["id"]["S"], item["sort"]["N"]): item for item in answer["Responses"][self.table]}
        assert len(found) == len(answer["Responses"][self.table])
        assert found == {
            key: {name: value for name, value in item.items() if whole or name in ("id", "sort", "n")}
            for key, item in self.model.items()
            if key in wanted
        }

    @rule(partition=partitions, bound=sorts, forward=st.booleans(), limit=st.integers(1, 4))
    def query(self, partition: str, bound: str, forward: bool, limit: int) -> None:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="id = :p AND sort >= :s",
            ExpressionAttributeValues={":p": {"S": partition}, ":s": {"N": bound}},
            ScanIndexForward=forward,
            Limit=limit,
        )
        expected = [
            item
            for key, item in sorted(self.model.items(), key=lambda pair: Decimal(pair[0][1]))
            if key[0] == partition and Decimal(key[1]) >= Decimal(bound)
        ]
        assert [item for page in pages for item in page["Items"]] == (expected if forward else expected[::-1])

    @invariant()
    def indexes_hold_what_they_should(self) -> None:
        for g in ("g", "h"):
            found = self.client.query(
                TableName=self.table,
                IndexName="global",
                KeyConditionExpression="g = :g",
                ExpressionAttributeValues={":g": {"S": g}},
            )["Items"]
            numbers = [int(item["n"]["N"]) for item in found]
            assert numbers == sorted(numbers)
            expected = [item for item in self.model.values() if item.get("g") == {"S": g} and "n" in item]
            assert sorted(map(repr, map(sorted_items, found))) == sorted(map(repr, map(sorted_items, expected)))
        found = self.client.scan(TableName=self.table, IndexName="local")["Items"]
        expected = [{name: item[name] for name in ("id", "sort", "n")} for item in self.model.values() if "n" in item]
        assert sorted(map(repr, map(sorted_items, found))) == sorted(map(repr, map(sorted_items, expected)))

    @invariant()
    def counts(self) -> None:
        described = self.client.describe_table(TableName=self.table)["Table"]
        assert described["ItemCount"] == len(self.model)
        assert described["GlobalSecondaryIndexes"][0]["ItemCount"] == sum(
            "g" in item and "n" in item for item in self.model.values()
        )

    def teardown(self) -> None:
        """At the end the stream has told of every change, and of none besides."""
        arn = self.client.describe_table(TableName=self.table)["Table"]["LatestStreamArn"]
        told: dict[Key, list[tuple[Item | None, Item | None]]] = {}
        for shard in self.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = self.streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while records := self.streams.get_records(ShardIterator=iterator):
                for record in (each["dynamodb"] for each in records["Records"]):
                    key = record["Keys"]["id"]["S"], record["Keys"]["sort"]["N"]
                    told.setdefault(key, []).append((record.get("OldImage"), record.get("NewImage")))
                iterator = records.get("NextShardIterator")
                if not records["Records"] or iterator is None:
                    break
        assert told == self.changes


def sorted_items(item: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(item.items())


def test_any_sequence_of_calls(start_pileus: Callable[..., Any], aws: Any) -> None:
    server = start_pileus("--clock", "virtual")
    account = type(aws)(server.endpoint)
    dynamodb, streams = account.client("dynamodb"), account.client("dynamodbstreams")
    run_state_machine_as_test(
        lambda: Machine(server, dynamodb, streams),
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
