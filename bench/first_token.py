#!/usr/bin/env python3
"""How long the first request to a model waits for its first token, its worker not yet started.

    bench/first_token.py --weir build/release/bin/weir --model q8_0.gguf [--rounds 3] [--threads 2] [--tokens 8]

Every round starts a `weir serve` of its own, so its worker is cold: it is started, maps the file and
reads the prompt while the clock runs. Once with the file in the page cache (the target is for
this) and once with it dropped, where the disk decides. Exit status: 1 if the target is missed.
"""
import argparse
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

TARGET_SECONDS = 2.0


def cached_share(path):
    """How much of the file is in the page cache; None where fincore (util-linux) is missing."""
    try:
        said = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path],
                              capture_output=True, text=True, check=True).stdout
        return int(said) / os.path.getsize(path)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def prepare_cache(path, state):
    with open(path, "rb", buffering=0) as file:
        if state == "dropped":
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            while file.read(1 << 24):
                pass


def first_token(house, options):
    """Seconds until the first token of a first request, and until the last of `--tokens`."""
    body = json.dumps({"model": "bench", "prompt": "The weir holds the river", "max_tokens": options.tokens,
                       "temperature": 0, "stream": True, "ignore_eos": True})
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=300)
    begun = time.monotonic()
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"{answer.status}: {answer.read().decode()}\n{house.logged()}")
    first = None
    for line in answer:
        data = line.decode().removeprefix("data: ").strip()
        if data.startswith("{"):
            event = json.loads(data)
            if "error" in event:
                sys.exit(data)
            if first is None and any(choice["text"] for choice in event["choices"]):
                first = time.monotonic() - begun
    connection.close()
    if first is None:
        sys.exit("no token came")
    return first, time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=8)
    options = parser.parse_args()

    # The tests' own way to start a gateway in a folder of its own.
    os.environ["WEIR_BINARY"] = os.path.abspath(options.weir)
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
    from house import House  # pylint: disable=import-outside-toplevel

    model = os.path.abspath(options.model)
    config = (f'[[backend]]\nname = "bench"\nkind = "model"\npath = {json.dumps(model)}\n'
              f'context_tokens = 2048\nthreads = {options.threads}\n\n'
              '[[route]]\nmodel = "bench"\nbackends = ["bench"]\n')
    median = {}
    print(f"First token of a first request, worker cold; {os.path.getsize(model) / 1e9:.2f} GB\n")
    print("| page cache | of the file in it | seconds to the first token, each round | median |\n|---|---|---|---|")
    for state in ("warm", "dropped"):
        seconds, shares = [], []
        for _ in range(options.rounds):
            prepare_cache(model, state)
            shares.append(cached_share(model))
            with House(config) as house:
                seconds.append(first_token(house, options)[0])
        median[state] = statistics.median(seconds)
        share = "unknown" if None in shares else f"{100 * statistics.median(shares):.0f} %"
        print(f"| {state} | {share} | {' '.join(f'{s:.2f}' for s in seconds)} | {median[state]:.2f} |")
    met = median["warm"] <= TARGET_SECONDS
    print(f"\nFirst token with a warm page cache: {median['warm']:.2f} s (target: at most {TARGET_SECONDS:g}): "
          f"{'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
