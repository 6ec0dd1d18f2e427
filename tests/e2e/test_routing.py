"""Which backend is asked, how often, and what is paid for it: when one fails, refuses, or cannot."""
import json
import shutil
import socket
import tempfile
import time
import unittest

from fake_provider import FakeProvider
from house import House

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


class Routing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.provider = FakeProvider(cls.folder)
        remotes = ["good", "broke", "broke-too", "wrong-key", "long-wait", "no-usage"]
        routes = {name: [name] for name in remotes} | {
            "here": ["here"], "wrong-key-or-here": ["wrong-key", "here"], "here-or-good": ["here", "good"],
            "both-broke": ["broke", "broke-too"], "good-or-here": ["good", "here"]}
        config = "".join(
            f'[[backend]]\nname = "{name}"\nkind = "openai"\nbase_url = "{cls.provider.base_url}"\n'
            f'model = "{name}"\nca_file = "{cls.provider.certificate}"\n'
            'price = { input = "1", output = "10" }\n' for name in remotes)
        config += '[[backend]]\nname = "here"\nkind = "model"\n'
        config += "".join(f'[[route]]\nmodel = "{model}"\nbackends = {json.dumps(backends)}\n'
                          for model, backends in routes.items())
        cls.house = House(config)

    @classmethod
    def tearDownClass(cls):
        cls.house.close()
        cls.provider.close()
        shutil.rmtree(cls.folder)

    def asked(self, call):
        """What `call` returns, and how many requests the provider got for it."""
        before = len(self.provider.requests)
        return call(), len(self.provider.requests) - before

    def spent(self, backend):
        """(requests, prompt tokens) of a backend, all its models together."""
        rows = [row for row in json.loads(self.house.run("spend", "--json").stdout)["spend"]
                if row["backend"] == backend]
        return sum(row["requests"] for row in rows), sum(row["prompt_tokens"] for row in rows)

    def test_a_refused_key_is_not_tried_again_and_shows_in_the_reason(self):
        (status, _, _), requests = self.asked(lambda: self.house.chat("hello", model="wrong-key"))
        self.assertEqual((status, requests), (502, 1))
        (status, headers, _), requests = self.asked(lambda: self.house.chat("hello", model="wrong-key-or-here"))
        self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))
        self.assertIn("wrong-key", headers["x-weir-reason"])

    def test_one_request_makes_three_attempts_at_most(self):
        (status, _, _), requests = self.asked(lambda: self.house.chat("hello", model="both-broke"))
        self.assertEqual(status, 502)
        self.assertLessEqual(requests, 3)
        self.assertGreaterEqual(requests, 2)

    def test_what_one_backend_cannot_do_the_next_one_does(self):
        (status, headers, _), requests = self.asked(
            lambda: self.house.chat("hello", model="here-or-good", tools=TOOLS))
        self.assertEqual((status, headers["x-weir-backend"], requests), (200, "good", 1))
        self.assertIn("here cannot", headers["x-weir-reason"])
        status, _, body = self.house.chat("hello", model="here", tools=TOOLS)
        self.assertEqual(status, 400)
        error = body["error"]
        self.assertEqual((error["param"], error["code"]), ("tools", "unsupported_parameter"))

    def test_an_answer_that_is_none_is_paid_once_and_booked(self):
        before = self.spent("good")
        (status, _, _), requests = self.asked(lambda: self.house.chat("hello " * 40, model="good", n=2))
        self.assertEqual((status, requests), (502, 1))
        after = self.spent("good")
        self.assertEqual(after[0], before[0] + 1)
        self.assertGreater(after[1], before[1] + 40)

    def test_usage_that_is_not_told_is_estimated(self):
        status, _, _ = self.house.chat("hello " * 40, model="no-usage", stream=True)
        self.assertEqual(status, 200)
        row = self.house.spend()["no-usage"]
        self.assertGreaterEqual(row["prompt_tokens"], 60)
        self.assertEqual(row["completion_tokens"], 4)  # 15 bytes
        self.assertGreater(row["cost_pico_dollars"], 0)

    def test_a_seed_that_the_provider_never_saw_is_not_claimed(self):
        self.assertNotIn("x-weir-seed", self.house.chat("hello", model="good")[1])
        self.assertEqual(self.house.chat("hello", model="good", seed=5)[1]["x-weir-seed"], "5")
        self.assertIn("x-weir-seed", self.house.chat("hello", model="here")[1])

    def test_a_client_that_leaves_during_the_pause_before_a_retry_is_not_retried(self):
        before = len(self.provider.requests)
        body = json.dumps({"model": "long-wait", "messages": [{"role": "user", "content": "hello"}]}).encode()
        peer = socket.create_connection(("127.0.0.1", self.house.port))
        peer.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                     + str(len(body)).encode() + b"\r\n\r\n" + body)
        deadline = time.monotonic() + 10
        while len(self.provider.requests) == before:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        time.sleep(0.2)  # the refusal travels
        ended = self.house.ask("/metrics")[2].count('outcome="cancelled"')
        peer.close()
        while self.house.ask("/metrics")[2].count('outcome="cancelled"') == ended:
            self.assertLess(time.monotonic(), deadline, "booked only after the pause")
            time.sleep(0.05)
        self.assertEqual(len(self.provider.requests), before + 1)


if __name__ == "__main__":
    unittest.main()
