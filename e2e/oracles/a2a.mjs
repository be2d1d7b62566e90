// The official A2A SDK, driven from outside: one command in JSON a line on stdin, one answer a line on
// stdout, {ok} or {error: {name, code, message}}. As a client of our agents:
//
//   {op: "open", name, url, key}             reads the card below `url` and makes a client
//   {op: "card", name}                       the card, once its signature is verified
//   {op: "call", name, method, params}       one call, in the names of the protocol
//   {op: "stream", name, method, params}     begins a stream; answers with its number
//   {op: "told", stream}                     {events, ended, error} so far
//
// As an agent elsewhere, which does what the first words of a message say:
//
//   {op: "serve", port, key, card}           serves a card, with these fields, and the agent
//   {op: "sign", how}                        its card is signed: "own", "other" (a new key), "none", "forged"
//   {op: "asked"}                            the calls that came: [{method, params, authorization}]
//   {op: "stop"}                             answers nobody until it serves again
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import * as a2a from "@a2a-js/sdk";
import { ClientFactory, ClientFactoryOptions, JsonRpcTransportFactory } from "@a2a-js/sdk/client";
import {
  AgentEvent,
  DefaultRequestHandler,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  ServerCallContext,
} from "@a2a-js/sdk/server";

// Nothing but answers goes to stdout.
console.debug = console.info = console.log = console.error;

const clients = new Map();
const streams = [];

/** Method of the protocol → the client's method, what it takes and what it returns. */
const methods = {
  SendMessage: ["sendMessage", a2a.SendMessageRequest, null],
  GetTask: ["getTask", a2a.GetTaskRequest, a2a.Task],
  CancelTask: ["cancelTask", a2a.CancelTaskRequest, a2a.Task],
  ListTasks: ["listTasks", a2a.ListTasksRequest, a2a.ListTasksResponse],
  SendStreamingMessage: ["sendMessageStream", a2a.SendMessageRequest, a2a.StreamResponse],
  SubscribeToTask: ["resubscribeTask", a2a.SubscribeToTaskRequest, a2a.StreamResponse],
  CreateTaskPushNotificationConfig: [
    "createTaskPushNotificationConfig",
    a2a.TaskPushNotificationConfig,
    a2a.TaskPushNotificationConfig,
  ],
  GetTaskPushNotificationConfig: [
    "getTaskPushNotificationConfig",
    a2a.GetTaskPushNotificationConfigRequest,
    a2a.TaskPushNotificationConfig,
  ],
  ListTaskPushNotificationConfigs: [
    "listTaskPushNotificationConfig",
    a2a.ListTaskPushNotificationConfigsRequest,
    a2a.ListTaskPushNotificationConfigsResponse,
  ],
  DeleteTaskPushNotificationConfig: [
    "deleteTaskPushNotificationConfig",
    a2a.DeleteTaskPushNotificationConfigRequest,
    null,
  ],
};

async function open({ name, url, key }) {
  const withKey = (input, init = {}) =>
    fetch(input, {
      ...init,
      headers: { ...init.headers, ...(key && { authorization: `Bearer ${key}` }) },
    });
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [new JsonRpcTransportFactory({ fetchImpl: withKey })],
  });
  const client = await new ClientFactory(options).createFromUrl(url);
  clients.set(name, { client, card: new URL(".well-known/agent-card.json", url) });
  return null;
}

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** An Ed25519 key in Multikey form, as a JSON Web Key. */
function jwk(multikey) {
  let number = [...multikey.slice(1)].reduce((sum, c) => sum * 58n + BigInt(BASE58.indexOf(c)), 0n);
  const bytes = [];
  for (; number > 0n; number >>= 8n) bytes.unshift(Number(number & 255n));
  assert.deepEqual(bytes.slice(0, 2), [0xed, 0x01], "an Ed25519 key");
  const x = Buffer.from(bytes.slice(2)).toString("base64url");
  return { kty: "OKP", crv: "Ed25519", x };
}

/** Resolves a key as the method did:web says, over http for hosts of this machine. */
async function resolve(kid) {
  const [did] = kid.split("#");
  const [, , host, ...path] = did.split(":");
  const name = decodeURIComponent(host);
  const scheme = name.startsWith("localhost") ? "http" : "https";
  const response = await fetch(`${scheme}://${name}/${path.join("/") || ".well-known"}/did.json`);
  const document = await response.json();
  const method = document.verificationMethod.find(({ id }) => id === kid);
  return jwk(method.publicKeyMultibase);
}

async function card({ name }) {
  const verify = a2a.verifyAgentCardSignature(resolve);
  const found = await clients.get(name).client.getAgentCard(undefined, verify);
  // As it is served, too: the SDK drops the security schemes of a card that it has parsed.
  const served = await (await fetch(clients.get(name).card)).json();
  await verify(served);
  const { signatures, ...rest } = served;
  await verify({ ...rest, signatures: signatures.slice(0, 1) });
  return a2a.AgentCard.toJSON(found);
}

async function call({ name, method, params }) {
  const [own, takes, returns] = methods[method];
  const result = await clients.get(name).client[own](takes.fromJSON(params));
  if (method === "SendMessage") {
    return "messageId" in result ? a2a.Message.toJSON(result) : a2a.Task.toJSON(result);
  }
  return returns ? returns.toJSON(result) : null;
}

