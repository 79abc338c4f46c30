"""Node.js functions, as AWS's own runtime client runs them: handlers, context, errors, streams, the log."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import invoked, package, program

from pileus.cli.common import cache_dir
from pileus.services.lambda_.hosting.nodejs import packages
from waiting import until

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def node(make: Callable[..., Any], lambda_: Any) -> Callable[..., Callable[..., Any]]:
    """Creates a function of one file or several, and gives what invokes it."""

    def create(code: str | dict[str, str], **settings: Any) -> Callable[..., Any]:
        files: Any = code if isinstance(code, dict) else {"index.js": code}
        settings = {"Runtime": "nodejs20.x", "Timeout": 10, "Code": {"ZipFile": package(files)}, **settings}
        make("n", **settings)
        return lambda event=None, **request: invoked(lambda_, "n", event, **request)

    return create


def test_async_handlers_and_the_context(node: Any, aws: Any) -> None:
    code = """
        let count = 0;
        exports.handler = async (event, context) => {
          const left = context.getRemainingTimeInMillis();
          return { event, count: count++, context, left: left > 1000 && left <= 10000, version: process.versions.node };
        };
    """
    call = node(code)
    client_context = base64.b64encode(json.dumps({"custom": {"é": 1}, "env": {"a": "b"}}).encode()).decode()
    answer, failure, _log = call({"key": ["värde", 1]}, ClientContext=client_context)
    assert failure is None
    assert answer["event"] == {"key": ["värde", 1]}
    assert answer["left"] is True
    context = answer["context"]
    assert re.fullmatch(UUID, context.pop("awsRequestId"))
    assert context.pop("logStreamName").count("[$LATEST]") == 1
    assert context == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "n",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/n",
        "clientContext": {"custom": {"é": 1}, "env": {"a": "b"}},
        "invokedFunctionArn": f"arn:aws:lambda:us-east-1:{aws.account}:function:n",
    }
    assert call()[0]["count"] == 1


def test_the_environment_variables(node: Any) -> None:
    """Those of a recorded answer of AWS, and the function's own."""
    code = "const seen = {...process.env}; exports.handler = async () => [seen, process.cwd(), process.getuid()]"
    call = node(code, Environment={"Variables": {"MINE": "1"}})
    answer, _failure, _log = call()
    seen, folder, user = answer
    assert folder == "/var/task"
    assert user == 993
    secret = [name for name in seen if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    assert len(secret) == 3
    for name in (*secret, "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ENDPOINT_URL"):
        del seen[name]
    modules = "/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules"
    assert seen == {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "n",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/n",
        "AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001",
        "AWS_REGION": "us-east-1",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:"
        "/opt/lib",
        "MINE": "1",
        "NODE_PATH": f"{modules}:/var/runtime:/var/task",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PWD": "/var/task",
        "SHLVL": "0",
        "TZ": ":UTC",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "index.handler",
    }


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("exports.handler = (event, context, callback) => callback(null, {called: event})", {"called": 7}),
        ("exports.handler = (event, context) => context.succeed(event + 1)", 8),
        ("exports.handler = (event, context) => context.done(null, 'done')", "done"),
        ("exports.handler = (event, context, callback) => setTimeout(() => callback(null, 'later'), 20)", "later"),
        # Neither calls nor promises anything.
        ("exports.handler = () => { setTimeout(() => {}, 20) }", None),
        ("exports.handler = async () => undefined", None),
        # The answer waits until the function has nothing left to do ...
        (
            "let late = 'no'; exports.handler = (event, context, callback) => {"
            " const answer = {toJSON: () => late}; setTimeout(() => { late = 'yes' }, 50); callback(null, answer) }",
            "yes",
        ),
        # ... unless it says that it need not.
        (
            "let late = 'no'; exports.handler = (event, context, callback) => {"
            " context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => { late = 'yes' }, 5000);"
            " callback(null, {toJSON: () => late}) }",
            "no",
        ),
        # The first answer counts.
        ("exports.handler = async (event, context) => { context.succeed('first'); return 'second' }", "first"),
    ],
)
def test_ways_of_answering(node: Any, code: str, answer: Any) -> None:
    call = node(code)
    assert call(7)[:2] == (answer, None)
    assert call(7)[:2] == (answer, None)


