"""The examples of docs/develop/api.md, run as they stand there, one after the other, against a real SmartVoice."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.stack import Stack

PAGE = (Path(__file__).parents[2] / "docs/develop/api.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


async def test_examples_print_what_the_page_says(stack: Stack) -> None:
    assert len(EXAMPLES) == len(re.findall(r"^### ", PAGE, re.M)) == 4
    token = await asyncio.to_thread(stack.token, "reader-of-the-examples")
    for example in EXAMPLES:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            example,
            env={**os.environ, "ADDRESS": stack.address, "TOKEN": token},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            printed, _ = await process.communicate()
        assert process.returncode == 0, example
        assert printed.decode().strip() == "\n".join(re.findall(r"^# prints: (.*)$", example, re.M))
