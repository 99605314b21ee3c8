"""`python -m tests.first_hour.pictures DIR` draws the pictures of the documents: the pages of a fleet, in Chromium.

It needs root, as tests/lab/internet does. The pages are those of a real daemon that has checked this fleet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from playwright.sync_api import sync_playwright

from tests.first_hour import fleet
from tests.lab.internet.servers import RESOLVER, internet
from tests.lab.process import Lab, until
from tests.worlds import world

HOME = Path(__file__).parents[2]
MODULE = "tests.first_hour.pictures"
AT = "http://127.0.0.1:10554"
WIDTH, HEIGHT = 1280, 880
PAGES = {"overview.png": "/", "domain.png": "/targets/domain=bookshop.example"}


def main(directory: Path) -> None:
    """Raise AssertionError with what Chromium says if it draws nothing."""
    with Lab() as lab:
        net = internet(lab, [world.read(lab.write("fleet.zone", fleet.zone()))])
        env = {"PYTHONPATH": str(HOME), **net.trust}
        config, state = lab.write("fleet.yaml", fleet.config(RESOLVER)), lab.home / "state"
        flags = [f"--config.file={config}", f"--storage.path={state}", f"--web.external-url={AT}/"]
        lab.start("daemon", net.namespace.enter([sys.executable, "-m", "exporter", *flags]), lambda: True, env=env)
        until(lambda: net.namespace.run(_has_checked), "a result of each check", 90, every=1)
        draw = net.namespace.enter([sys.executable, "-m", MODULE, "--in-the-network", directory])
        drawn = subprocess.run(draw, env=os.environ | env, capture_output=True, text=True, check=False)
        assert drawn.returncode == 0, drawn.stderr


def _has_checked() -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{AT}/metrics", timeout=5) as response:
            return b'status="pending"' not in response.read()
    except OSError:  # it does not listen yet
        return False


def draw_here(directory: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for name, path in PAGES.items():
            page.goto(AT + path)
            page.screenshot(path=directory / name)
        browser.close()


if __name__ == "__main__":
    place = Path(sys.argv[-1]).absolute()
    (draw_here if "--in-the-network" in sys.argv else main)(place)