MODULE = {"node_modules/m/index.js": "exports.one = 1"}


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        (
            {
                "index.mjs": "import {a} from './a.mjs'; await null; export const handler = async () => a",
                "a.mjs": "export const a = 1",
            },
            {},
        ),
        ({"index.js": "export const handler = async () => 1", "package.json": '{"type": "module"}'}, {}),
        ({"index.cjs": "exports.handler = async () => 1", "package.json": '{"type": "module"}'}, {}),
        ({"index.js": "exports.handler = async () => require('m').one", **MODULE}, {}),
        ({"index.mjs": "import m from 'm'; export const handler = async () => m.one", **MODULE}, {}),
        ({"src/app.js": "exports.deep = {er: async () => 1}"}, {"Handler": "src/app.deep.er"}),
    ],
    ids=["mjs", "type-module", "cjs", "node_modules", "mjs-node_modules", "nested"],
)
def test_kinds_of_modules(node: Any, files: dict[str, str], settings: dict[str, str]) -> None:
    assert node(files, **settings)()[:2] == (1, None)


def test_layers_bring_modules(node: Any, lambda_: Any) -> None:
    """Found through NODE_PATH, by CommonJS and by ES modules."""
    layer = package({"nodejs/node_modules/lib/index.js": "exports.name = 'lib'"})
    arn = lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": layer})["LayerVersionArn"]
    files = {
        "index.mjs": "import lib from 'lib'; import {createRequire} from 'node:module';"
        " const again = createRequire(import.meta.url)('lib');"
        " export const handler = async () => [lib.name, again.name]"
    }
    assert node(files, Layers=[arn])()[:2] == (["lib", "lib"], None)


def test_the_aws_sdk_of_the_runtime(node: Any) -> None:
    """Found by CommonJS and by ES modules, and in no need of an endpoint: the runtime's own environment names it."""
    if packages.sdk((cache_dir() or Path("/nowhere")) / "runtimes") is None:
        pytest.skip("the AWS SDK for JavaScript is not installed: pileus runtimes install")
    code = """
        import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
        import { createRequire } from 'node:module';
        const { S3Client } = createRequire(import.meta.url)('@aws-sdk/client-s3');
        const sts = new STSClient({});
        export const handler = async () => [(await sts.send(new GetCallerIdentityCommand({}))).Arn, S3Client.name];
    """
    answer, failure, log = node({"index.mjs": code})()
    assert failure is None, (answer, log)
    assert ":assumed-role/function-role/" in answer[0]
    assert answer[1] == "S3Client"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_native_libraries_of_layers_are_found(node: Any, lambda_: Any, tmp_path: Path) -> None:
    """Although the program was there before the layer was."""
    for name, text, more in (("libinner.so", "int inner(void) { return 7; }", []), ("outer.node", OUTER, ["-linner"])):
        (tmp_path / f"{name}.c").write_text(text)
        command = ["gcc", "-shared", "-fPIC", "-o", name, f"{name}.c", "-L.", *more]
        subprocess.run(command, cwd=tmp_path, check=True)
    layer = program({"lib/libinner.so": (tmp_path / "libinner.so").read_bytes()})
    arn = lambda_.publish_layer_version(LayerName="n", Content={"ZipFile": layer})["LayerVersionArn"]
    code = b"""
        exports.handler = async () => {
          try { process.dlopen({exports: {}}, '/var/task/outer.node') } catch (error) { return error.message }
        };
    """
    package_ = program({"index.js": code, "outer.node": (tmp_path / "outer.node").read_bytes()})
    call = node("", Code={"ZipFile": package_}, Layers=[arn])
    # It was loaded, with what it needs, and is no addon.
    assert "did not self-register" in call()[0]


OUTER = "int inner(void); int outer(void) { return inner(); }"


