"""An audience without browsers: it speaks Bokeh's protocol, acknowledges each frame, and can fall asleep."""

import asyncio
import json
import os
import re
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect


class Listener:
    """One viewer of a lecture.

    Attributes:
        frames: How many came.
        asleep: Seconds that each message waits before it is read.
    """

    def __init__(self) -> None:
        self.frames, self.asleep, self._pane = 0, 0.0, ""

    async def attend(self, url: str) -> None:
        """Open the page at `url` and begin to listen."""
        answer = await AsyncHTTPClient().fetch(url)
        token = re.search(r'"token":"([^"]+)"', answer.body.decode())[1]
        request = HTTPRequest(url.replace("http", "ws").replace("lecture?", "lecture/ws?"), headers={"Origin": url.split("/lecture", maxsplit=1)[0]})
        self._line: WebSocketClientConnection = await websocket_connect(request, subprotocols=["bokeh", token], max_message_size=2**26)
        await self._message()  # the server's welcome
        await self._post("PULL-DOC-REQ", {})
        self._pane = next(_viewers(await self._message()))
        self._task = asyncio.ensure_future(self._listen())

    async def leave(self) -> None:
        """Close the page."""
        self._task.cancel()
        self._line.close()

    async def _listen(self) -> None:
        await self._say("document_ready")
        while (text := await self._line.read_message()) is not None:
            await asyncio.sleep(self.asleep)
            if isinstance(text, str) and '"esm_event"' in text and (frame := re.search(r'\["number",(\d+)\]', text)):
                self.frames += 1
                await self._answer(type="ack", frames=[[0, int(frame[1])]])
            elif isinstance(text, str) and (serial := re.search(r'\["serial",(\d+)\]', text)):
                await self._answer(type="ready", serial=int(serial[1]))

    async def _message(self) -> Any:
        """The content of the next message."""
        parts = [await self._line.read_message() for _ in ("header", "metadata", "content")]
        for _ in range(2 * json.loads(parts[0]).get("num_buffers", 0)):
            await self._line.read_message()
        return json.loads(parts[2])

    async def _post(self, kind: str, content: object) -> None:
        for part in ({"msgid": os.urandom(8).hex(), "msgtype": kind}, {}, content):
            await self._line.write_message(json.dumps(part))

    async def _say(self, name: str, **values: object) -> None:
        event = {"type": "event", "name": name, "values": {"type": "map", "entries": [list(pair) for pair in values.items()]}}
        await self._post("PATCH-DOC", {"events": [{"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}]})

    async def _answer(self, **data: object) -> None:
        await self._say("data_event", model={"id": self._pane}, data={"type": "map", "entries": [list(pair) for pair in data.items()]})


def _viewers(part: Any) -> Iterator[str]:
    """The names of the 3D views in a document."""
    if isinstance(part, dict):
        attributes = part.get("attributes")
        if isinstance(attributes, dict) and attributes.get("class_name") == "Pane":
            yield part["id"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _viewers(each)


class Audience:
    """Many listeners, in a thread of their own.

    Args:
        url: Of the lecture.
        count: How many.
    """

    def __init__(self, url: str, count: int) -> None:
        self._loop, self.listeners = asyncio.new_event_loop(), [Listener() for _ in range(count)]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for listener in self.listeners:
            self._do(listener.attend(url))

    def leave(self) -> None:
        """All go home."""
        for listener in self.listeners:
            self._do(listener.leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
