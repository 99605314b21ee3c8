"""How many questions may wait for an answer at the same time, whoever asks them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Window:
    """A semaphore of which a place can also be taken without waiting. Who waits is served in order."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    def locked(self) -> bool:
        return self._free <= 0 or bool(self._waiting)

    def take(self, spare: int = 0) -> bool:
        """Take a place now, unless somebody waits for one or no more than `spare` are free."""
        if self._free <= spare or self._waiting:
            return False
        self._free -= 1
        return True

    async def acquire(self) -> None:
        """Take a place, and wait for it if there is none."""
        if self.take():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it was ours already
            else:
                with suppress(ValueError):  # whoever gave a place back has passed over it
                    self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back: to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
