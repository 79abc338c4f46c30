"""Dead-letter queues, and moving messages back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqs_kit import bodies, caught, counts


def arn_of(sqs: Any, url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def pair(sqs: Any, name: str, receives: int = 1, **attributes: str) -> tuple[str, str]:
    """(queue, its dead-letter queue)"""
    suffix = ".fifo" if attributes else ""
    dead = sqs.create_queue(QueueName=f"{name}-dead{suffix}", Attributes=attributes)["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn_of(sqs, dead), "maxReceiveCount": receives})
    queue = sqs.create_queue(QueueName=f"{name}{suffix}", Attributes={"RedrivePolicy": policy, **attributes})
    return queue["QueueUrl"], dead


@pytest.mark.parametrize("fifo", [False, True])
def test_what_was_received_too_often_goes_to_the_dead_letter_queue(later: Any, still: Any, fifo: bool) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    queue, dead = pair(later, f"redrive-{fifo}", 2, **attributes)
    group = {"MessageGroupId": "g"} if fifo else {}
    sent = later.send_message(QueueUrl=queue, MessageBody="poison", **group)
    later.send_message(QueueUrl=queue, MessageBody="good", **group)
    for _ in range(2):
        assert bodies(later.receive_message(QueueUrl=queue, VisibilityTimeout=1)) == ["poison"]
        still.advance(1)
    assert bodies(later.receive_message(QueueUrl=queue)) == ["good"]
    assert counts(later, queue) == (0, 1, 0)
    (message,) = later.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert (message["Body"], message["MessageId"]) == ("poison", sent["MessageId"])
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(later, queue)
    assert message["Attributes"]["ApproximateReceiveCount"] == "3"


def test_a_poller_of_the_dead_letter_queue_is_woken(sqs: Any, aws: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    queue, dead = pair(sqs, "woken")
    sqs.send_message(QueueUrl=queue, MessageBody="m")
    sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(aws.client("sqs").receive_message, QueueUrl=dead, WaitTimeSeconds=20)
        assert "Messages" not in sqs.receive_message(QueueUrl=queue)
        assert bodies(poll.result(timeout=30)) == ["m"]


def test_redrive_policies_that_are_none(sqs: Any, aws: Any) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = arn_of(sqs, dead)

    def reason(policy: Any) -> str:
        text = policy if isinstance(policy, str) else json.dumps(policy)
        code, message, _ = caught(sqs.create_queue, QueueName="source", Attributes={"RedrivePolicy": text})
        assert code == "InvalidParameterValue"
        return message.partition(" Reason: ")[2]

    assert reason("no json") == "Redrive policy is not a valid JSON map."
    assert reason({"deadLetterTargetArn": arn}).endswith("mandatory attribute: maxReceiveCount.")
    assert reason({"maxReceiveCount": 1}).endswith("mandatory attribute: deadLetterTargetArn.")
    assert reason({"deadLetterTargetArn": arn, "maxReceiveCount": 0}) == (
        "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."
    )
    assert reason({"deadLetterTargetArn": arn + "x", "maxReceiveCount": 1}) == "Dead letter target does not exist."
    assert reason({"deadLetterTargetArn": arn.replace(aws.account, "1" * 12), "maxReceiveCount": 1}) == (
        "Dead letter target owner should be same as the source."
    )
    assert reason({"deadLetterTargetArn": arn + ".fifo", "maxReceiveCount": 1}) == (
        "Dead-letter queue must be same type of queue as the source."
    )


def test_a_queue_may_refuse_to_be_a_dead_letter_queue(sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="refusing", Attributes={"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'})[
        "QueueUrl"
    ]
    arn = arn_of(sqs, dead)
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})}
    code, message, _ = caught(sqs.create_queue, QueueName="refused", Attributes=policy)
    assert (code, message.partition(" Reason: ")[2]) == (
        "InvalidParameterValue",
        "Queue does not have permissions to use dead letter target.",
    )
    own = arn.replace("refusing", "refused")
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [own]}
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(allow)})
    url = sqs.create_queue(QueueName="refused", Attributes=policy)["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    assert json.loads(shown) == {"deadLetterTargetArn": arn, "maxReceiveCount": 3}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == []
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])


def kill(sqs: Any, queue: str, *texts: str) -> None:
    """Have messages end in the dead-letter queue."""
    for text in texts:
        sqs.send_message(QueueUrl=queue, MessageBody=text)
    while sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages"):
        pass


def test_moving_back_to_where_they_came_from(later: Any, still: Any) -> None:
    one, dead = pair(later, "back-one")
    arn = arn_of(later, dead)
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    two = later.create_queue(QueueName="back-two", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    kill(later, one, "a", "b")
    kill(later, two, "c")
    assert counts(later, dead) == (3, 0, 0)
    handle = later.start_message_move_task(SourceArn=arn)["TaskHandle"]
    still.advance(1)
    (task,) = later.list_message_move_tasks(SourceArn=arn)["Results"]
    assert task.pop("StartedTimestamp") > 0
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": arn,
        "ApproximateNumberOfMessagesMoved": 3,
        "ApproximateNumberOfMessagesToMove": 3,
    }
    got = later.receive_message(QueueUrl=one, MaxNumberOfMessages=10, AttributeNames=["All"])
    assert bodies(got) == ["a", "b"]
    assert got["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in got["Messages"][0]["Attributes"]
    assert bodies(later.receive_message(QueueUrl=two)) == ["c"]
    assert caught(later.cancel_message_move_task, TaskHandle=handle) == (
        "ResourceNotFoundException",
        "Task does not exist.",
        404,
    )


def test_groups_are_given_up_and_moved_back_in_their_order(later: Any, still: Any) -> None:
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    queue, dead = pair(later, "ordered", **kind)
    sent = [f"{group}{n}" for n in range(5) for group in "xy"]
    for text in sent:
        later.send_message(QueueUrl=queue, MessageBody=text, MessageGroupId=text[0])

    def drain(url: str) -> dict[str, list[str]]:
        """By group, what is handed out until there is nothing more."""
        found: dict[str, list[str]] = {"x": [], "y": []}
        while got := later.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages"):
            for one in got:
                found[one["Body"][0]].append(one["Body"])
                later.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found

    def give_up() -> None:
        while counts(later, dead)[0] < len(sent):
            later.receive_message(QueueUrl=queue, MaxNumberOfMessages=4, VisibilityTimeout=0)

    give_up()
    # One group is handed out, and waits in the dead-letter queue: nothing of it is moved, and the other one is.
    (held,) = later.receive_message(QueueUrl=dead, VisibilityTimeout=600)["Messages"]
    later.start_message_move_task(SourceArn=arn_of(later, dead))
    still.advance(1)
    group, other = ("x", "y") if held["Body"].startswith("x") else ("y", "x")
    assert drain(queue) == {other: [f"{other}{n}" for n in range(5)], group: []}
    later.change_message_visibility(QueueUrl=dead, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    later.start_message_move_task(SourceArn=arn_of(later, dead))
    still.advance(1)
    assert counts(later, dead) == (0, 0, 0)
    assert drain(queue) == {other: [], group: [f"{group}{n}" for n in range(5)]}


def test_moving_slowly_elsewhere_and_stopping(later: Any, still: Any) -> None:
    queue, dead = pair(later, "slow")
    kill(later, queue, *map(str, range(10)))
    elsewhere = later.create_queue(QueueName="elsewhere")["QueueUrl"]
    arn, destination = arn_of(later, dead), arn_of(later, elsewhere)
    start = {"SourceArn": arn, "DestinationArn": destination, "MaxNumberOfMessagesPerSecond": 1}
    handle = later.start_message_move_task(**start)["TaskHandle"]
    assert caught(later.start_message_move_task, **start)[1] == (
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )
    still.advance(3)
    (task,) = later.list_message_move_tasks(SourceArn=arn)["Results"]
    assert task["TaskHandle"] == handle
    assert (task["Status"], task["MaxNumberOfMessagesPerSecond"], task["DestinationArn"]) == ("RUNNING", 1, destination)
    moved = task["ApproximateNumberOfMessagesMoved"]
    assert 3 <= moved <= 4
    assert counts(later, elsewhere)[0] == moved
    assert later.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] == moved
    still.advance(60)
    (task,) = later.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], "TaskHandle" in task) == ("CANCELLED", False)
    assert counts(later, dead)[0] == 10 - moved
    # A destination that goes away fails the task, and loses nothing.
    later.start_message_move_task(**start)
    later.delete_queue(QueueUrl=elsewhere)
    still.advance(5)
    (task,) = later.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    assert counts(later, dead)[0] + task["ApproximateNumberOfMessagesMoved"] == 10 - moved
    assert len(later.list_message_move_tasks(SourceArn=arn, MaxResults=10)["Results"]) == 2


def test_tasks_that_cannot_be(sqs: Any) -> None:
    queue, dead = pair(sqs, "cannot")
    arn = arn_of(sqs, dead)
    assert caught(sqs.start_message_move_task, SourceArn=arn_of(sqs, queue)) == (
        "InvalidParameterValue",
        "Source queue must be configured as a Dead Letter Queue.",
        400,
    )
    assert caught(sqs.start_message_move_task, SourceArn=arn, DestinationArn=arn + "-not") == (
        "ResourceNotFoundException",
        "The resource that you specified for the DestinationArn parameter doesn't exist.",
        404,
    )
    assert caught(sqs.cancel_message_move_task, TaskHandle="foobar")[:2] == (
        "InvalidParameterValue",
        "Value for parameter TaskHandle is invalid.",
    )


def test_a_message_of_unknown_origin_ends_a_task_and_stays_in_its_place(later: Any, still: Any) -> None:
    queue, dead = pair(later, "origin")
    kill(later, queue, "a")
    later.send_message(QueueUrl=dead, MessageBody="direct")
    kill(later, queue, "b")
    arn = arn_of(later, dead)
    later.start_message_move_task(SourceArn=arn)
    still.advance(1)
    (task,) = later.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], task["FailureReason"], task["ApproximateNumberOfMessagesMoved"]) == (
        "FAILED",
        "CouldNotDetermineMessageSource",
        1,
    )
    assert (counts(later, queue), counts(later, dead)) == ((1, 0, 0), (2, 0, 0))
    assert bodies(later.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=0)) == ["direct", "b"]
    # AWS's own advice: name a destination.
    later.start_message_move_task(SourceArn=arn, DestinationArn=arn_of(later, queue))
    still.advance(1)
    assert (counts(later, queue)[0], counts(later, dead)[0]) == (3, 0)


def test_retention_finds_what_lies_behind_hundreds_of_younger_ones(later: Any, still: Any) -> None:
    queue, dead = pair(later, "aged")
    later.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": "600"})
    later.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": "old"} for n in range(10)])
    still.advance(300)
    young = [{"Id": str(n), "MessageBody": "young"} for n in range(10)]
    for _ in range(55):
        later.send_message_batch(QueueUrl=dead, Entries=young)
    while later.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages"):
        pass
    assert counts(later, dead) == (560, 0, 0)
    still.advance(360)
    assert counts(later, dead) == (550, 0, 0)
    still.advance(3600)
    assert counts(later, dead) == (0, 0, 0)
