"""Check that the page says in words what the pictures say."""

from base64 import b64encode
from importlib.resources import files

from playwright.sync_api import Browser

from gradcam.wording import Caption
from tests.support.browser import needs_chromium

pytestmark = needs_chromium

WRITE = """async ([code, predictions]) => {
  const { probabilityText, statusText } = await import(code);
  return predictions.map((each) => [probabilityText(each), statusText(each)]);
}"""
NUMBERS = (0.0, 0.00001, 0.00004, 0.004, 0.09999, 0.1, 0.29997, 0.3, 0.31, 0.496, 0.49996, 0.49998)
# Of these two numbers of two or three decimals are as near, or seem to be
TIES = (0.0625, 0.125, 0.12, 0.375, 0.615, 0.62, 0.62499, 0.625, 0.63, 0.8125)
MORE_NUMBERS = (0.5, 0.50001, 0.50004, 0.871, 0.9958, 0.9962, 0.9996, 0.99996, 0.99998, 1.0)


def test_the_page_writes_numbers_as_the_pictures_do(browser: Browser) -> None:
    every = (*NUMBERS, *TIES, *MORE_NUMBERS)
    pairs = [(probability, threshold) for probability in every for threshold in every]
    captions = [Caption("A", *pair, finding=pair[0] >= pair[1]) for pair in pairs]
    predictions = [
        {"probability": one, "threshold": other, "positive": one >= other} for one, other in pairs
    ]
    code = (files("orchestrator") / "static" / "page" / "wording.js").read_bytes()
    module = f"data:text/javascript;base64,{b64encode(code).decode()}"

    page = browser.new_page()
    try:
        found = page.evaluate(WRITE, [module, predictions])
    finally:
        page.close()

    assert found == [[caption.number, caption.status] for caption in captions]
    assert found[pairs.index((0.49996, 0.5))] == ["0.4999", "below threshold 0.5000"]
