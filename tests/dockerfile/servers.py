"""What builds reach on loopback: a read-only registry with the base images, files over HTTP, git over HTTP, an ssh agent.

None of it is a peer: these stand where the world would be, so they are as small as what is asked of them.
"""

import contextlib
import hashlib
import os
import socket
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trees

MANIFESTS = {"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        path, _, query = self.path.partition("?")
        path = path.strip("/")
        if path == "v2" or path.startswith("v2/"):
            return self.registry(path.removeprefix("v2").strip("/"))
        if "/git/" in path and (path.endswith("/info/refs") or self.command == "POST"):
            return self.git(path, query)
        found = self.server.files.get(path)
        self.reply(404 if found is None else 200, "application/octet-stream", found or b"", file=True)

    do_HEAD = do_POST = do_GET

    def registry(self, path):
        """Manifests and blobs of `server.images`, a dictionary of `repository:tag` or `digest` to media type and bytes."""
        images = self.server.images
        if not path:
            return self.reply(200, "application/json", b"{}")
        for middle in ("/manifests/", "/blobs/"):
            repository, found, name = path.partition(middle)
            key = name if name.startswith("sha256:") else f"{repository.removeprefix('library/')}:{name}"
            if found and key in images:
                media_type, body = images[key]
                digest = "sha256:" + hashlib.sha256(body).hexdigest()
                return self.reply(200, media_type, body, {"Docker-Content-Digest": digest})
        error = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
        self.reply(404, "application/json", error)

    def git(self, path, query):
        """git's own CGI program, which serves shallow clones too."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "GIT_PROJECT_ROOT": self.server.repositories,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "uploadpack.allowReachableSHA1InWant",
            "GIT_CONFIG_VALUE_1": "true",
            "GIT_CONFIG_KEY_2": "http.receivepack",
            "GIT_CONFIG_VALUE_2": "false",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": "/" + path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        said = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, rest = said.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(fields.get("Status", "200 OK").split()[0])
        self.reply(status, fields.get("Content-Type", "text/plain"), rest)

    def reply(self, status, media_type, body, headers=None, file=False):
        self.send_response(status)
        headers = {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}
        if file and status == 200:
            headers |= {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Listener(ThreadingHTTPServer):
    """Clients that have seen enough hang up: no reason to say anything."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Server:
    """All of it at one port, until `stop`."""

    def __init__(self, directory, images):
        self.repositories, self.directory = os.path.join(directory, "repositories"), directory
        os.makedirs(self.repositories)
        self.http = Listener(("127.0.0.1", 0), Handler)
        self.http.images, self.http.files, self.http.repositories = images, {}, self.repositories
        self.address = f"127.0.0.1:{self.http.server_port}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.agent, self.listener = os.path.join(directory, "agent"), None

    def put(self, path, content):
        self.http.files[path] = content

    def commit(self, path, nodes, branch=None, tag=None):
        """Adds a commit with these nodes as its tree; without a name it is on `main`."""
        place = os.path.join(self.repositories, path)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": self.directory,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **{f"GIT_{who}_DATE": "1000000000 +0000" for who in ("AUTHOR", "COMMITTER")},
        }

        def git(*arguments):
            subprocess.run(["git", "-C", place, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

        if not os.path.exists(place):
            os.makedirs(place)
            git("init", "-q", "--initial-branch=main")
            git("config", "receive.denyCurrentBranch", "ignore")
        if branch:
            git("checkout", "-q", "-B", branch)
        for entry in os.listdir(place):
            if entry != ".git":
                subprocess.run(["rm", "-rf", os.path.join(place, entry)], check=True)
        trees.write(place, nodes)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "as the case says")
        if tag:
            git("tag", tag)
        if branch:
            git("checkout", "-q", "main")

    def start_agent(self):
        """An ssh agent without keys, at the socket `agent`."""
        listener = self.listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.agent)
        os.chmod(self.agent, 0o666)
        listener.listen()

        def answer(client):
            with contextlib.suppress(OSError), client:
                while head := client.recv(4):
                    client.recv(struct.unpack(">I", head)[0])
                    # SSH_AGENT_IDENTITIES_ANSWER with none.
                    client.sendall(struct.pack(">IBI", 5, 12, 0))

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def stop(self):
        if self.listener:
            self.listener.close()
        self.http.shutdown()
        self.http.server_close()
