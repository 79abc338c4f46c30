"""What a service still serves and its model no longer says.

SQS moved to JSON in 2023, and with that its model lost the traits of the query protocol, which AWS goes on to serve for
older SDKs. They are put back here, from "Amazon SQS API Reference, API version 2012-11-05" (each action's example in
the query protocol).
"""

from __future__ import annotations

from typing import Any

_SQS_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"

# (list shape, name of its repeated element)
_SQS_LISTS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
# (map shape, names of key and value)
_SQS_MAPS = {
    "MessageBodyAttributeMap": ("Name", "Value"),
    "MessageBodySystemAttributeMap": ("Name", "Value"),
    "MessageSystemAttributeMap": ("Name", "Value"),
    "QueueAttributeMap": ("Name", "Value"),
    "TagMap": ("Key", "Value"),
}
_SQS_MAP_NAMES = {
    "MessageBodyAttributeMap": "MessageAttribute",
    "MessageBodySystemAttributeMap": "MessageSystemAttribute",
    "MessageSystemAttributeMap": "Attribute",
    "QueueAttributeMap": "Attribute",
    "TagMap": "Tag",
}
# Errors that SQS answers and does not model, with their code in the query protocol.
_SQS_UNMODELLED = {
    "AccessDeniedException": "AccessDenied",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
}
# Statuses that the model lost.
_SQS_STATUSES = {
    "AccessDeniedException": 403,
    "InvalidAddress": 404,
    "OverLimit": 403,
    "PurgeQueueInProgress": 403,
    "ReceiptHandleIsInvalid": 404,
    "RequestThrottled": 403,
    "ResourceNotFoundException": 404,
}
# Error shapes whose code in the query protocol (and in `x-amzn-query-error`) is not their name.
_SQS_CODES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsNotFound": "KMS.NotFoundException",
    "KmsOptInRequired": "KMS.OptInRequired",
    "KmsThrottled": "KMS.ThrottlingException",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}


def add_legacy_traits(service_name: str, raw: dict[str, Any]) -> None:
    """Put back, in place, the traits of protocols that AWS serves beyond those a model lists."""
    if service_name == "sqs" and "query" not in raw["metadata"].get("protocols", ()):
        _add_sqs_query(raw)


def _add_sqs_query(raw: dict[str, Any]) -> None:
    metadata, shapes = raw["metadata"], raw["shapes"]
    metadata["protocols"] = [*metadata.get("protocols", [metadata["protocol"]]), "query"]
    metadata["xmlNamespace"] = _SQS_NAMESPACE
    for name, operation in raw["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    for name, element in _SQS_LISTS.items():
        if name in shapes:
            shapes[name]["flattened"] = True
            shapes[name]["member"]["locationName"] = element
    for name, (key, value) in _SQS_MAPS.items():
        if name in shapes:
            shapes[name]["flattened"] = True
            shapes[name]["key"]["locationName"] = key
            shapes[name]["value"]["locationName"] = value
    for shape in shapes.values():
        for member in shape.get("members", {}).values():
            if member["shape"] in _SQS_MAP_NAMES:
                # Only the query protocol may read it: in JSON the member's name counts.
                member["queryLocationName"] = _SQS_MAP_NAMES[member["shape"]]
    for name in _SQS_UNMODELLED:
        shapes.setdefault(name, {"type": "structure", "members": {}, "exception": True, "synthetic": True})
    for name, shape in shapes.items():
        if shape.get("exception"):
            code = _SQS_CODES.get(name) or _SQS_UNMODELLED.get(name, name)
            shape["error"] = {"code": code, "httpStatusCode": _SQS_STATUSES.get(name, 400), "senderFault": True}
