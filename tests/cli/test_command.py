"""The `pileus` command, as a person or a script runs it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest


def pileus_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pileus", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_help_names_every_subcommand() -> None:
    out = pileus_command("--help").stdout
    for name in ("start", "status", "doctor", "runtimes", "watch", "invoke", "logs", "reset"):
        assert f"  {name}" in out
        assert "Usage: " in pileus_command(name, "--help").stdout


def test_status_of_a_running_node(pileus: Any) -> None:
    shown = json.loads(pileus_command("status", "--json", "--endpoint", pileus.endpoint).stdout)
    assert shown["status"] == "ok"
    assert "s3" in shown["services"]
    assert {loop["name"] for loop in shown["loops"]} >= {"delivery", "store.sweep-blobs"}
    text = pileus_command("status", "--endpoint", pileus.endpoint).stdout
    assert text.startswith("Pileus ")
    assert "\x1b" not in text


def test_status_where_nothing_runs_is_one_line(free_port: int) -> None:
    ended = pileus_command("status", AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port}")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: Pileus does not answer at http://127.0.0.1:{free_port}")
    assert ended.stderr.count("\n") == 1


def test_doctor_tells_what_works() -> None:
    ended = pileus_command("doctor", "--json")
    shown = json.loads(ended.stdout)
    assert ended.returncode == (0 if shown["sandbox"] else 1)
    assert {backend["name"] for backend in shown["backends"]} == {"namespaces", "process"}
    assert all(backend["works"] or backend["reason"] for backend in shown["backends"])


def test_doctor_takes_a_data_folder_that_cannot_be_looked_at() -> None:
    ended = pileus_command("doctor", "--json", "--data-dir", "/" + "x" * 300)
    assert ended.stderr == ""
    assert json.loads(ended.stdout)["disk_free_gb"] > 0


def test_a_taken_port_is_told_in_one_line(pileus: Any, tmp_path: Path) -> None:
    port = urlsplit(pileus.endpoint).port
    ended = pileus_command("start", "--port", str(port), "--data-dir", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use.")
    assert ended.stderr.count("\n") == 1


def test_a_data_folder_has_one_pileus(start_pileus: Any, tmp_path: Path) -> None:
    start_pileus(data_dir=tmp_path / "data")
    second = pileus_command("start", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert second.returncode == 1
    assert "is in use by another Pileus" in second.stderr
    assert second.stderr.count("\n") == 1
    reset = pileus_command("reset", "--yes", "--data-dir", str(tmp_path / "data"))
    assert reset.returncode == 1
    assert "is in use by another Pileus" in reset.stderr


def test_reset_forgets_a_data_folder_and_nothing_else(start_pileus: Any, tmp_path: Path) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    assert server.stop() == 0
    assert (tmp_path / "data" / "store.db").exists()
    assert pileus_command("reset", "--yes", "--data-dir", str(tmp_path / "data")).returncode == 0
    assert list((tmp_path / "data").iterdir()) == []
    again = pileus_command("reset", "--yes", "--data-dir", str(tmp_path / "data"))
    assert (again.returncode, again.stdout) == (0, f"{tmp_path / 'data'} holds nothing.\n")

    other = tmp_path / "other"
    other.mkdir()
    (other / "letter").write_text("dear")
    refused = pileus_command("reset", "--yes", "--data-dir", str(other))
    assert refused.returncode == 1
    assert (other / "letter").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_an_address_of_the_world_demands_credentials_of_ones_own(host: str, tmp_path: Path) -> None:
    ended = pileus_command("start", "--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 1
    assert f"{host} is not a loopback address: give root credentials of your own" in ended.stderr


def test_a_short_root_secret_is_refused(tmp_path: Path) -> None:
    ended = pileus_command("start", "--root-key", "me:short", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert "16 characters or more" in ended.stderr


def test_a_data_folder_that_cannot_be_used_is_told_in_one_line() -> None:
    ended = pileus_command("start", "--port", "0", "--data-dir", "/proc/pileus")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr


def test_root_credentials_of_ones_own_count_and_the_well_known_do_not(start_pileus: Any) -> None:
    import boto3
    from botocore.exceptions import ClientError

    server = start_pileus("--host", "0.0.0.0", "--root-key", "AKIDME:0123456789abcdef")
    endpoint = f"http://127.0.0.1:{urlsplit(server.endpoint).port}"

    def s3(key: str, secret: str) -> Any:
        return boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )

    assert s3("AKIDME", "0123456789abcdef").list_buckets()["Buckets"] == []
    for key in ("test", "123456789012"):
        with pytest.raises(ClientError) as refused:
            s3(key, "test").list_buckets()
        assert refused.value.response["Error"]["Code"] == "InvalidAccessKeyId"


def test_internet_is_refused_in_one_line_without_root(free_port: int, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    # What is checked first needs no file that only root may read.
    code = (
        "import os; from pathlib import Path; from pileus import app; from pileus.kernel.settings import Settings\n"
        "import pileus.sandbox.internet\n"
        "os.geteuid() or os.setuid(65534)\n"
        # Nor does it help that the program is there that would do without.
        "os.environ['PATH'] = ''\n"
        f"try: app.run(Settings(data_dir=Path({str(folder)!r}), port={free_port}, internet=True), print)\n"
        "except app.StartError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("Outgoing internet for functions needs root, or the program slirp4netns"), ended
    assert ended.stdout.count("\n") == 1
    assert not folder.exists()


def test_runtimes_lists_every_one_and_what_it_runs_on() -> None:
    rows = {row["runtime"]: row for row in json.loads(pileus_command("runtimes", "--json").stdout)}
    assert {"python3.14", "nodejs22.x", "java21", "ruby3.3", "dotnet8", "provided.al2023"} <= rows.keys()
    own = rows[f"python{sys.version_info.major}.{sys.version_info.minor}"]
    assert own["state"] == "ready"
    assert own["version"] == platform.python_version()
    assert Path(own["interpreter"]).is_file()
    assert {row["state"] for row in rows.values()} <= {"ready", "installed", "nearest", "missing"}
    text = pileus_command("runtimes").stdout
    assert [line.split()[0] for line in text.splitlines()] == list(rows)


def test_runtimes_installs_only_what_is_a_runtime() -> None:
    ended = pileus_command("runtimes", "install", "cobol85")
    assert ended.returncode == 1
    assert ended.stderr == "Error: cobol85 is no runtime of Lambda's: `pileus runtimes` lists them\n"
    ended = pileus_command("runtimes", "install", "provided.al2023")
    assert (ended.returncode, ended.stdout) == (0, "provided.al2023 needs nothing: functions bring their own.\n")