def test_nothing_of_the_machine_is_seen(node: Any) -> None:
    code = """
        const fs = require('node:fs');
        const seen = (path) => { try { return fs.readdirSync(path) } catch (error) { return error.code } };
        exports.handler = async () => {
          let written = '';
          for (const path of ['/var/task/x', '/var/lang/bin/x', '/usr/x', '/x', '/etc/x']) {
            try { fs.writeFileSync(path, ''); written += path } catch (error) {}
          }
          const others = ['/root', '/home', '/.maker', '/.host', '/.pileus/inside'].map(seen);
          const alone = seen('/proc').filter((name) => name > 0).length < 8;
          return [others, written, alone, fs.readFileSync('/proc/self/status', 'utf8')];
        };
    """
    others, written, alone, status = node(code)()[0]
    assert set(map(str, others)) <= {"ENOENT", "EACCES", "[]"}
    assert written == ""
    assert alone is True
    assert re.search(r"CapEff:\t0+\n", status)
    assert re.search(r"Seccomp:\t2\n", status)
    assert re.search(r"NoNewPrivs:\t1\n", status)


def test_errors_of_handlers(node: Any) -> None:
    code = """
        class MyError extends Error { constructor(m) { super(m); this.name = 'MyError'; this.code = 'E1'; } }
        exports.handler = async (event, context) => {
          if (event === 'string') throw 'only text';
          if (event === 'fail') return context.fail(new MyError('failed'));
          if (event === 'circular') { const a = {}; a.a = a; return a; }
          throw new MyError('no\\nway');
        };
    """
    call = node(code)
    answer, failure, log = call()
    assert failure == "Unhandled"
    assert answer["errorType"] == "MyError"
    assert answer["errorMessage"] == "no\nway"
    assert answer["trace"][:2] == ["MyError: no", "way"]
    assert answer["trace"][2].startswith("    at ")
    assert "/var/task/index.js:" in answer["trace"][2]
    assert set(answer) == {"errorType", "errorMessage", "trace"}
    line = re.search(rf"({STAMP})\t({UUID})\tERROR\tInvoke Error \t(.*)\n", log)
    assert line, log
    logged = json.loads(line[3])
    assert logged["errorType"] == "MyError"
    assert logged["code"] == "E1"
    assert logged["stack"][0] == "MyError: no"
    assert call("string")[0] == {"errorType": "string", "errorMessage": "only text", "trace": []}
    assert call("fail")[0]["errorMessage"] == "failed"
    assert call("circular")[0]["errorMessage"] == "Unable to stringify response body"
    # And it goes on.
    assert call()[0]["errorType"] == "MyError"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("exports.other = 1", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("exports.handler = 1", "Runtime.HandlerNotFound", "index.handler is not a function"),
        (
            "require('./nowhere')",
            "Runtime.ImportModuleError",
            "Error: Cannot find module './nowhere'\nRequire stack:\n",
        ),
        ("exports.handler = async () => {", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ("throw new TypeError('at once')", "TypeError", "at once"),
    ],
    ids=["missing", "no-function", "import", "syntax", "throws"],
)
def test_errors_of_init(node: Any, code: str, kind: str, message: str) -> None:
    answer, failure, log = node(code)()
    assert failure == "Unhandled"
    assert answer["errorType"] == kind
    assert answer["errorMessage"].startswith(message)
    assert answer["trace"][0].startswith(kind)
    assert "\tundefined\tERROR\tUncaught Exception \t{" in log


def test_a_handler_that_is_not_one(node: Any) -> None:
    answer, _failure, _log = node("exports.handler = 1", Handler="handler")()
    assert (answer["errorType"], answer["errorMessage"]) == ("Runtime.MalformedHandlerName", "Bad handler")


