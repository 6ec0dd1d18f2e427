// What llama.cpp does with a model file, through npm node-llama-cpp: the same measurements that
// `weir bench` makes, as one line of JSON. compare.py runs both in turns.
//
//   node peer.mjs --peer FOLDER --model FILE [--threads 2] [--rounds 1] [--prompt-tokens 512]
//                 [--batches 1,16] [--decode-prompt 32] [--decode-tokens 64]
//                 [--flash-prefill on|off] [--flash-decode on|off]
//
// FOLDER is where `npm install node-llama-cpp` was run. Nothing is downloaded or built.
//
// What is done for the peer's sake: every context is warmed up before it is measured; the batch is
// as large as the prompt; and where llama.cpp's own clock, which knows nothing of JavaScript, gives
// a higher speed than ours, that is the one reported.
import fs from "fs";
import path from "path";
import {pathToFileURL} from "url";
import {parseArgs} from "util";

const {values: options} = parseArgs({options: {
    "peer": {type: "string"},
    "model": {type: "string"},
    "threads": {type: "string", default: "2"},
    "rounds": {type: "string", default: "1"},
    "prompt-tokens": {type: "string", default: "512"},
    "batches": {type: "string", default: "1,16"},
    "decode-prompt": {type: "string", default: "32"},
    "decode-tokens": {type: "string", default: "64"},
    "flash-prefill": {type: "string", default: "on"},
    "flash-decode": {type: "string", default: "on"},
}});
const number = (name) => Number(options[name]);
const threads = number("threads");

const home = path.join(options.peer, "node_modules", "node-llama-cpp");
const {getLlama} = await import(pathToFileURL(path.join(home, "dist", "index.js")).href);

// llama.cpp prints its own timings to the log; here is what it said since the last question.
let timings = {};
function readLog(_level, text) {
    for (const [, kind, rate] of text.matchAll(/(prompt eval|eval) time =.*?([\d.]+) tokens per second/g)) {
        timings[kind] = Number(rate);
    }
}
async function ownClock(context, kind) {
    timings = {};
    await context.printTimings();  // and sets them back to zero
    return timings[kind] ?? 0;
}

const seconds = () => performance.now() / 1e3;

// Token ids like `weir bench`'s, anything but a text; a different prompt for each sequence.
function prompt(count, salt, vocabulary) {
    return Array.from({length: count}, (_, i) => 1000 + (i * 7919 + salt * 104729) % (vocabulary - 2000));
}

// `count` tokens on each sequence, all together; tokens a second after the first of each. The
// sequences go in step: left alone, some are sampled sooner than others, and what should be one
// batch of 16 becomes two smaller ones, which is slower.
async function decode(context, sequences, promptTokens, count, vocabulary) {
    const prompts = sequences.map((_, i) => prompt(promptTokens, i, vocabulary));
    await Promise.all(sequences.map(async (sequence, i) => {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(prompts[i].slice(0, -1));
    }));
    const streams = sequences.map((sequence, i) =>
        sequence.evaluate(prompts[i].slice(-1), {temperature: 0, yieldEogToken: true}));
    const step = () => Promise.all(streams.map((stream) => stream.next()));
    await step();
    await ownClock(context, "eval");
    const begun = seconds();
    for (let i = 1; i < count; ++i) {
        await step();
    }
    const ours = sequences.length * (count - 1) / (seconds() - begun);
    // A batch of one is "eval" to llama.cpp, anything more is "prompt eval".
    const own = await ownClock(context, sequences.length === 1 ? "eval" : "prompt eval");
    await Promise.all(streams.map((stream) => stream.return()));
    return Math.max(ours, own);
}

async function prefill(context, sequence, tokens) {
    await sequence.clearHistory();
    await ownClock(context, "prompt eval");
    const begun = seconds();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens);
    const ours = tokens.length / (seconds() - begun);
    return Math.max(ours, await ownClock(context, "prompt eval"));
}

const llama = await getLlama({gpu: false, build: "never", maxThreads: threads, logLevel: "info", logger: readLog});
const model = await llama.loadModel({modelPath: options.model, gpuLayers: 0});
const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

// A fresh context, warmed up by `work` itself done once in small.
async function inContext(sequences, contextTokens, batchTokens, flash, work) {
    const context = await model.createContext({
        sequences, contextSize: contextTokens, batchSize: batchTokens, flashAttention: flash === "on",
        threads: {ideal: threads, min: threads}, performanceTracking: true});
    try {
        return await work(context, Array.from({length: sequences}, () => context.getSequence()));
    } finally {
        await context.dispose();
    }
}

const rounds = number("rounds");
const result = {prefill_tokens_per_second: [], decode: []};
const promptTokens = number("prompt-tokens");
await inContext(1, promptTokens + 8, promptTokens, options["flash-prefill"], async (context, [sequence]) => {
    await prefill(context, sequence, prompt(Math.min(64, promptTokens), 1, vocabulary));
    for (let round = 0; round < rounds; ++round) {
        result.prefill_tokens_per_second.push(
            await prefill(context, sequence, prompt(promptTokens, round + 2, vocabulary)));
    }
});
const [decodePrompt, decodeTokens] = [number("decode-prompt"), number("decode-tokens")];
for (const batch of options.batches.split(",").map(Number)) {
    const each = decodePrompt + decodeTokens + 8;
    await inContext(batch, each, batch * decodePrompt, options["flash-decode"], async (context, sequences) => {
        await decode(context, sequences, decodePrompt, 3, vocabulary);
        const rates = [];
        for (let round = 0; round < rounds; ++round) {
            rates.push(await decode(context, sequences, decodePrompt, decodeTokens, vocabulary));
        }
        result.decode.push({batch, tokens_per_second: rates});
    });
}

const libraries = fs.readFileSync("/proc/self/maps", "utf8").match(/libggml-cpu[^/\s]*\.so/g) ?? [];
const version = JSON.parse(fs.readFileSync(path.join(home, "package.json"), "utf8")).version;
console.log(JSON.stringify({
    ...result, threads, node_llama_cpp: version, llama_cpp: llama.llamaCppRelease.release,
    library: [...new Set(libraries)].join(" "), system_info: llama.systemInfo}));
process.exit(0);
