"""The manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.sqs import inspect, loops, moving
from pileus.services.sqs.memory import LOOP
from pileus.services.sqs.operations import attributes, messages, moves, queues, tags
from pileus.services.sqs.permissions import (
    by_name,
    inside,
    named_policy,
    on_queue,
    on_source,
    on_task,
    queue_policy,
    source_policy,
)

SERVICE = Service(
    name="sqs",
    operations={
        "AddPermission": writing(attributes.add_permission, on_queue("AddPermission"), queue_policy),
        "CancelMessageMoveTask": writing(moves.cancel_message_move_task, on_task),
        "ChangeMessageVisibility": writing(
            messages.change_message_visibility, on_queue("ChangeMessageVisibility"), queue_policy
        ),
        "ChangeMessageVisibilityBatch": writing(
            messages.change_message_visibility_batch, on_queue("ChangeMessageVisibility"), queue_policy
        ),
        "CreateQueue": writing(queues.create_queue, by_name("CreateQueue")),
        "DeleteMessage": writing(messages.delete_message, on_queue("DeleteMessage"), queue_policy),
        "DeleteMessageBatch": writing(messages.delete_message_batch, on_queue("DeleteMessage"), queue_policy),
        "DeleteQueue": writing(queues.delete_queue, on_queue("DeleteQueue"), queue_policy),
        "GetQueueAttributes": reading(attributes.get_queue_attributes, on_queue("GetQueueAttributes"), queue_policy),
        "GetQueueUrl": reading(queues.get_queue_url, by_name("GetQueueUrl"), named_policy),
        "ListDeadLetterSourceQueues": reading(
            queues.list_dead_letter_source_queues, on_queue("ListDeadLetterSourceQueues"), queue_policy
        ),
        "ListMessageMoveTasks": reading(
            moves.list_message_move_tasks, on_source("ListMessageMoveTasks"), source_policy
        ),
        "ListQueueTags": reading(tags.list_queue_tags, on_queue("ListQueueTags"), queue_policy),
        "ListQueues": reading(queues.list_queues),
        "PurgeQueue": writing(queues.purge_queue, on_queue("PurgeQueue"), queue_policy),
        "ReceiveMessage": free(messages.receive_message, inside, queue_policy),
        "RemovePermission": writing(attributes.remove_permission, on_queue("RemovePermission"), queue_policy),
        "SendMessage": writing(messages.send_message, on_queue("SendMessage"), queue_policy),
        "SendMessageBatch": writing(messages.send_message_batch, on_queue("SendMessage"), queue_policy),
        "SetQueueAttributes": writing(attributes.set_queue_attributes, on_queue("SetQueueAttributes"), queue_policy),
        "StartMessageMoveTask": writing(
            moves.start_message_move_task, on_source("StartMessageMoveTask"), source_policy
        ),
        "TagQueue": writing(tags.tag_queue, on_queue("TagQueue"), queue_policy),
        "UntagQueue": writing(tags.untag_queue, on_queue("UntagQueue"), queue_policy),
    },
    loops=(
        Loop(LOOP, loops.due, period_s=60.0),
        Loop(moving.LOOP, loops.move, period_s=60.0),
        Loop("sqs.sweep", loops.sweep, period_s=60.0),
    ),
    hosts={"sqs": inspect.serve},
    start=loops.start,
)
