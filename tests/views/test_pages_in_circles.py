"""Who sets aside what is in use has to know that a page is being made: templates make circles (cli/garbage.py)."""

from __future__ import annotations

from exporter.views.pages import Pages


async def test_it_tells_how_many_pages_are_being_made() -> None:
    pages, seen = Pages(), list[int]()

    class Why(str):
        __slots__ = ()

        def __getitem__(self, _: object) -> str:
            seen.append(pages.rendering)
            return "because"

    assert "ecause" in await pages.render("refused.html", 5000, why=Why(), target=None)
    assert set(seen) == {1}
    assert pages.rendering == 0
