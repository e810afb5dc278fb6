"""The examples of docs/data-exchange.md answer as it says.

Each section's commands and programs are run, one after another, in an empty folder and against a server that holds the example
article.

When an answer changes on purpose: ANNALS_UPDATE=1 ./test -k data_exchange.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from annals_client import ROOT
from conftest import BINARY, Server
from exported import article_in

PAGE = ROOT / "docs/data-exchange.md"
# A command with what it says, or a program and the block with what it prints.
EXAMPLE = re.compile(
    r"```console\n\$ (?P<command>[^\n]*)\n(?P<says>.*?)```|```python\n(?P<program>.*?)```\n\n```text\n(?P<prints>.*?)```",
    re.DOTALL,
)


def section(name: str) -> str:
    """A section of the page."""
    page = PAGE.read_text(encoding="utf-8")
    start = page.index(f"\n## {name}\n")
    end = page.find("\n## ", start + 1)
    return page[start : end if end > 0 else len(page)]


@pytest.mark.parametrize("name", ["CSV", "Parquet", "STIX"])
def test_the_examples_answer_as_they_say(name: str, start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = article_in(start_server()).server
    environment = os.environ | {"ANNALS_SERVER": f"http://{server.address}", "COLUMNS": "120"}
    text = section(name)
    examples = list(EXAMPLE.finditer(text))
    assert len(examples) >= 2
    for example in examples:
        program = example["program"]
        command = [sys.executable, "-c", program] if program else shlex.split(example["command"])
        if command[0] == "annals":
            command[0] = str(BINARY)
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        assert done.returncode == 0, done.stdout
        which = "prints" if program else "says"
        if os.environ.get("ANNALS_UPDATE"):
            shown = example[0]
            at = example.start(which) - example.start()
            answered = shown[:at] + done.stdout + shown[at + len(example[which]) :]
            PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(shown, answered, 1), encoding="utf-8")
        else:
            assert done.stdout == example[which], example[0]
