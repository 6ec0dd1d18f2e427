"""Promise 1, end to end: the same question here and afar, and what never leaves."""
import base64
import gzip
import hashlib
import os
import shutil
import tempfile
import unittest

from fake_provider import FakeProvider
from house import House, events_of, text_of

CARD = "4111 1111 1111 1111"
DISGUISES = {
    "plain": CARD,
    "zero width": "4\u200b1\u200b1\u200b1 1111 1\u2060111 1111",
    "full width": "４１１１　１１１１　１１１１　１１１１",
    "table": "| 4111 | 1111 | 1111 | 1111 |",
    "cells": "<td>4111</td><td>1111</td><td>1111</td><td>1111</td>",
    "entities": "".join(f"&#{ord(digit)};" for digit in CARD),
    "numerals": "❹❶❶❶ ❶❶❶❶ ❶❶❶❶ ❶❶❶❶",
    "both": "４１\u200b１１１１１１１１\ufeff１１１１１１",
}


def config_for(provider, scan_deadline_ms=5000):
    return f"""
[policy]
scan_deadline_ms = {scan_deadline_ms}
[[backend]]
name = "afar"
kind = "openai"
base_url = "{provider.base_url}"
model = "good"
ca_file = "{provider.certificate}"
api_key_env = "FAKE_KEY"
price = {{ input = "2.50", cached = "1.25", output = "10.00" }}
[[backend]]
name = "here"
kind = "model"
[[route]]
model = "mixed"
backends = ["afar", "here"]
[[route]]
model = "afar-only"
backends = ["afar"]
[[route]]
model = "afar"
backends = ["afar"]
[[route]]
model = "here"
backends = ["here"]
[[route]]
model = "afar-labelled"
backends = ["afar"]
label = "restricted"
"""


