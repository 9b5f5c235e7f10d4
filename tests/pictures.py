"""Pictures of every page, in both languages, at both widths, light and dark: `make pictures`, then look at them.

.venv/bin/python tests/pictures.py STORE [--out pictures]
    .venv/bin/python tests/pictures.py STORE --readme      those the README shows
"""

import argparse
import tempfile
from pathlib import Path

from serving import SETTLED, chromium, serving

from analytics.view.menu import PAGES

SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}
README = {
    "overview": "?city=zhuhai&year=2023&threshold=0.10",
    "catastrophic": "catastrophic?city=weihai&year=2023&resource=consumption",
    "compare": "compare?measure=own_share_after",
    "operations": "operations?city=zhuhai&year=2023",
}
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--readme", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    names = [name for names in PAGES.values() for name in names]
    with tempfile.TemporaryDirectory() as folder, serving(args.store.resolve(), Path(folder)) as site:
        for browser in chromium():
            if args.readme:
                page = browser.new_page(viewport={"width": 1280, "height": 860})
                page.set_default_timeout(60_000)
                for name, address in README.items():
                    page.goto(f"{site}/{address}")
                    _shoot(page, ROOT / ".readme" / f"{name}.png", whole=False)
                continue
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
                    page.set_default_timeout(60_000)
                    for name in names:
                        for language in ("zh", "en") if scheme == "light" else ("zh",):
                            page.goto(f"{site}/{'' if name == 'overview' else name}?lang={language}")
                            _shoot(page, args.out / f"{name}-{language}-{size}-{scheme}.png", whole=True)
                    page.close()


def _shoot(page, target: Path, whole: bool) -> None:  # type: ignore[no-untyped-def]
    page.wait_for_selector("h1")
    page.wait_for_selector(SETTLED)
    page.wait_for_timeout(1500)
    if whole:  # the page scrolls inside itself: make the window as high as its content
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        size = page.viewport_size
        page.set_viewport_size({"width": size["width"], "height": min(int(height), 6000)})
        page.wait_for_timeout(700)
        page.screenshot(path=target)
        page.set_viewport_size(size)
    else:
        page.screenshot(path=target)
    print(target)


if __name__ == "__main__":
    main()
