"""Java functions: interfaces, plain methods, beans and records, streams, errors, the log, libraries and layers."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import invoked, program

from pileus.services.lambda_.hosting import java as hosting

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="javac (a JDK) is not installed")

CLIENT = Path(__file__).parents[3] / "src/pileus/services/lambda_/hosting/java/client"
# ruff: noqa: E501 -- Java is easier to read unbroken
SOURCES = {
    "Maps": """
        public class Maps implements RequestHandler<Map<String, Object>, Map<String, Object>> {
            private static int count;
            public Map<String, Object> handleRequest(Map<String, Object> event, Context c) {
                Map<String, Object> said = new TreeMap<>();
                said.put("event", event);
                said.put("count", count++);
                said.put("context", Arrays.asList(c.getFunctionName(), c.getFunctionVersion(), c.getMemoryLimitInMB(),
                    c.getInvokedFunctionArn(), c.getLogGroupName(), c.getRemainingTimeInMillis() > 1000));
                said.put("id", c.getAwsRequestId());
                said.put("custom", c.getClientContext() == null ? null : c.getClientContext().getCustom());
                said.put("environment", System.getenv());
                said.put("libraries", System.getProperty("java.library.path"));
                said.put("folder", new java.io.File("index.txt").exists());
                return said;
            }
        }""",
    "Beans": """
        public class Beans implements RequestHandler<Beans.Order, Beans.Receipt> {
            public static class Item { public String name; private int amount; private Double price;
                public int getAmount() { return amount; } public void setAmount(int a) { amount = a; }
                public Double getPrice() { return price; } public void setPrice(Double p) { price = p; } }
            public static class Order { private List<Item> records; private Map<String, Integer> tags; private Kind kind;
                private java.util.Date when; private java.time.Instant at; private byte[] data;
                public List<Item> getRecords() { return records; } public void setRecords(List<Item> r) { records = r; }
                public void setTags(Map<String, Integer> t) { tags = t; } public void setKind(Kind k) { kind = k; }
                public void setWhen(java.util.Date w) { when = w; } public void setAt(java.time.Instant a) { at = a; }
                public void setData(byte[] d) { data = d; } }
            public enum Kind { SMALL, LARGE }
            public record Receipt(String id, long total, List<Item> items, Kind kind, Optional<String> none,
                                  String when, String at, int bytes) {}
            public Receipt handleRequest(Order order, Context c) {
                long total = 0;
                for (Item each : order.getRecords()) total += each.getAmount() + order.tags.get("extra");
                return new Receipt("ü\\"1", total, order.getRecords(), order.kind, Optional.empty(),
                    "" + order.when.getTime(), order.at.toString(), order.data.length);
            }
        }""",
    "Records": """
        public class Records { public record In(String name, List<Integer> numbers) {}
            public static Map<String, Object> take(In in, Context c) {
                return Map.of("name", in.name(), "sum", in.numbers().stream().mapToInt(i -> i).sum());
            } }""",
    "Plain": """
        public class Plain {
            public String text(String in) { return in + "!"; }
            public int number(int in) { return in + 1; }
            public List<Integer> list(List<Integer> in) { Collections.reverse(in); return in; }
            public void nothing(Object in) { }
            public static Object none() { return null; }
            public void streams(InputStream in, OutputStream out, Context c) throws IOException { out.write('['); in.transferTo(out); out.write(']'); }
        }""",
    "Version": """
        public class Version implements RequestHandler<Integer, Object> { public Object handleRequest(Integer in, Context c) {
            int version = Integer.parseInt(System.getProperty("java.specification.version"));
            return Arrays.asList(version, System.getenv("AWS_EXECUTION_ENV"), new java.io.File("index.txt").isFile()); } }""",
    "Events": """
        public class Events implements RequestHandler<Events.Notification, Object> {
            // As AWS's library of events has S3's: made whole, with texts for what the fields keep otherwise.
            public static class Base { private final List<Record> records; Base(List<Record> r) { records = r; }
                public List<Record> getRecords() { return records; } }
            public static class Notification extends Base { public Notification(List<Record> r) { super(r); } }
            public static class Record { private final String region; private final java.time.Instant time; private final Thing thing;
                public Record(String region, String time, Thing thing) { this.region = region; this.time = java.time.Instant.parse(time); this.thing = thing; } }
            public static class Thing { private final String key; private final Long size;
                public Thing(String key, Integer size) { this.key = key; this.size = 0L; }
                public Thing(String key, Long size) { this.key = key; this.size = size; } }
            public Object handleRequest(Notification n, Context c) { Record r = n.getRecords().get(0);
                return List.of(r.region, r.time.getEpochSecond(), r.thing.key, r.thing.size); }
        }""",
    "Scheduled": """
        public class Scheduled { public static class Event { private String detailType; private Map<String, Object> detail;
                public void setDetailType(String t) { detailType = t; } public void setDetail(Map<String, Object> d) { detail = d; } }
            public Object go(Event e) { return List.of(e.detailType, e.detail); } }""",
    "Streams": """
        public class Streams implements RequestStreamHandler {
            public void handleRequest(InputStream in, OutputStream out, Context c) throws IOException { in.transferTo(out); }
        }""",
    "Failing": """
        public class Failing implements RequestHandler<String, String> {
            public static class Own extends RuntimeException { Own(String m, Throwable c) { super(m, c); } }
            public String handleRequest(String in, Context c) {
                if (in == null) System.exit(4);
                if (in.equals("memory")) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
                throw new Own("no way", new IllegalStateException("inner"));
            }
        }""",
    "Broken": "public class Broken { static { if (true) throw new IllegalStateException(\"static\"); } public void go() {} }",
    "Logs": """
        public class Logs implements RequestHandler<Object, Object> {
            public Object handleRequest(Object in, Context c) {
                c.getLogger().log("two\\nlines"); System.out.println("out"); System.err.println("err");
                c.getLogger().log("hidden", com.amazonaws.services.lambda.runtime.logging.LogLevel.DEBUG);
                c.getLogger().log("bad", com.amazonaws.services.lambda.runtime.logging.LogLevel.ERROR);
                return null;
            }
        }""",
    "Variables": """
        public class Variables implements RequestHandler<Object, Map<String, String>> {
            public Map<String, String> handleRequest(Object in, Context c) {
                Map<String, String> found = new HashMap<>(System.getenv());
                found.put("again", String.valueOf(new File("/proc/self/fd/62").exists()));
                return found;
            }
        }""",
    "Uses": """
        public class Uses { public Object go(Object in) throws Exception {
            return Class.forName("lib.Lib").getMethod("name").invoke(null); } }""",
}  # fmt: skip
HEAD = "import com.amazonaws.services.lambda.runtime.*; import java.io.*; import java.util.*;\n"
LIBRARY = 'package lib; public class Lib { public static String name() { return "lib"; } }'


def _compile(folder: Path, sources: dict[str, str], *options: str) -> dict[str, bytes]:
    out = folder / "classes"
    for name, text in sources.items():
        (folder / f"{name}.java").write_text(text)
    files = [str(folder / f"{name}.java") for name in sources]
    subprocess.run(["javac", "-nowarn", "-proc:none", "-d", str(out), *options, *files], check=True)
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.class")}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every handler of these tests, compiled once."""
    folder = tmp_path_factory.mktemp("java")
    sources = {name: f"package example;\n{HEAD}{text}" for name, text in SOURCES.items()}
    found = _compile(folder, sources, "-sourcepath", str(CLIENT), "-implicit:none")
    # One for older JDKs than the compiler's, too.
    oldest = {name: sources[name] for name in ("Version", "Variables")}
    found |= _compile(folder, oldest, "--release", "11", "-sourcepath", str(CLIENT), "-implicit:none")
    return {name: content for name, content in found.items() if name.startswith("example/")}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in _compile(tmp_path_factory.mktemp("lib"), {"Lib": LIBRARY}).items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def java(make: Callable[..., Any], lambda_: Any, classes: dict[str, bytes]) -> Callable[..., Callable[..., Any]]:
    """Creates a function with that handler, and gives what invokes it."""

    def create(handler: str, files: dict[str, bytes] | None = None, **settings: Any) -> Callable[..., Any]:
        package = program({**classes, "index.txt": b"", **(files or {})})
        defaults = {"Runtime": "java17", "Timeout": 20, "MemorySize": 256, "Code": {"ZipFile": package}}
        make("j", Handler=f"example.{handler}", **{**defaults, **settings})
        return lambda event=None, **request: invoked(lambda_, "j", event, **request)

    return create


