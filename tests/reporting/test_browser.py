"""The page in a browser: Debian's Chromium and its driver, and axe from its npm package (`make browser`)."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = Path(sys.prefix) / "axe/node_modules/axe-core/axe.min.js"

# .ci/run has both and says so: there, nothing is skipped
if os.environ.get("ACTIVA_BROWSER") != "required" and not (CHROMIUM and DRIVER and AXE.exists()):
    pytest.skip("needs chromium, chromedriver and axe: see CONTRIBUTING.md", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(params=["made", "several"])
def page(browser, request):
    """The report on one and on three generators, on a laptop's screen."""
    see(browser, 1280)
    browser.get_log("browser")
    browser.get(request.getfixturevalue(request.param)[0].as_uri())
    return browser


def see(browser, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def column(page, index):
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[index].text for row in rows(page)]


def rows(page):
    return page.find_element(By.CSS_SELECTOR, "table.sortable").find_elements(By.CSS_SELECTOR, "tbody tr")


def test_nothing_is_wrong_and_every_picture_shows(page):
    assert page.get_log("browser") == []
    assert page.title.startswith("How real are these cells?")
    shown = page.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth > 300)")
    assert len(shown) in (11, 29) and all(shown)
    assert page.execute_script("return performance.getEntriesByType('resource').map(r => r.name)") == []


@pytest.mark.parametrize("press", [lambda button: button.click(), lambda button: button.send_keys(Keys.ENTER)])
def test_types_are_sorted_by_a_press_on_a_heading(page, press):
    buttons = page.find_elements(By.CSS_SELECTOR, "table.sortable thead button")
    headings = page.find_elements(By.CSS_SELECTOR, "table.sortable thead th")[:3]
    assert [heading.get_attribute("aria-sort") for heading in headings] == [None, "descending", None]
    names = column(page, 0)
    cells = [int(text) for text in column(page, 2)]
    press(buttons[2])
    assert [int(text) for text in column(page, 2)] == sorted(cells, reverse=True)
    assert [heading.get_attribute("aria-sort") for heading in headings] == [None, None, "descending"]
    press(buttons[2])
    assert [int(text) for text in column(page, 2)] == sorted(cells)
    press(buttons[0])
    assert column(page, 0) == sorted(names, key=str.lower)


def test_it_can_be_read_on_a_phone(page):
    see(page, 375)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 375
    small = page.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => e.textContent.trim() && "
        "parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML)"
    )
    assert small == []
    # what is cut says so
    boxes = page.execute_script(
        "return [...document.querySelectorAll('.wide')].filter(e => e.checkVisibility()).map(e => "
        "[e.scrollWidth > e.clientWidth + 1, e.parentElement.querySelector('.hint').checkVisibility()])"
    )
    assert all(is_cut == is_told for is_cut, is_told in boxes) and any(is_cut for is_cut, _ in boxes)
    # the pictures keep a size at which their text can be read, and are moved inside their frame
    widths = page.execute_script("return [...document.images].map(i => i.width)")
    assert min(widths) >= 600


def test_the_keyboard_reaches_all_that_can_be_used(page):
    count = page.execute_script("return document.querySelectorAll('a, button, summary, [tabindex]').length")
    reached = set()
    for _ in range(count + 2):
        page.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(page.execute_script("return document.activeElement.outerHTML.slice(0, 200)"))
        outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.switch_to.active_element.tag_name == "body"
    usable = page.execute_script(
        "return [...document.querySelectorAll('a, button, summary, [tabindex]')]"
        ".filter(e => e.checkVisibility()).map(e => e.outerHTML.slice(0, 200))"
    )
    assert set(usable) <= reached


@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_nothing(page, width):
    see(page, width)
    page.execute_script(AXE.read_text())
    found = page.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]] == []
    # what axe cannot decide alone: contrast behind a picture, and the like
    assert {rule["id"] for rule in found["incomplete"]} <= {"color-contrast"}
