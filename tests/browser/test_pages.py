"""MLflow's own web page through sekisho, in a headless Chromium that signs in with HTTP Basic.

What a person sees: the lists and pages hold the seeded names, the stage control works, a refusal is shown as a sentence,
and otherwise no error comes up. The pictures are kept in .cache/screenshots.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest
from client_process import run_client
from conftest import CACHE, LOGS, Gate
from harness.rest import send
from harness.sekisho import Sekisho
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

MODEL = "fraud_detection_xgboost_auc_dev"
PATIENCE = 40
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
)  # fmt: skip
ERRORS = re.compile(r"Something went wrong|Permission denied|PERMISSION_DENIED|UNAUTHENTICATED|Error fetching|Loading artifact failed|An error occurred|Can't load")


@dataclass
class Page:
    """A signed-in browser."""

    driver: WebDriver
    url: str

    def open(self, route: str, *expected: str) -> str:
        """Goes there, waits until every expected text is shown, and returns all that is shown."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#{route}")
        return self.wait_for(*expected)

    def wait_for(self, *expected: str) -> str:
        """Waits until every expected text is shown."""
        try:
            WebDriverWait(self.driver, PATIENCE).until(lambda _: all(text in self.shown() for text in expected))
        except TimeoutException as error:
            self.keep("failed")
            raise AssertionError(f"not shown: {[t for t in expected if t not in self.shown()]} in:\n{self.shown()}") from error
        return self.shown()

    def shown(self) -> str:
        """The text of the page."""
        return str(self.driver.execute_script("return document.body ? document.body.innerText : ''"))

    def click(self, xpath: str) -> None:
        """Clicks the first thing that matches, once it is there."""
        found = WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: next((item for item in driver.find_elements(By.XPATH, xpath) if item.is_displayed()), None)
        )
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def keep(self, name: str) -> None:
        """Keeps a picture, once nothing moves any more."""
        still = "return document.getAnimations().every(one => one.playState !== 'running' || one.effect.getTiming().iterations > 1)"
        with suppress(TimeoutException):
            WebDriverWait(self.driver, 3).until(lambda driver: driver.execute_script(still))
        folder = CACHE / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(folder / f"{name}.png"))


@pytest.fixture(scope="module")
def programs() -> tuple[str, str]:
    """Chromium and its driver, installed if that is possible; else the suite is skipped and says why."""
    wanted = ("chromium", "chromedriver")
    if not all(map(shutil.which, wanted)):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("skipped: Chromium is not installed (apt-get install chromium chromium-driver)")
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "chromium-driver"]):
            done = subprocess.run(["apt-get", *command], capture_output=True, text=True, timeout=600, check=False)
            if done.returncode != 0:
                pytest.skip(f"skipped: apt-get {command[0]} failed: {done.stderr.strip()[-200:]}")
    found = tuple(shutil.which(name) for name in wanted)
    if None in found:
        pytest.skip("skipped: Chromium is not where it should be after its installation")
    return found[0] or "", found[1] or ""


@pytest.fixture(scope="module")
def seeded(gate: Gate) -> dict[str, str]:
    """One model with two versions, made past the gate."""
    made = run_client("seed.py", {"MLFLOW_TRACKING_URI": gate.mlflow.url}, MODEL)
    assert isinstance(made, dict)
    root = gate.sekisho.token("root@company.com", "admin")
    assert send(gate.url, "POST", "/sekisho/v1/cache:purge", root).status == 200
    return made[MODEL]


@pytest.fixture
def admin(gate: Gate, seeded: dict[str, str], programs: tuple[str, str]) -> Iterator[Page]:
    """Signed in as an admin."""
    yield from sign_in(gate, programs, gate.sekisho.token("root@company.com", "admin"))


@pytest.fixture
def manager(gate: Gate, seeded: dict[str, str], programs: tuple[str, str]) -> Iterator[Page]:
    """Signed in as somebody who only reads."""
    yield from sign_in(gate, programs, gate.sekisho.token("manager@company.com", "product_manager", [MODEL]))


def sign_in(gate: Gate, programs: tuple[str, str], token: str) -> Iterator[Page]:
    """Gives the token as the password once, as a person would in the browser's dialog; the browser keeps it."""
    with browser(programs) as driver:
        driver.get(gate.url.replace("http://", f"http://anyone:{token}@") + "/health")
        driver.get(gate.url)
        # The stage control is hidden behind the page's own switch, which it keeps in the local storage.
        driver.execute_script(
            "localStorage.setItem('_mlflow_user_setting_dismiss_next_model_registry_ui', 'true');"
            "localStorage.setItem('_mlflow_model_registry_promo_modal_dismissed_v1', 'true');"
            "localStorage.setItem('mlflow.telemetry.info.alert.dismissed', 'true');"
        )
        yield Page(driver, gate.url)


