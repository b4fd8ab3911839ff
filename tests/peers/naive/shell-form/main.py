"""A service of the standard library alone: there is nothing to install and nothing to declare."""

import json
import platform
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "python": platform.python_version()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    with ThreadingHTTPServer(("0.0.0.0", 8000), Handler) as server:
        # The first process of a container has no default handlers: without this one it would not stop. `shutdown` waits for
        # `serve_forever`, which the handler interrupts, to end: hence the thread.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()


if __name__ == "__main__":
    main()
