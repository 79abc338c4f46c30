"""S3 replication on a node that is killed again and again: every version that was acknowledged is replicated, once."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.services.s3.replication_kit import new_role, put_rules, rule, versioned

from waiting import until

KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "3"))
VERSIONS_PER_LIFE = 15


def test_no_version_is_lost_on_its_way(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(5)
    server = start_pileus()
    number = aws.account

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    s3 = account().client("s3")
    source, target = versioned(s3), versioned(s3)
    put_rules(s3, source, new_role(account()), rule(target))
    acknowledged: dict[str, str] = {}

    def put(enough: threading.Event, life: int) -> None:
        client = account().client("s3")
        for n in range(100_000):
            # Bodies in the store, and in blobs.
            body = b"x" * (100_000 if n % 3 == 0 else 10)
            try:
                answer = client.put_object(Bucket=source, Key=f"{life}/{n % 7}", Body=body)
            except (BotoCoreError, ClientError):
                return
            acknowledged[answer["VersionId"]] = answer["ETag"]
            if n >= VERSIONS_PER_LIFE:
                enough.set()

    for life in range(KILLS):
        enough = threading.Event()
        writer = threading.Thread(target=put, args=(enough, life))
        writer.start()
        assert enough.wait(60)
        threading.Event().wait(chance.uniform(0.0, 0.05))
        server.kill()
        writer.join()
        server = start_pileus()
    assert len(acknowledged) > KILLS * VERSIONS_PER_LIFE
    s3 = account().client("s3")

    def replicas() -> list[tuple[str, str]]:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=target)
        return [(one["VersionId"], one["ETag"]) for page in pages for one in page.get("Versions", ())]

    until(lambda: acknowledged.items() <= dict(replicas()).items(), seconds=60)
    found = replicas()
    assert len(dict(found)) == len(found)
    for key in {f"{life}/{n}" for life in range(KILLS) for n in range(7)}:
        until(lambda key=key: s3.head_object(Bucket=source, Key=key)["ReplicationStatus"] == "COMPLETED")
        copy = s3.get_object(Bucket=target, Key=key)
        assert copy["Body"].read() == s3.get_object(Bucket=source, Key=key)["Body"].read()
