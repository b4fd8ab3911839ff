"""A caching mirror on loopback: the warm package cache that every side of a measurement shares.

1. As an HTTP proxy it serves Debian archives: `GET http://deb.debian.org/...`.
2. Below /simple/ it is a package index (PEP 691, JSON) whose files come from itself.
3. Below /fetch/SCHEME/HOST/PATH it serves one file of another host, which is what its index links to.
4. /stats tells how many bytes and requests had to come from outside.

What was fetched once is served from disk from then on, an answer of 404 included. Run by native.py as a process of its own, so
that neither its time nor its memory counts for anybody.

usage: mirror.py PORT DIRECTORY [INDEX_URL]
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/vnd.pypi.simple.v1+json"


class Cache:
    """Bodies by URL, one file each, with the status and media type in a second one."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        self.locks = {}
        self.requests = self.bytes = 0
        os.makedirs(directory, exist_ok=True)

    def get(self, url, accept=None):
        """Returns status, media type and the path of the body."""
        stem = os.path.join(self.directory, hashlib.sha256(f"{url} {accept}".encode()).hexdigest())
        with self.lock:
            lock = self.locks.setdefault(stem, threading.Lock())
        with lock:
            if not os.path.exists(stem + ".json"):
                self.fetch(url, accept, stem)
            with open(stem + ".json", encoding="utf-8") as file:
                about = json.load(file)
        return about["status"], about["type"], stem + ".body"

    def fetch(self, url, accept, stem):
        request = urllib.request.Request(url, headers={"Accept": accept or "*/*", "User-Agent": "bench-mirror"})
        try:
            answer = urllib.request.urlopen(request, timeout=120)
        except urllib.error.HTTPError as error:
            if error.code not in (403, 404, 410):
                raise
            answer = error
        with answer, tempfile.NamedTemporaryFile(dir=self.directory, delete=False) as body:
            shutil.copyfileobj(answer, body, 1 << 20)
            size = body.tell()
        os.rename(body.name, stem + ".body")
        about = {"url": url, "status": answer.status, "type": answer.headers.get("Content-Type", "")}
        with open(stem + ".tmp", "w", encoding="utf-8") as file:
            json.dump(about, file)
        os.rename(stem + ".tmp", stem + ".json")
        with self.lock:
            self.requests += 1
            self.bytes += size


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body of a small answer leave together; without this each waits for the other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        try:
            self.answer()
        except (urllib.error.URLError, TimeoutError) as error:
            self.reply(502, "text/plain", f"{error}\n".encode())

    do_HEAD = do_GET

    def answer(self):
        path = self.path
        if path.startswith("http://"):
            return self.send_cached(path)
        parts = path.split("?")[0].strip("/").split("/")
        if parts[0] == "stats":
            cache = self.server.cache
            return self.reply(200, "application/json", json.dumps([cache.requests, cache.bytes]).encode())
        if parts[0] == "simple" and len(parts) == 2:
            return self.send_project(parts[1])
        if parts[0] == "fetch" and len(parts) > 3:
            return self.send_cached(f"{parts[1]}://{'/'.join(parts[2:])}")
        self.reply(404, "text/plain", b"")

    def send_project(self, project):
        url = f"{self.server.index}/{project}/"
        status, _, body = self.server.cache.get(url, JSON)
        if status != 200:
            return self.reply(status, "text/plain", b"")
        with open(body, encoding="utf-8") as file:
            page = json.load(file)
        own = f"http://{self.headers['Host']}/fetch/"
        for file in page["files"]:
            file["url"] = own + urllib.parse.urljoin(url, file["url"]).replace("://", "/", 1)
        self.reply(200, JSON, json.dumps(page).encode())

    def send_cached(self, url):
        status, media_type, path = self.server.cache.get(url)
        size = os.path.getsize(path)
        start, end = 0, size
        wanted = self.headers.get("Range", "")
        if status == 200 and wanted.startswith("bytes=") and "," not in wanted:
            first, last = wanted[6:].split("-")
            start = int(first) if first else max(0, size - int(last))
            end = min(size, int(last) + 1) if first and last else size
            if start >= end:
                return self.reply(416, media_type, b"", {"Content-Range": f"bytes */{size}"})
            status = 206
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.flush()
        with open(path, "rb") as file:
            while start < end:
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, end - start)

    def reply(self, status, media_type, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # Of eight connections that are opened at once a queue of five loses some, and who lost one tries again a second later.
    request_queue_size = 128


def main(port, directory, index="https://pypi.org/simple"):
    server = Server(("127.0.0.1", int(port)), Handler)
    server.daemon_threads = True
    server.cache = Cache(directory)
    server.index = index.rstrip("/")
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
