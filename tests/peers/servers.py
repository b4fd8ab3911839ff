"""Servers that the checks need: PostgreSQL and docker-registry from Debian, and two that misbehave."""

import contextlib
import glob
import json
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Failure, expect, fetch, free_port, tool


@contextlib.contextmanager
def daemon(argv, log, **more):
    """A process that runs while the block does."""
    with open(log, "ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)
    try:
        yield process
    except Exception as error:
        with open(log, encoding="utf-8", errors="replace") as file:
            raise Failure(f"{error}\n{argv[0]} said: {file.read()[-1500:]}") from error
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgres(context):
    """A PostgreSQL of Debian's with a fresh cluster; yields its port. It refuses to run as root."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    expect(programs, "Debian's postgresql is not installed")
    directory = context.directory("postgres")
    ids = {}
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        os.chown(directory, entry.pw_uid, entry.pw_gid)
        ids = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    data, port = os.path.join(directory, "data"), free_port()
    initdb = [f"{programs[-1]}/initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", data]
    made = subprocess.run(initdb, capture_output=True, text=True, cwd=directory, check=False, **ids)
    expect(made.returncode == 0, f"initdb: {made.stderr}")
    argv = [f"{programs[-1]}/postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", directory]
    with daemon(argv, os.path.join(context.work, "postgres.log"), cwd=directory, **ids) as process:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            expect(process.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start")
            time.sleep(0.1)
        yield port


@contextlib.contextmanager
def registry(context, name="registry"):
    """An empty docker-registry of Debian's; yields `host:port`."""
    expect(shutil.which("docker-registry"), "Debian's docker-registry is not installed")
    directory, port = context.directory(name), free_port()
    config = os.path.join(directory, "config.json")
    with open(config, "w", encoding="utf-8") as file:
        storage = {"filesystem": {"rootdirectory": os.path.join(directory, "data")}}
        json.dump(
            {"version": 0.1, "log": {"level": "error"}, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}, file
        )
    with daemon(["docker-registry", "serve", config], os.path.join(directory, "log")) as process:
        status, _ = fetch(f"http://127.0.0.1:{port}/v2/", 30, process)
        expect(status == 200, f"the registry answers {status}")
        yield f"127.0.0.1:{port}"


def skopeo(*arguments):
    return tool("skopeo", "--insecure-policy", *arguments)


class Tampering(BaseHTTPRequestHandler):
    """An HTTP proxy that changes the bodies whose URL ends as `server.suffix` says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        headers = {
            name: value for name, value in self.headers.items() if name.lower() in ("accept", "range", "user-agent")
        }
        try:
            answer = urllib.request.urlopen(urllib.request.Request(self.path, headers=headers), timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
        if answer.status in (200, 206) and self.path.endswith(self.server.suffix):
            body = self.server.change(body)
            self.server.changed += 1
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Range", "ETag", "Last-Modified"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            # A client that has seen enough hangs up.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def tampering(suffix, change):
    """Yields the variables that send plain HTTP through a proxy which applies `change` to bodies of URLs ending in `suffix`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Tampering) as server:
        server.daemon_threads = True
        server.suffix, server.change, server.changed = suffix, change, 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {"http_proxy": f"http://127.0.0.1:{server.server_port}"}
            expect(server.changed, f"nothing that ends in {suffix} was asked for")
        finally:
            server.shutdown()


@contextlib.contextmanager
def dying(upstream, after):
    """A TCP relay to `host:port` that stops for good once its clients have sent `after` bytes; yields its own `host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = upstream.split(":")
    left, lock, ends = [after], threading.Lock(), []

    def die():
        # shutdown() wakes the threads that close() alone would leave waiting, and refuses whoever comes next.
        for end in [listener, *ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def relay(source, sink, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    with lock:
                        left[0] -= len(data)
                    if left[0] <= 0:
                        die()
                        return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                ends.extend([client, server])
                threading.Thread(target=relay, args=(client, server, True), daemon=True).start()
                threading.Thread(target=relay, args=(server, client, False), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        expect(left[0] <= 0, "the registry did not get to die: too little was sent")
    finally:
        die()