@contextmanager
def browser(programs: tuple[str, str]) -> Iterator[WebDriver]:
    """A Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=programs[1]))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def check(page: Page, name: str, text: str) -> None:
    """Keeps a picture and finds no error on it."""
    page.keep(name)
    assert not ERRORS.search(text), text


def test_without_a_good_token_nothing_is_shown(gate: Gate, programs: tuple[str, str]) -> None:
    """The browser asks for credentials instead of showing the page."""
    with browser(programs) as driver:
        driver.get(gate.url.replace("http://", "http://anyone:nonsense@"))
        assert "Experiments" not in Page(driver, gate.url).shown()


def test_the_list_of_models(admin: Page) -> None:
    """With the seeded model, its newest version and its tag."""
    check(admin, "models", admin.open("/models", MODEL, "Version 2", f"secret of {MODEL}"))


def test_a_model(admin: Page) -> None:
    """With both versions."""
    check(admin, "model", admin.open(f"/models/{MODEL}", MODEL, "Version 1", "Version 2"))


def test_a_version(admin: Page) -> None:
    """With its run."""
    check(admin, "version", admin.open(f"/models/{MODEL}/versions/1", MODEL, "Version 1", f"training of {MODEL}"))


def test_the_stage_control(admin: Page, gate: Gate) -> None:
    """Used once: the version is in Staging afterwards, on the page and in MLflow."""
    admin.open(f"/models/{MODEL}/versions/2", MODEL, "Version 2", "Stage")
    ask_for_staging(admin)
    WebDriverWait(admin.driver, PATIENCE).until(lambda _: stages(gate).get(2) == "Staging")
    check(admin, "stage", admin.open(f"/models/{MODEL}/versions/2", MODEL, "Version 2", "Staging"))


def test_a_refused_transition_is_shown(manager: Page, gate: Gate) -> None:
    """With sekisho's sentence, and nothing has changed."""
    before = stages(gate)
    manager.open(f"/models/{MODEL}/versions/1", MODEL, "Version 1", "Stage")
    ask_for_staging(manager)
    manager.wait_for("manager@company.com may not stage_transition")
    manager.keep("stage-refused")
    assert stages(gate) == before


def test_the_rules_of_stages_are_told_by_the_page(seeded: dict[str, str], gate: Gate, programs: tuple[str, str]) -> None:
    """Its control asks for MLflow's Staging, which is the house's: what the way there lacks is what the page shows."""
    with Sekisho(gate.mlflow.url, LOGS, settings={"rules": {"mode": "enforce"}}) as strict:
        token = strict.token("root@company.com", "admin")
        for page in sign_in(Gate(strict, gate.mlflow), programs, token):
            page.open(f"/models/{MODEL}/versions/1", MODEL, "Version 1", "Stage")
            ask_for_staging(page)
            page.wait_for("no rule leads from Development to Staging")
            page.keep("stage-ruled")
    assert stages(gate)[1] == "None"


def test_the_files_of_a_run(admin: Page, seeded: dict[str, str]) -> None:
    """The list, and a file's content."""
    admin.open(f"/experiments/{seeded['experiment']}/runs/{seeded['run']}/artifacts", "note.txt")
    admin.click("//*[text()='note.txt']")
    check(admin, "artifacts", admin.wait_for(f"secret of {MODEL}"))


def test_the_runs_of_an_experiment(admin: Page, seeded: dict[str, str]) -> None:
    """The page that everything else is reached from; it asks by POST and GraphQL."""
    check(admin, "runs", admin.open(f"/experiments/{seeded['experiment']}/runs", f"training of {MODEL}"))


def ask_for_staging(page: Page) -> None:
    """Opens the stage control, chooses Staging and confirms."""
    page.click("//*[@data-testid='stage-transition-dropdown'] | //*[contains(@class, 'stage-transition-dropdown')] | //*[@title='Current stage']/ancestor::*[1]")
    page.click("//*[contains(normalize-space(.), 'Transition to') and contains(normalize-space(.), 'Staging')][not(*//*[contains(., 'Transition to')])]")
    page.click("//*[@role='dialog']//button[contains(., 'OK') or contains(., 'Confirm') or contains(., 'Transition')]")


def stages(gate: Gate) -> dict[int, str]:
    """Stages by version, as MLflow has them."""
    state = gate.mlflow.state()
    columns = state.columns["model_versions"]
    version, stage = columns.index("version"), columns.index("current_stage")
    return {int(str(row[version])): str(row[stage]) for row in state.tables["model_versions"]}