def test_maps_and_the_context(java: Any, aws: Any) -> None:
    call = java("Maps", Environment={"Variables": {"MINE": "1"}})
    event = {"text": 'é"\n\\', "numbers": [1, 2.5, -3, 12345678901, 1e30], "nested": {"a": None, "b": True}}
    answer, failure, log = call(event)
    assert failure is None, (answer, log)
    assert answer["event"] == event
    arn = f"arn:aws:lambda:us-east-1:{aws.account}:function:j"
    assert answer["context"] == ["j", "$LATEST", 256, arn, "/aws/lambda/j", True]
    assert answer["id"] in log
    assert answer["custom"] is None
    # The working directory is the function's.
    assert answer["folder"] is True
    assert "/var/task/lib:/opt/lib" in answer["libraries"]
    seen = answer["environment"]
    # Recorded answers of AWS: neither PWD nor SHLVL here.
    assert seen["MINE"] == "1"
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_java17"
    assert seen["_HANDLER"] == "example.Maps"
    assert not {"PWD", "SHLVL"} & seen.keys()
    assert call({})[0]["count"] == 1


@pytest.mark.parametrize("version", [11, 17, 21, 25])
def test_each_jdk(java: Any, version: int) -> None:
    if all(each.version != (version,) for each in hosting.find(Path("/nowhere"))):
        pytest.skip(f"no JDK {version} is installed")
    answer, failure, log = java("Version", Runtime=f"java{version}")(1)
    assert failure is None, (answer, log)
    assert answer == [version, f"AWS_Lambda_java{version}", True]


