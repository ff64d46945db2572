"""Whether this interpreter has the packages of `requirements.txt`, at those versions; says what is missing."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def complaint(line: str) -> str:
    name, _, wanted = line.partition("==")
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    return "" if found == wanted else f"{name} is {found}, not {wanted}"


lines = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
found = [text for text in (complaint(line) for line in lines if "==" in line) if text]
sys.exit("; ".join(found) or 0)
