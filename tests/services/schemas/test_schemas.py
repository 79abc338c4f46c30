"""Registries and schemas, and what is inferred of events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

DOCUMENT = {
    "openapi": "3.0.0",
    "info": {"version": "1.0.0", "title": "Order"},
    "paths": {},
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "properties": {
                    "note": {"type": "string", "nullable": True},
                    "by": {"$ref": "#/components/schemas/Person"},
                },
            },
            "Person": {"type": "object", "properties": {"name": {"type": "string"}}},
        }
    },
}
CONTENT = json.dumps(DOCUMENT)

# As deep as JSON is read at all.
DEEP = '{"a":' * 1000 + "1" + "}" * 1000


def refused(call: Any, **request: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_registry_from_its_making_to_its_end(aws: Any) -> None:
    schemas = aws.client("schemas")
    made = schemas.create_registry(RegistryName="mine", Description="d", Tags={"k": "v"})
    assert made.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    arn = f"arn:aws:schemas:us-east-1:{aws.account}:registry/mine"
    assert made == {"RegistryArn": arn, "RegistryName": "mine", "Description": "d", "Tags": {"k": "v"}}
    assert refused(schemas.create_registry, RegistryName="mine") == ("ConflictException", 409)
    assert refused(schemas.create_registry, RegistryName="aws.mine") == ("BadRequestException", 400)
    schemas.update_registry(RegistryName="mine", Description="e")
    assert schemas.describe_registry(RegistryName="mine")["Description"] == "e"
    listed = schemas.list_registries(RegistryNamePrefix="mi")["Registries"]
    assert listed == [{"RegistryArn": arn, "RegistryName": "mine", "Tags": {"k": "v"}}]
    schemas.tag_resource(ResourceArn=arn, Tags={"l": "w"})
    schemas.untag_resource(ResourceArn=arn, TagKeys=["k"])
    assert schemas.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"l": "w"}
    schemas.create_schema(RegistryName="mine", SchemaName="s", Type="OpenApi3", Content=CONTENT)
    assert refused(schemas.delete_registry, RegistryName="mine") == ("BadRequestException", 400)
    schemas.delete_schema(RegistryName="mine", SchemaName="s")
    schemas.delete_registry(RegistryName="mine")
    assert refused(schemas.describe_registry, RegistryName="mine") == ("NotFoundException", 404)
    assert refused(schemas.list_tags_for_resource, ResourceArn=arn) == ("NotFoundException", 404)


def test_a_schema_and_its_versions(aws: Any) -> None:
    schemas = aws.client("schemas")
    schemas.create_registry(RegistryName="r")
    at = {"RegistryName": "r", "SchemaName": "shop@Order"}
    arn = f"arn:aws:schemas:us-east-1:{aws.account}:schema/r/shop@Order"
    made = schemas.create_schema(**at, Type="OpenApi3", Content=CONTENT, Description="d")
    assert (made["SchemaArn"], made["SchemaVersion"], made["Type"]) == (arn, "1", "OpenApi3")
    assert refused(schemas.create_schema, **at, Type="OpenApi3", Content=CONTENT) == ("ConflictException", 409)
    # The same content is no new version.
    assert schemas.update_schema(**at, Content=CONTENT)["SchemaVersion"] == "1"
    other = CONTENT.replace("Person", "Buyer")
    assert schemas.update_schema(**at, Content=other)["SchemaVersion"] == "2"
    assert schemas.describe_schema(**at)["Content"] == other
    assert schemas.describe_schema(**at, SchemaVersion="1")["Content"] == CONTENT
    assert refused(schemas.describe_schema, **at, SchemaVersion="3") == ("NotFoundException", 404)
    first = schemas.list_schema_versions(**at, Limit=1)
    rest = schemas.list_schema_versions(**at, NextToken=first["NextToken"])
    assert [each["SchemaVersion"] for each in first["SchemaVersions"] + rest["SchemaVersions"]] == ["1", "2"]
    assert schemas.list_schemas(RegistryName="r", SchemaNamePrefix="shop")["Schemas"][0]["VersionCount"] == 2
    found = schemas.search_schemas(RegistryName="r", Keywords="order BUYER")["Schemas"]
    assert [(each["SchemaArn"], [v["SchemaVersion"] for v in each["SchemaVersions"]]) for each in found] == [
        (arn, ["2"])
    ]
    assert schemas.search_schemas(RegistryName="r", Keywords="nowhere")["Schemas"] == []
    schemas.delete_schema_version(**at, SchemaVersion="2")
    assert schemas.describe_schema(**at)["SchemaVersion"] == "1"
    assert refused(schemas.delete_schema_version, **at, SchemaVersion="1") == ("BadRequestException", 400)
    # A number is never given again.
    assert schemas.update_schema(**at, Content=other)["SchemaVersion"] == "3"


def test_a_schema_has_so_many_versions_and_a_search_so_many_words(aws: Any) -> None:
    schemas = aws.client("schemas")
    schemas.create_registry(RegistryName="r")
    at = {"RegistryName": "r", "SchemaName": "s"}
    schemas.create_schema(**at, Type="OpenApi3", Content=CONTENT)
    for number in range(2, 101):
        assert schemas.update_schema(**at, Content=CONTENT.replace("Person", f"P{number}"))["SchemaVersion"] == str(
            number
        )
    assert refused(schemas.update_schema, **at, Content=CONTENT) == ("BadRequestException", 400)
    schemas.delete_schema_version(**at, SchemaVersion="1")
    assert schemas.update_schema(**at, Content=CONTENT)["SchemaVersion"] == "101"
    words = " ".join(f"w{number}" for number in range(51))
    assert refused(schemas.search_schemas, RegistryName="r", Keywords=words) == ("BadRequestException", 400)
    assert schemas.search_schemas(RegistryName="r", Keywords=words[:-4])["Schemas"] == []
    token = "9" * 5000
    assert refused(schemas.list_schema_versions, **at, NextToken=token) == ("BadRequestException", 400)


def test_a_search_goes_on_from_page_to_page(aws: Any) -> None:
    schemas = aws.client("schemas")
    schemas.create_registry(RegistryName="r")
    large = json.loads(CONTENT) | {"x-filling": "x" * 95_000}
    for name in "abc":
        schemas.create_schema(RegistryName="r", SchemaName=name, Type="OpenApi3", Content=json.dumps(large))
    schemas.create_schema(RegistryName="r", SchemaName="d", Type="OpenApi3", Content=CONTENT)
    # Many words in large schemas: a page looks at one of them.
    words = " ".join("x" * length for length in range(1, 51))
    pages = []
    asked: dict[str, str] = {}
    while True:
        page = schemas.search_schemas(RegistryName="r", Keywords=words, **asked)
        pages.append([each["SchemaName"] for each in page["Schemas"]])
        if "NextToken" not in page:
            break
        asked = {"NextToken": page["NextToken"]}
    assert pages == [["a"], ["b"], ["c"], []]
    assert [each["SchemaName"] for each in schemas.search_schemas(RegistryName="r", Keywords="x-f")["Schemas"]] == [
        *"abc"
    ]
    first = schemas.search_schemas(RegistryName="r", Keywords="x-f", Limit=2)
    assert [each["SchemaName"] for each in first["Schemas"]] == ["a", "b"]
    rest = schemas.search_schemas(RegistryName="r", Keywords="x-f", Limit=2, NextToken=first["NextToken"])
    assert [each["SchemaName"] for each in rest["Schemas"]] == ["c"]


def test_an_export(aws: Any) -> None:
    schemas = aws.client("schemas")
    schemas.create_registry(RegistryName="r")
    schemas.create_schema(RegistryName="r", SchemaName="s", Type="OpenApi3", Content=CONTENT)
    export = schemas.export_schema(RegistryName="r", SchemaName="s", Type="JSONSchemaDraft4")
    assert json.loads(export["Content"]) == {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "Order",
        "type": "object",
        "properties": {"note": {"type": ["string", "null"]}, "by": {"$ref": "#/definitions/Person"}},
        "definitions": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    schemas.create_schema(RegistryName="r", SchemaName="j", Type="JSONSchemaDraft4", Content=export["Content"])
    assert refused(schemas.export_schema, RegistryName="r", SchemaName="j", Type="OpenApi3") == (
        "BadRequestException",
        400,
    )


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("OpenApi3", "no json"),
        ("OpenApi3", "[]"),
        ("OpenApi3", '{"openapi": "2.0", "info": {}, "paths": {}}'),
        ("OpenApi3", '{"openapi": "3.0.0", "paths": {}}'),
        ("JSONSchemaDraft4", '{"$schema": "http://json-schema.org/draft-07/schema#"}'),
        ("JSONSchemaDraft4", DEEP),
    ],
)
def test_what_is_no_schema(aws: Any, type_: str, content: str) -> None:
    schemas = aws.client("schemas")
    schemas.create_registry(RegistryName="r")
    request = {"RegistryName": "r", "SchemaName": "s", "Type": type_, "Content": content}
    assert refused(schemas.create_schema, **request) == ("BadRequestException", 400)
    assert schemas.list_schemas(RegistryName="r")["Schemas"] == []


def test_what_events_look_like(aws: Any) -> None:
    schemas = aws.client("schemas")
    envelope = {
        "version": "0",
        "id": "1",
        "detail-type": "order placed",
        "source": "shop",
        "account": "111122223333",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
    }
    details: list[dict[str, Any]] = [
        {"n": 1, "paid": True, "by": {"name": "a"}, "lines": [{"price": 1}, {"price": 1.5}], "note": None},
        {"n": 2, "by": {"name": "b"}, "lines": [], "note": "x"},
    ]
    events = [json.dumps({**envelope, "detail": detail}) for detail in details]
    found = json.loads(schemas.get_discovered_schema(Type="OpenApi3", Events=events)["Content"])
    assert (found["openapi"], found["info"]["title"], found["paths"]) == ("3.0.0", "OrderPlaced", {})
    components = found["components"]["schemas"]
    event = components["AWSEvent"]
    assert (event["x-amazon-events-source"], event["x-amazon-events-detail-type"]) == ("shop", "order placed")
    assert event["properties"]["detail"] == {"$ref": "#/components/schemas/OrderPlaced"}
    assert event["properties"]["time"] == {"type": "string", "format": "date-time"}
    assert set(event["required"]) == {*envelope, "detail"}
    assert components["OrderPlaced"] == {
        "type": "object",
        "required": ["n", "by", "lines", "note"],
        "properties": {
            "n": {"type": "integer"},
            "paid": {"type": "boolean"},
            "by": {"$ref": "#/components/schemas/By"},
            "lines": {"type": "array", "items": {"$ref": "#/components/schemas/LinesItem"}},
            "note": {"type": "string", "nullable": True},
        },
    }
    assert components["LinesItem"]["properties"] == {"price": {"type": "number"}}
    as_json_schema = json.loads(schemas.get_discovered_schema(Type="JSONSchemaDraft4", Events=events)["Content"])
    assert as_json_schema["properties"]["detail"] == {"$ref": "#/definitions/OrderPlaced"}
    assert refused(schemas.get_discovered_schema, Type="OpenApi3", Events=["[1]"]) == ("BadRequestException", 400)
    for type_ in ("OpenApi3", "JSONSchemaDraft4"):
        assert refused(schemas.get_discovered_schema, Type=type_, Events=[DEEP]) == ("BadRequestException", 400)


def test_objects_of_one_name_are_told_apart(aws: Any) -> None:
    event = json.dumps({"x": {"a": {"n": 1}}, "y": {"a": {"s": ""}}, "z": {"a": {"b": True}}})
    found = aws.client("schemas").get_discovered_schema(Type="OpenApi3", Events=[event])["Content"]
    components = json.loads(found)["components"]["schemas"]
    assert list(components) == ["Event", "X", "A", "Y", "A_1", "Z", "A_2"]
    assert components["Y"]["properties"]["a"] == {"$ref": "#/components/schemas/A_1"}
    assert components["A_1"]["properties"] == {"s": {"type": "string"}}


def test_who_may(aws: Any) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    allowed = {
        "Effect": "Allow",
        "Action": "schemas:*",
        "Resource": f"arn:aws:schemas:us-east-1:{aws.account}:*/theirs*",
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="u")["AccessKey"]
    theirs = aws.client("schemas", credentials=key)
    theirs.create_registry(RegistryName="theirs")
    theirs.create_schema(RegistryName="theirs", SchemaName="s", Type="OpenApi3", Content=CONTENT)
    assert refused(theirs.create_registry, RegistryName="other")[1] == 403
    assert refused(theirs.list_registries)[1] == 403


def test_what_is_not_built_says_so(aws: Any) -> None:
    schemas = aws.client("schemas")
    at = {"RegistryName": "r", "SchemaName": "s", "Language": "Python36"}
    assert refused(schemas.get_code_binding_source, **at) == ("NotImplemented", 501)
