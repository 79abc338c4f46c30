"""Revision ids: what changes one, and that who names an old one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feed_kit import PASSES_GATES, allow, at_gate, gate, make_table, put
from lambda_kit import caught, package

from waiting import until

MISMATCH = (
    "PreconditionFailedException",
    412,
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the "
    "latest Revision Id",
)
GRANT = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
# The Init waits until the table has the item "go".
WAITS_IN_INIT = (
    gate()
    + """
gate()

def handler(event, context):
    return event
"""
)


def revision(lambda_: Any, qualifier: str = "$LATEST") -> str:
    found: str = lambda_.get_function_configuration(FunctionName="f", Qualifier=qualifier)["RevisionId"]
    return found


def test_what_gives_a_function_another_revision(
    lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    arn = make()["FunctionArn"]
    seen = [revision(lambda_)]

    def changed(what: Any) -> bool:
        """Whether `$LATEST` has another revision now, one that it never had."""
        before = seen[-1]
        seen.append(revision(lambda_))
        assert seen[-1] == before or seen[-1] not in seen[:-1], what
        return seen[-1] != before

    assert not changed(lambda_.get_function(FunctionName="f"))
    assert changed(lambda_.add_permission(FunctionName="f", StatementId="s", **GRANT))
    assert lambda_.get_policy(FunctionName="f")["RevisionId"] == seen[-1]
    assert changed(lambda_.tag_resource(Resource=arn, Tags={"a": "b"}))
    made = lambda_.publish_version(FunctionName="f")
    assert changed(made)
    assert made["RevisionId"] == revision(lambda_, "1") not in seen
    # Published again without a change: nothing has happened.
    assert lambda_.publish_version(FunctionName="f")["RevisionId"] == made["RevisionId"]
    assert not changed("published again")
    # A version's policy, and an alias, are others' business.
    lambda_.add_permission(FunctionName="f", StatementId="s", Qualifier="1", **GRANT)
    assert revision(lambda_, "1") != made["RevisionId"]
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    lambda_.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)
    assert not changed("what does not belong to $LATEST")
    assert changed(lambda_.remove_permission(FunctionName="f", StatementId="s"))
    answer = lambda_.update_function_configuration(FunctionName="f", Description="d")
    updated("f")
    # Once when it is on its way, and once when it is there.
    assert changed(answer)
    assert answer["RevisionId"] not in seen


def test_an_old_revision_is_refused(lambda_: Any, make: Callable[..., Any]) -> None:
    make(Publish=True)
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    lambda_.add_permission(FunctionName="f", StatementId="s", **GRANT)
    alias = lambda_.get_alias(FunctionName="f", Name="a")["RevisionId"]
    own = revision(lambda_)
    zipped = {"ZipFile": package({"index.py": "x = 1"})}
    for call, request in (
        (lambda_.update_function_code, zipped),
        (lambda_.update_function_configuration, {"Timeout": 5}),
        (lambda_.publish_version, {}),
        (lambda_.add_permission, {"StatementId": "t", **GRANT}),
        (lambda_.remove_permission, {"StatementId": "s"}),
        (lambda_.update_alias, {"Name": "a", "Description": "d"}),
        (lambda_.add_permission, {"StatementId": "t", "Qualifier": "a", **GRANT}),
    ):
        assert caught(call, FunctionName="f", RevisionId="another", **request) == MISMATCH
    assert (revision(lambda_), lambda_.get_alias(FunctionName="f", Name="a")["RevisionId"]) == (own, alias)
    # An alias has one of its own, and so has its function.
    assert caught(lambda_.update_alias, FunctionName="f", Name="a", RevisionId=own) == MISMATCH
    assert caught(lambda_.publish_version, FunctionName="f", RevisionId=alias) == MISMATCH
    assert lambda_.update_alias(FunctionName="f", Name="a", RevisionId=alias)["RevisionId"] != alias
    lambda_.remove_permission(FunctionName="f", StatementId="s", RevisionId=own)


def test_what_changes_a_revision_holds_up_no_deployment(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    allow(aws, PASSES_GATES)
    make_table(aws)
    make(code=WAITS_IN_INIT, Runtime="python3.12", Timeout=30, SnapStart={"ApplyOn": "PublishedVersions"})
    lambda_.publish_version(FunctionName="f")
    until(lambda: at_gate(aws))
    pending = revision(lambda_, "1")
    lambda_.add_permission(FunctionName="f", StatementId="s", Qualifier="1", **GRANT)
    assert revision(lambda_, "1") != pending
    put(aws, "go")
    waiter = lambda_.get_waiter("published_version_active")
    waiter.wait(FunctionName="f", Qualifier="1", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    assert lambda_.invoke(FunctionName="f", Qualifier="1", Payload=b"1")["Payload"].read() == b"1"
