#!/usr/bin/env python3
"""Weir beside llama.cpp on the same model files, in turns, as a Markdown table.

    bench/compare.py --weir build/release/bin/weir --peer FOLDER \\
        --file Q8_0=q8_0.gguf --file Q4_K=q4_k.gguf [--rounds 5] [--threads 2]

FOLDER is where `npm install node-llama-cpp` was run (bench/README.md); nothing is installed here.
Every turn is a process of its own that warms up before it measures; who begins a round alternates.
Each finished turn is also appended to --log, and --resume goes on where that file ends.
Exit status: 1 if a target of issue 3 is missed, 2 if something did not run.
"""
import argparse
import json
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time

PEER_DRIVER = pathlib.Path(__file__).resolve().parent / "peer" / "peer.mjs"
TOGETHER = 16
# llama.cpp's threads spin at every barrier: with a third busy thread on two cores it falls to a
# tenth of its speed. A comparison on a busy machine is none.
OTHERS_MAX = 0.05
# Issue 3: Weir's share of the peer's speed, and what 16 sequences bring over one.
PREFILL_MIN, DECODE_MIN, TOGETHER_MIN = 0.5, 0.8, 3.0


class Others:
    """What share of the machine other processes, or other machines on the same host, took meanwhile."""

    def __init__(self):
        self.begun, self.busy, self.own = time.monotonic(), *self.seconds()

    @staticmethod
    def seconds():
        fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[:8])
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ((user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"), own.ru_utime + own.ru_stime)

    def share(self):
        busy, own = self.seconds()
        taken = (busy - self.busy) - (own - self.own)
        return max(0.0, taken / ((time.monotonic() - self.begun) * os.cpu_count()))


class Runner:
    def __init__(self, options):
        self.options = options
        self.wrap = shlex.split(options.wrap)

    def run(self, command):
        done = subprocess.run([*self.wrap, *map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}", file=sys.stderr)
            sys.exit(2)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def weir(self, path):
        # Two rounds, the first thrown away: it reads the file's pages in.
        said = self.run([self.options.weir, "bench", path, "--threads", self.options.threads, "--rounds", 2, "--json"])
        return {"prefill": said["prefill_tokens_per_second"][-1],
                "read": said["read_bytes_per_second"], "weight_bytes": said["weight_bytes"],
                **{str(one["batch"]): one["tokens_per_second"][-1] for one in said["decode"]}}

    def peer(self, path, flash, **more):
        command = [self.options.node, PEER_DRIVER, "--peer", self.options.peer, "--model", path,
                   "--threads", self.options.threads,
                   "--flash-prefill", flash["prefill"], "--flash-decode", flash["decode"]]
        for name, value in more.items():
            command += [f"--{name.replace('_', '-')}", value]
        said = self.run(command)
        about = {name: said[name] for name in ("node_llama_cpp", "llama_cpp", "library", "system_info")}
        return {"prefill": said["prefill_tokens_per_second"][-1], "about": about,
                **{str(one["batch"]): one["tokens_per_second"][-1] for one in said["decode"]}}

    def faster_flash(self, path):
        """Whether llama.cpp's flash attention helps, for prefill and for decode, by a short trial."""
        if self.options.flash != "try":
            return {"prefill": self.options.flash, "decode": self.options.flash}
        trial = {}
        for flash in ("on", "off"):
            got = self.peer(path, {"prefill": flash, "decode": flash}, batches="1", decode_tokens=16)
            trial[flash] = {"prefill": got["prefill"], "decode": got["1"]}
        return {what: max(trial, key=lambda flash, what=what: trial[flash][what]) for what in ("prefill", "decode")}


def cpu():
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "cache size")
    seen = {}
    flags = []
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            seen[name.strip()] = value.strip()
        if name.strip() == "flags":
            flags = [f for f in value.split() if f in ("avx2", "fma", "f16c") or f.startswith(("avx512", "avx_vnni", "amx"))]
    return (f"{seen.get('model name', '?')}, {seen.get('vendor_id', '?')} family {seen.get('cpu family', '?')} "
            f"model {seen.get('model', '?')} stepping {seen.get('stepping', '?')}, {os.cpu_count()} cores, "
            f"cache {seen.get('cache size', '?')}; {' '.join(flags)}")


def weir_kernels(weir):
    said = subprocess.run([weir, "doctor", "--json"], capture_output=True, text=True, check=False).stdout
    try:
        return next(check["says"] for check in json.loads(said) if check["check"] == "kernels")
    except (ValueError, StopIteration):
        return "unknown"


class Log:
    """Finished turns, one line of JSON each, so that a long run can be cut and continued."""

    def __init__(self, path, resume):
        self.path = path
        self.turns = []
        if resume and path and os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                self.turns = [json.loads(line) for line in lines]
        elif path:
            open(path, "w", encoding="utf-8").close()

    def find(self, *key):
        return next((turn["got"] for turn in self.turns if turn["key"] == list(key)), None)

    def turn(self, key, measure):
        known = self.find(*key)
        if known is not None:
            return known
        others = Others()
        got = measure()
        got["others"] = others.share()
        self.turns.append({"key": list(key), "got": got})
        if self.path:
            with open(self.path, "a", encoding="utf-8") as out:
                out.write(json.dumps(self.turns[-1]) + "\n")
        print(*key, {k: v for k, v in got.items() if k != "about"}, file=sys.stderr)
        return got


def numbers(values):
    return " ".join(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values)


class Table:
    def __init__(self):
        self.missed = []

    def verdict(self, what, ratio, least):
        if ratio >= least:
            return f"{least:g}, met"
        self.missed.append(f"{what}: {ratio:.2f}, target {least:g}")
        return f"{least:g}, MISSED"

    def file(self, name, weir, peer):
        def column(turns, key):
            return [turn[key] for turn in turns]

        rows = [("prefill of 512", "prefill", PREFILL_MIN), ("decode alone", "1", DECODE_MIN),
                (f"{TOGETHER} together", str(TOGETHER), None)]
        for label, key, least in rows:
            ours, theirs = column(weir, key), column(peer, key)
            ratio = statistics.median(ours) / statistics.median(theirs)
            target = self.verdict(f"{name}, {label}", ratio, least) if least else ""
            print(f"| {name}, {label} | {numbers(ours)} | {numbers(theirs)} | {statistics.median(ours):.1f} | "
                  f"{statistics.median(theirs):.1f} | {ratio:.2f} | {target} |")
        gains = [statistics.median(column(side, str(TOGETHER))) / statistics.median(column(side, "1"))
                 for side in (weir, peer)]
        target = self.verdict(f"{name}, {TOGETHER} together over one", gains[0], TOGETHER_MIN)
        print(f"| {name}, {TOGETHER} together / alone | | | {gains[0]:.1f} | {gains[1]:.1f} | | {target} |")

    def end(self):
        print()
        for line in self.missed:
            print(f"MISSED: {line}")
        if not self.missed:
            print("Every target of issue 3 is met.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True, help="the program, built with the preset release")
    parser.add_argument("--peer", required=True, help="the folder with node_modules/node-llama-cpp")
    parser.add_argument("--file", required=True, action="append", metavar="NAME=PATH", help="a GGUF file; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--node", default="node")
    parser.add_argument("--flash", choices=("try", "on", "off"), default="try",
                        help="llama.cpp's flash attention; try: whichever is faster, by a short trial")
    parser.add_argument("--wrap", default="", metavar="COMMAND", help="put before every measured command: taskset, a lock")
    parser.add_argument("--log", help="append every finished turn to this file, a line of JSON each")
    parser.add_argument("--resume", action="store_true", help="do not repeat the turns that stand in --log")
    options = parser.parse_args()
    options.files = dict(entry.partition("=")[::2] for entry in options.file)
    if not (pathlib.Path(options.peer) / "node_modules" / "node-llama-cpp").is_dir():
        parser.error(f"no node-llama-cpp in {options.peer}: see bench/README.md")
    for path in [options.weir, *options.files.values()]:
        if not os.path.isfile(path):
            parser.error(f"no file {path}")
    return options


def main():
    options = arguments()
    runner = Runner(options)
    log = Log(options.log, options.resume)
    flash = {name: log.turn(("flash", name), lambda path=path: runner.faster_flash(path))
             for name, path in options.files.items()}
    turns = {(side, name): [] for side in ("weir", "peer") for name in options.files}
    for number in range(options.rounds):
        for name, path in options.files.items():
            for side in ("weir", "peer") if number % 2 == 0 else ("peer", "weir"):
                measure = {"weir": lambda path=path: runner.weir(path),
                           "peer": lambda path=path, name=name: runner.peer(path, flash[name])}[side]
                turns[side, name].append(log.turn((side, name, number), measure))

    about = next(turn[0]["about"] for (side, _), turn in turns.items() if side == "peer")
    print(f"CPU: {cpu()}")
    print(f"Weir: kernels {weir_kernels(options.weir)}; {options.threads} threads")
    print(f"llama.cpp {about['llama_cpp']} (node-llama-cpp {about['node_llama_cpp']}), {about['library']}: "
          f"{about['system_info'].strip(' |')}; {options.threads} threads; flash attention "
          + "; ".join(f"{name}: prefill {on['prefill']}, decode {on['decode']}" for name, on in flash.items()))
    print("\nTokens a second, every round in order; `ratio` is of the medians.\n")
    print("| | Weir | llama.cpp | Weir, median | llama.cpp, median | ratio | target |\n|---|---|---|---|---|---|---|")
    table = Table()
    for name in options.files:
        table.file(name, turns["weir", name], turns["peer", name])
    print()
    for name in options.files:
        weir = turns["weir", name]
        read = statistics.median(turn["1"] for turn in weir) * weir[0]["weight_bytes"]
        best = max(turn["read"] for turn in weir)
        print(f"{name}: decode alone reads {read / 1e9:.1f} GB/s; the same threads read at most {best / 1e9:.1f} GB/s "
              f"({100 * read / best:.0f} %).")
    if not options.wrap:  # which may wait for a lock, while others do as they like
        others = max(turn["got"]["others"] for turn in log.turns)
        print(f"Others took at most {100 * others:.0f} % of the machine during a turn"
              + (": TOO MUCH, measure again." if others > OTHERS_MAX else "."))
    table.end()
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
