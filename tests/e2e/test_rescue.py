"""A worker is killed or hangs while it answers: the client's bytes are those of an undisturbed run."""
import collections
import json
import os
import re
import signal
import threading
import time
import unittest

from house import MODEL, House

KILLS = int(os.environ.get("WEIR_KILLS", "5"))
# Long enough that a worker is killed in the middle of it, not after it.
ASK = {"model": MODEL, "temperature": 0.8, "seed": 7, "max_tokens": 600, "ignore_eos": True, "n": 2,
       "logprobs": True, "stream_options": {"include_usage": True},
       "messages": [{"role": "user", "content": "Tell me a long story about a river."}]}
WHOLE = {k: v for k, v in ASK.items() if k != "stream_options"}
RESCUED = "its worker broke off; asking a new one"


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

    def worker(self, name=MODEL):
        return next(w for w in self.house.workers() if w["name"] == name)

    def stream(self, kill_at=None, body=ASK, how=signal.SIGKILL):
        """Reads a whole stream; the worker gets the signal once so many bytes have come."""
        pid = self.worker()["pid"] if kill_at else None  # asked for now: a process takes its time
        connection, response = self.house.open_stream("/v1/chat/completions", body)
        raw = b""
        while piece := response.read1(65536):
            raw += piece
            if pid and len(raw) >= kill_at:
                os.kill(pid, how)
                pid = None
        connection.close()
        return raw

    def ask_while(self, disturb, body):
        """Asks without streaming, and has `disturb` do so once the worker is at it."""
        answers = []
        asker = threading.Thread(target=lambda: answers.append(self.house.ask("/v1/chat/completions", body)))
        asker.start()
        disturb(asker)
        asker.join()
        return answers[0]

    def kill_when_busy(self, pid):
        def disturb(_asker):
            while not self.worker()["in_flight"]:
                time.sleep(0.002)
            os.kill(pid, signal.SIGKILL)
        return disturb

    def rescues(self):
        return self.house.logged().count(RESCUED)

    def test_the_clients_bytes_are_those_of_an_undisturbed_run(self):
        undisturbed = self.stream()
        self.assertIn(b"[DONE]", undisturbed)
        want = normalized(undisturbed)
        for i in range(KILLS):
            # From the first bytes to a third of the stream. What was read is at most what was sent.
            at = len(undisturbed) * i // (3 * KILLS) + 1
            self.assertEqual(normalized(self.stream(kill_at=at)), want, f"killed after {at} bytes")
            self.assertEqual(self.rescues(), i + 1)
        self.assertEqual(self.worker()["deaths"], KILLS)

    def test_an_answer_that_is_not_streamed_is_rescued_too(self):
        want = self.house.ask("/v1/chat/completions", WHOLE)[2]
        for kills in range(1, 3):
            # The connection is one that has been used before, so its end says less.
            status, _, got = self.ask_while(self.kill_when_busy(self.worker()["pid"]), WHOLE)
            self.assertEqual(status, 200, got)
            self.assertEqual(got["choices"], want["choices"])
            self.assertEqual(self.rescues(), kills)
            self.assertEqual(self.worker()["deaths"], kills)

    def test_a_request_that_kills_its_workers_gets_two_and_no_more(self):
        self.house.chat("wake up")
        killed = set()

        def kill_all(asker):
            while asker.is_alive():
                worker = self.worker()
                if worker["in_flight"] and worker["pid"] not in killed:
                    killed.add(worker["pid"])
                    os.kill(worker["pid"], signal.SIGKILL)

        status, _, error = self.ask_while(kill_all, WHOLE)
        self.assertEqual(status, 503, error)
        self.assertEqual(error["error"]["code"], "worker_died")
        self.assertEqual(len(killed), 2)
        self.assertEqual(self.house.chat("still there?")[0], 200)
        self.assertEqual(self.worker()["deaths"], 2)

    def test_a_stream_outlives_a_neighbour_that_kills_two_workers(self):
        want = normalized(self.stream())
        killed = set()
        connection, response = self.house.open_stream("/v1/chat/completions", ASK)
        raw = response.read1(200)  # it has begun
        while len(killed) < 2:
            worker = self.worker()
            if worker["in_flight"] and worker["pid"] not in killed:
                killed.add(worker["pid"])
                os.kill(worker["pid"], signal.SIGKILL)
        while piece := response.read1(65536):
            raw += piece
        connection.close()
        self.assertEqual(normalized(raw), want)
        self.assertEqual(self.rescues(), 2)

    def test_a_third_death_ends_a_stream_with_an_error_event(self):
        self.house.chat("wake up")
        connection, response = self.house.open_stream("/v1/chat/completions", ASK)
        raw, killed = response.read1(200), set()
        deadline = time.monotonic() + 30
        while len(killed) < 3 and time.monotonic() < deadline:
            # Every worker that answers this request is killed, before it has caught up.
            worker = self.worker()
            if worker["in_flight"] and worker["pid"] not in killed:
                killed.add(worker["pid"])
                os.kill(worker["pid"], signal.SIGKILL)
        while piece := response.read1(65536):
            raw += piece
        connection.close()
        self.assertEqual(len(killed), 3)
        self.assertNotIn(b"[DONE]", raw)
        self.assertIn(b'"worker_died"', raw.strip().split(b"\n\n")[-1])

    def test_a_worker_that_hangs_is_replaced(self):
        """It takes five unanswered probes, four seconds each."""
        undisturbed = self.stream()
        hung = self.stream(kill_at=1, how=signal.SIGSTOP)
        self.assertEqual(normalized(hung), normalized(undisturbed))
        self.assertEqual(self.rescues(), 1)
        self.assertIn("it hung", self.house.logged())

    def test_two_local_models_have_metrics_of_their_own(self):
        for model in (MODEL, "other"):
            self.assertEqual(self.house.chat("hello", model=model)[0], 200)
        samples = [line.rsplit(" ", 1)[0] for line in self.house.ask("/metrics")[2].splitlines()
                   if line and not line.startswith("#")]
        twice = [name for name, count in collections.Counter(samples).items() if count > 1]
        self.assertEqual(twice, [])
        for model in (MODEL, "other"):
            self.assertTrue(any(re.match(rf'vllm:.*model_name="{model}"', s) for s in samples), model)
            self.assertIn(f'weir_bugs_total{{model_name="{model}"}}', samples)
            self.assertEqual(self.house.spend()[model]["model"], model)
        self.assertIn("weir_bugs_total", samples)
        self.assertIn("weir_ledger_entries_lost_total", samples)

    def test_other_models_streams_never_notice(self):
        other = ASK | {"model": "other"}
        want = normalized(self.stream(body=other))
        self.house.chat("wake up")  # its worker runs
        pid = self.worker()["pid"]
        connection, response = self.house.open_stream("/v1/chat/completions", other)
        raw = response.read1(200)
        os.kill(pid, signal.SIGKILL)
        while piece := response.read1(65536):
            raw += piece
        connection.close()
        self.assertEqual(normalized(raw), want)
        self.assertEqual(self.worker("other")["deaths"], 0)


if __name__ == "__main__":
    unittest.main()
