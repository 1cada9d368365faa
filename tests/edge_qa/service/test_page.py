"""The page at `/`, in a real browser, and what stands around it."""

import shutil
from collections.abc import Iterator

import pytest

from edge_qa.service.page import content_security_policy
from tests.support.service import Service

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# With a character that JavaScript counts as two, before the answer.
TEXT = "\U0001f5fc The lighthouse was lit in 1871. Its keeper was Ada Lovelace.\nShe lived in the tower."


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, service: Service) -> Iterator:
    """The page, 400 pixels wide; it must ask nobody but the service, and complain of nothing."""
    asked, complaints = [], []
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{service.port}/")
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((f"http://127.0.0.1:{service.port}/", "data:"))] == []
    assert [text for text in complaints if "status of 422" not in text] == []


def test_a_text_is_asked_by_keyboard_and_the_answer_is_marked_in_place(page):
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_label("Question", exact=True).fill("Who was the keeper?")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")
    assert page.inner_text("mark") == "Ada Lovelace"
    assert page.inner_text("#marked") == TEXT
    assert "3 answers in" in page.inner_text("#status")
    assert "among all places of the text" in page.locator("#answers li").first.inner_text()
    # The second answer, by the keyboard.
    second = page.locator("#answers button").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    assert page.inner_text("mark") == second.locator(".answer").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_what_is_asked_is_text_and_never_markup(page):
    page.get_by_label("Text", exact=True).fill("<img src=x onerror=alert(1)> The <b>keeper</b> was Ada.")
    page.get_by_label("Question", exact=True).fill("Who was the keeper?")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_selector("mark")
    assert page.locator("#marked img, #marked b").count() == 0
    assert page.inner_text("#marked").startswith("<img src=x")


def test_the_documents_are_asked_and_the_source_is_shown(page):
    page.get_by_label("the documents (2 files)").check()
    assert not page.get_by_label("Text", exact=True).is_visible()
    page.get_by_label("Question", exact=True).fill("Who built the mill?")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_selector("mark")
    assert page.inner_text("mark") == "John Carter"
    assert "mill.md, characters" in page.locator("#answers li").first.inner_text()


def test_what_is_wrong_is_said(page):
    page.get_by_role("button", name="Ask").click()
    assert page.inner_text("[role=alert]") == "Give a text."
    assert page.evaluate("document.activeElement.id") == "text"
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_label("Question", exact=True).evaluate("field => field.value = 'a \\ud800'")
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("lone surrogate at code point 2").wait_for()


def test_the_policy_lets_nothing_in_but_the_page_itself(service: Service):
    reply = service.get("/")
    policy = reply.headers["content-security-policy"]
    assert policy == content_security_policy(reply.body.decode())
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    # The hash of "1", by hand: printf 1 | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='" in content_security_policy(
        "<style></style><script>1</script>"
    )
    text = reply.body.decode()
    assert "innerHTML" not in text
    assert "http://" not in text
    assert "https://" not in text
