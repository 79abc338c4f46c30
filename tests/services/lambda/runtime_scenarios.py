"""Functions that are no Python's, on each sandbox backend; run by `sandbox_lab`, see `test_runtimes_backends.py`."""

from __future__ import annotations

import json
import shutil
from typing import Any

from test_runtimes_provided import BASH

from pileus.services.lambda_.execution import FunctionSpec
from sandbox_lab import Lab

NODE = """
const fs = require('node:fs');
let count = 0;
exports.handler = async (event) => {
  if (event === 'exit') process.exit(3);
  if (event === 'forever') await new Promise(() => setInterval(() => {}, 1000));
  fs.appendFileSync((process.env.TMPDIR ?? '/tmp') + '/kept', '.');
  return [event, count++, process.cwd() === process.env.LAMBDA_TASK_ROOT, process.env.MINE];
};
"""


def _node(lab: Lab, **settings: Any) -> FunctionSpec:
    return lab.function({"index.js": NODE}, runtime="nodejs20.x", environment={"MINE": "1"}, **settings)


async def try_node(lab: Lab) -> None:
    if shutil.which("node") is None:
        return
    spec = _node(lab)
    assert await lab.answer(spec, {"a": 1}) == [{"a": 1}, 0, True, "1"]
    assert await lab.answer(spec, 2) == [2, 1, True, "1"]
    assert b"exit status 3" in (await lab.run(spec, "exit")).payload
    assert await lab.answer(spec, 3) == [3, 0, True, "1"]
    # Variables that it reads when it starts: nothing runs ahead of such a function.
    afresh = lab.function({"index.js": NODE}, runtime="nodejs20.x", environment={"MINE": "1", "NODE_OPTIONS": ""})
    assert await lab.answer(afresh, 1) == [1, 0, True, "1"]


async def try_a_time_out_of_node(lab: Lab) -> None:
    if shutil.which("node") is None:
        return
    spec = _node(lab, timeout_s=1.0)
    assert b"Task timed out after 1.00 seconds" in (await lab.run(spec, "forever")).payload
    assert await lab.answer(spec, 1) == [1, 0, True, "1"]


async def try_a_custom_runtime(lab: Lab) -> None:
    spec = lab.function({"bootstrap": BASH}, runtime="provided.al2023", handler="x")
    assert (await lab.run(spec, 1)).function_error == "Unhandled"
    (spec.code_dir / "bootstrap").chmod(0o755)
    answer = await lab.answer(spec, {"a": 1})
    assert answer["event"] == {"a": 1}
    assert answer["runtime"] == "none"
    missing = await lab.run(lab.function({"main": ""}, runtime="provided.al2023"))
    assert json.loads(missing.payload)["errorType"] == "Runtime.InvalidEntrypoint"


async def try_java(lab: Lab) -> None:
    if shutil.which("javac") is None:
        return
    spec = lab.function({"x": ""}, runtime="java17", handler="Nowhere", memory_mb=256)
    # As far as without a class: the client runs, and says what is missing.
    said = json.loads((await lab.run(spec)).payload)
    assert said == {"errorMessage": "Class not found: Nowhere", "errorType": "java.lang.ClassNotFoundException"}
