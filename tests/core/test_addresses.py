"""Listening at any kind of address, and reaching it from this machine."""

from __future__ import annotations

import socket

import pytest

from app.core.addresses import address_of, bound, plain
from app.core.hostnames import is_loopback
from app.core.settings import Settings


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_address_is_one_that_can_be_reached(host: str, address: str) -> None:
    assert (address_of(host, 8000), Settings(host=host).address) == (address, address)


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("::", ["::1", "127.0.0.1"]),
    ],
)
def test_socket_lets_in_whom_its_address_promises(host: str, reached: list[str]) -> None:
    with bound(host, 0) as listener:
        listener.listen()
        for address in reached:
            with socket.create_connection((address, listener.getsockname()[1]), 5), listener.accept()[0]:
                pass
        with pytest.raises(OSError):  # noqa: PT011 # a port that is taken, whatever the system calls it
            bound(host, listener.getsockname()[1])


def test_address_of_a_client_of_ipv4_is_one_of_ipv4() -> None:
    assert [plain(host) for host in ("::ffff:192.0.2.1", "::ffff:c000:201", "::1", "192.0.2.1")] == [
        "192.0.2.1",
        "192.0.2.1",
        "::1",
        "192.0.2.1",
    ]
    assert is_loopback("::ffff:127.0.0.1")
