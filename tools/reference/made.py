"""What stands at the top of each page that is made."""

from __future__ import annotations

MADE = "<!-- Made by `make docs`; changes are lost with the next one. -->"
