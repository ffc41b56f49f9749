"""The commands, as somebody at a terminal uses them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from tests.stack import Stack, alive, command_of, environment, free_port, running
from tests.tts_server import TtsServer
from tests.workers.engines.piper_voice import make_voice


def smartvoice(*words: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment({"SMARTVOICE_DATA_DIR": str(folder / "data"), "COLUMNS": "200", **settings}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_token_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    done = smartvoice("token", "alice", folder=tmp_path)
    assert done.returncode == 2
    assert "smartvoice up" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("words", [("token", "alice", "--ttl", "soon"), ("token", "a b"), ("token", "../x")])
def test_token_for_nobody_or_for_no_time_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = smartvoice(*words, folder=tmp_path, SMARTVOICE_SECRET_KEY="k" * 40)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_keys_are_rotated_and_the_former_is_removed(tmp_path: Path) -> None:
    assert smartvoice("key", "rotate", folder=tmp_path).returncode == 2
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").write_text("the key that was made when SmartVoice first started")
    [former] = smartvoice("key", "list", folder=tmp_path).stdout.splitlines()
    assert smartvoice("key", "rotate", folder=tmp_path).returncode == 0
    signing, verifying = smartvoice("key", "list", folder=tmp_path).stdout.splitlines()
    assert former.endswith(" signs")
    assert signing.endswith(" signs")
    assert verifying == former.replace("signs", "verifies")
    assert smartvoice("key", "remove", signing.split()[0], folder=tmp_path).returncode == 2
    assert smartvoice("key", "remove", former.split()[0], folder=tmp_path).returncode == 0
    assert smartvoice("key", "list", folder=tmp_path).stdout.splitlines() == [signing]


def test_key_that_is_set_is_not_rotated_in_a_file(tmp_path: Path) -> None:
    done = smartvoice("key", "rotate", folder=tmp_path, SMARTVOICE_SECRET_KEY="k" * 40)
    assert done.returncode == 2
    assert "SMARTVOICE_OLD_SECRET_KEYS" in done.stderr
    assert "k" * 40 not in done.stderr + done.stdout


def test_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    done = smartvoice("doctor", folder=tmp_path, SMARTVOICE_PORT=str(free_port()))
    assert done.returncode == 1
    assert done.stdout.count("✗") == 4
    assert "smartvoice up" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


async def test_doctor_looks_for_the_voice_service(tmp_path: Path) -> None:
    async def doctor(url: str, key: str = "right") -> str:
        asked = {"SMARTVOICE_TTS_ENGINE": "openai", "SMARTVOICE_TTS_URL": url, "SMARTVOICE_TTS_API_KEY": key}
        done = await asyncio.to_thread(smartvoice, "doctor", folder=tmp_path, **asked)
        assert key not in done.stdout + done.stderr
        return next(line for line in done.stdout.splitlines() if "voice:" in line)

    async with TtsServer(api_key="right") as server:
        assert "✓" in await doctor(server.url)
        assert "SMARTVOICE_TTS_API_KEY" in await doctor(server.url, "wrong")
    assert "SMARTVOICE_TTS_URL" in await doctor(server.url)


def test_doctor_looks_for_voices_of_piper(tmp_path: Path) -> None:
    def doctor() -> str:
        done = smartvoice("doctor", folder=tmp_path, SMARTVOICE_TTS_ENGINE="piper", SMARTVOICE_DATA_DIR="here")
        return next(line for line in done.stdout.splitlines() if "voice:" in line)

    assert "piper.download_voices --download-dir here/piper" in doctor()
    make_voice(tmp_path / "here" / "piper", "en_US-hum-medium")
    assert "✓" in doctor()


def test_bad_setting_is_named(tmp_path: Path) -> None:
    done = smartvoice("doctor", folder=tmp_path, SMARTVOICE_PORT="many")
    assert done.returncode == 2
    assert "SMARTVOICE_PORT: Input should be a valid integer" in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_stops_on_ctrl_c_and_leaves_nothing() -> None:
    # Short, because paths of sockets must be.
    with tempfile.TemporaryDirectory(prefix="sv-") as temporary, running(TMPDIR=temporary) as stack:
        _check_running(stack)
        _check_watched_over(stack)
        children = stack.children()
        assert len(children) >= 3  # Redis, web, a worker for each core
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(40) == 0
        assert not [pid for pid in children if alive(pid)]
        assert not (stack.folder / "redis.sock").exists()
        assert os.listdir(temporary) == []


def _check_running(stack: Stack) -> None:
    _wait_for_voices(stack)
    assert "✗" not in stack.command("doctor")
    stack.command("user", "add", "bob", "--password-stdin", stdin="correct horse!\n")
    with httpx.Client(base_url=stack.address, trust_env=False) as client:
        answer = client.post("/api/session", json={"username": "bob", "password": "correct horse!"})
        assert answer.status_code == httpx.codes.NO_CONTENT
        _check_accounts(stack, client)
    second = smartvoice("up", folder=stack.folder.parent, SMARTVOICE_PORT=str(free_port()))
    assert second.returncode == 1
    assert "running in" in second.stderr


def _check_watched_over(stack: Stack) -> None:
    """What dies is there again, within two seconds where nothing else is at work."""
    for role in ("app.cli web", "app.cli worker"):
        before = {pid for pid in stack.children() if role in command_of(pid)}
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not {pid for pid in stack.children() if role in command_of(pid)} - before:
            assert time.monotonic() < deadline, role
            time.sleep(0.01)


def _wait_for_voices(stack: Stack) -> None:
    """The first worker tells of them, a moment after the web side can serve."""
    headers = {"Authorization": f"Bearer {stack.token('bob')}"}
    deadline = time.monotonic() + 30
    while httpx.get(f"{stack.address}/api/voices", headers=headers, trust_env=False).status_code != httpx.codes.OK:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _check_accounts(stack: Stack, bob: httpx.Client) -> None:
    """What is done to bob at the terminal is felt in his browser."""
    assert bob.get("/api/session").json()["user"] == "bob"
    stack.command("user", "passwd", "bob", "--password-stdin", stdin="correct horses\n")
    assert bob.get("/api/session").status_code == httpx.codes.UNAUTHORIZED
    link = stack.command("user", "link", "bob").partition("#link=")[2]
    assert bob.post("/api/session", json={"link": link}).status_code == httpx.codes.NO_CONTENT
    stack.command("user", "disable", "bob")
    assert bob.get("/api/session").status_code == httpx.codes.UNAUTHORIZED
    token = stack.token("bob")
    headers = {"Authorization": f"Bearer {token}"}
    assert bob.get("/api/projects", headers=headers).json()["code"] == "account_disabled"
    assert stack.command("user", "list").split("\t")[:2] == ["bob", "disabled"]
    stack.command("user", "enable", "bob")
    assert bob.get("/api/projects", headers=headers).status_code == httpx.codes.OK


def test_children_end_when_their_parent_is_killed() -> None:
    with running() as stack:
        # The workers are told to end twice: as their parent dies, and as they are given another.
        log = stack.folder.parent / "up.log"
        deadline = time.monotonic() + 60
        while log.read_text().count("ready for action") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = stack.children()
        stack.process.kill()
        stack.process.wait()
        while [pid for pid in children if alive(pid)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = smartvoice("up", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert done.returncode == 1
    assert "in use" in done.stderr