class Privacy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.provider = FakeProvider(self.folder)
        self.env = {"FAKE_KEY": "sk-the-providers-key"}
        self.house = House(config_for(self.provider), self.env)

    def tearDown(self):
        self.house.close()
        self.provider.close()
        shutil.rmtree(self.folder)

    def test_the_same_request_is_answered_here_and_afar_by_the_models_name_only(self):
        for model, backend in (("here", "here"), ("mixed", "afar"), ("afar", "afar")):
            for stream in (False, True):
                status, headers, body = self.house.chat("How high is a weir?", model=model, stream=stream)
                self.assertEqual(status, 200, body)
                self.assertEqual(headers["x-weir-backend"], backend)
                self.assertEqual(headers["x-weir-label"], "internal")
                self.assertIn("nothing found", headers["x-weir-reason"])
                text = text_of(events_of(body)) if stream else body["choices"][0]["message"]["content"]
                self.assertTrue(text)
                if backend == "afar":
                    self.assertEqual(text, "Hello from afar")
        head, request = self.provider.requests[0]
        self.assertIn("Authorization: Bearer sk-the-providers-key", head)
        self.assertEqual(request["model"], "good")

    def test_PV3_a_card_number_stays_here_however_it_is_written(self):
        for name, text in DISGUISES.items():
            status, headers, body = self.house.chat(f"My card is {text}, is it valid?", model="mixed")
            self.assertEqual(status, 200, (name, body))
            self.assertEqual(headers["x-weir-backend"], "here", name)
            self.assertEqual(headers["x-weir-label"], "restricted")
            self.assertIn("payment_card", headers["x-weir-reason"])
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_PV2_PV8_a_card_number_stays_here_wherever_it_stands(self):
        tool = {"type": "function", "function": {"name": "f", "description": CARD, "parameters": {"type": "object"}}}
        bodies = [
            {"messages": [{"role": "system", "content": CARD}, {"role": "user", "content": "hi"}]},
            {"messages": [{"role": "user", "content": "hi", "name": "4111111111111111"}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": CARD}]}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "4111 1111"},
                                                       {"type": "text", "text": " 1111 1111"}]}]},
            {"messages": [{"role": "user", "content": "hi"}], "user": CARD},
            {"messages": [{"role": "user", "content": "hi"}], "metadata": {"card": CARD}},
            {"messages": [{"role": "user", "content": "hi"}], "stop": [CARD]},
            {"messages": [{"role": "user", "content": "hi"}], "tools": [tool]},
            {"messages": [{"role": "user", "content": "hi"},
                          {"role": "assistant", "content": None, "tool_calls": [
                              {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"n":"' + CARD + '"}'}}]},
                          {"role": "tool", "tool_call_id": "1", "content": "ok"}]},
            {"messages": [{"role": "user", "content": "hi"}], "seed": 4111111111111111},
            {"messages": [{"role": "user", "content": "it starts with 4111 1111"},
                          {"role": "assistant", "content": "Go on."},
                          {"role": "user", "content": "and ends with 1111 1111"}]},
            {"messages": [{"role": "user", "content": "data NDExMTExMTExMTExMTExMQ== end"}]},
        ]
        for body in bodies:
            status, _, answer = self.house.ask("/v1/chat/completions", {"model": "afar-only", "max_tokens": 4} | body)
            self.assertEqual((status, answer["error"]["code"]), (403, "no_cleared_backend"), body)
        for prompt in (CARD, ["hello", CARD], [[1, 2, 3]]):
            status, _, answer = self.house.ask("/v1/completions", {"model": "afar-only", "max_tokens": 4, "prompt": prompt})
            self.assertEqual((status, answer["error"]["code"]), (403, "no_cleared_backend"), prompt)
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_PV4_PV5_a_card_number_stays_here_coded_and_in_pieces(self):
        gzipped = base64.b64encode(gzip.compress(CARD.encode())).decode()
        thrice = CARD.encode()
        for _ in range(3):
            thrice = base64.b64encode(thrice)
        turns = [{"role": "user", "content": "It begins with 4111 1111"}, {"role": "assistant", "content": "Go on."},
                 {"role": "user", "content": " 1111 1111 and that is all"}]
        tags = "".join(chr(0xE0000 + ord(c)) for c in CARD)
        for messages in ([{"role": "user", "content": f"open {gzipped} please"}],
                         [{"role": "user", "content": f"open {thrice.decode()} please"}],
                         [{"role": "user", "content": f"hello{tags}"}], turns, turns[::2]):
            status, _, answer = self.house.ask("/v1/chat/completions", {"model": "afar-only", "messages": messages})
            self.assertEqual((status, answer["error"]["code"]), (403, "no_cleared_backend"), messages)
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_a_routes_label_cannot_be_passed_by_asking_for_its_backend(self):
        status, _, body = self.house.chat("hello", model="afar-labelled")
        self.assertEqual((status, body["error"]["code"]), (403, "no_cleared_backend"))
        self.house.close()
        config = config_for(self.provider)
        own_name = '[[route]]\nmodel = "afar"\nbackends = ["afar"]\n'
        self.assertIn(own_name, config)
        self.house = House(config.replace(own_name, ""), self.env)
        status, _, body = self.house.chat("hello", model="afar")
        self.assertEqual((status, body["error"]["code"]), (404, "model_not_found"))
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_without_a_cleared_backend_the_answer_is_403(self):
        for stream in (False, True):
            status, headers, body = self.house.chat(CARD, model="afar-only", stream=stream)
            self.assertEqual(status, 403)
            self.assertEqual(body["error"]["code"], "no_cleared_backend")
            self.assertNotIn("4111", str(body) + str(headers))
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_PV6_a_picture_cannot_be_inspected_and_stays(self):
        status, _, body = self.house.ask("/v1/chat/completions", {"model": "afar-only", "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]})
        self.assertEqual((status, body["error"]["code"]), (403, "no_cleared_backend"))
        self.assertEqual(self.provider.connections, 0)

    def test_the_header_raises_and_never_lowers(self):
        _, headers, _ = self.house.chat("hello", model="mixed", headers={"x-weir-label": "confidential"})
        self.assertEqual((headers["x-weir-backend"], headers["x-weir-label"]), ("here", "confidential"))
        _, headers, _ = self.house.chat(CARD, model="mixed", headers={"x-weir-label": "public"})
        self.assertEqual((headers["x-weir-backend"], headers["x-weir-label"]), ("here", "restricted"))
        status, _, body = self.house.chat("hello", model="mixed", headers={"x-weir-label": "secret"})
        self.assertEqual((status, body["error"]["param"]), (400, "x-weir-label"))
        self.assertEqual(self.provider.connections, 0)

    def test_PV1_with_the_detector_failing_nothing_leaves(self):
        self.house.close()
        self.house = House(config_for(self.provider, scan_deadline_ms=0), self.env)
        _, headers, _ = self.house.chat("hello", model="mixed")
        self.assertEqual((headers["x-weir-backend"], headers["x-weir-label"]), ("here", "restricted"))
        status, _, body = self.house.chat("hello", model="afar-only")
        self.assertEqual((status, body["error"]["code"]), (403, "no_cleared_backend"))
        self.assertEqual((self.provider.connections, self.provider.received), (0, b""))

    def test_SE1_SE2_what_a_provider_echoes_is_not_shown(self):
        self.house.close()
        key = "sk-canary-0123456789abcdef"
        models = ("echo-401", "echo-400", "echo-stream")
        config = "[policy]\nscan_deadline_ms = 5000\n" + "".join(
            f'[[backend]]\nname = "{m}"\nkind = "openai"\nbase_url = "{self.provider.base_url}"\nmodel = "{m}"\n'
            f'ca_file = "{self.provider.certificate}"\napi_key_env = "FAKE_KEY"\n' for m in models)
        self.house = House(config, {"FAKE_KEY": key})
        seen = ""
        for model in models:
            for stream in (False, True):
                status, headers, body = self.house.chat("hello", model=model, stream=stream)
                self.assertIn("error", str(body))
                seen += f"{status} {headers} {body}"
        self.assertIn(f"Bearer {key}", self.provider.requests[0][0])  # it was really sent
        seen += str(self.house.ask("/v1/models")) + str(self.house.chat("hello", model="nobody"))
        for secret in (key, str(self.provider.port), "localhost:"):
            self.assertNotIn(secret, seen)
        seen = self.house.logged() + self.house.ask("/metrics")[2]
        for verb in (["ps", "--json"], ["spend", "--json"], ["doctor", "--json"], ["ls"]):
            done = self.house.run(*verb)
            seen += done.stdout + done.stderr
        self.assertNotIn(key, seen)
        for folder, _, files in os.walk(self.house.home):
            for path in (os.path.join(folder, name) for name in files):
                if os.path.isfile(path):  # its socket is none
                    with open(path, "rb") as file:
                        self.assertNotIn(key.encode(), file.read(), path)

    def test_SE2_a_clients_wrong_key_is_not_repeated(self):
        config = f'[[key]]\nname = "team-blue"\nsha256 = "{hashlib.sha256(b"right").hexdigest()}"\n'
        with House(config) as house:
            status, headers, body = house.ask("/v1/models", headers={"Authorization": "Bearer sk-wrong-canary"})
            self.assertEqual(status, 401)
            seen = str(headers) + str(body) + house.logged()
            for secret in ("sk-wrong-canary", "team-blue", hashlib.sha256(b"sk-wrong-canary").hexdigest()):
                self.assertNotIn(secret, seen)

    def test_SE1_keys_and_addresses_are_nowhere_to_be_seen(self):
        self.provider.close()
        status, headers, body = self.house.chat("hello", model="afar-only")
        self.assertIn(status, (502, 503))
        seen = str(headers) + str(body) + self.house.logged() + self.house.ask("/metrics")[2]
        self.assertNotIn("sk-the-providers-key", seen)
        self.assertNotIn(str(self.provider.port), str(body))

    def test_the_ledger_has_every_request_and_its_cost(self):
        self.house.chat("hello", model="afar")
        self.house.chat("hello", model="here")
        spend = self.house.spend()
        # 7 fresh and 4 cached tokens in, 3 out: 7*2.50 + 4*1.25 + 3*10.00 = 52.5 millionths of a dollar
        self.assertEqual(spend["afar"]["cost"], "$0.0000525")
        self.assertEqual((spend["afar"]["unpriced_requests"], spend["afar"]["estimated_requests"]), (0, 0))
        self.assertEqual((spend["afar"]["prompt_tokens"], spend["afar"]["cached_tokens"]), (11, 4))
        self.assertEqual((spend["here"]["requests"], spend["here"]["cost"]), (1, "$0.00"))


if __name__ == "__main__":
    unittest.main()
