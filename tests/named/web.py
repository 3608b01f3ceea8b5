"""Small web servers on loopback addresses, which tests fetch from or which must never be reached."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """Answers each path with what ``pages`` says: bytes, (status, headers, bytes), or a function of the handler."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.pages: dict[str, object] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.requests.append((self.path, dict(self.headers)))
                page = web.pages.get(self.path.partition("?")[0], (404, {}, b"nothing here"))
                if isinstance(page, Callable):
                    page(self)
                    return
                status, headers, body = (200, {}, page) if isinstance(page, bytes) else page
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that go away early are what some tests are about."""

        self.server = Server((host, port), Handler)
        self.host, self.port = host, int(self.server.server_address[1])
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def allowed(self) -> str:
        """What CosphereApp.fetch_hosts says to let it be fetched from."""
        return f"{self.host}:{self.port}"

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
