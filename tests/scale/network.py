"""Machines of their own for the tests: network namespaces on one switch, each with a cable that can be pulled."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.leftovers import RUN
from tests.programs import missing, program


@dataclass(frozen=True)
class Machine:
    """A namespace, its address, and the end of its cable at the switch."""

    name: str
    address: str
    cable: str

    def command(self, words: Sequence[str]) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.name, *words]


class Network:
    """The first machine holds the switch, and this process has a cable to it."""

    def __init__(self, switch: Machine, machines: list[Machine]) -> None:
        self.switch = switch
        self.machines = machines

    def pull(self, machine: Machine) -> None:
        """From now on nothing reaches it, and nothing comes from it; nobody is told."""
        _ip("-n", self.switch.name, "link", "set", machine.cable, "down")

    def plug(self, machine: Machine) -> None:
        _ip("-n", self.switch.name, "link", "set", machine.cable, "up")


@contextmanager
def cabled(count: int) -> Iterator[Network]:
    """So many machines beside the switch; nothing is left of them."""
    if os.geteuid() != 0:
        pytest.skip("networks of their own need root")
    program("ip")
    tag = f"sv{os.environ[RUN]}{random.randrange(16**2):02x}"
    net = f"10.{random.randrange(100, 250)}.{random.randrange(250)}"
    with ExitStack() as stack:
        switch = _added(stack, f"{tag}-s", f"{net}.1", "")
        _ip("-n", switch.name, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch.name, "addr", "add", f"{net}.1/24", "dev", "br0")
        _ip("-n", switch.name, "link", "set", "br0", "up")
        machines = [_added(stack, f"{tag}-{n}", f"{net}.{n + 10}", f"{tag}m{n}") for n in range(count)]
        for machine in machines:
            _cable(switch, machine.cable, machine.name, machine.address)
        _ip("link", "add", f"{tag}h", "type", "veth", "peer", "name", f"{tag}t", "netns", switch.name)
        stack.callback(subprocess.run, ["ip", "link", "del", f"{tag}h"], capture_output=True)
        _ip("-n", switch.name, "link", "set", f"{tag}t", "master", "br0", "up")
        _ip("addr", "add", f"{net}.254/24", "dev", f"{tag}h")
        _ip("link", "set", f"{tag}h", "up")
        yield Network(switch, machines)


def _added(stack: ExitStack, name: str, address: str, cable: str) -> Machine:
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if done.returncode:
        missing(f"no networks of their own can be made here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
    _ip("-n", name, "link", "set", "lo", "up")
    return Machine(name, address, cable)


def _cable(switch: Machine, cable: str, name: str, address: str) -> None:
    _ip("-n", switch.name, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("-n", switch.name, "link", "set", cable, "master", "br0", "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "eth0", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
