"""`make demo [PHOTO=path]`: starts Pileus on a free port, deploys the thumbnail application, uploads a photo twice.

Ends with 0 when the thumbnail is there, is a smaller picture of the photo, and everything was taken down again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from app import Thumbnails

HERE = Path(__file__).parent
OUT = HERE / "out"


def say(what: str, text: str) -> None:
    mark = "\x1b[32m✓\x1b[0m" if sys.stdout.isatty() else "-"
    print(f"{mark} {what:<13} {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, default=HERE / "photo.jpg", help="a picture of your own")
    photo_path: Path = parser.parse_args().photo
    try:
        photo = photo_path.read_bytes()
    except OSError as error:
        print(f"demo: {photo_path}: {error.strerror}", file=sys.stderr)
        return 2

    # A SIGTERM takes the same way out as Ctrl-C: through the `finally` that stops Pileus.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pileus-demo-") as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "pileus", "start", "--port", "0", "--json", "--data-dir", f"{folder}/data"]
        with (Path(folder) / "pileus.log").open("w+") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
            try:
                assert server.stdout is not None
                ready = server.stdout.readline()
                if not ready:
                    raise RuntimeError("Pileus did not start")
                endpoint = json.loads(ready)["endpoint"]
                say("pileus", f"{endpoint}, ready in {(time.perf_counter() - started) * 1000:.0f} ms")
                run(endpoint, photo, photo_path)
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read())
                raise
            finally:
                server.terminate()
                code = server.wait(timeout=30)
        say("pileus", f"stopped with {code}")
        return code


def run(endpoint: str, photo: bytes, photo_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        del os.environ[name]
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
    demo = Thumbnails(say)
    demo.deploy()

    name = photo_path.name
    rows = []
    for turn in ("cold", "warm"):
        row = demo.upload(photo, f"{turn}-{name}")
        rows.append(row)
        say(
            f"{turn} upload",
            f"{row['width']}x{row['height']} {row['format']}, {len(photo):,} bytes in {row['upload_s'] * 1000:.1f} ms; "
            f"thumbnail of {int(row['thumbnail_bytes']):,} bytes after {row['seconds'] * 1000:.1f} ms",
        )
    reports = demo.reports(2)
    for turn, line in zip(("cold", "warm"), reports, strict=True):
        say(f"{turn} report", " ".join(line.split()))
    if "Init Duration" not in reports[0] or "Init Duration" in reports[1]:
        raise RuntimeError("expected one cold start and then a warm one:\n" + "\n".join(reports))

    small = demo.thumbnail(rows[1])
    picture = Image.open(io.BytesIO(small))
    picture.load()
    if picture.format != "JPEG" or max(picture.size) > 256:
        raise RuntimeError(f"the thumbnail is a {picture.format} of {picture.size}")
    OUT.mkdir(exist_ok=True)
    target = OUT / "thumbnail.jpg"
    target.write_bytes(small)
    say("thumbnail", f"{target} ({picture.width}x{picture.height})")
    demo.remove()
    say("removed", "bucket, function, table and role")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
