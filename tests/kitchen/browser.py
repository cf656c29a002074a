"""What stands between a browser and the kitchen: a wire that can be cut, and a process that can die."""

import asyncio
import contextlib
import threading
from typing import Any

from tests.processes import BIN, free_port, running


class Wire:
    """A TCP proxy before the sockets' server. Cut, it is silent, as a pulled cable is: nothing is refused."""

    def __init__(self, target: int) -> None:
        self.port, self.target = free_port(), target
        self.is_cut = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Wire":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.is_cut:
                    continue  # lost on the way; the line never carries anything again
                writer.write(data)
                await writer.drain()
        writer.close()


class Sockets:
    """The process that serves the sockets, which a test may kill and start again on its port."""

    def __init__(self, database: str, **env: str) -> None:
        self.database, self.env = database, env
        self.port = free_port()
        self._stack = contextlib.ExitStack()
        self.process: Any = None

    def start(self) -> None:
        command = [BIN / "daphne", "-b", "127.0.0.1", "-p", str(self.port), "fynlo.asgi:application"]
        self.process = self._stack.enter_context(running(command, self.database, **self.env))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self._stack.close()
