"""AWS's service models: loading and shapes.

    model = load("sqs")                         the newest API version that the installed botocore describes
    operation = model.operations["SendMessage"]
    operation.input.members["QueueUrl"].type    "string"

Everything is resolved when it is first asked for: a service costs its parse, an operation its own shapes.
"""

from pileus.model.loader import ModelNotFound, load, service_names
from pileus.model.shapes import ErrorShape, Operation, ServiceModel, Shape

__all__ = ["ErrorShape", "ModelNotFound", "Operation", "ServiceModel", "Shape", "load", "service_names"]