function stream({ name, method, params }) {
  const [own, takes, returns] = methods[method];
  const found = { events: [], ended: false, error: null };
  streams.push(found);
  (async () => {
    for await (const event of clients.get(name).client[own](takes.fromJSON(params))) {
      found.events.push(returns.toJSON(event));
    }
  })()
    .catch((error) => {
      found.error = told(error);
    })
    .finally(() => {
      found.ended = true;
    });
  return streams.length - 1;
}

/** What the agent elsewhere does about each message. */
const agent = {
  async execute({ taskId, contextId, userMessage, task }, bus) {
    const ids = { taskId, contextId };
    const say = (text) => ({ messageId: `${taskId}-${text}`, role: "ROLE_AGENT", parts: [{ text }], ...ids });
    const status = (state, text) => ({
      state: `TASK_STATE_${state}`,
      timestamp: new Date().toISOString(),
      ...(text && { message: say(text) }),
    });
    const stand = (state, text) => {
      const update = { ...ids, status: status(state, text) };
      bus.publish(AgentEvent.statusUpdate(a2a.TaskStatusUpdateEvent.fromJSON(update)));
    };
    const words = userMessage.parts[0]?.content?.value ?? "";
    if (words === "talk") {
      bus.publish(AgentEvent.message(a2a.Message.fromJSON(say("hello"))));
      return bus.finished();
    }
    const begun = { id: taskId, contextId, status: status("WORKING", "on it") };
    bus.publish(AgentEvent.task(task ?? a2a.Task.fromJSON({ ...begun, history: [] })));
    if (words === "ask" && !task) {
      stand("INPUT_REQUIRED", "how?");
    } else if (words === "fail") {
      stand("FAILED", "it broke");
    } else if (words === "wait") {
      return;
    } else {
      const artifact = { artifactId: "sum", parts: [{ data: { words, n: 3 } }, { text: "three" }] };
      const update = { ...ids, artifact, lastChunk: true };
      bus.publish(AgentEvent.artifactUpdate(a2a.TaskArtifactUpdateEvent.fromJSON(update)));
      stand("COMPLETED");
    }
    bus.finished();
  },
  async cancelTask(taskId, bus) {
    const update = { taskId, status: { state: "TASK_STATE_CANCELED", timestamp: new Date().toISOString() } };
    bus.publish(AgentEvent.statusUpdate(a2a.TaskStatusUpdateEvent.fromJSON(update)));
    bus.finished();
  },
};

const own = generateKeyPairSync("ed25519");
const served = { tasks: new InMemoryTaskStore(), asked: [], how: "own", server: null };

async function signed(card, origin) {
  const pair = served.how === "own" ? own : generateKeyPairSync("ed25519");
  if (served.how !== "forged") served.published = pair.publicKey;
  if (served.how === "none") return card;
  const header = { alg: "EdDSA", kid: "key-1", typ: "JOSE", jku: `${origin}/jwks.json` };
  return a2a.generateAgentCardSignature(pair.privateKey, header)(card);
}

async function answer(request, url, { key, card }) {
  const origin = `http://${request.headers.host}`;
  const base = {
    name: "elsewhere",
    description: "Adds.",
    version: "1",
    supportedInterfaces: [{ url: `${origin}/rpc`, protocolBinding: "JSONRPC", protocolVersion: "1.0" }],
    capabilities: { streaming: true },
    securitySchemes: { bearer: { httpAuthSecurityScheme: { scheme: "Bearer" } } },
    defaultInputModes: ["text/plain", "application/json"],
    defaultOutputModes: ["text/plain", "application/json"],
    skills: [],
    ...card,
  };
  const described = a2a.AgentCard.fromJSON(base);
  if (url === "/agent/.well-known/agent-card.json") {
    return [200, a2a.AgentCard.toJSON(await signed(described, origin))];
  }
  if (url === "/jwks.json") {
    return [200, { keys: [{ ...served.published.export({ format: "jwk" }), kid: "key-1" }] }];
  }
  if (url !== "/rpc") return [404, {}];
  const { authorization } = request.headers;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const call = JSON.parse(Buffer.concat(chunks).toString());
  served.asked.push({ method: call.method, params: call.params, authorization });
  if (key && authorization !== `Bearer ${key}`) return [401, {}];
  const handler = new DefaultRequestHandler(described, served.tasks, agent);
  served.handler ??= new JsonRpcTransportHandler(handler);
  const context = new ServerCallContext({ requestedVersion: request.headers["a2a-version"] });
  return [200, await served.handler.handle(call, context)];
}

async function serve(options) {
  const server = createServer(async (request, response) => {
    const [status, body] = await answer(request, request.url, options).catch((error) => {
      console.error(error);
      return [500, {}];
    });
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(options.port, "127.0.0.1", resolve));
  served.server = server;
  return null;
}

async function stop() {
  const { server } = served;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return null;
}

const sign = ({ how }) => {
  served.how = how;
  return null;
};

const told = (error) => ({
  name: error.name,
  code: error.code ?? error.envelopeCode ?? null,
  message: error.message,
});

const ops = {
  open,
  card,
  call,
  stream,
  told: ({ stream }) => streams[stream],
  serve,
  sign,
  stop,
  asked: () => served.asked,
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await ops[command.op](command)) ?? null };
  } catch (error) {
    answer = { error: told(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
