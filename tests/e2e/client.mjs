// The official JavaScript client. usage: node client.mjs BASE_URL MODEL
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const clients = createRequire(process.env.NODE_PATH + "/");
const { default: OpenAI } = await import(pathToFileURL(clients.resolve("openai")).href);

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "anything", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello! Who are you?" }];
const ask = { model, messages, temperature: 0, max_tokens: 24 };

const whole = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 2, seed: 3 });
assert.ok(whole.choices[0].message.content);
assert.ok(whole.usage.prompt_tokens > 0);
assert.equal(whole.choices[0].logprobs.content[0].top_logprobs.length, 2);

let text = "";
let usage = null;
const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

const several = await client.chat.completions.create({ ...ask, n: 2, stop: ["\n"], temperature: 1, seed: 5 });
assert.deepEqual(several.choices.map((choice) => choice.index), [0, 1]);

assert.ok((await client.models.list()).data.some((entry) => entry.id === model));

await assert.rejects(client.chat.completions.create({ ...ask, model: "nobody" }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...ask, top_p: 7 }), (error) => {
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, "top_p");
  return true;
});
console.log("ok");
