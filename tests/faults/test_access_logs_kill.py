"""Access logs of a node that is killed again and again: each record that it has kept is in one log object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.services.s3.test_access_logs import PERIOD_S, Logged

from waiting import until

ROUNDS = 3
REQUESTS = 30


def test_kept_records_are_delivered_once(aws: Any, start_pileus: Callable[..., Any], tmp_path: Path) -> None:
    def start() -> Any:
        return start_pileus("--clock", "virtual", data_dir=tmp_path / "data")

    logged = Logged(aws, start())
    logged.log()
    kept: list[str] = []
    for number in range(ROUNDS):
        kept += [
            logged.s3.list_objects_v2(Bucket=logged.bucket)["ResponseMetadata"]["RequestId"] for _ in range(REQUESTS)
        ]
        # Behind the write that was under way when the last came is the one that holds it.
        for _ in range(2):
            logged.s3.put_object(Bucket=logged.target, Key="other")
        if number % 2:
            logged.server.advance(PERIOD_S)
        logged.server.kill()
        logged.server = start()
        logged.s3 = type(aws)(logged.server.endpoint, aws.account).client("s3")

    logged.s3.delete_object(Bucket=logged.target, Key="other")
    found: Counter[str] = Counter()

    def arrived() -> bool:
        found.update(one["request_id"] for one in logged.lines())
        return set(kept) <= set(found)

    until(arrived)
    assert {found[one] for one in kept} == {1}
