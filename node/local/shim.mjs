// The Worker's entry: hands every handler to the Rust module and stays responsive when Rust panics.
//
// A panic kills the wasm instance that the Worker and all objects of this isolate share. Futures that
// were waiting inside it never wake again, so every handler here races its Rust promise against a set
// of rejections that the panic fires. The next call runs in a fresh instance, and each object is
// built anew from its storage. A handler never leaves an exception to the runtime: fetch answers 500,
// and the others return, because what they lost is repaired from storage by the next alarm.
import { DurableObject } from "cloudflare:workers";
import * as rust from "./glue.js";

const state = rust.__worker_init_state();

// Rejections of the calls that are waiting for the current instance.
let waiting = new Set();
let dead = false;

/** Thrown to every caller in flight when the instance dies. */
class Panic extends Error {
  constructor() {
    super("the wasm instance panicked");
  }
}

function failAll() {
  dead = true;
  const failed = waiting;
  waiting = new Set();
  for (const reject of failed) reject(new Panic());
}

// The Rust panic hook sets `criticalError`; traps without a panic (stack overflow, out of memory)
// come here through the abort hook of the generated glue or as an exception.
Object.defineProperty(state, "criticalError", {
  get: () => dead,
  set: (value) => {
    if (value) failAll();
  },
});
globalThis.__entente_abort = failAll;

function isTrap(error) {
  return error instanceof WebAssembly.RuntimeError
    || (error instanceof RangeError && /call stack/i.test(error.message));
}

function revive() {
  if (!dead) return;
  dead = false;
  rust.__wbg_reset_state();
}

/** Runs `call` in the living instance; rejects with `Panic` as soon as that instance dies. */
function run(call) {
  return new Promise((resolve, reject) => {
    let settled = () => {};
    try {
      revive();
      waiting.add(reject);
      settled = () => waiting.delete(reject);
      Promise.resolve(call()).then(resolve, reject).finally(settled);
    } catch (error) {
      settled();
      if (isTrap(error) && !dead) failAll();
      reject(dead ? new Panic() : error);
    }
  });
}

/** Settles `onDeath` in the caller's own I/O context when the instance dies; returns a cancel. */
function whenDead(onDeath) {
  let cancel = () => {};
  new Promise((_, reject) => {
    waiting.add(reject);
    cancel = () => waiting.delete(reject);
  }).catch(onDeath);
  return cancel;
}

// A socket dialled from Rust has its listeners in the instance. When that dies nobody would read the
// socket again, so it is closed: the peer notices at once and our own alarm dials anew.
const systemFetch = globalThis.fetch;
globalThis.fetch = async (...args) => {
  const response = await systemFetch(...args);
  const socket = response.webSocket;
  if (socket) {
    const cancel = whenDead(() => {
      try {
        socket.close(1011, "restarting");
      } catch {
        // Never accepted, or closed already.
      }
    });
    socket.addEventListener("close", cancel);
    socket.addEventListener("error", cancel);
  }
  return response;
};

function requestId(request) {
  const given = request.headers.get("x-request-id") ?? "";
  return /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : crypto.randomUUID();
}

function panicked(request) {
  const id = requestId(request);
  const message = "The server hit a bug and restarted itself. Try again; nothing accepted was lost.";
  return Response.json(
    { error: { code: "PANIC", message, request: id } },
    { status: 500, headers: { "x-request-id": id } },
  );
}

function internal(request, error) {
  console.error("unhandled:", error?.stack ?? String(error));
  const id = requestId(request);
  const message = "The server failed to answer. Try again; the log names this request.";
  return Response.json(
    { error: { code: "INTERNAL", message, request: id } },
    { status: 500, headers: { "x-request-id": id } },
  );
}

async function answer(request, call) {
  // The rejection comes from another request's context. A context that waits for nothing of its own
  // would be cancelled as hung before it hears of it, so every call keeps a timer.
  const timer = setTimeout(() => {}, 300_000);
  try {
    return await run(call);
  } catch (error) {
    return error instanceof Panic ? panicked(request) : internal(request, error);
  } finally {
    clearTimeout(timer);
  }
}

async function settle(what, call) {
  try {
    return await run(call);
  } catch (error) {
    console.error(`${what}:`, error instanceof Panic ? error.message : error?.stack ?? String(error));
    return undefined;
  }
}

/** Makes the class the runtime sees from the class the Rust module exports under `name`. */
function durable(name) {
  if (rust[name] === undefined) throw new Error(`the Worker exports no Durable Object class ${name}`);
  return class extends DurableObject {
    #object;
    #instance = -1;

    // Built when first called, and again after each death of the instance.
    #rust() {
      if (this.#instance !== state.instanceId) {
        this.#object = new rust[name](this.ctx, this.env);
        this.#instance = state.instanceId;
      }
      return this.#object;
    }

    fetch(request) {
      return answer(request, () => this.#rust().fetch(request));
    }

    async alarm() {
      try {
        await run(() => this.#rust().alarm());
      } catch (error) {
        // An alarm that throws is retried a few times and then gone: set it again ourselves.
        console.error("alarm:", error instanceof Panic ? error.message : error?.stack ?? String(error));
        if ((await this.ctx.storage.getAlarm()) === null) {
          await this.ctx.storage.setAlarm(Date.now() + 5000);
        }
      }
    }

    webSocketMessage(socket, message) {
      return settle("webSocketMessage", () => this.#rust().webSocketMessage(socket, message));
    }

    webSocketClose(socket, code, reason, wasClean) {
      return settle("webSocketClose", () => this.#rust().webSocketClose(socket, code, reason, wasClean));
    }

    webSocketError(socket, error) {
      return settle("webSocketError", () => this.#rust().webSocketError(socket, error));
    }
  };
}

export const Relay = durable("Relay");
export const Link = durable("Link");
export const Agent = durable("Agent");
export const Fanout = durable("Fanout");

export default {
  fetch(request, env, ctx) {
    return answer(request, () => rust.fetch(request, env, ctx));
  },
  async queue(batch, env, ctx) {
    const timer = setTimeout(() => {}, 300_000);
    try {
      await run(() => rust.queue(batch, env, ctx));
    } catch (error) {
      // What was not acknowledged comes again.
      console.error("queue:", error instanceof Panic ? error.message : error?.stack ?? String(error));
      batch.retryAll();
    } finally {
      clearTimeout(timer);
    }
  },
  async scheduled(event, env, ctx) {
    if (rust.scheduled) await settle("scheduled", () => rust.scheduled(event, env, ctx));
  },
};
