"""A worker is killed with -9 while it streams: the client's bytes are those of an undisturbed run."""
import json
import os
import signal
import threading
import time
import unittest

from house import MODEL, House

KILLS = int(os.environ.get("WEIR_KILLS", "5"))
ASK = {"model": MODEL, "temperature": 0.8, "seed": 7, "max_tokens": 120, "ignore_eos": True, "n": 2,
       "logprobs": True, "stream_options": {"include_usage": True},
       "messages": [{"role": "user", "content": "Tell me a long story about a river."}]}


def normalized(raw):
    """The stream's bytes without what names the one request: id and time."""
    lines = []
    for line in raw.decode().split("\n"):
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            event["id"] = event["created"] = None
            if event.get("usage"):
                event["usage"].pop("prompt_tokens_details")  # how much was cached may differ
            line = json.dumps(event)
        lines.append(line)
    return "\n".join(lines)


class Rescue(unittest.TestCase):
    def setUp(self):
        self.house = House(f'[[backend]]\nname = "{MODEL}"\nkind = "model"\n'
                           '[[backend]]\nname = "other"\nkind = "model"\n')

    def tearDown(self):
        self.house.close()

    def worker_pid(self, name=MODEL):
        return next(w["pid"] for w in self.house.workers() if w["name"] == name)

    def stream(self, kill_at=(), body=ASK):
        """Reads a whole stream; kills the worker each time so many bytes have come."""
        connection, response = self.house.open_stream("/v1/chat/completions", body)
        raw, kills = b"", list(kill_at)
        while True:
            piece = response.read1(65536)
            if not piece:
                connection.close()
                return raw
            raw += piece
            if kills and len(raw) >= kills[0]:
                kills.pop(0)
                os.kill(self.worker_pid(), signal.SIGKILL)

    def test_the_clients_bytes_are_those_of_an_undisturbed_run(self):
        undisturbed = self.stream()
        self.assertIn(b"[DONE]", undisturbed)
        want = normalized(undisturbed)
        for i in range(KILLS):
            # From the first bytes to late in the stream. What was read is at most what was sent.
            at = len(undisturbed) * i // (2 * KILLS) + 1
            self.assertEqual(normalized(self.stream(kill_at=[at])), want, f"killed after {at} bytes")
        deaths = next(w["deaths"] for w in self.house.workers() if w["name"] == MODEL)
        self.assertEqual(deaths, KILLS)

    def test_an_answer_that_is_not_streamed_is_rescued_too(self):
        body = {k: v for k, v in ASK.items() if k != "stream_options"}
        want = self.house.ask("/v1/chat/completions", body)[2]
        answers = []
        asker = threading.Thread(target=lambda: answers.append(self.house.ask("/v1/chat/completions", body)))
        asker.start()
        while not next(w["in_flight"] for w in self.house.workers() if w["name"] == MODEL):
            time.sleep(0.005)
        os.kill(self.worker_pid(), signal.SIGKILL)
        asker.join()
        status, _, got = answers[0]
        self.assertEqual(status, 200, got)
        self.assertEqual(got["choices"], want["choices"])

    def test_a_second_death_ends_the_answer_with_an_error_event(self):
        connection, response = self.house.open_stream("/v1/chat/completions", ASK | {"max_tokens": 400})
        raw, killed = b"", set()
        while True:
            piece = response.read1(65536)
            if not piece:
                break
            raw += piece
            # Every worker that answers this request is killed; the second one before it caught up.
            for worker in self.house.workers():
                if worker["name"] == MODEL and worker["state"] == "ready" and worker["pid"] not in killed:
                    killed.add(worker["pid"])
                    os.kill(worker["pid"], signal.SIGKILL)
            if len(killed) == 1:
                deadline = time.monotonic() + 10
                while len(killed) < 2 and time.monotonic() < deadline:
                    for worker in self.house.workers():
                        if worker["name"] == MODEL and worker["state"] == "ready" and worker["pid"] not in killed:
                            killed.add(worker["pid"])
                            os.kill(worker["pid"], signal.SIGKILL)
        connection.close()
        self.assertEqual(len(killed), 2)
        self.assertNotIn(b"[DONE]", raw)
        self.assertIn(b'"error"', raw.strip().split(b"\n\n")[-1])
        self.assertEqual(self.house.chat("still there?")[0], 200)

    def test_other_models_streams_never_notice(self):
        other = ASK | {"model": "other"}
        want = normalized(self.stream(body=other))
        self.house.chat("wake up")  # its worker runs
        connection, response = self.house.open_stream("/v1/chat/completions", other)
        raw = response.read1(200)
        os.kill(self.worker_pid(), signal.SIGKILL)
        while piece := response.read1(65536):
            raw += piece
        connection.close()
        self.assertEqual(normalized(raw), want)
        self.assertEqual(next(w["deaths"] for w in self.house.workers() if w["name"] == "other"), 0)


if __name__ == "__main__":
    unittest.main()
