"""What EventBridge's tests share: refused calls, and log groups in which targets' inputs arrive."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from waiting import until


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the error that a call must end with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


class Group:
    """A log group that rules may write to."""

    def __init__(self, aws: Any, name: str) -> None:
        self.logs = aws.client("logs")
        self.name = name
        self.arn = f"arn:aws:logs:us-east-1:{aws.account}:log-group:{name}"
        self.logs.create_log_group(logGroupName=name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": "*",
                }
            ],
        }
        self.logs.put_resource_policy(policyName="rules", policyDocument=json.dumps(policy))

    def texts(self) -> list[str]:
        return [event["message"] for event in self.logs.filter_log_events(logGroupName=self.name)["events"]]

    def wait(self, count: int = 1) -> list[str]:
        """The messages, once there are `count` of them."""
        found: list[str] = until(lambda: texts if len(texts := self.texts()) >= count else None)
        return found


class Web:
    """A server that keeps what it is asked; `statuses` are its next answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.statuses: list[int] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.requests.append((self.command, self.path, headers, body))
                answer = json.dumps({"access_token": "the-token", "expires_in": 600}).encode()
                self.send_response(web.statuses.pop(0) if web.statuses else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_PUT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
