"""Start, health, overload, drain, stop; and what a hostile peer sends before any of it."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from house import MODEL, WEIR, House, events_of, text_of


class Lifecycle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = House()
        cls.house.chat("wake up")

    @classmethod
    def tearDownClass(cls):
        cls.house.close()

    def test_health_readiness_and_metrics(self):
        self.assertEqual(self.house.ask("/health")[0], 200)
        self.assertEqual(self.house.ask("/ready")[0], 200)
        metrics = self.house.ask("/metrics")[2]
        for name in ("vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:prompt_tokens_total",
                     "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_bucket",
                     "vllm:request_success_total", "weir_requests_total"):
            self.assertIn(name, metrics)

    def test_paths_and_methods_that_are_not_there(self):
        self.assertEqual(self.house.ask("/v1/nothing")[0], 404)
        self.assertEqual(self.house.ask("/admin/ps")[0], 404)  # only on the Unix socket
        self.assertEqual(self.house.ask("/v1/chat/completions")[0], 405)
        for path in ("/v1//models", "/v1/%2e%2e/admin/ps", "/v1/../admin/ps", "/%61dmin/ps"):
            self.assertIn(self.house.ask(path)[0], (400, 404), path)

    def test_HT11_an_http2_preface_gets_400(self):
        answer = self.house.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer[:80])

    def test_a_foreign_page_cannot_speak_through_us(self):
        self.assertEqual(self.house.ask("/v1/models", headers={"Host": "evil.example"})[0], 403)
        self.assertEqual(self.house.ask("/v1/models", headers={"Origin": "https://evil.example"})[0], 403)
        self.assertEqual(self.house.ask("/v1/models", headers={"Origin": f"http://localhost:{self.house.port}"})[0], 200)

    def test_what_is_refused_before_there_is_a_request_reads_like_any_other_error(self):
        for request, status, kind in (
                (b"GET / HTTP/1.1\r\n\r\n", 400, "invalid_request_error"),
                (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70000 + b"\r\n\r\n", 431, "request_too_large"),
                (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
                 413, "request_too_large")):
            head, _, body = self.house.raw(request).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(f"HTTP/1.1 {status} ".encode()), head[:80])
            self.assertIn(b"application/json", head)
            error = json.loads(body)["error"]
            self.assertEqual(error["type"], kind)
            self.assertEqual({"message", "type", "param", "code"}, set(error))

    def test_HT10_health_answers_while_large_bodies_are_read(self):
        body = {"model": MODEL, "messages": [{"role": "user", "content": "word " * 200000}], "max_tokens": 1}
        busy = [threading.Thread(target=self.house.ask, args=("/v1/chat/completions", body)) for _ in range(4)]
        for thread in busy:
            thread.start()
        slowest = 0
        for _ in range(50):
            start = time.monotonic()
            self.assertEqual(self.house.ask("/health")[0], 200)
            slowest = max(slowest, time.monotonic() - start)
        for thread in busy:
            thread.join()
        self.assertLess(slowest, 1.0)

    def test_many_streams_at_once_say_what_each_says_alone(self):
        def say(i):
            return self.house.chat(f"Count to {i}.", stream=True, temperature=0.9, seed=i, max_tokens=20)[2]
        alone = {i: text_of(events_of(say(i))) for i in range(6)}
        together = {}
        threads = [threading.Thread(target=lambda i=i: together.update({i: text_of(events_of(say(i)))})) for i in alone]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)

    def test_only_one_gateway_runs_on_a_home(self):
        second = subprocess.run([WEIR, "serve", "--listen", "127.0.0.1:0"], env=self.house.env, capture_output=True,
                                text=True, timeout=20, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another weir serve", second.stderr)

    def test_a_taken_port_is_said(self):
        with tempfile.TemporaryDirectory() as home:
            second = subprocess.run([WEIR, "serve", "--listen", f"127.0.0.1:{self.house.port}"],
                                    env=self.house.env | {"WEIR_HOME": home}, capture_output=True, text=True,
                                    timeout=20, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(self.house.port), second.stderr)

    def test_off_loopback_without_keys_it_refuses_to_start(self):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run([WEIR, "serve", "--listen", "0.0.0.0:0"], env=self.house.env | {"WEIR_HOME": home},
                                  capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("[[key]]", done.stderr)

    def test_verbs_and_exit_codes(self):
        self.assertEqual(self.house.run("ps").returncode, 0)
        self.assertIn(MODEL, self.house.run("ls").stdout)
        self.assertEqual(self.house.run("doctor", "--json").returncode, 0)
        self.assertIn("llama", self.house.run("show", MODEL).stdout)
        self.assertEqual(self.house.run("nonsense").returncode, 2)
        self.assertEqual(self.house.run("show", "/nonexistent.gguf").returncode, 1)
        said = self.house.run("run", MODEL, "Hello!", "--max-tokens", "8", "--temperature", "0")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertTrue(said.stdout.strip())
        piped = self.house.run("run", MODEL, "--max-tokens", "8", "--temperature", "0", input="Hello!")
        self.assertEqual(piped.stdout, said.stdout)

    def test_a_worker_ends_with_its_gateway(self):
        house = House()
        house.chat("wake up")
        pid = house.workers()[0]["pid"]
        house.process.kill()
        house.process.wait()
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        house.close()

    def test_what_was_answered_is_booked_after_kill_9(self):
        house = House()
        house.chat("hello")
        house.process.send_signal(signal.SIGKILL)
        house.process.wait()
        again = subprocess.Popen([WEIR, "serve", "--listen", "127.0.0.1:0"], env=house.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        again.stdout.readline()
        self.assertEqual(house.spend()[MODEL]["requests"], 1)
        self.assertEqual(house.run("stop").returncode, 0)
        again.wait()
        again.stdout.close()
        house.close()

    def test_PR3_sigterm_lets_an_open_stream_finish(self):
        house = House()
        connection, response = house.open_stream(
            "/v1/chat/completions", {"model": MODEL, "max_tokens": 150, "ignore_eos": True,
                                     "messages": [{"role": "user", "content": "Go on."}]})
        first = response.read(100)
        house.process.terminate()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:  # nothing new is accepted
            try:
                socket.create_connection(("127.0.0.1", house.port), 1).close()
            except OSError:
                break
        rest = response.read()
        connection.close()
        self.assertTrue((first + rest).endswith(b"data: [DONE]\n\n"))
        self.assertEqual(house.process.wait(20), 0)
        house.close()


if __name__ == "__main__":
    unittest.main()