@pytest.mark.parametrize("older", [True, False])
def test_what_the_client_adds_to_the_environment(java: Any, *, older: bool) -> None:
    """Recorded answers of AWS: the client of Java 8 and 11 writes for old SDKs, later ones have a place for frames."""
    seen, failure, log = java("Variables", Runtime="java11" if older else "java17")(1)
    assert failure is None, (seen, log)
    names = ("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "_LAMBDA_TELEMETRY_LOG_FD")
    wanted = (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"], None) if older else (None, None, "62")
    assert tuple(map(seen.get, names)) == wanted
    assert seen.get("_X_AMZN_TRACE_ID", "").startswith("Root=1-") is older
    assert seen["again"] == "true"


def test_beans_in_and_records_out(java: Any) -> None:
    event = {
        "Records": [{"name": "a", "amount": 2, "price": 1.5, "unknown": {}}, {"name": "b", "amount": 3}],
        "tags": {"extra": 10},
        "kind": "LARGE",
        "when": 1700000000.5,
        "at": "2026-01-01T00:00:00Z",
        "data": "aGk=",
    }
    answer, failure, log = java("Beans")(event)
    assert failure is None, (answer, log)
    assert answer == {
        "id": 'ü"1',
        "total": 25,
        "items": [{"name": "a", "amount": 2, "price": 1.5}, {"name": "b", "amount": 3, "price": None}],
        "kind": "LARGE",
        "none": None,
        "when": "1700000000500",
        "at": "2026-01-01T00:00:00Z",
        "bytes": 2,
    }


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        ("Records::take", {"name": "n", "numbers": [1, 2]}, {"name": "n", "sum": 3}),
        (
            "Events",
            {"Records": [{"region": "r", "time": "2026-01-01T00:00:00Z", "thing": {"key": "k", "size": 5000000000}}]},
            ["r", 1767225600, "k", 5000000000],
        ),
        ("Scheduled::go", {"detail-type": "t", "detail": {"a": 1}, "other": []}, ["t", {"a": 1}]),
        ("Plain::text", "hello", "hello!"),
        ("Plain::number", 41, 42),
        ("Plain::list", [1, 2, 3], [3, 2, 1]),
        ("Plain::nothing", {}, None),
        ("Plain::none", {}, None),
        ("Plain::streams", {"a": 1}, [{"a": 1}]),
        ("Streams", {"streamed": [1]}, {"streamed": [1]}),
    ],
)
def test_kinds_of_handlers(java: Any, handler: str, event: Any, answer: Any) -> None:
    assert java(handler)(event)[:2] == (answer, None)


