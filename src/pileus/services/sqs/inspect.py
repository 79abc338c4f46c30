"""`/_aws/sqs/messages`: looks at a queue's messages without receiving them, for those who develop with it.

    GET /_aws/sqs/messages?QueueUrl=...                         what is visible
    GET /_aws/sqs/messages?QueueUrl=...&ShowInvisible=true      and what is in flight
    GET /_aws/sqs/messages?QueueUrl=...&ShowDelayed=true        and what is delayed
    GET /_aws/sqs/messages/{region}/{account}/{name}            the same, with the queue in the path

Answered in XML as the query protocol's ReceiveMessage, or in JSON for `Accept: application/json`. A signed request
needs `sqs:ReceiveMessage` as any other; without a signature only a program of this machine is answered.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.services.sqs import urls
from pileus.services.sqs.places import Taken, load_content
from pileus.services.sqs.queues import Live, find_at
from pileus.services.sqs.receiving import Wanted, show
from pileus.services.sqs.records import decode_entry
from pileus.store.contract import Reader
from pileus.store.keys import range_onto, unpack

SHOWN_MAX = 1000
_BODY_BYTES_MAX = 64 * 1024
_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_EVERYTHING = Wanted(SHOWN_MAX, None, frozenset({"All"}), ("All",), "")


async def serve(cloud: Cloud, request: HostedRequest) -> HostedAnswer:
    if request.name != "messages":
        raise AWSError("NotFound", f"There is no {request.http.path}.", status=404)
    form = request.query
    body = b""
    if request.http.method == "POST":
        body = await request.access.body(_BODY_BYTES_MAX)
        form = f"{form}&{body.decode('utf-8', 'replace')}"
    given = {name: values[0] for name, values in parse_qs(form).items()}
    place = _place(cloud, request, given)
    signed = "authorization" in request.http.headers or "X-Amz-Credential=" in request.query
    queue: Live | None = None

    async def load(tx: Reader) -> Live | None:
        return await find_at(cloud, tx, place.account, place.region, place.name)

    queue = await cloud.store.read(load)
    if signed:
        principal = await request.access.caller("sqs", body)
        arn = f"arn:aws:sqs:{place.region}:{place.account}:{place.name}"
        policy = None if queue is None else queue.policy
        await request.access.allow(principal, "sqs:ReceiveMessage", arn, conditions={}, policy=policy)
    elif not request.trusted:
        raise AWSError("AccessDenied", "Only from the machine that Pileus runs on, or signed.", status=403)
    if queue is None:
        raise AWSError(
            "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist for this wsdl version."
        )
    found = queue

    async def look(tx: Reader) -> list[dict[str, Any]]:
        return await _look(
            tx,
            found,
            int(request.now * 1000),
            invisible=given.get("ShowInvisible", "").lower() == "true",
            delayed=given.get("ShowDelayed", "").lower() == "true",
        )

    return _answer(request, await cloud.store.read(look))


def _place(cloud: Cloud, request: HostedRequest, given: dict[str, str]) -> urls.Place:
    steps = [step for step in request.path.split("/") if step]
    if len(steps) == 3:
        return urls.Place(steps[1], steps[0], steps[2])
    found = urls.read(given.get("QueueUrl", ""))
    if found is None:
        raise AWSError("InvalidAddress", f"The address {given.get('QueueUrl', '')} is not valid for this endpoint.")
    return found if found.region else found._replace(region=cloud.settings.region)


async def _look(tx: Reader, queue: Live, now: int, *, invisible: bool, delayed: bool) -> list[dict[str, Any]]:
    found: list[Taken] = []
    prefix = queue.line if queue.fifo else queue.ready
    for key, raw in await tx.scan(*range_onto(prefix), limit=SHOWN_MAX):
        entry = decode_entry(raw)
        seq = unpack(key, len(prefix))[-1]
        assert isinstance(seq, int)
        if entry.due > now and not (invisible if entry.received else delayed):
            continue
        found.append(Taken(seq, entry, await load_content(tx, queue, seq, entry), entry.due))
    if not queue.fifo:
        for key, raw in await tx.scan(*range_onto(queue.waiting), limit=SHOWN_MAX):
            due, seq = unpack(key, len(queue.waiting))
            assert isinstance(due, int)
            assert isinstance(seq, int)
            entry = decode_entry(raw)
            if due <= now or (invisible if entry.received else delayed):
                found.append(Taken(seq, entry, await load_content(tx, queue, seq, entry), due))
    found.sort(key=lambda one: one.seq)
    return [show(queue, one, _EVERYTHING) for one in found]


def _answer(request: HostedRequest, messages: list[dict[str, Any]]) -> HostedAnswer:
    if "json" in request.http.headers.get("accept", ""):
        content: dict[str, Any] = {
            "ReceiveMessageResponse": {
                "ReceiveMessageResult": {"Message": [_listed(one) for one in messages]} if messages else None,
                "ResponseMetadata": {"RequestId": request.request_id},
            }
        }
        return HostedAnswer(200, [("content-type", "application/json")], orjson.dumps(content))
    inner = "".join(f"<Message>{_xml(_listed(one))}</Message>" for one in messages)
    result = f"<ReceiveMessageResult>{inner}</ReceiveMessageResult>" if inner else "<ReceiveMessageResult/>"
    text = (
        f'<?xml version="1.0"?><ReceiveMessageResponse xmlns="{_NAMESPACE}">{result}'
        f"<ResponseMetadata><RequestId>{request.request_id}</RequestId></ResponseMetadata></ReceiveMessageResponse>"
    )
    return HostedAnswer(200, [("content-type", "text/xml")], text.encode("utf-8", "replace"))


def _listed(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its maps as the lists of names and values that the query protocol has for them."""
    from base64 import b64encode

    shown = dict(message)
    shown["Attribute"] = [{"Name": name, "Value": value} for name, value in shown.pop("Attributes", {}).items()]
    if attributes := shown.pop("MessageAttributes", {}):
        shown["MessageAttribute"] = [
            {
                "Name": name,
                "Value": {
                    key: b64encode(one).decode() if isinstance(one, bytes) else one for key, one in value.items()
                },
            }
            for name, value in attributes.items()
        ]
    return shown


def _xml(value: Any) -> str:
    from xml.sax.saxutils import escape

    if not isinstance(value, dict):
        return escape(str(value))
    items = [(name, item) for name, one in value.items() for item in (one if isinstance(one, list) else [one])]
    return "".join(f"<{name}>{_xml(item)}</{name}>" for name, item in items)
