// Every strategy of the unmodified @polar-sh/ingestion; what it sent is asked of the server afterwards.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Ingestion } from "@polar-sh/ingestion";
import { PolarTraceExporter } from "@polar-sh/ingestion/opentelemetry";
import { DeltaTimeStrategy } from "@polar-sh/ingestion/strategies/DeltaTime";
import { LLMStrategy } from "@polar-sh/ingestion/strategies/LLM";
import { S3Strategy } from "@polar-sh/ingestion/strategies/S3";
import { StreamStrategy } from "@polar-sh/ingestion/strategies/Stream";
import { generateText, streamText } from "ai";
import { MockLanguageModelV2, simulateReadableStream } from "ai/test";

const config = { accessToken: process.env.SPAIRE_ACCESS_TOKEN, serverURL: process.env.FAREBOX_URL };
const usage = { inputTokens: 900, cachedInputTokens: 100, outputTokens: 300, totalTokens: 1200 };

async function eventsNamed(name, count) {
  for (let tries = 0; tries < 50; tries += 1) {
    const answer = await fetch(`${config.serverURL}/v1/events/?name=${name}&sorting=timestamp`, {
      headers: { authorization: `Bearer ${config.accessToken}` },
    });
    const { items } = await answer.json();
    if (items.length >= count) return items;
    await pause(100);
  }
  throw new Error(`${name} did not arrive`);
}

// LLM: whole answers and streams are counted, and the call waits for its event.
const model = new MockLanguageModelV2({
  provider: "openai.chat",
  modelId: "m-large",
  doGenerate: async () => ({ content: [{ type: "text", text: "Hi" }], finishReason: "stop", usage, warnings: [] }),
  doStream: async () => ({
    stream: simulateReadableStream({
      chunks: [
        { type: "stream-start", warnings: [] },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "Hi" },
        { type: "text-end", id: "1" },
        { type: "finish", finishReason: "stop", usage },
      ],
    }),
  }),
});
const llm = Ingestion(config)
  .strategy(new LLMStrategy(model))
  .cost((context) => ({ amount: context.totalTokens * 0.0003, currency: "usd" }))
  .ingest("llm-usage");
const wrapped = llm.client({ customerId: "user_42" });
assert.equal((await generateText({ model: wrapped, prompt: "Hello" })).text, "Hi");
await streamText({ model: wrapped, prompt: "Hello" }).consumeStream();
const [call, streamed] = await eventsNamed("llm-usage", 2);
assert.equal(call.metadata.totalTokens, 1200);
assert.equal(call.metadata._llm.cached_input_tokens, 100);
assert.equal(Number(call.metadata._cost.amount), 0.36);
assert.equal(streamed.metadata._llm.vendor, "openai.chat");

// S3: bytes of an upload; the request itself is answered here.
const s3Client = new S3Client({
  region: "eu-west-1",
  credentials: { accessKeyId: "none", secretAccessKey: "none" },
  requestHandler: { handle: async () => ({ response: { statusCode: 200, headers: {}, body: Readable.from([]) } }) },
});
const s3 = Ingestion(config).strategy(new S3Strategy(s3Client)).ingest("storage-upload");
const upload = { Bucket: "b", Key: "k/1", Body: "x".repeat(321), ContentType: "text/plain" };
await s3.client({ externalCustomerId: "user_42" }).send(new PutObjectCommand(upload));
const [stored] = await eventsNamed("storage-upload", 1);
assert.ok(stored.metadata.bytes >= 321 && stored.metadata.bucket === "b", JSON.stringify(stored.metadata));

// Stream and elapsed time.
const stream = Ingestion(config).strategy(new StreamStrategy(Readable.from([Buffer.alloc(70), Buffer.alloc(7)])));
for await (const piece of stream.ingest("streamed").client({ externalCustomerId: "user_42" })) assert.ok(piece);
assert.equal((await eventsNamed("streamed", 1))[0].metadata.bytes, 77);
const timing = Ingestion(config).strategy(new DeltaTimeStrategy(() => performance.now())).ingest("compute-execution");
const stop = timing.client({ customerId: "user_42" })();
await pause(5);
const elapsed = stop();
assert.equal((await eventsNamed("compute-execution", 1))[0].metadata.deltaTime, elapsed);

// Events as given, and spans, child first.
await Ingestion(config).ingest([{ name: "plain", externalCustomerId: "user_42", externalId: "p-1", metadata: { n: 1 } }]);
assert.equal((await eventsNamed("plain", 1))[0].metadata.n, 1);
const span = (name, spanId, parent) => ({
  name,
  attributes: { externalCustomerId: "user_42", tokens: 7, list: ["dropped"] },
  parentSpanContext: parent && { spanId: parent },
  spanContext: () => ({ spanId }),
});
const exporter = new PolarTraceExporter(config);
for (const spans of [[], [span("child", "00f067aa0ba902b7", "53995c3f42cd8ad8")], [span("root", "53995c3f42cd8ad8")]]) {
  await exporter.export(spans, ({ code, error }) => assert.equal(code, 0, String(error)));
}
const [[child], [root]] = [await eventsNamed("child", 1), await eventsNamed("root", 1)];
assert.equal(child.parent_id, root.id);
assert.equal(root.child_count, 1);