def test_what_nobody_catches_ends_the_runtime(node: Any) -> None:
    code = """
        let count = 0;
        exports.handler = async (event) => {
          count++;
          if (event === 'throw') setTimeout(() => { throw new Error('later') }, 1);
          if (event === 'reject') Promise.reject(new Error('unheard'));
          if (event === 'exit') process.exit(3);
          await new Promise((resolve) => setTimeout(resolve, event === null ? 0 : 2000));
          return count;
        };
    """
    call = node(code)
    assert call()[0] == 1
    answer, failure, log = call("throw")
    assert failure == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("Error", "later")
    assert "\tERROR\tUncaught Exception \t" in log
    assert call()[0] == 1
    answer, failure, log = call("reject")
    assert failure == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: unheard")
    assert answer["trace"][0] == "Runtime.UnhandledPromiseRejection: Error: unheard"
    assert "\tERROR\tUnhandled Promise Rejection \t" in log
    answer, failure, _log = call("exit")
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")


def test_the_log(node: Any) -> None:
    code = """
        console.log('init');
        exports.handler = async () => {
          console.log('one', {a: [1]}, 'line\\nbreak');
          console.info('%s-%d', 'x', 3); console.warn('careful'); console.error('bad'); console.debug('fine');
          process.stdout.write('raw\\n');
        };
    """
    _answer, _failure, log = node(code)()
    lines = log.splitlines()
    head = rf"{STAMP}\t{UUID}\t"
    expected = [
        r"START RequestId: .*",
        head + r"INFO\tone \{ a: \[ 1 \] \} line",
        r"break",
        head + r"INFO\tx-3",
        head + r"WARN\tcareful",
        head + r"ERROR\tbad",
        head + r"DEBUG\tfine",
        r"raw",
        r"END RequestId: .*",
        r"REPORT RequestId: .*",
    ]
    assert len(lines) == len(expected), log
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), (pattern, line)


