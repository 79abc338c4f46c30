"""Finding and reading the service models that ship with botocore, without importing botocore."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from pileus.model.legacy import add_legacy_traits
from pileus.model.shapes import ServiceModel

# Part of a cached file's name: another way of stripping makes another file.
_CACHE_FORMAT = "1"
# What no codec, constraint or authorizer reads; documentation alone is nine tenths of a model.
_DROPPED = frozenset(
    {
        "documentation",
        "documentationUrl",
        "deprecatedMessage",
        "deprecatedSince",
        "contextParam",
        "staticContextParams",
        "operationContextParams",
    }
)


class ModelNotFound(LookupError):
    """botocore describes no service of that name."""


def load(service_name: str, cache_dir: Path | None = None) -> ServiceModel:
    """The model of a service by botocore's name ("s3", "stepfunctions"), newest API version.

    `cache_dir`: a folder in which models are kept without their documentation, which makes the next load several
    times faster; it is made where it is missing, and what is wrong in it is made anew.
    """
    return _load(service_name, None if cache_dir is None else str(cache_dir))


@cache
def _load(service_name: str, cache_dir: str | None) -> ServiceModel:
    source = _source(service_name)
    raw = _read_cached(source, service_name, Path(cache_dir)) if cache_dir else _read_source(source)
    add_legacy_traits(service_name, raw)
    return ServiceModel(service_name, raw)


@cache
def _data_dir() -> Path:
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise ModelNotFound("botocore is not installed")
    return Path(spec.origin).parent / "data"


@cache
def service_names() -> frozenset[str]:
    """Every service that can be loaded."""
    with os.scandir(_data_dir()) as entries:
        return frozenset(entry.name for entry in entries if entry.is_dir())


def _source(service_name: str) -> Path:
    # The name may come from a request: it must be one of the folder's entries, never a path.
    if service_name not in service_names():
        raise ModelNotFound(f"no service named {service_name!r}")
    folder = _data_dir() / service_name
    for version in sorted((entry.name for entry in folder.iterdir() if entry.is_dir()), reverse=True):
        for name in ("service-2.json.gz", "service-2.json"):
            path = folder / version / name
            if path.is_file():
                return path
    raise ModelNotFound(f"no model for service {service_name!r}")


def _read_source(source: Path) -> dict[str, Any]:
    data = source.read_bytes()
    if source.suffix == ".gz":
        data = gzip.decompress(data)
    return strip(orjson.loads(data))


def strip(raw: dict[str, Any]) -> dict[str, Any]:
    """The model without documentation and what else only clients read."""
    for operation in raw["operations"].values():
        _drop(operation)
        for key in ("input", "output"):
            if key in operation:
                _drop(operation[key])
        for error in operation.get("errors", ()):
            _drop(error)
    for shape in raw["shapes"].values():
        _drop(shape)
        for member in shape.get("members", {}).values():
            _drop(member)
        for key in ("member", "key", "value"):
            if key in shape:
                _drop(shape[key])
    raw.pop("documentation", None)
    raw.pop("examples", None)
    return raw


def _drop(traits: dict[str, Any]) -> None:
    for key in _DROPPED & traits.keys():
        del traits[key]


def _read_cached(source: Path, service_name: str, cache_dir: Path) -> dict[str, Any]:
    stat = source.stat()
    stamp = f"{source}|{stat.st_size}|{stat.st_mtime_ns}|{_CACHE_FORMAT}"
    cached = cache_dir / f"{service_name}-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.json"
    try:
        digest, _, body = cached.read_bytes().partition(b"\n")
        if digest == _digest(body):
            model: dict[str, Any] = orjson.loads(body)
            return model
    except OSError:
        pass
    raw = _read_source(source)
    _write(cached, orjson.dumps(raw))
    return raw


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _write(path: Path, body: bytes) -> None:
    # Written beside and renamed: a reader sees the old file or the new one, whole. A full disk or a read-only
    # folder costs speed, nothing else.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_digest(body) + b"\n" + body)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