def test_errors_of_handlers(java: Any) -> None:
    call = java("Failing")
    answer, failure, log = call("x")
    assert failure == "Unhandled"
    assert answer["errorType"] == "example.Failing$Own"
    assert answer["errorMessage"] == "no way"
    assert re.fullmatch(r"example\.Failing\.handleRequest\(Failing\.java:\d+\)", answer["stackTrace"][0])
    assert (answer["cause"]["errorType"], answer["cause"]["errorMessage"]) == (
        "java.lang.IllegalStateException",
        "inner",
    )
    assert "no way: example.Failing$Own\nexample.Failing$Own: no way\n\tat example.Failing.handleRequest" in log
    assert "at pileus." not in log
    # What the handler does not take.
    answer, failure, _log = call({"not": "a string"})
    assert failure == "Unhandled"
    assert answer["errorMessage"] == "An error occurred during JSON parsing"
    answer, _failure, _log = call("memory")
    assert answer["errorType"] == "java.lang.OutOfMemoryError"
    answer, _failure, _log = call(None)
    assert answer["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")
    assert call("x")[0]["errorMessage"] == "no way"


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        ("Nowhere", "java.lang.ClassNotFoundException", "Class not found: example.Nowhere"),
        (
            "Plain::missing",
            "java.lang.NoSuchMethodException",
            "No public method named missing with appropriate method signature found on class example.Plain",
        ),
        ("Broken::go", "java.lang.IllegalStateException", "static"),
    ],
)
def test_errors_of_init(java: Any, handler: str, kind: str, message: str) -> None:
    answer, failure, _log = java(handler)({})
    assert failure == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == (kind, message)


def test_the_log(java: Any, lambda_: Any, updated: Any) -> None:
    call = java("Logs")
    log = call({})[2]
    assert "two\nlines\nout\nerr\nhidden\nbad\n" in log
    lambda_.update_function_configuration(
        FunctionName="j", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
    )
    updated("j")
    lines = call({})[2].splitlines()
    assert "out" in lines
    mine = [found for found in (json.loads(line) for line in lines if line.startswith("{")) if "AWSRequestId" in found]
    assert [(each["level"], each["message"]) for each in mine] == [("UNDEFINED", "two\nlines"), ("ERROR", "bad")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", each["timestamp"]) for each in mine)


def test_libraries_and_layers(java: Any, lambda_: Any, updated: Any, library: bytes) -> None:
    layer = program({"java/lib/lib.jar": library})
    arn = lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": layer})["LayerVersionArn"]
    call = java("Uses::go", Layers=[arn])
    assert call({})[:2] == ("lib", None)
    lambda_.update_function_configuration(FunctionName="j", Layers=[])
    updated("j")
    assert call({})[0]["errorType"] == "java.lang.ClassNotFoundException"


def test_a_library_in_the_package(java: Any, library: bytes) -> None:
    assert java("Uses::go", {"lib/lib.jar": library})({})[:2] == ("lib", None)


def test_options_for_the_jvm(java: Any) -> None:
    """They are read when it starts: such a function is started afresh."""
    answer, failure, _log = java("Maps", Environment={"Variables": {"JAVA_TOOL_OPTIONS": "-Dmine=1"}})({})
    assert failure is None
    assert answer["environment"]["JAVA_TOOL_OPTIONS"] == "-Dmine=1"
    assert answer["folder"] is True
