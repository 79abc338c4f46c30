"""What Lambda counts of its functions ("Types of metrics for Lambda functions" of the developer guide).

By function, by what was called (`Resource`: the function, or its alias or version), by the version behind an alias
(`ExecutedVersion`), and over all functions of a region. Metrics of errors and throttles count every invocation, with 0
where there was none, so that their average is a rate.
"""

from __future__ import annotations

from collections import Counter

from pileus.cloud.metrics import Dimensions, Metric, Metrics, Series
from pileus.kernel.clock import Clock
from pileus.services.lambda_.execution import Finished
from pileus.services.lambda_.names import LATEST, Target, is_version

NAMESPACE = "AWS/Lambda"


def _counted(name: str) -> Metric:
    return Metric(NAMESPACE, name)


def _measured(name: str, unit: str = "Milliseconds") -> Metric:
    return Metric(NAMESPACE, name, unit, counted=False)


INVOCATIONS = _counted("Invocations")
ERRORS = _counted("Errors")
THROTTLES = _counted("Throttles")
DURATION = _measured("Duration")
INIT_DURATION = _measured("InitDuration")
POST_RUNTIME_EXTENSIONS_DURATION = _measured("PostRuntimeExtensionsDuration")
CONCURRENT_EXECUTIONS = _measured("ConcurrentExecutions", "Count")
UNRESERVED_CONCURRENT_EXECUTIONS = _measured("UnreservedConcurrentExecutions", "Count")
CLAIMED_ACCOUNT_CONCURRENCY = _measured("ClaimedAccountConcurrency", "Count")
PROVISIONED_CONCURRENT_EXECUTIONS = _measured("ProvisionedConcurrentExecutions", "Count")
PROVISIONED_CONCURRENCY_INVOCATIONS = _counted("ProvisionedConcurrencyInvocations")
PROVISIONED_CONCURRENCY_SPILLOVER = _counted("ProvisionedConcurrencySpilloverInvocations")
PROVISIONED_CONCURRENCY_UTILIZATION = _measured("ProvisionedConcurrencyUtilization", "Count")
ASYNC_EVENTS_RECEIVED = _counted("AsyncEventsReceived")
ASYNC_EVENT_AGE = _measured("AsyncEventAge")
ASYNC_EVENTS_DROPPED = _counted("AsyncEventsDropped")
DEAD_LETTER_ERRORS = _counted("DeadLetterErrors")
DESTINATION_DELIVERY_FAILURES = _counted("DestinationDeliveryFailures")
RECURSIVE_INVOCATIONS_DROPPED = _counted("RecursiveInvocationsDropped")
ITERATOR_AGE = _measured("IteratorAge")

# Names of functions, aliases and versions whose series are kept at hand.
_KNOWN_MAX = 2_000


class _Called:
    """The series of one name that is called, under all sets of dimensions."""

    __slots__ = ("concurrent", "duration", "errors", "function", "init", "invocations", "post_runtime", "throttles")

    def __init__(self, metrics: Metrics, at: Target, executed_version: str) -> None:
        function = (("FunctionName", at.name),)
        resource = (*function, ("Resource", f"{at.name}:{at.qualifier}" if at.qualifier else at.name))
        sets: list[Dimensions] = [function, resource]
        if executed_version and at.qualifier not in ("", LATEST) and not is_version(at.qualifier):
            sets.append((*resource, ("ExecutedVersion", executed_version)))
        sets.append(())

        def series(metric: Metric) -> tuple[Series, ...]:
            return tuple(metrics.series(metric, at.account, at.region, each, shown=each is function) for each in sets)

        self.invocations = series(INVOCATIONS)
        self.errors = series(ERRORS)
        self.throttles = series(THROTTLES)
        self.duration = series(DURATION)
        self.concurrent = series(CONCURRENT_EXECUTIONS)[:-1]
        self.init = metrics.series(INIT_DURATION, at.account, at.region, function)
        self.post_runtime = metrics.series(POST_RUNTIME_EXTENSIONS_DURATION, at.account, at.region, function)


class _Account:
    """The series of all functions of a region together."""

    __slots__ = ("claimed", "concurrent", "unreserved")

    def __init__(self, metrics: Metrics, account: str, region: str) -> None:
        self.concurrent = metrics.series(CONCURRENT_EXECUTIONS, account, region)
        self.unreserved = metrics.series(UNRESERVED_CONCURRENT_EXECUTIONS, account, region)
        self.claimed = metrics.series(CLAIMED_ACCOUNT_CONCURRENCY, account, region)


class FunctionMetrics:
    """The node's counts of its functions."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._called: dict[tuple[Target, str], _Called] = {}
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._running: Counter[tuple[str, ...]] = Counter()

    def entered(self, at: Target, *, reserved: bool, allocated: int) -> tuple[tuple[str, ...], ...]:
        """One more runs; returns what `left` takes. `allocated`: what of the account's concurrency is given away."""
        account = (at.account, at.region)
        places: tuple[tuple[str, ...], ...] = ((*account, at.name), account)
        if not reserved:
            places = (*places, (*account, "", "unreserved"))
        for place in places:
            self._running[place] += 1
        now = self._clock.time()
        called = self._of(at, "")
        for series in called.concurrent:
            series.add(self._running[places[0]], now)
        for series in called.throttles:
            series.add(0, now)
        together = self._accounts.get(account)
        if together is None:
            together = self._accounts[account] = _Account(self._metrics, *account)
        together.concurrent.add(self._running[account], now)
        if not reserved:
            together.unreserved.add(self._running[places[2]], now)
        together.claimed.add(allocated + self._running[(*account, "", "unreserved")], now)
        return places

    def left(self, places: tuple[tuple[str, ...], ...]) -> None:
        for place in places:
            self._running[place] -= 1
            if not self._running[place]:
                del self._running[place]

    def throttled(self, at: Target) -> None:
        """Asked for, and not run."""
        now = self._clock.time()
        for series in self._of(at, "").throttles:
            series.add(1, now)

    def finished(self, done: Finished) -> None:
        """The pool's sink: one invocation has ended."""
        _arn, _partition, _service, region, account, _kind, name, *qualifier = done.invocation.invoked_arn.split(":")
        at = Target(account, region, name, qualifier[0] if qualifier else "")
        called = self._of(at, done.spec.version)
        now = done.ended
        for series in called.invocations:
            series.add(1, now)
        for series in called.errors:
            series.add(1 if done.failed else 0, now)
        for series in called.duration:
            series.add(done.duration_ms, now)
        if done.init_ms is not None:
            called.init.add(done.init_ms, now)
        if done.overhead_ms is not None:
            called.post_runtime.add(done.overhead_ms, now)

    def count(self, metric: Metric, at: Target, value: float = 1.0) -> None:
        """Any other metric, by function."""
        dimensions = (("FunctionName", at.name),)
        self._metrics.add(metric, at.account, at.region, dimensions, value, now=self._clock.time())

    def forget(self, at: Target) -> None:
        """The function is gone."""
        for key in [key for key in self._called if key[0][:3] == at[:3]]:
            del self._called[key]
        self._metrics.forget([("FunctionName", at.name)], at.account, at.region, NAMESPACE)

    def _of(self, at: Target, version: str) -> _Called:
        found = self._called.get((at, version))
        if found is None:
            if len(self._called) >= _KNOWN_MAX:
                self._called.clear()
            found = self._called[at, version] = _Called(self._metrics, at, version)
        return found
