"""Ruby functions: handlers in files, modules and classes, the context, errors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import invoked, package

pytestmark = pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")

CODE = """
def handler(event:, context:)
  puts "said"
  raise ArgumentError, "no way" if event == "fail"
  { event: event, name: context.function_name, left: context.get_remaining_time_in_millis > 1000,
    gems: ENV["GEM_HOME"] }
end
module Outer
  class Inner
    def self.go(event:, context:)
      [event, context.memory_limit_in_mb]
    end
  end
end
"""


@pytest.fixture
def ruby(make: Callable[..., Any], lambda_: Any) -> Callable[..., Callable[..., Any]]:
    def create(handler: str, code: str = CODE) -> Callable[..., Any]:
        make("r", Runtime="ruby3.3", Handler=handler, Timeout=10, Code={"ZipFile": package({"function.rb": code})})
        return lambda event=None: invoked(lambda_, "r", event)

    return create


def test_a_method_of_a_file(ruby: Any) -> None:
    call = ruby("function.handler")
    answer, failure, log = call({"a": ["ü"]})
    assert failure is None, (answer, log)
    assert answer == {"event": {"a": ["ü"]}, "name": "r", "left": True, "gems": "/var/runtime"}
    assert "said\n" in log
    answer, failure, _log = call("fail")
    assert failure == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("Function<ArgumentError>", "no way")
    assert answer["stackTrace"][0].startswith("/var/task/function.rb:4:in ")
    assert call(1)[0]["event"] == 1


def test_a_method_of_a_class(ruby: Any) -> None:
    assert ruby("function.Outer::Inner.go")(7)[:2] == ([7, "128"], None)


@pytest.mark.parametrize(
    ("handler", "code", "kind"),
    [("nowhere.handler", CODE, "Init<LoadError>"), ("function.handler", "raise 'at once'", "Init<RuntimeError>")],
)
def test_errors_of_init(ruby: Any, handler: str, code: str, kind: str) -> None:
    answer, failure, _log = ruby(handler, code)()
    assert failure == "Unhandled"
    assert answer["errorType"] == kind
