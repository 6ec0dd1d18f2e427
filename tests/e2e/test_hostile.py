"""Hostile requests and model files against the real program: rows AP, HT and MF of the fault catalogue."""
import hashlib
import http.client
import json
import os
import re
import shutil
import tempfile
import time
import unittest

from house import MODEL, House, events_of

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL_FILE = os.path.join(HERE, "../../models/weir-tiny.gguf")

ENDPOINTS = {
    "/v1/chat/completions": {"messages": '[{"role": "user", "content": "hi"}]'},
    "/v1/completions": {"prompt": '"hi"'},
}
NUMBERS = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "n",
           "best_of", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "seed", "n_discard"]
# JSON text, so that it can be what no JSON library writes.
VALUES = ["-1", "0", "0.5", "1e308", "-1e308", "1e999", "NaN", "-9223372036854775809", "9223372036854775808",
          "18446744073709551616", '"1"', "true", "[]", "{}", "[1]"]


def body_of(endpoint, **members):
    """A request's text from members that are JSON text themselves."""
    whole = {"model": json.dumps(MODEL), "max_tokens": "1"} | ENDPOINTS[endpoint] | members
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in whole.items()) + "}"


class Hostile(unittest.TestCase):
    def send(self, house, endpoint, body, headers=None):
        """A body as it is; (status, parsed answer)."""
        connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
        try:
            data = body if isinstance(body, bytes) else body.encode()
            connection.request("POST", endpoint, data, {"Content-Type": "application/json"} | (headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def assert_refused(self, answer, param, code=None):
        status, body = answer
        self.assertEqual(status, 400, body)
        self.assertEqual(body["error"]["type"], "invalid_request_error")
        self.assertEqual(body["error"]["param"], param)
        if code:
            self.assertEqual(body["error"]["code"], code)


class Requests(Hostile):
    @classmethod
    def setUpClass(cls):
        cls.house = House()
        cls.house.chat("wake up")

    @classmethod
    def tearDownClass(cls):
        cls.house.close()

    def tearDown(self):
        """Whatever was sent, nobody died of it."""
        worker = next(w for w in self.house.workers() if w["name"] == MODEL)
        self.assertEqual((worker["deaths"], worker["state"]), (0, "ready"))
        self.assertEqual(self.house.chat("still there?")[0], 200)

    def ask(self, endpoint, **members):
        return self.send(self.house, endpoint, body_of(endpoint, **members))

    def test_AP3_every_number_is_checked_wherever_it_stands(self):
        for endpoint in ENDPOINTS:
            for field in NUMBERS:
                for value in VALUES:
                    status, answer = self.ask(endpoint, **{field: value})
                    self.assertIn(status, (200, 400), (endpoint, field, value, answer))
                    if status == 400 and answer["error"]["code"] != "invalid_json":
                        self.assertTrue((answer["error"]["param"] or "").startswith(field), (field, value, answer))

    def test_AP1_the_number_of_answers_is_bounded(self):
        for endpoint in ENDPOINTS:
            for n in ("129", "1000000", "-1", "0"):
                self.assert_refused(self.ask(endpoint, n=n), "n")
            status, answer = self.ask(endpoint, n="128")
            self.assertEqual((status, len(answer["choices"])), (200, 128))

    def test_AP2_logprobs_are_bounded(self):
        chat, text = ENDPOINTS
        self.assert_refused(self.ask(chat, logprobs="true", top_logprobs="21"), "top_logprobs")
        self.assert_refused(self.ask(text, logprobs="1000000"), "logprobs")
        for endpoint in ENDPOINTS:
            self.assert_refused(self.ask(endpoint, prompt_logprobs="-1"), "prompt_logprobs")
        words = json.dumps("word " * 400)  # every position of the prompt has its alternatives
        status, answer = self.ask(text, prompt=words, echo="true", logprobs="5")
        self.assertEqual(status, 200, answer)
        self.assertGreater(len(answer["choices"][0]["logprobs"]["tokens"]), 400)

    def test_AP4_absurd_sampling_is_refused(self):
        for endpoint in ENDPOINTS:
            for field, value in (("temperature", "999999"), ("top_p", "-1"), ("repetition_penalty", "0"),
                                 ("presence_penalty", "1e9"), ("max_tokens", "9223372036854775808"), ("max_tokens", "0")):
                self.assert_refused(self.ask(endpoint, **{field: value}), field)
            self.assert_refused(self.ask(endpoint, temperature="NaN"), None, "invalid_json")
        status, answer = self.ask("/v1/completions", max_tokens="0", echo="true")
        self.assertEqual((status, answer["choices"][0]["text"], answer["choices"][0]["finish_reason"]), (200, "hi", "length"))

    def test_AP5_the_context_ends_with_an_error_or_with_length(self):
        long = json.dumps("far too long " * 5000)
        self.assert_refused(self.ask("/v1/completions", prompt=long), "prompt", "context_length_exceeded")
        self.assert_refused(self.ask("/v1/chat/completions", messages='[{"role": "user", "content": %s}]' % long), "messages",
                            "context_length_exceeded")
        self.assert_refused(self.ask("/v1/chat/completions", max_tokens="2147483647"), "messages", "context_length_exceeded")
        status, answer = self.ask("/v1/chat/completions", max_tokens="null", ignore_eos="true")
        self.assertEqual((status, answer["choices"][0]["finish_reason"]), (200, "length"))
        self.assertEqual(answer["usage"]["total_tokens"], 1024)

    def test_AP6_stops_and_biases_are_bounded(self):
        for endpoint in ENDPOINTS:
            self.assert_refused(self.ask(endpoint, stop=json.dumps(["s"] * 100_000)), "stop")
            self.assert_refused(self.ask(endpoint, logit_bias='{"-1": 1}'), "logit_bias")
            self.assert_refused(self.ask(endpoint, logit_bias='{"2048": 1}'), "logit_bias")  # the vocabulary ends at 2047
            self.assert_refused(self.ask(endpoint, logit_bias='{"0": 101}'), "logit_bias.0")
            self.assert_refused(self.ask(endpoint, stop_token_ids="[2048]"), "stop_token_ids")
            self.assertEqual(self.ask(endpoint, logit_bias='{"2047": 1}')[0], 200)

    def test_HT12_what_two_parsers_could_read_differently_is_refused(self):
        for endpoint in ENDPOINTS:
            good = body_of(endpoint)
            for body in ("[" * 100_000, '{"a":' * 100_000, good[:-1] + ', "model": "other"}',
                         good[:-1] + ', "mod\\u0065l": "other"}',
                         body_of(endpoint, seed="1e999"), body_of(endpoint, seed="NaN"), body_of(endpoint, user='"\\ud800"'),
                         "\ufeff" + good, good + "\0", good[:-1], good + "{}", "", b'{"model": "\xff"}'):
                status, answer = self.send(self.house, endpoint, body)
                self.assertEqual((status, answer["error"]["type"]), (400, "invalid_request_error"), body[:60])
            status, answer = self.ask(endpoint, seed="18446744073709551616")
            self.assertEqual(status, 400)

    def test_HT13_the_method_is_the_one_in_the_first_line(self):
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            status, _, _ = self.house.ask("/v1/chat/completions", headers={name: "POST"})
            self.assertEqual(status, 405)

    def test_TK6_no_client_brings_its_own_template(self):
        self.assert_refused(self.ask("/v1/chat/completions", chat_template='"{{ 1 }}"'), "chat_template")
        for name, value in (("chat_template", '"x"'), ("messages", "[]"), ("bos_token", '"x"'), ("tools", "[]")):
            self.assert_refused(self.ask("/v1/chat/completions", chat_template_kwargs=f'{{"{name}": {value}}}'),
                                f"chat_template_kwargs.{name}")

    def test_MF17_a_models_name_is_never_a_path(self):
        for name in (MODEL_FILE, "../" + MODEL, "/etc/passwd", "..%2fweir-tiny", "file:///etc/passwd", "a\\..\\b",
                     "weir-tiny\0"):
            for endpoint in ENDPOINTS:
                status, answer = self.ask(endpoint, model=json.dumps(name))
                self.assertEqual((status, answer["error"]["code"]), (404, "model_not_found"), name)
                self.assertNotIn("passwd", str(answer))
        for path in ("/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/%2e%2e/x", "/v1/models//etc/passwd", "/v1/models/.."):
            self.assertEqual(self.house.ask(path)[0], 400, path)
        self.assertEqual([w["name"] for w in self.house.workers()], [MODEL])


class Clients(Hostile):
    @staticmethod
    def gauges(house):
        """What the engine has in hand."""
        metrics = house.ask("/metrics")[2]
        names = {"running": "num_requests_running", "waiting": "num_requests_waiting", "kv": "kv_cache_usage_perc"}
        return {short: float(re.search(rf"^vllm:{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)[1])
                for short, name in names.items()}

    def test_AP10_clients_that_go_away_leave_nothing_behind(self):
        body = {"model": MODEL, "max_tokens": 900, "ignore_eos": True, "messages": [{"role": "user", "content": "Go on."}]}
        with House() as house:
            house.chat("wake up")
            for _ in range(30):
                connection, response = house.open_stream("/v1/chat/completions", body)
                response.read1(100)
                response.close()
                connection.close()
            deadline = time.monotonic() + 10
            while self.gauges(house) != {"running": 0, "waiting": 0, "kv": 0}:
                self.assertLess(time.monotonic(), deadline, "requests go on for nobody")
                time.sleep(0.02)
            self.assertEqual(sum(w["in_flight"] for w in house.workers()), 0)
            self.assertEqual(house.chat("still there?")[0], 200)
            started = time.monotonic()
            house.process.terminate()
            self.assertEqual(house.process.wait(10), 0)
            self.assertLess(time.monotonic() - started, 5)

    def test_HT8_a_forwarded_address_opens_no_door(self):
        config = f'[[key]]\nname = "team"\nsha256 = "{hashlib.sha256(b"weir-key").hexdigest()}"\n'
        with House(config) as house:
            for forged in ("127.0.0.1", "", "::1", ",,,", "localhost"):
                headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
                self.assertEqual(house.ask("/v1/models", headers=headers)[0], 401, forged)
        with House() as house:
            headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
            self.assertEqual(house.ask("/v1/models", headers=headers)[0], 403)


class ModelFiles(Hostile):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-secret-place-")
        self.file = os.path.join(self.folder, "m.gguf")
        shutil.copyfile(MODEL_FILE, self.file)
        self.config = (f'[[backend]]\nname = "victim"\nkind = "model"\npath = "{self.file}"\n'
                       '[[backend]]\nname = "other"\nkind = "model"\n')

    def tearDown(self):
        shutil.rmtree(self.folder)

    def spoil(self):
        """The file loses its end."""
        with open(self.file, "r+b") as file:
            file.truncate(os.path.getsize(MODEL_FILE) - 100_000)

    def test_MF10_a_file_that_shrinks_ends_its_worker_and_nobody_else(self):
        with House(self.config) as house:
            self.assertEqual(house.chat("hello", model="victim")[0], 200)
            connection, response = house.open_stream(
                "/v1/chat/completions", {"model": "other", "max_tokens": 300, "ignore_eos": True,
                                         "messages": [{"role": "user", "content": "Go on."}]})
            raw = response.read1(100)
            with open(self.file, "r+b") as file:
                file.truncate(4096)
            status, _, body = house.chat("hello", model="victim")
            self.assertIn(status, (502, 503), body)
            self.assertNotIn(self.folder, str(body))
            while piece := response.read1(65536):
                raw += piece
            connection.close()
            self.assertTrue(raw.endswith(b"data: [DONE]\n\n"))
            self.assertGreater(next(w["deaths"] for w in house.workers() if w["name"] == "victim"), 0)
            self.assertEqual(house.ask("/health")[0], 200)
            shutil.copyfile(MODEL_FILE, self.file)
            deadline = time.monotonic() + 30
            while house.chat("hello", model="victim")[0] != 200:
                self.assertLess(time.monotonic(), deadline, "the file is whole again and nobody noticed")
                time.sleep(0.5)

    def test_MF10_a_file_that_is_replaced_changes_nothing_until_it_is_loaded_again(self):
        with House(self.config) as house:
            want = house.chat("hello", model="victim", temperature=0)[2]["choices"]
            with open(self.file + ".new", "wb") as file:
                file.write(b"GGUF" + b"\xff" * 1000)
            os.replace(self.file + ".new", self.file)
            status, _, body = house.chat("hello", model="victim", temperature=0)
            self.assertEqual((status, body["choices"]), (200, want))

    def test_MF8_SE2_a_file_that_cannot_be_loaded_is_an_error_without_its_place(self):
        self.spoil()
        with House(self.config) as house:
            for stream in (False, True):
                status, headers, body = house.chat("hello", model="victim", stream=stream)
                self.assertIn(status, (500, 502, 503), body)
                self.assertNotIn(self.folder, str(body) + str(headers))
                self.assertNotIn("worker-", str(body))
            self.assertEqual(house.chat("hello", model="other")[0], 200)

    def test_MF16_every_verb_looks_at_a_file_first(self):
        self.spoil()
        with House() as house:
            for verb in (["show", self.file], ["run", self.file, "hi"], ["bench", self.file], ["logits", "--model", self.file],
                         ["generate", "--model", self.file], ["tokenize", "--model", self.file],
                         ["detokenize", "--model", self.file], ["worker", "--plan", "--model", self.file]):
                done = house.run(*verb, input='{"text": "hi", "ids": [1]}\n')
                self.assertEqual(done.returncode, 1, (verb, done.stdout, done.stderr))
                self.assertRegex(done.stderr, r"tensor [\w.]+: needs", verb)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_MF13_pickle_is_refused_by_every_verb(self):
        for name in ("pytorch_model.bin", "m.pt"):
            shutil.copyfile(MODEL_FILE, os.path.join(self.folder, name))
            with House() as house:
                done = house.run("show", os.path.join(self.folder, name))
            self.assertEqual(done.returncode, 1)
            self.assertIn("pickle", done.stderr)


if __name__ == "__main__":
    unittest.main()
