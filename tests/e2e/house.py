"""The real program under test: a `weir serve` of its own, on a free port and in a folder of its own."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading

WEIR = os.environ["WEIR_BINARY"]
MODEL = "weir-tiny"


class House:
    """Starts the gateway, waits until it listens, and takes it down again."""

    def __init__(self, config="", env=None):
        self.home = tempfile.mkdtemp(prefix="weir-e2e-")
        config_file = os.path.join(self.home, "test.toml")
        with open(config_file, "w", encoding="utf-8") as out:
            out.write(config)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
        self.env.update({"WEIR_HOME": self.home} | (env or {}))
        self.log = open(os.path.join(self.home, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [WEIR, "serve", "--config", config_file, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.env)
        greeting = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", greeting)
        if not found:
            self.log.seek(0)
            raise RuntimeError("weir serve did not start: " + self.log.read())
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.reader = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def logged(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8") as log:
            return log.read()

    def run(self, *arguments, **options):
        """A `weir` verb against this gateway."""
        return subprocess.run([WEIR, *arguments], env=self.env, capture_output=True, text=True,
                              timeout=60, check=False, **options)

    def workers(self):
        return json.loads(self.run("ps", "--json").stdout)["workers"]

    def spend(self):
        return {row["backend"]: row for row in json.loads(self.run("spend", "--json").stdout)["spend"]}

    def ask(self, path, body=None, headers=None, method=None):
        """One request; (status, headers, parsed or raw body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method or ("GET" if body is None else "POST"), path, data,
                               {"Content-Type": "application/json"} | (headers or {}))
            answer = connection.getresponse()
            raw = answer.read()
            given = {k.lower(): v for k, v in answer.getheaders()}
            is_json = given.get("content-type", "").startswith("application/json")
            return answer.status, given, json.loads(raw) if is_json else raw.decode()
        finally:
            connection.close()

    def chat(self, text, model=MODEL, headers=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 8} | fields
        return self.ask("/v1/chat/completions", body, headers)

    def open_stream(self, path, body):
        """A streamed answer, still coming: (connection, response)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, json.dumps(body | {"stream": True}).encode(),
                           {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def raw(self, data, wait=10):
        """Bytes sent as they are; all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as peer:
            peer.sendall(data)
            received = b""
            while True:
                piece = peer.recv(65536)
                if not piece:
                    return received
                received += piece


def events_of(raw):
    """The data of each server-sent event; parsed, but for [DONE]."""
    events = []
    for block in raw.split("\n\n"):
        if block.startswith("data: "):
            data = block[len("data: "):]
            events.append(data if data == "[DONE]" else json.loads(data))
    return events


def text_of(events):
    return "".join(choice["delta"].get("content") or "" for event in events if event != "[DONE]"
                   for choice in event.get("choices", []))
