"""Extensions as users have them: in a layer, beside functions of several runtimes, their output in the log."""

from __future__ import annotations

import base64
import io
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import ECHO, package

from waiting import until

# Needs nothing but bash: its descriptors are sockets.
EXTENSION = r"""#!/bin/bash
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:} name=$(basename "$0")
call() { # method path headers body
    exec 3<>"/dev/tcp/$host/$port"
    printf '%s %s HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%s' "$1" "$2" "$3" "${#4}" "$4" >&3
    length=0
    while IFS= read -r line <&3; do
        line=${line%$'\r'}
        case "${line,,}" in
            content-length:*) length=${line#*: } ;;
            lambda-extension-identifier:*) id=${line#*: } ;;
            '') break ;;
        esac
    done
    IFS= read -r -N "$length" body <&3
    exec 3<&-
}
call POST /2020-01-01/extension/register "Lambda-Extension-Name: $name\r\n" '{"events": ["INVOKE", "SHUTDOWN"]}'
while true; do
    call GET /2020-01-01/extension/event/next "Lambda-Extension-Identifier: $id\r\n" ''
    echo "[$name] ${body%%,*}"
    [[ $body == *SHUTDOWN* ]] && exit 0
done
"""
NODE = "exports.handler = async (event) => event;\n"
BOOTSTRAP = r"""#!/bin/bash
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
while true; do
    exec 3<>"/dev/tcp/$host/$port"
    printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
    while IFS= read -r line <&3; do
        line=${line%$'\r'}
        case "${line,,}" in
            lambda-runtime-aws-request-id:*) id=${line#*: } ;;
            '') break ;;
        esac
    done
    exec 3<&-
    exec 3<>"/dev/tcp/$host/$port"
    printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n7' "$id" >&3
    read -r line <&3
    exec 3<&-
done
"""


def executable(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, content)
    return out.getvalue()


@pytest.mark.parametrize("runtime", ["python3.11", "nodejs22.x", "provided.al2023"])
def test_an_extension_in_a_layer(
    aws: Any, lambda_: Any, make: Callable[..., Any], updated: Callable[[], None], runtime: str
) -> None:
    if runtime.startswith("nodejs") and shutil.which("node") is None:
        pytest.skip("there is no Node.js on this machine")
    layer = lambda_.publish_layer_version(
        LayerName="watcher", Content={"ZipFile": executable({"extensions/watcher.sh": EXTENSION})}
    )
    code = {
        "python3.11": package({"index.py": ECHO}),
        "nodejs22.x": package({"index.js": NODE}),
        "provided.al2023": executable({"bootstrap": BOOTSTRAP}),
    }[runtime]
    made = make(Runtime=runtime, Code={"ZipFile": code}, Layers=[layer["LayerVersionArn"]], Timeout=30)
    assert made["Layers"][0]["Arn"] == layer["LayerVersionArn"]
    for _ in range(2):
        answer = lambda_.invoke(FunctionName="f", Payload=b"7", LogType="Tail")
        assert "FunctionError" not in answer, base64.b64decode(answer["LogResult"])
        assert answer["Payload"].read() == b"7"
        assert b"REPORT RequestId:" in base64.b64decode(answer["LogResult"])
    # A changed function gets other environments: the extension hears of the end of the former one.
    lambda_.update_function_configuration(FunctionName="f", Layers=[], MemorySize=256)
    updated()
    lambda_.invoke(FunctionName="f", Payload=b"7")

    def goodbye() -> list[str] | None:
        found = aws.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
        messages = [each["message"] for each in found]
        return messages if any("SHUTDOWN" in each for each in messages if each.startswith("[watcher")) else None

    messages = until(goodbye)
    assert "EXTENSION\tName: watcher.sh\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in messages
    said = [each for each in messages if each.startswith("[watcher.sh]")]
    assert said == 2 * ['[watcher.sh] {"eventType":"INVOKE"\n'] + ['[watcher.sh] {"eventType":"SHUTDOWN"\n']
