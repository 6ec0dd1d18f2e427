"""The command line: what it refuses, and whether it says what to do about it."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from house import MODEL, WEIR, House

MODEL_FILE = os.path.join(os.path.dirname(__file__), "../../models/weir-tiny.gguf")
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Verbs(unittest.TestCase):
    """Without a gateway."""

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="weir-cli-")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")} | {"WEIR_HOME": self.home}

    def tearDown(self):
        shutil.rmtree(self.home)

    def weir(self, *arguments, timeout=60, **options):
        return subprocess.run([WEIR, *arguments], env=self.env, capture_output=True, text=True, timeout=timeout,
                              check=False, **options)

    def refused(self, *arguments, status=2, timeout=10, **options):
        done = self.weir(*arguments, timeout=timeout, **options)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done.stderr

    def written(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def checks(self, *arguments):
        done = self.weir("doctor", "--json", *arguments)
        return done.returncode, {check["check"]: check for check in json.loads(done.stdout)}

    def test_an_unknown_subcommand_is_named_and_so_are_those_there_are(self):
        said = self.refused("bogus")
        self.assertIn('unknown subcommand "bogus"', said)
        for verb in ("serve", "run", "doctor", "tokenize"):
            self.assertIn(verb, said)
        self.assertIn("serve", self.refused())

    def test_numbers_out_of_range_are_wrong_usage(self):
        for verb in (("run", MODEL, "hi"), ("bench", MODEL), ("worker",)):
            for threads in ("0", "1025", "100000", "4294967297", "-1", "many"):
                self.assertIn("--threads", self.refused(*verb, "--threads", threads))
        for option, value in (("--max-tokens", "0"), ("--max-tokens", "-1"), ("--temperature", "2.01"),
                              ("--temperature", "-0.1"), ("--temperature", "nan"), ("--temperature", "inf"),
                              ("--seed", "9223372036854775808"), ("--seed", "0.5")):
            self.assertIn(option, self.refused("run", MODEL, "hi", option, value), (option, value))
        self.assertIn("--days", self.refused("spend", "--days", "4294967295"))

    def test_run_takes_what_is_in_range_and_answers_in_json(self):
        arguments = ("run", MODEL, "Hello!", "--max-tokens", "4", "--seed", "-1", "--json")
        one = json.loads(self.weir(*arguments).stdout)
        many = json.loads(self.weir(*arguments, "--threads", "1024").stdout)
        self.assertEqual(one, many)
        self.assertEqual((one["seed"], one["completion_tokens"], one["finish_reason"]), (-1, 4, "length"))

    def test_files_are_named_as_they_were_given(self):
        for arguments in (("run", "/nope", "hi"), ("show", "/nope"), ("template", "--file", "/nope"),
                          ("serve", "--config", "/nope")):
            self.assertIn("/nope: No such file or directory", self.refused(*arguments, status=1))
        broken = self.written("broken.gguf", "this is no model")
        self.assertIn(broken, self.refused("show", broken, status=1))

    def test_a_template_renders_as_the_reference_does_or_as_served_models_do(self):
        file = self.written("t.jinja", "{{ ('[1, 2]' | from_json)[1] }}")
        def answer(*flags):
            return json.loads(self.weir("template", "--file", file, *flags, input='{"context": {}}\n').stdout)
        self.assertIn("from_json", self.refused("template", "--file", file, status=1))
        self.assertEqual(answer("--lenient"), {"text": "2"})

    def test_what_is_no_file_is_refused_and_not_waited_for(self):
        pipe = os.path.join(self.home, "pipe")
        os.mkfifo(pipe)
        for arguments in (("show", pipe), ("run", pipe, "hi"), ("tokenize", "--model", pipe), ("template", "--file", pipe),
                          ("serve", "--config", pipe)):
            self.assertIn("regular file", self.refused(*arguments, status=1))

    def test_a_line_that_fails_is_in_the_exit_status(self):
        good = self.weir("tokenize", "--model", MODEL, input='{"text": "a"}\n')
        self.assertEqual(good.returncode, 0, good.stderr)
        bad = self.weir("tokenize", "--model", MODEL, input='nonsense\n{"text": "a"}\n')
        self.assertEqual((bad.returncode, len(bad.stdout.splitlines())), (1, 2))
        self.assertIn("1 of 2 lines", bad.stderr)

    def test_a_wrong_listening_address_is_wrong_usage(self):
        for listen in ("", "8080", "127.0.0.1:x", "example.com:80", '127.0.0.1:0"\nnonsense = "'):
            self.assertIn("--listen", self.refused("serve", "--listen", listen), listen)

    def test_localhost_is_loopback(self):
        with subprocess.Popen([WEIR, "serve", "--listen", "localhost:0"], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as gateway:
            greeting = gateway.stdout.readline()
            stop = greeting.split("stop it with: ")[1].split(")")[0].split(" ")
            self.assertIn("http://127.0.0.1:", greeting)
            stopped = subprocess.run([*stop, "--json"], env=self.env, capture_output=True, text=True, timeout=20,
                                     check=False)
            self.assertEqual(json.loads(stopped.stdout), {"stopped": True})
            gateway.communicate()
        self.assertEqual(gateway.returncode, 0)

    def test_serve_refuses_models_that_are_not_there(self):
        config = self.written("c.toml", '[[backend]]\nname = "mine"\nkind = "model"\npath = "sub/m.gguf"\n')
        said = self.refused("serve", "--config", config, "--listen", "127.0.0.1:0", status=1)
        self.assertIn('backend "mine"', said)
        self.assertIn(os.path.join(self.home, "sub/m.gguf"), said)

    def test_serve_refuses_two_keys_with_one_hash(self):
        config = self.written("c.toml", "".join(
            f'[[key]]\nname = "{name}"\nsha256 = "{SHA}"\nlabel = "{label}"\n'
            for name, label in (("one", "public"), ("two", "restricted"))))
        said = self.refused("serve", "--config", config, "--listen", "127.0.0.1:0", status=1)
        self.assertIn(config, said)
        self.assertIn('key "two"', said)
        self.assertIn('key "one"', said)

    def test_doctor_tries_every_model_and_says_what_is_wrong(self):
        broken = self.written("broken.gguf", "this is no model")
        shutil.copyfile(MODEL_FILE, os.path.join(self.home, "good.gguf"))
        with open(MODEL_FILE, "rb") as good, open(os.path.join(self.home, "mute.gguf"), "wb") as mute:
            mute.write(good.read().replace(b" for ", b" fox ", 1))  # in its template
        config = self.written("c.toml", "".join(
            f'[[backend]]\nname = "{name}"\nkind = "model"\npath = "{name}.gguf"\n'
            for name in ("good", "broken", "mute")))
        status, checks = self.checks("--config", config)
        self.assertEqual(status, 1)
        self.assertTrue(checks["model good"]["ok"], checks)
        self.assertIn("within the memory budget", checks["model good"]["says"])
        self.assertFalse(checks["model broken"]["ok"])
        self.assertIn(broken, checks["model broken"]["says"])
        self.assertFalse(checks["model mute"]["ok"])
        self.assertIn("chat template", checks["model mute"]["says"])

        small = self.written("small.toml", '[server]\nmemory_budget = "1MiB"\n')
        status, checks = self.checks("--config", small)
        self.assertEqual(status, 1)
        self.assertIn("more than the memory budget of 1 MiB", checks[f"model {MODEL}"]["says"])

    def test_doctor_reads_the_configuration_it_is_given(self):
        self.assertFalse(self.checks("--config", "/nope.toml")[1]["configuration"]["ok"])
        config = self.written("c.toml", '[[backend]]\nname = "far"\nkind = "openai"\nmodel = "m"\n'
                                        'base_url = "https://x.example/v1"\napi_key_env = "FAR_KEY"\n')
        status, checks = self.checks("--config", config)
        self.assertEqual(status, 1)
        self.assertIn("FAR_KEY is not set in this shell", checks["configuration"]["says"])
        self.env["FAR_KEY"] = "k"
        self.assertEqual(self.checks("--config", config)[0], 0)

    def test_bench_gives_no_share_of_what_the_caches_deliver(self):
        done = self.weir("bench", MODEL, "--rounds", "1", "--prompt-tokens", "16")
        self.assertEqual(done.returncode, 0, done.stderr)
        for share in (word for line in done.stdout.splitlines() if "%" in line for word in line.split() if word.isdigit()):
            self.assertLessEqual(int(share), 100, done.stdout)

    def test_a_window_is_the_default_cut_to_the_context_or_what_was_asked_for(self):
        text = self.written("text", "A river runs through the old town. " * 40)
        self.assertIn("perplexity", self.weir("perplexity", MODEL, text).stdout)
        said = self.refused("perplexity", MODEL, text, "--window", str(1 << 20), status=1)
        self.assertIn("not 1048576", said)

    def test_spend_needs_no_gateway(self):
        self.assertEqual(json.loads(self.weir("spend", "--json").stdout), {"spend": []})
        house = House()
        house.chat("hello")
        while_running = house.run("spend").stdout
        house.process.terminate()
        house.process.wait(40)
        after = house.run("spend")
        house.close()
        self.assertEqual((after.returncode, after.stdout), (0, while_running), after.stderr)
        self.assertIn(MODEL, after.stdout)


class BesideAGateway(unittest.TestCase):
    def test_doctor_asks_the_gateway_that_runs(self):
        config = '[[backend]]\nname = "renamed"\nkind = "model"\n'
        with House(config) as house:
            done = house.run("doctor")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("answers for renamed", done.stdout)
            self.assertNotIn("8080", done.stdout)
            key = ('[[backend]]\nname = "far"\nkind = "openai"\nmodel = "m"\nbase_url = "https://x.example/v1"\n'
                   'api_key_env = "FAR_KEY"\n')
            path = os.path.join(house.home, "keyed.toml")
            with open(path, "w", encoding="utf-8") as out:
                out.write(key)
            self.assertNotIn("FAR_KEY", house.run("doctor", "--config", path).stdout)


if __name__ == "__main__":
    unittest.main()
