"""What is measured: each figure's key, words, unit, and the bars Pileus holds itself to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    key: str
    case: str
    label: str
    unit: str
    # Whether more is better: rates; for times and memory less is.
    more: bool = False
    # The absolute bar, and how many times better than MiniStack it must be in the same run.
    bar: float | None = None
    times: float | None = None
    # Another peer that it must be ahead of.
    ahead_of: str = ""
    # Asked of Pileus alone.
    alone: bool = False
    # Not asked of peers that are of one service: it needs others, too.
    joint: bool = False


_DYNALITE = "dynalite-memory"

METRICS = (
    Metric("start_ms", "start", "Start to first answer", "ms", bar=250, times=1),
    Metric("memory_idle_mb", "memory", "Idle memory", "MB", bar=45),
    Metric("memory_function_mb", "memory", "Memory after a first Python function", "MB", bar=110),
    Metric("cold_ms", "lambda", "Cold start, function imports boto3", "ms", bar=20, times=10),
    Metric("cold_client_ms", "lambda", "Cold start, function makes an S3 client at Init", "ms"),
    Metric("warm_ms", "lambda", "Warm invoke, one client, median", "ms", bar=1, times=20),
    Metric("warm_p99_ms", "lambda", "Warm invoke, one client, 99th percentile", "ms"),
    Metric("warm_cpu_us", "lambda", "Warm invoke, all processor time of the server's side", "µs"),
    Metric("invokes_per_s", "lambda", "Warm invokes, sixteen clients", "/s", more=True, bar=2500),
    Metric("environment_mb", "lambda", "One idle environment", "MB", bar=5),
    Metric("burst_ms", "lambda", "100 cold starts at once, until the last answer", "ms", bar=3000, alone=True),
    Metric("mixed_per_s", "lambda", "1,000 invokes of 50 functions in random order", "/s", more=True, alone=True),
    Metric("crowd_mb", "lambda", "200 environments busy at once, peak memory", "MB", bar=1200, alone=True),
    Metric("python_bare_ms", "runtimes", "Python that makes an S3 client, started by itself", "ms", alone=True),
    Metric("python_cold_ms", "runtimes", "The same as a function, cold", "ms", bar=20, alone=True),
    Metric(
        "snapstart_cold_ms", "runtimes", "Python with 2 s of imports, restored by SnapStart", "ms", bar=30, alone=True
    ),
    Metric("node_bare_ms", "runtimes", "Node.js, started by itself", "ms", alone=True),
    Metric("node_cold_ms", "runtimes", "Cold start, Node.js", "ms", bar=25),
    Metric("node_cold_share", "runtimes", "Cold start, Node.js, in bare starts", "×", bar=1.3, alone=True),
    Metric("java_bare_ms", "runtimes", "Java with the runtime client, started by itself", "ms", alone=True),
    Metric("java_cold_ms", "runtimes", "Cold start, Java", "ms", alone=True),
    Metric("java_cold_share", "runtimes", "Cold start, Java, in bare starts", "×", bar=1, alone=True),
    Metric("provided_cold_ms", "runtimes", "Cold start, a static C program", "ms", alone=True),
    Metric(
        "payload_mb_per_s",
        "payloads",
        "6 MB to a function and back, both counted",
        "MB/s",
        more=True,
        bar=150,
        alone=True,
    ),
    Metric(
        "stream_first_ms", "payloads", "From a function's streamed write to its caller, median", "ms", bar=3, alone=True
    ),
    Metric(
        "dynamodb_put_64_per_s",
        "dynamodb",
        "DynamoDB put, 64 connections",
        "/s",
        more=True,
        bar=7000,
        times=4,
        ahead_of=_DYNALITE,
    ),
    Metric("dynamodb_put_1_per_s", "dynamodb", "DynamoDB put, one connection", "/s", more=True, bar=1000),
    Metric("dynamodb_put_cpu_us", "dynamodb", "DynamoDB put, processor time of the server", "µs"),
    Metric(
        "dynamodb_get_64_per_s",
        "dynamodb",
        "DynamoDB get, 64 connections",
        "/s",
        more=True,
        bar=9000,
        times=4,
        ahead_of=_DYNALITE,
    ),
    Metric("dynamodb_get_1_per_s", "dynamodb", "DynamoDB get, one connection", "/s", more=True),
    Metric("dynamodb_get_cpu_us", "dynamodb", "DynamoDB get, processor time of the server", "µs"),
    Metric(
        "dynamodb_update_64_per_s",
        "dynamodb",
        "DynamoDB update with a condition, 64 connections",
        "/s",
        more=True,
        times=4,
    ),
    Metric(
        "dynamodb_update_cpu_us", "dynamodb", "DynamoDB update with a condition, processor time of the server", "µs"
    ),
    Metric(
        "dynamodb_query_64_per_s", "dynamodb", "DynamoDB query of 50 items, 64 connections", "/s", more=True, times=4
    ),
    Metric("dynamodb_query_cpu_us", "dynamodb", "DynamoDB query of 50 items, processor time of the server", "µs"),
    Metric(
        "dynamodb_transact_64_per_s",
        "dynamodb",
        "DynamoDB transaction of 4 puts, 64 connections",
        "/s",
        more=True,
        times=4,
    ),
    Metric(
        "dynamodb_transact_cpu_us", "dynamodb", "DynamoDB transaction of 4 puts, processor time of the server", "µs"
    ),
    Metric("large_load_per_s", "large_table", "DynamoDB batches of 25 puts, items", "/s", more=True, alone=True),
    Metric(
        "large_get_share",
        "large_table",
        "DynamoDB get in the large table, in those of a small one",
        "×",
        bar=1.3,
        alone=True,
    ),
    Metric(
        "large_put_share",
        "large_table",
        "DynamoDB put in the large table, in those of a small one",
        "×",
        bar=1.3,
        alone=True,
    ),
    Metric(
        "large_query_share",
        "large_table",
        "DynamoDB query of 50 in the large table, in those of a small one",
        "×",
        bar=1.3,
        alone=True,
    ),
    Metric(
        "large_scan_per_s", "large_table", "DynamoDB scan, one client, items", "/s", more=True, bar=50000, alone=True
    ),
    Metric(
        "large_backfill_per_s",
        "large_table",
        "DynamoDB index filled while items are put, items",
        "/s",
        more=True,
        bar=20000,
        alone=True,
    ),
    Metric("large_memory_mb", "large_table", "Memory with the large table", "MB", bar=300, alone=True),
    Metric("large_restart_ms", "large_table", "Start to first answer with the large table", "ms", bar=2000, alone=True),
    Metric(
        "dax_get_cpu_us",
        "dax",
        "DAX, cached get by AWS's client, processor time of the server",
        "µs",
        bar=100,
        alone=True,
    ),
    Metric("dax_http_get_cpu_us", "dax", "The same by DynamoDB's protocol, 64 connections", "µs", bar=100, alone=True),
    Metric("s3_put_small_per_s", "s3", "S3 put of 1 KB, 64 connections", "/s", more=True, bar=3000, times=1),
    Metric("s3_put_small_cpu_us", "s3", "S3 put of 1 KB, processor time of the server", "µs"),
    Metric("s3_get_small_per_s", "s3", "S3 get of 1 KB, 64 connections", "/s", more=True, bar=6000, times=1),
    Metric("s3_get_small_cpu_us", "s3", "S3 get of 1 KB, processor time of the server", "µs"),
    Metric("s3_put_large_mb_per_s", "s3", "S3 put of 64 MB", "MB/s", more=True, bar=250, times=1),
    Metric("s3_get_large_mb_per_s", "s3", "S3 get of 64 MB", "MB/s", more=True, bar=500, times=1),
    Metric("s3_to_handler_ms", "s3", "From a put into a function's handler, median", "ms", bar=20, joint=True),
    Metric("s3_large_peak_mb", "s3", "Memory gained at the peak of a 64 MB put and get", "MB", bar=32),
    Metric("sqs_send_per_s", "sqs", "SQS send of 1 KB, 64 connections", "/s", more=True, bar=5000, times=2.5),
    Metric("sqs_send_cpu_us", "sqs", "SQS send of 1 KB, processor time of the server", "µs"),
    Metric("sqs_send_batch_per_s", "sqs", "SQS send in tens, messages", "/s", more=True, bar=15_000, times=2.5),
    Metric("sqs_send_batch_cpu_us", "sqs", "SQS send of ten, processor time of the server", "µs"),
    Metric("sqs_consume_per_s", "sqs", "SQS receive and delete, messages", "/s", more=True, bar=4000, times=2.5),
    Metric("sqs_consume_cpu_us", "sqs", "SQS receive and delete, processor time of the server", "µs"),
    Metric("sqs_consume_batch_per_s", "sqs", "SQS receive and delete in tens", "/s", more=True, bar=15_000, times=2.5),
    Metric("sqs_consume_batch_cpu_us", "sqs", "SQS receive and delete of ten, processor time", "µs"),
    Metric("sqs_to_handler_ms", "sqs", "From a send into a mapped function's handler, median", "ms", bar=20),
    Metric("sqs_wake_ms", "sqs", "From a send to a waiting receiver's answer, median", "ms", bar=10),
    Metric("sns_fan_out_s", "sns", "SNS, 1,000 messages filtered into 100 queues, 10,000 deliveries", "s", bar=5),
    Metric("events_put_per_s", "events", "EventBridge put, a bus of 1,000 rules, 64 connections", "/s", more=True),
    Metric(
        "events_match_10000_us",
        "events",
        "EventBridge, one event against 10,000 rules, alone",
        "µs",
        bar=500,
        alone=True,
    ),
    Metric(
        "events_put_10000_per_s",
        "events",
        "EventBridge put, a bus of 10,000 rules, 64 connections",
        "/s",
        more=True,
        bar=1000,
        alone=True,
    ),
    Metric("events_to_handler_ms", "events", "From PutEvents into a function's handler, median", "ms", bar=25),
)
