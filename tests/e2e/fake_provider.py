"""A provider that we cannot reach, played: OpenAI's wire format over TLS, with every misbehaviour.

The model's name chooses what it does; whatever bytes reach it are kept in `received`.
"""
import json
import os
import socket
import ssl
import subprocess
import threading
import time


def make_certificate(folder):
    """A self-signed certificate for localhost, valid for a day."""
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", certificate,
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    return key, certificate


def chunk(content=None, finish=None, **more):
    delta = {} if content is None else {"content": content}
    return {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": "fake-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14,
         "prompt_tokens_details": {"cached_tokens": 4}}
WORDS = ["Hello", " from", " afar"]


class FakeProvider:
    def __init__(self, folder=None):
        """With a folder, TLS with a certificate made there; without, plain TCP."""
        self.received = b""
        self.requests = []
        self.connections = 0
        self.lock = threading.Lock()
        self.context = None
        self.certificate = None
        if folder:
            key, self.certificate = make_certificate(folder)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(self.certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.open = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept that waits on it
        except OSError:
            pass
        self.listener.close()

    @property
    def base_url(self):
        return f"{'https' if self.context else 'http'}://localhost:{self.port}/v1"

    def accept(self):
        while self.open:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            stream = peer.makefile("rwb")
            while self.answer_one(stream):
                pass
            stream.close()
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            peer.close()

    def answer_one(self, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        with self.lock:
            self.received += head
        length = next((int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")), 0)
        body = stream.read(length)
        with self.lock:
            self.received += body
            request = json.loads(body)
            self.requests.append((head.decode(), request))
        behaviour = getattr(self, "do_" + request["model"].replace("-", "_"), self.do_good)
        return behaviour(stream, request)

    # -- what it can do: each returns whether the connection goes on ---------------------------------

    def reply(self, stream, status, payload, headers=""):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        stream.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                     f"{headers}\r\n".encode() + body)
        stream.flush()
        return True

    def begin_stream(self, stream):
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def piece(self, stream, data):
        stream.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        stream.flush()

    def event(self, stream, value, end=b"\n\n"):
        self.piece(stream, b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + end)

    def end(self, stream):
        stream.write(b"0\r\n\r\n")
        stream.flush()
        return True

    def do_good(self, stream, request):
        if not request.get("stream"):
            return self.reply(stream, 200, {
                "id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": "fake-1", "usage": USAGE,
                "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                             "message": {"role": "assistant", "content": "".join(WORDS), "refusal": None}}]})
        self.begin_stream(stream)
        for word in WORDS:
            self.event(stream, chunk(word))
        self.event(stream, chunk(finish="stop"))
        self.event(stream, chunk(choices=[], usage=USAGE))
        self.event(stream, b"[DONE]")
        return self.end(stream)

    def do_cut(self, stream, request):  # UP1: the connection ends in the middle
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        return False

    def do_early_end(self, stream, request):  # UP1: a tidy end without finish_reason and [DONE]
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        return self.end(stream)

    def do_error_chunk(self, stream, request):  # UP2
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        self.event(stream, {"error": {"message": "it broke", "type": "server_error", "code": None}})
        return self.end(stream)

    def do_raw_tail(self, stream, request):  # UP2: 200, then JSON instead of events
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        self.piece(stream, b'{"error": {"message": "it broke", "type": "server_error"}}')
        return self.end(stream)

    def do_split(self, stream, request):  # UP3: byte by byte, CRLF, comments, characters cut in two
        self.begin_stream(stream)
        text = ": hello\r\n\r\n" + "".join(
            "data: " + json.dumps(c, ensure_ascii=False) + "\r\n\r\n"
            for c in [chunk("Grüße"), chunk(" 🌊"), chunk(finish="stop")]) + "data: [DONE]\r\n\r\n"
        for byte in text.encode():
            self.piece(stream, bytes([byte]))
        return self.end(stream)

    def do_huge_line(self, stream, request):  # UP3: 10 MB without an end
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        for _ in range(10):
            self.piece(stream, b"x" * (1 << 20))
        return self.end(stream)

    def do_nonsense(self, stream, request):  # UP3
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        self.event(stream, b"{not json")
        return self.end(stream)

    def do_stall(self, stream, request):  # UP5: headers, a byte, silence
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        stream.read(1)
        return False

    def do_silent(self, stream, request):  # UP5: not even headers
        stream.read(1)
        return False

    def do_short_body(self, stream, request):  # UP6: Content-Length too big
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{}")
        stream.flush()
        return False

    def do_long_body(self, stream, request):  # UP6: Content-Length too small
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                     b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsomebodys")
        stream.flush()
        return True

    def do_drip(self, stream, request):
        """UP5: never silent, never an event."""
        self.begin_stream(stream)
        while self.open:
            self.piece(stream, b": still here\n\n")
            time.sleep(0.05)
        return False

    def do_gzip(self, stream, request):  # UP6
        return self.reply(stream, 200, b"\x1f\x8b\x08" + b"\0" * 64, "Content-Encoding: gzip\r\n")

    def do_informational_flood(self, stream, request):  # UP6
        for _ in range(100):
            stream.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        stream.flush()
        return False

    def do_limited(self, stream, request):  # UP7
        return self.reply(stream, 429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
                          "Retry-After: 0\r\n")

    def do_long_wait(self, stream, request):
        return self.reply(stream, 429, {"error": {"message": "slow down", "type": "requests"}}, "Retry-After: 30\r\n")

    def do_wrong_key(self, stream, request):
        return self.reply(stream, 401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})

    def do_broke_too(self, stream, request):
        return self.do_broke(stream, request)

    def do_absurd_wait(self, stream, request):  # UP7
        return self.reply(stream, 429, {"error": {"message": "slow down", "type": "requests"}},
                          "Retry-After: -99999999999999999999\r\n")

    def key_of(self):
        head = self.requests[-1][0]
        return next(l for l in head.split("\r\n") if l.startswith("Authorization: "))[len("Authorization: Bearer "):]

    def do_echo_401(self, stream, request):  # SE2: it says whose key it was
        return self.reply(stream, 401, {"error": {"message": f"Incorrect API key provided: {self.key_of()}",
                                                  "code": self.key_of(), "param": self.key_of()}})

    def do_echo_400(self, stream, request):  # SE1, SE2: the key and the address, in an answer that is passed on
        return self.reply(stream, 400, {"error": {"message": f"key {self.key_of()} at {self.base_url} is wrong",
                                                  "code": self.key_of(), "param": "messages"}})

    def do_echo_stream(self, stream, request):
        self.begin_stream(stream)
        self.event(stream, chunk("Hel"))
        self.event(stream, {"error": {"message": f"{self.base_url}?key={self.key_of()} is down", "code": None}})
        return self.end(stream)

    def do_broke(self, stream, request):  # UP7: 5xx storm
        return self.reply(stream, 500, {"error": {"message": "internal", "type": "server_error"}})

    def do_no_usage(self, stream, request):  # UP10
        self.begin_stream(stream)
        for word in WORDS:
            self.event(stream, chunk(word))
        self.event(stream, chunk(finish="stop"))
        self.event(stream, b"[DONE]")
        return self.end(stream)

    def do_slow(self, stream, request):
        """One word every twentieth of a second, forever: until the client is gone."""
        self.begin_stream(stream)
        while self.open:
            self.event(stream, chunk("word "))
            time.sleep(0.05)
        return False
