"""Resource-based policies of tables, contributor insights, streaming destinations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dynamodb_cases import Table, definition, index, invalid, refusal

from conftest import Account
from pileus.services.dynamodb.publicity import is_public


def statement(aws: Any, effect: str, principal: str, action: str) -> str:
    arn = f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table"
    one = {"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [one]})


def user(aws: Any, name: str) -> Any:
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return aws.client("dynamodb", credentials=key)


def test_a_policy_is_kept_under_its_revision(aws: Any, dynamodb: Any, table: Table) -> None:
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    missing = ("PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {arn}")
    assert refusal(dynamodb.get_resource_policy, ResourceArn=arn) == missing
    policy = statement(aws, "Allow", aws.account, "dynamodb:GetItem")
    revision = dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy, ExpectedRevisionId="NO_POLICY")[
        "RevisionId"
    ]
    assert dynamodb.get_resource_policy(ResourceArn=arn)["Policy"] == policy
    for expected in ("NO_POLICY", "1"):
        members = {"ResourceArn": arn, "Policy": policy, "ExpectedRevisionId": expected}
        assert refusal(dynamodb.put_resource_policy, **members)[0] == "PolicyNotFoundException"
    assert dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"] == revision
    assert dynamodb.delete_resource_policy(ResourceArn=arn)["RevisionId"] == revision
    assert refusal(dynamodb.get_resource_policy, ResourceArn=arn) == missing
    for wrong in ("{", "{}", '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'):
        assert refusal(dynamodb.put_resource_policy, ResourceArn=arn, Policy=wrong)[0] == "ValidationException"
    nowhere = arn.replace("table/table", "table/nowhere")
    assert refusal(dynamodb.get_resource_policy, ResourceArn=nowhere)[0] == "ResourceNotFoundException"


def test_a_policy_allows_and_denies(aws: Any, dynamodb: Any, table: Table) -> None:
    reader = user(aws, "reader")
    arn = f"arn:aws:iam::{aws.account}:user/reader"
    table(ResourcePolicy=statement(aws, "Allow", arn, "dynamodb:GetItem"))
    key = {"TableName": "table", "Key": {"id": {"S": "a"}}}
    assert "Item" not in reader.get_item(**key)
    assert refusal(reader.delete_item, **key)[0] == "AccessDeniedException"
    table_arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    dynamodb.put_resource_policy(ResourceArn=table_arn, Policy=statement(aws, "Deny", "*", "dynamodb:GetItem"))
    code, message = refusal(reader.get_item, **key)
    assert code == "AccessDeniedException"
    assert "with an explicit deny in a resource-based policy" in message
    assert refusal(dynamodb.get_item, **key)[0] == "AccessDeniedException"
    dynamodb.put_resource_policy(ResourceArn=table_arn, Policy=statement(aws, "Deny", "*", "dynamodb:PartiQLSelect"))
    select = 'SELECT * FROM "table"'
    assert refusal(dynamodb.execute_statement, Statement=select)[0] == "AccessDeniedException"
    dynamodb.delete_item(**key)


def test_another_account_may_use_a_table_that_lets_it(aws: Any, dynamodb: Any, table: Table) -> None:
    table("id:S|tag:S", GlobalSecondaryIndexes=[index("by-tag", "tag")])
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "tag": {"S": "t"}})
    other = Account(aws.endpoint)
    root, reader = other.client("dynamodb", config={"parameter_validation": False}), user(other, "reader")
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    get = {"TableName": arn, "Key": {"id": {"S": "a"}}}
    refused = refusal(root.get_item, **get)
    assert refused[0] == "AccessDeniedException"
    assert "because no resource-based policy allows the dynamodb:GetItem action" in refused[1]
    actions = ["GetItem", "PutItem", "Query", "BatchGetItem", "BatchWriteItem", "DescribeTable", "PartiQLSelect"]
    one = {
        "Effect": "Allow",
        "Principal": {"AWS": other.account},
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": [arn, f"{arn}/index/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [one]})
    dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy)
    item = {"id": {"S": "a"}, "tag": {"S": "t"}}
    assert root.get_item(**get)["Item"] == item
    root.put_item(TableName=arn, Item={"id": {"S": "b"}})
    query = {"KeyConditionExpression": "tag = :t", "ExpressionAttributeValues": {":t": {"S": "t"}}}
    assert root.query(TableName=arn, IndexName="by-tag", **query)["Items"] == [item]
    assert root.describe_table(TableName=arn)["Table"]["TableArn"] == arn
    select = f"SELECT * FROM \"{arn}\" WHERE id = 'b'"
    assert root.execute_statement(Statement=select)["Items"] == [{"id": {"S": "b"}}]
    # It is the account that is let in: its users need the permission of their own account, too.
    assert refusal(reader.get_item, **get)[0] == "AccessDeniedException"
    own = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    other.client("iam").put_user_policy(UserName="reader", PolicyName="own", PolicyDocument=document)
    assert reader.get_item(**get)["Item"] == item
    # What was not allowed, or cannot be, or is not there.
    assert refusal(root.delete_item, **get)[0] == "AccessDeniedException"
    assert refusal(root.delete_table, TableName=arn)[0] == "AccessDeniedException"
    assert refusal(root.get_item, **{**get, "TableName": arn.replace("table/table", "table/none")})[0] == (
        "AccessDeniedException"
    )
    assert root.list_tables()["TableNames"] == []
    assert dynamodb.scan(TableName="table")["Count"] == 2


def test_a_policy_says_nothing_of_other_accounts_tables(aws: Any, dynamodb: Any, table: Table) -> None:
    table()
    victim = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    other = Account(aws.endpoint)
    client = other.client("dynamodb")
    anything = {
        "Effect": "Allow",
        "Principal": {"AWS": other.account},
        "Action": "dynamodb:*",
        "Resource": ["*", victim],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anything]})
    client.create_table(TableName="own", ResourcePolicy=policy, **definition("id:S"))
    put = {"PutRequest": {"Item": {"id": {"S": "a"}}}}
    own_table = client.describe_table(TableName="own")["Table"]["TableArn"]
    client.batch_write_item(RequestItems={own_table: [put]})
    key = {"id": {"S": "a"}}
    for call, members in (
        (client.batch_write_item, {"RequestItems": {"own": [put], victim: [put]}}),
        (client.batch_get_item, {"RequestItems": {"own": {"Keys": [key]}, victim: {"Keys": [key]}}}),
        (
            client.transact_write_items,
            {"TransactItems": [{"Delete": {"TableName": name, "Key": key}} for name in ("own", victim)]},
        ),
        (
            client.execute_transaction,
            {"TransactStatements": [{"Statement": f"DELETE FROM \"{name}\" WHERE id='a'"} for name in ("own", victim)]},
        ),
    ):
        assert refusal(call, **members)[0] == "AccessDeniedException"
    assert dynamodb.scan(TableName="table")["Count"] == 0


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["111111111111", "*"]}}, True),
        ({"NotPrincipal": {"AWS": "111111111111"}}, True),
        ({"Principal": {"AWS": "111111111111"}}, False),
        ({"Principal": {"Service": "lambda.amazonaws.com"}}, False),
        ({"Principal": "*", "Effect": "Deny"}, False),
        ({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Principal": "*", "Condition": {"StringLike": {"AWS:principalorgid": ["o-1", "o-2"]}}}, False),
        ({"Principal": "*", "Condition": {"StringLike": {"aws:PrincipalOrgID": ["o-1", "o-*"]}}}, True),
        ({"Principal": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "${aws:username}"}}}, True),
        ({"Principal": "*", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}, True),
        ({"Principal": "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}, True),
        ({"Principal": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}, True),
        ({"Principal": "*", "Condition": {"Bool": {"aws:PrincipalIsAWSService": "true"}}}, False),
        ({"Principal": "*", "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}}}, True),
    ],
)
def test_public_policies(statement: dict[str, Any], public: bool) -> None:
    assert (
        is_public({"Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*", **statement}]}) is public
    )


def test_what_a_policy_denies_by_a_variable_is_denied(aws: Any, dynamodb: Any, table: Table) -> None:
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    callers = [user(aws, "table"), user(aws, "another")]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    for name in ("table", "another"):
        aws.client("iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    deny = json.loads(statement(aws, "Deny", aws.account, "dynamodb:Scan"))
    deny["Statement"][0] |= {"Principal": "*", "Resource": arn.replace("table/table", "table/${aws:username}")}
    dynamodb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(deny))
    assert refusal(callers[0].scan, TableName="table")[0] == "AccessDeniedException"
    assert callers[1].scan(TableName="table")["Count"] == 0


def test_what_a_variable_may_name_is_not_allowed_by_all_but_it(aws: Any, dynamodb: Any, table: Table) -> None:
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    caller = user(aws, "table")
    allow = json.loads(statement(aws, "Allow", aws.account, "dynamodb:Scan"))
    allow["Statement"][0] |= {"Principal": {"AWS": f"arn:aws:iam::{aws.account}:user/table"}}
    del allow["Statement"][0]["Resource"]
    for name, refused in (("${aws:username}", True), ("another", False)):
        allow["Statement"][0]["NotResource"] = arn.replace("table/table", f"table/{name}")
        dynamodb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(allow))
        if refused:
            assert refusal(caller.scan, TableName="table")[0] == "AccessDeniedException"
        else:
            assert caller.scan(TableName="table")["Count"] == 0


def test_what_a_policy_denies_by_all_but_a_variable_is_denied_to_others_only(
    aws: Any, dynamodb: Any, table: Table
) -> None:
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    callers = [user(aws, "table"), user(aws, "another")]
    for name in ("table", "another"):
        aws.client("iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    deny = json.loads(statement(aws, "Deny", aws.account, "dynamodb:Scan"))
    deny["Statement"][0] |= {"Principal": "*", "NotResource": arn.replace("table/table", "table/${aws:username}")}
    del deny["Statement"][0]["Resource"]
    dynamodb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(deny))
    assert callers[0].scan(TableName="table")["Count"] == 0
    assert refusal(callers[1].scan, TableName="table")[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("element", "named", "refused"),
    [
        ("Resource", "index/by-t*", True),
        ("Resource", "index/by-u*", False),
        ("NotResource", "index/by-tag", False),
        ("NotResource", "index/by-other", True),
        ("NotResource", "index/by-t*", False),
    ],
)
def test_what_a_policy_denies_of_an_index(
    aws: Any, dynamodb: Any, table: Table, element: str, named: str, refused: bool
) -> None:
    table("id:S|tag:S", GlobalSecondaryIndexes=[index("by-tag", "tag")])
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    anywhere = arn.replace(aws.account, "*").replace("us-east-1", "*")
    deny = json.loads(statement(aws, "Deny", aws.account, "dynamodb:Scan"))
    del deny["Statement"][0]["Resource"]
    deny["Statement"][0] |= {"Principal": "*", element: f"{anywhere}/{named}"}
    dynamodb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(deny))
    if refused:
        assert refusal(dynamodb.scan, TableName="table", IndexName="by-tag")[0] == "AccessDeniedException"
    else:
        assert dynamodb.scan(TableName="table", IndexName="by-tag")["Count"] == 0


def test_public_policies_are_blocked(aws: Any, dynamodb: Any, table: Table) -> None:
    policy = statement(aws, "Allow", "*", "dynamodb:GetItem")
    blocked = invalid("Resource-based policy document grants public access, which is blocked")
    members = definition("id:S", ResourcePolicy=policy)
    assert refusal(dynamodb.create_table, TableName="table", **members) == blocked
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    assert refusal(dynamodb.put_resource_policy, ResourceArn=arn, Policy=policy) == blocked


def test_an_index_is_not_its_table(aws: Any, dynamodb: Any, table: Table) -> None:
    table("id:S|tag:S", GlobalSecondaryIndexes=[index("by-tag", "tag")])
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    reader = user(aws, "reader")
    own = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"{arn}/index/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    aws.client("iam").put_user_policy(UserName="reader", PolicyName="own", PolicyDocument=document)
    wrong = {"TableName": f"{arn}/index/by-tag", "Item": {"id": {"S": "a"}}}
    assert refusal(reader.put_item, **wrong) == invalid(f"Invalid table ARN: {wrong['TableName']}")


def test_a_stream_has_a_policy_of_its_own(aws: Any, dynamodb: Any, table: Table) -> None:
    user(aws, "reader")
    key = aws.client("iam").create_access_key(UserName="reader")["AccessKey"]
    reader = aws.client("dynamodbstreams", credentials=key)
    table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}})
    arn = dynamodb.describe_table(TableName="table")["Table"]["LatestStreamArn"]
    assert refusal(reader.describe_stream, StreamArn=arn)[0] == "AccessDeniedException"
    one = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{aws.account}:user/reader"},
        "Action": ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"],
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [one]})
    revision = dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
    kept = dynamodb.get_resource_policy(ResourceArn=arn)
    assert (kept["Policy"], kept["RevisionId"]) == (policy, revision)
    (shard,) = reader.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = reader.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    assert len(reader.get_records(ShardIterator=iterator["ShardIterator"])["Records"]) == 1
    # The table's is another one.
    assert refusal(reader.list_streams)[0] == "AccessDeniedException"
    table_arn = arn.partition("/stream/")[0]
    assert refusal(dynamodb.get_resource_policy, ResourceArn=table_arn)[0] == "PolicyNotFoundException"
    assert dynamodb.delete_resource_policy(ResourceArn=arn)["RevisionId"] == revision
    assert refusal(reader.get_records, ShardIterator=iterator["ShardIterator"])[0] == "AccessDeniedException"
    nowhere = arn[:-1] + "x"
    assert refusal(dynamodb.put_resource_policy, ResourceArn=nowhere, Policy=policy)[0] == "ResourceNotFoundException"


def test_contributor_insights_are_settings(dynamodb: Any, table: Table) -> None:
    table("id:S|g:S", GlobalSecondaryIndexes=[index("by-g", "g")])
    disabled = dynamodb.describe_contributor_insights(TableName="table")
    del disabled["ResponseMetadata"]
    assert disabled == {"TableName": "table", "ContributorInsightsStatus": "DISABLED"}
    changed = dynamodb.update_contributor_insights(
        TableName="table", IndexName="by-g", ContributorInsightsAction="ENABLE"
    )
    assert changed["ContributorInsightsStatus"] == "ENABLING"
    described = dynamodb.describe_contributor_insights(TableName="table", IndexName="by-g")
    assert described["ContributorInsightsStatus"] == "ENABLED"
    assert len(described["ContributorInsightsRuleList"]) == 2
    (listed,) = dynamodb.list_contributor_insights()["ContributorInsightsSummaries"]
    assert (listed["TableName"], listed["IndexName"]) == ("table", "by-g")
    dynamodb.update_contributor_insights(TableName="table", IndexName="by-g", ContributorInsightsAction="DISABLE")
    assert dynamodb.list_contributor_insights()["ContributorInsightsSummaries"] == []
    assert refusal(dynamodb.describe_contributor_insights, TableName="table", IndexName="none")[0] == (
        "ResourceNotFoundException"
    )


def test_streaming_to_kinesis_says_what_is_there(dynamodb: Any, table: Table) -> None:
    table()
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/stream"
    described = dynamodb.describe_kinesis_streaming_destination(TableName="table")
    assert described["KinesisDataStreamDestinations"] == []
    for call in (dynamodb.enable_kinesis_streaming_destination, dynamodb.disable_kinesis_streaming_destination):
        assert refusal(call, TableName="bad-table", StreamArn=stream) == (
            "ResourceNotFoundException",
            "Requested resource not found: Table: bad-table not found",
        )
    members = {"TableName": "table", "StreamArn": stream}
    assert refusal(dynamodb.update_kinesis_streaming_destination, **members) == invalid(
        "Streaming destination cannot be updated with given parameters: "
        "UpdateKinesisStreamingConfiguration cannot be null or contain only null values"
    )
    for precision, words in (
        (
            "SECOND",
            "1 validation error detected: Value 'SECOND' at "
            "'updateKinesisStreamingConfiguration.approximateCreationDateTimePrecision' failed to satisfy constraint: "
            "Member must satisfy enum value set: [MILLISECOND, MICROSECOND]",
        ),
        (
            "MICROSECOND",
            "Table is not in a valid state to enable Kinesis Streaming Destination: No streaming destination with "
            f"streamArn: {stream} found for table with tableName: table",
        ),
    ):
        members["UpdateKinesisStreamingConfiguration"] = {"ApproximateCreationDateTimePrecision": precision}
        assert refusal(dynamodb.update_kinesis_streaming_destination, **members) == invalid(words)
    assert dynamodb.list_global_tables()["GlobalTables"] == []
    assert refusal(dynamodb.describe_global_table, GlobalTableName="none")[0] == "GlobalTableNotFoundException"
