"""The book's notebooks for Colab and Binder, which have neither advlib nor the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml

from advlib.batch import store
from advlib.book.heads import Page, without_outputs

VARIABLE = "ADVLIB_REPOSITORY"  # the environment's variable with the repository's address
BRANCH = "launch"  # of the repository: the publishing workflow puts the folder there
HOSTS = ("github.com", "gitlab.com", "bitbucket.org")
ENVIRONMENT, LOCK = Path("environment.yml"), Path("requirements.lock")
INSTALL = """\
# Installs advlib as it was when this page was made.
import importlib.util

if importlib.util.find_spec("advlib") is None:
    %pip install -q "{package}"
"""


def configure(config: Path, address: str) -> None:
    """Give each page a button that leads to the repository, and a notebook's page two more, to
    Colab and Binder, where they can reach it.

    Raises ValueError if the address is at none of `HOSTS`.
    """
    host = re.fullmatch(r"https://([\w.]+)/[\w.-]+/[\w./-]+", address)
    if host is None or host[1] not in HOSTS:
        raise ValueError(
            f"{VARIABLE}: must be a repository's address, https://HOST/OWNER/NAME with a host of "
            f"{', '.join(HOSTS)}, got {address!r}"
        )
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["repository"] = {"url": address, "branch": BRANCH}
    settings["html"]["use_repository_button"] = True
    if host[1] == "github.com":
        settings["launch_buttons"] = {
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        }
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")


def write(folder: Path, pages: Iterable[Page], address: str) -> None:
    """Fill a new folder with what a button opens: each page's notebook, without its outputs, with a
    first cell that installs advlib; and an environment for Binder with what advlib needs."""
    for page in pages:
        package = f"advlib[study] @ git+{address.removesuffix('.git')}@{_commit(page)}"
        notebook = without_outputs(page.origin)
        install = nbformat.v4.new_code_cell(INSTALL.format(package=package), id="install")
        notebook.cells.insert(0, install)
        target = folder / page.notebook
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
    environment = yaml.safe_load(ENVIRONMENT.read_text(encoding="utf-8"))
    environment["dependencies"][-1] = {"pip": [f"-r {LOCK}"]}
    (folder / ENVIRONMENT).write_text(yaml.safe_dump(environment), encoding="utf-8")
    shutil.copyfile(LOCK, folder / LOCK)


def _commit(page: Page) -> str:
    """The commit that the page was made at, or else the present one."""
    made = store.provenance(page.run)["commit"] if page.run else None
    if made is None:
        command = ["git", "rev-parse", "HEAD"]
        made = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return made.rstrip("+") or "main"
