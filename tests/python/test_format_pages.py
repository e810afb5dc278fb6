"""The examples of the pages in docs/formats answer as the pages say.

The commands and programs of a page run one after another, in an empty folder and against a server that holds the example
article.

To write the answers after an intended change: ANNALS_UPDATE=1 ./test -k format_pages.
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

# A command with what it says, or a program and the block with what it prints.
EXAMPLE = re.compile(
    r"```console\n\$ (?P<command>[^\n]*)\n(?P<says>.*?)```|```python\n(?P<program>.*?)```\n\n```text\n(?P<prints>.*?)```",
    re.DOTALL,
)


@pytest.mark.parametrize("name", ["csv", "parquet", "stix"])
def test_the_examples_answer_as_they_say(name: str, start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = article_in(start_server()).server
    environment = os.environ | {"ANNALS_SERVER": f"http://{server.address}", "COLUMNS": "120"}
    page = ROOT / f"docs/formats/{name}.md"
    examples = list(EXAMPLE.finditer(page.read_text(encoding="utf-8")))
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
            # The page, and the text that it is made from.
            for file in (page, ROOT / f"src/formats/{name}/page.md"):
                file.write_text(file.read_text(encoding="utf-8").replace(shown, answered, 1), encoding="utf-8")
        else:
            assert done.stdout == example[which], example[0]