def test_the_log_as_json(node: Any) -> None:
    code = """
        exports.handler = async () => {
          console.debug('hidden'); console.info('shown', 1); console.warn({structured: true});
          console.error(new TypeError('bad')); console.error('with', new Error('more'));
        };
    """
    _answer, _failure, log = node(code, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"})()
    found = [json.loads(line) for line in log.splitlines()]
    mine = [each for each in found if "level" in each]
    assert [each["level"] for each in mine] == ["INFO", "WARN", "ERROR", "ERROR"]
    assert all(re.fullmatch(STAMP, each["timestamp"]) and re.fullmatch(UUID, each["requestId"]) for each in mine)
    assert mine[0]["message"] == "shown 1"
    assert mine[1]["message"] == {"structured": True}
    assert mine[2]["message"]["errorType"] == "TypeError"
    assert mine[2]["message"]["errorMessage"] == "bad"
    assert mine[2]["message"]["stackTrace"][0] == "TypeError: bad"
    assert mine[3]["errorMessage"] == "more"


STREAMING = """
    const {pipeline} = require('node:stream/promises');
    const {Readable} = require('node:stream');
    exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
      if (event === 'http') {
        stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {'x-a': 'b'}, cookies: ['c=d']});
        stream.write('body'); stream.end(); return;
      }
      stream.setContentType('text/plain');
      stream.write('one,');
      if (event === 'fail') throw new RangeError('halfway');
      if (event === 'open') return;
      await pipeline(Readable.from(['two,', Buffer.from('three')]), stream);
    });
"""


def _streamed(lambda_: Any, event: Any) -> tuple[bytes, dict[str, Any], str]:
    answer = lambda_.invoke_with_response_stream(FunctionName="n", Payload=json.dumps(event).encode(), LogType="Tail")
    data, complete = b"", {}
    for each in answer["EventStream"]:
        data += each.get("PayloadChunk", {}).get("Payload", b"")
        complete = each.get("InvokeComplete", complete)
    return data, complete, answer["ResponseStreamContentType"]


def test_streaming(node: Any, lambda_: Any) -> None:
    call = node(STREAMING)
    data, complete, content_type = _streamed(lambda_, None)
    assert (data, content_type) == (b"one,two,three", "text/plain")
    assert "ErrorCode" not in complete
    data, _complete, content_type = _streamed(lambda_, "http")
    assert content_type == "application/vnd.awslambda.http-integration-response"
    prelude, _zeros, body = data.partition(b"\0" * 8)
    assert json.loads(prelude) == {"statusCode": 201, "headers": {"x-a": "b"}, "cookies": ["c=d"]}
    assert body == b"body"
    data, complete, _type = _streamed(lambda_, "fail")
    assert data == b"one,"
    assert complete["ErrorCode"] == "RangeError"
    _data, complete, _type = _streamed(lambda_, "open")
    assert complete["ErrorCode"] == "string"
    # A caller who does not stream gets the whole.
    answer = lambda_.invoke(FunctionName="n", Payload=b"null")
    assert answer["Payload"].read() == b"one,two,three"
    answer, failure, log = call("fail")
    assert failure == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("RangeError", "halfway")
    assert "\tERROR\tInvoke Error \t" in log


def test_streaming_more_than_any_payload_may_have(node: Any, lambda_: Any) -> None:
    code = """
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
          const { once } = require('node:events');
          for (let n = 0; n < 24; n++) if (!stream.write(Buffer.alloc(1 << 20, n))) await once(stream, 'drain');
          stream.end();
        });
    """
    call = node(code, Timeout=60)
    data, complete, _type = _streamed(lambda_, None)
    assert "ErrorCode" not in complete
    assert data == b"".join(bytes([n]) * (1 << 20) for n in range(24))
    # Who does not stream gets as much as a payload may have: nothing of it.
    answer, failure, _log = call()
    assert (failure, answer["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")


def test_variables_that_node_reads_when_it_starts(node: Any) -> None:
    """Such a function is started afresh; one with a wrapper script too."""
    code = "exports.handler = async () => [process.execArgv, process.env.NODE_OPTIONS, Boolean(globalThis.gc)]"
    answer, _failure, _log = node(code, Environment={"Variables": {"NODE_OPTIONS": "--stack-trace-limit=50"}})()
    assert answer[1:] == ["--stack-trace-limit=50", True]
    assert "--max-old-space-size=115" in answer[0]


def test_the_memory_is_the_heap(node: Any) -> None:
    """V8 knows how much it may take: garbage is collected in time, and too much is an error of its own."""
    code = """
        exports.handler = async (event) => {
          if (event === 'limit') return require('node:v8').getHeapStatistics().heap_size_limit >> 20;
          let made = 0;
          for (let i = 0; i < 3000; i++) made += new Array(20000).fill(i).length;
          return made;
        };
    """
    call = node(code)
    assert 110 <= call("limit")[0] <= 160
    assert call()[0] == 60_000_000


def test_callbacks_are_gone_from_node_24_on(node: Any) -> None:
    answer, failure, _log = node("exports.handler = (e, c, callback) => callback(null, 1)", Runtime="nodejs24.x")()
    assert failure == "Unhandled"
    assert answer["errorType"] == "Runtime.CallbackHandlerDeprecated"


def test_the_nearest_version_runs_and_says_so(node: Any, aws: Any, pileus: Any) -> None:
    call = node("exports.handler = async () => process.versions.node", Runtime="nodejs18.x")
    version = call()[0]
    if version.startswith("18."):
        pytest.skip("Node.js 18 itself is installed")
    logs = aws.client("logs")

    def lines() -> list[str] | None:
        found = [each["message"] for each in logs.filter_log_events(logGroupName="/aws/lambda/n")["events"]]
        return found if found[1:] else None

    # The log follows the answer.
    said = until(lines)
    assert said[0].startswith("INIT_START Runtime Version: nodejs:18")
    assert said[1].startswith(f"[WARNING] nodejs18.x is not installed on this machine: it runs on Node.js {version}")
    # And the node's status does.
    with urllib.request.urlopen(f"{pileus.endpoint}/_pileus/status") as status:
        runtimes = {each["runtime"]: each for each in json.load(status)["runtimes"]}
    assert runtimes["nodejs18.x"]["runs_on"] == f"Node.js {version}"
    assert runtimes["nodejs18.x"]["note"] in said[1]
