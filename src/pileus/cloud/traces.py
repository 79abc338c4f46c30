"""X-Ray's segment documents of this node, kept until they are taken: `cloud.traces`.

Services write segments of their own (`put`); what functions send to the X-Ray daemon's address comes here, too. Memory
is bounded: the oldest documents go first.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

DOCUMENTS_MAX = 10_000
# "Segment documents can be up to 64 kB in size."
DOCUMENT_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A segment, or a part of one, as PutTraceSegments takes it."""

    account: str
    region: str
    document: str


class Traces:
    def __init__(self) -> None:
        self._documents: deque[Document] = deque(maxlen=DOCUMENTS_MAX)

    def put(self, account: str, region: str, document: str) -> None:
        if len(document) <= DOCUMENT_BYTES_MAX:
            self._documents.append(Document(account, region, document))

    def daemon(self, account: str, region: str, datagram: bytes) -> None:
        """What was sent to the daemon's address: a line that says the format, and a document. Others are dropped."""
        head, _, document = datagram.partition(b"\n")
        try:
            if json.loads(head)["format"] != "json" or not isinstance(json.loads(document), dict):
                return
        except (ValueError, TypeError, KeyError):
            return
        self.put(account, region, document.decode())

    def take(self) -> list[Document]:
        """Every document since the last call."""
        taken = [*self._documents]
        self._documents.clear()
        return taken

    def shown(self, account: str) -> list[dict[str, Any]]:
        """Those of an account ("": of all), as they stand."""
        return [json.loads(each.document) for each in self._documents if account in ("", each.account)]
