"""What a provider does wrong, and what the client sees of it: rows UP1 to UP8 of the fault catalogue."""
import concurrent.futures
import shutil
import tempfile
import time
import unittest

from fake_provider import FakeProvider
from house import House, events_of, text_of

MODELS = ["good", "cut", "early-end", "error-chunk", "raw-tail", "split", "huge-line", "nonsense", "stall", "silent",
          "short-body", "long-body", "gzip", "informational-flood", "limited", "absurd-wait", "broke", "no-usage", "slow"]


def backend(name, provider, **more):
    lines = [f'name = "{name}"', 'kind = "openai"', f'base_url = "{provider.base_url}"', f'model = "{name}"']
    if provider.certificate:
        lines.append(f'ca_file = "{provider.certificate}"')
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "[[backend]]\n" + "\n".join(lines) + "\n"


class Upstream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.provider = FakeProvider(cls.folder)
        config = "[policy]\nscan_deadline_ms = 5000\n" + "".join(
            backend(m, cls.provider, first_byte_ms=700, between_bytes_ms=700) for m in MODELS)
        config += '[[backend]]\nname = "here"\nkind = "model"\n'
        config += "".join(f'[[route]]\nmodel = "{m}"\nbackends = ["{m}"]\n'
                          f'[[route]]\nmodel = "{m}-or-here"\nbackends = ["{m}", "here"]\n' for m in MODELS)
        cls.house = House(config)

    @classmethod
    def tearDownClass(cls):
        cls.house.close()
        cls.provider.close()
        shutil.rmtree(cls.folder)

    def stream(self, model):
        return self.house.chat("hello", model=model, stream=True)

    def assert_broken_off(self, model):
        """The stream said something, then an error; it never looks complete."""
        status, _, raw = self.stream(model)
        self.assertEqual(status, 200)
        self.assertNotIn("[DONE]", raw)
        events = events_of(raw)
        self.assertEqual(text_of(events[:-1]), "Hel")
        self.assertIn("error", events[-1])
        finished = [c for e in events for c in e.get("choices", []) if c["finish_reason"]]
        self.assertEqual(finished, [])
        return events[-1]["error"]

    def test_UP1_a_cut_stream_ends_with_an_error_and_never_with_done(self):
        self.assert_broken_off("cut")
        self.assert_broken_off("early-end")
        self.assertEqual(self.house.spend()["early-end"]["completion_tokens"], 1)  # what was seen is booked

    def test_UP1_an_answer_that_is_not_streamed_is_whole_or_an_error(self):
        status, _, body = self.house.chat("hello", model="short-body")
        self.assertEqual(status, 502, body)
        self.assertNotIn("choices", body)

    def test_UP2_an_error_in_the_stream_is_passed_on(self):
        self.assertIn("it broke", self.assert_broken_off("error-chunk")["message"])
        self.assertIn("it broke", self.assert_broken_off("raw-tail")["message"])

    def test_UP3_any_split_is_read_and_garbage_is_not(self):
        status, _, raw = self.stream("split")
        self.assertEqual((status, text_of(events_of(raw))), (200, "Grüße 🌊"))
        self.assertTrue(raw.endswith("data: [DONE]\n\n"))
        self.assert_broken_off("nonsense")
        self.assert_broken_off("huge-line")

    def test_UP4_after_the_first_token_nobody_else_takes_over(self):
        before = len(self.provider.requests)
        self.assert_broken_off("cut-or-here")
        self.assertEqual(len(self.provider.requests), before + 1)

    def test_UP5_silence_has_an_end(self):
        started = time.monotonic()
        self.assert_broken_off("stall")
        self.assertLess(time.monotonic() - started, 5)
        status, headers, _ = self.stream("silent-or-here")
        self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))

    def test_UP5_chatter_without_a_word_has_an_end(self):
        config = backend("drip", self.provider, total_ms=700) + '[[backend]]\nname = "here"\nkind = "model"\n'
        config += '[[route]]\nmodel = "both"\nbackends = ["drip", "here"]\n'
        with House(config) as house:
            started = time.monotonic()
            status, headers, _ = house.chat("hello", model="both", stream=True)
            self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))
            self.assertLess(time.monotonic() - started, 10)

    def test_UP6_a_body_that_lies_about_itself_is_no_answer(self):
        for model in ("short-body", "long-body", "gzip", "informational-flood"):
            for stream in (False, True):
                status, headers, body = self.house.chat("hello", model=model + "-or-here", stream=stream)
                self.assertEqual((status, headers["x-weir-backend"]), (200, "here"), (model, body))
                self.assertNotIn("somebodys", str(body))
        self.assertEqual(self.house.chat("hello", model="good")[2]["choices"][0]["message"]["content"], "Hello from afar")

    def test_UP7_a_limited_provider_is_asked_three_times_at_most(self):
        before = len(self.provider.requests)
        status, _, body = self.house.chat("hello", model="limited")
        self.assertEqual(status, 429, body)
        self.assertEqual(len(self.provider.requests) - before, 3)
        status, headers, _ = self.house.chat("hello", model="broke-or-here")
        self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))

    def test_UP7_an_absurd_wait_is_none(self):
        started = time.monotonic()
        self.assertEqual(self.house.chat("hello", model="absurd-wait")[0], 429)
        self.assertLess(time.monotonic() - started, 10)

    def test_UP7_a_storm_of_failures_is_not_answered_with_a_storm_of_retries(self):
        requests = 40
        with House(backend("broke", self.provider)) as house:
            before = len(self.provider.requests)
            with concurrent.futures.ThreadPoolExecutor(requests) as pool:
                answers = list(pool.map(lambda _: house.chat("hello", model="broke")[0], range(requests)))
            self.assertEqual(set(answers), {502})
            # A tenth of the requests, and the ten that are there from the start.
            self.assertLessEqual(len(self.provider.requests) - before, requests + requests // 10 + 10)

    def test_UP8_a_certificate_that_is_not_ours_to_trust_ends_the_try(self):
        folder = tempfile.mkdtemp()
        stranger = FakeProvider(folder)
        stranger.certificate = self.provider.certificate  # trust another one
        config = backend("good", stranger) + '[[backend]]\nname = "here"\nkind = "model"\n'
        config += '[[route]]\nmodel = "both"\nbackends = ["good", "here"]\n'
        with House(config) as house:
            status, headers, _ = house.chat("hello", model="both")
            self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))
        self.assertEqual(stranger.received, b"")
        stranger.close()
        shutil.rmtree(folder)

    def test_UP8_a_peer_without_tls_or_a_name_without_an_address_gets_nothing(self):
        plain = FakeProvider()
        for base_url in (plain.base_url.replace("http:", "https:"), "https://nothing.invalid/v1"):
            config = f'[[backend]]\nname = "afar"\nkind = "openai"\nbase_url = "{base_url}"\nmodel = "good"\n'
            config += '[[backend]]\nname = "here"\nkind = "model"\n'
            config += '[[route]]\nmodel = "both"\nbackends = ["afar", "here"]\n'
            with House(config) as house:
                status, headers, _ = house.chat("hello", model="both")
                self.assertEqual((status, headers["x-weir-backend"]), (200, "here"))
        self.assertEqual((plain.received, plain.requests), (b"", []))
        plain.close()

    def test_UP10_without_usage_the_tokens_seen_are_billed(self):
        self.stream("no-usage")
        row = self.house.spend()["no-usage"]
        self.assertEqual(row["completion_tokens"], 4)  # 15 bytes in 3 events
        self.assertEqual((row["estimated_requests"], row["unpriced_requests"], row["cost"]),
                         (row["requests"], row["requests"], "unknown"))

    def test_AP10_a_client_that_goes_away_ends_the_request_upstream(self):
        connection, response = self.house.open_stream(
            "/v1/chat/completions", {"model": "slow", "messages": [{"role": "user", "content": "go on"}]})
        said = b""
        while b"word" not in said:
            said += response.read1(400)
        connection.close()
        response.close()
        deadline = time.monotonic() + 10
        while "slow" not in self.house.spend():  # booked means ended
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_connections_are_kept_and_used_again(self):
        self.house.chat("hello", model="good")
        before = self.provider.connections
        for _ in range(5):
            self.assertEqual(self.house.chat("hello", model="good")[0], 200)
        self.assertEqual(self.provider.connections, before)


if __name__ == "__main__":
    unittest.main()
