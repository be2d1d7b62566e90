// The benchmark's floor: a minimal Worker that moves bytes agent → link → WebSocket → link → agent with
// one SQLite transaction a side and nothing else: no cryptography, no policy, no receipts.
//
// The mode is in the objects' names: `single` makes one call a message at every hop; `batch` has one
// call in flight and sends whatever came meanwhile with the next.
import { DurableObject } from "cloudflare:workers";

// Rows are overwritten in a ring, so that a long run writes as much but does not fill the disk.
const RING = 8192;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** One envelope: length, text, padding up to the size the real one has. */
function wrap(text, size) {
  const body = encoder.encode(text);
  const bytes = new Uint8Array(Math.max(size, body.length + 4));
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, 4);
  return bytes;
}

function unwrap(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return decoder.decode(bytes.subarray(4, 4 + length));
}

/** Many envelopes in one body, each behind its length. */
function join(list) {
  const bytes = new Uint8Array(list.reduce((sum, one) => sum + one.length + 4, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const one of list) {
    view.setUint32(at, one.length);
    bytes.set(one, at + 4);
    at += 4 + one.length;
  }
  return bytes;
}

function split(buffer) {
  const view = new DataView(buffer);
  const list = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const length = view.getUint32(at);
    list.push(new Uint8Array(buffer, at + 4, length));
    at += 4 + length;
  }
  return list;
}

/** Calls `work` with what came in: each alone, or all of it with one call in flight. */
class Flow {
  #queue = [];
  #busy = false;

  constructor(mode, work) {
    this.mode = mode;
    this.work = work;
  }

  async push(list) {
    if (this.mode === "single") {
      await Promise.all(list.map((one) => this.work([one])));
      return;
    }
    this.#queue.push(...list);
    if (this.#busy) return;
    this.#busy = true;
    while (this.#queue.length > 0) await this.work(this.#queue.splice(0));
    this.#busy = false;
  }
}

class Store {
  #row = 0;

  constructor(ctx) {
    this.storage = ctx.storage;
    this.storage.sql.exec("CREATE TABLE IF NOT EXISTS mail (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
  }

  commit(list) {
    this.storage.transactionSync(() => {
      for (const bytes of list) {
        this.storage.sql.exec("INSERT OR REPLACE INTO mail (row, bytes) VALUES (?, ?)", this.#row++ % RING, bytes);
      }
    });
  }
}

function pathOf(request) {
  return new URL(request.url).pathname.split("/").filter(Boolean);
}

async function call(namespace, name, path, list) {
  const stub = namespace.get(namespace.idFromName(name));
  const response = await stub.fetch(`http://object/${path}`, { method: "POST", body: join(list) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await response.arrayBuffer();
}

export class FloorAgent extends DurableObject {
  #flow;
  #size;

  constructor(ctx, env) {
    super(ctx, env);
    this.store = new Store(ctx);
  }

  // /<mode>/<size>/ws from a client, /<mode>/<size>/deliver from a link.
  async fetch(request) {
    const [mode, size, action] = pathOf(request);
    if (action === "deliver") {
      const list = split(await request.arrayBuffer());
      this.store.commit(list);
      for (const socket of this.ctx.getWebSockets()) for (const bytes of list) socket.send(unwrap(bytes));
      return new Response(null);
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment({ mode, size });
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(socket, text) {
    // An object serves one mode and one size.
    if (!this.#flow) {
      const { mode, size } = socket.deserializeAttachment();
      this.#size = Number(size);
      this.#flow = new Flow(mode, (list) => {
        this.store.commit(list);
        return call(this.env.LINK, `out:${mode}:${size}`, `${mode}/${size}/handoff`, list);
      });
    }
    return this.#flow.push([wrap(text, this.#size)]);
  }

  webSocketClose() {}

  webSocketError() {}
}

export class FloorLink extends DurableObject {
  #socket;
  #outgoing;

  // /<mode>/<size>/handoff from an agent, /<mode>/<size>/link from the other network.
  async fetch(request) {
    const [mode, size, action] = pathOf(request);
    if (action === "handoff") {
      this.#outgoing ??= new Flow(mode, async (list) => (await this.#dial(mode, size)).send(join(list)));
      await this.#outgoing.push(split(await request.arrayBuffer()));
      return new Response(null);
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.#accept(server, mode, size);
    return new Response(null, { status: 101, webSocket: client });
  }

  #accept(server, mode, size) {
    const acknowledgement = new Uint8Array(8);
    const flow = new Flow(mode, async (list) => {
      await call(this.env.AGENT, `${mode}:${size}`, `${mode}/${size}/deliver`, list);
      server.send(acknowledgement);
    });
    server.binaryType = "arraybuffer";
    server.addEventListener("message", (event) => flow.push(split(event.data)));
    server.accept();
  }

  #dial(mode, size) {
    this.#socket ??= fetch(`http://${this.env.PEER}/${mode}/${size}/link`, { headers: { upgrade: "websocket" } }).then(
      ({ webSocket }) => {
        webSocket.accept();
        return webSocket;
      },
    );
    return this.#socket;
  }
}

/** A bare fan-out: an event goes to the sockets of its tag, and nothing is kept, filtered or counted. */
export class FloorFanout extends DurableObject {
  // /fanout/<tag> from a subscriber, or an event for it.
  async fetch(request) {
    const [, tag] = pathOf(request);
    if (request.method === "POST") {
      const text = await request.text();
      for (const socket of this.ctx.getWebSockets(tag)) socket.send(text);
      return new Response(null);
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [tag]);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketClose() {}

  webSocketError() {}
}

export default {
  fetch(request, env) {
    const [mode, size, action] = pathOf(request);
    if (mode === "fanout") return env.FANOUT.get(env.FANOUT.idFromName("fanout")).fetch(request);
    const namespace = action === "link" ? env.LINK : env.AGENT;
    const name = action === "link" ? `in:${mode}:${size}` : `${mode}:${size}`;
    return namespace.get(namespace.idFromName(name)).fetch(request);
  },
};
