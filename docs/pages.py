"""Write the pages that are made from the code: `make docs`.

Read next: errors_page.py, coverage_page.py, lint_page.py, verbs_page.py, writing_page.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs import coverage_page, errors_page, lint_page, verbs_page, writing_page

HERE = Path(__file__).parent
PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page.page,
    "coverage.md": coverage_page.page,
    "lint.md": lint_page.page,
    "verbs.md": verbs_page.page,
    "writing.md": writing_page.page,
    "pipeline.schema.json": lint_page.schema,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
