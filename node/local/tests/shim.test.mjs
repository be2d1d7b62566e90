// The shim around a module that dies the way a panicked wasm instance does: what it was doing never
// ends, and its objects are useless until the state is reset.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Miniflare } from "miniflare";

import { miniflareOptions, parseConfig } from "../options.mjs";

const GLUE = `
const state = { criticalError: false, instanceId: 1 };
const never = () => new Promise(() => {});
export const __worker_init_state = () => state;
export const __wbg_reset_state = () => { state.instanceId += 1; };
const alive = async (work) => {
  const born = state.instanceId;
  const result = await work();
  return state.criticalError || born !== state.instanceId ? never() : result;
};
const die = () => { state.criticalError = true; return never(); };
export const fetch = (request, env) => alive(() => {
  const { pathname } = new URL(request.url);
  if (pathname === "/panic-worker") return die();
  return env.RELAY.get(env.RELAY.idFromName("relay")).fetch(request);
});
export const queue = (batch, env) => alive(async () => {
  const relay = env.RELAY.get(env.RELAY.idFromName("relay"));
  for (const message of batch.messages) {
    const told = await relay.fetch("http://relay/hint");
    if (JSON.parse(await told.text()).hints === 1) return die();
    message.ack();
  }
});
export class Relay {
  constructor(ctx, env) { this.ctx = ctx; this.env = env; this.calls = 0; }
  fetch(request) {
    return alive(async () => {
      this.calls += 1;
      const { pathname } = new URL(request.url);
      if (pathname === "/panic") return die();
      if (pathname === "/panic-alarm") { await this.ctx.storage.setAlarm(Date.now() + 50); return never(); }
      if (pathname === "/throw") throw new Error("not a panic");
      if (pathname === "/wait") return never();
      if (pathname === "/hint") await this.ctx.storage.put("hints", 1 + (await this.ctx.storage.get("hints") ?? 0));
      if (pathname === "/send") await this.env.HINTS.send({ did: "did:cf:x" });
      if (pathname === "/store") await this.ctx.storage.put("kept", "yes");
      const [kept, hints] = [await this.ctx.storage.get("kept"), await this.ctx.storage.get("hints")];
      return new Response(JSON.stringify({ calls: this.calls, kept, hints }));
    });
  }
  async alarm() {
    if (await this.ctx.storage.get("panicked")) return;
    await this.ctx.storage.put("panicked", true);
    return die();
  }
}
export class Link extends Relay {}
export class Agent extends Relay {}
export class Fanout extends Relay {}
`;

let folder;
let network;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "entente-shim-"));
  const local = new URL("..", import.meta.url).pathname;
  copyFileSync(path.join(local, "shim.mjs"), path.join(folder, "shim.mjs"));
  writeFileSync(path.join(folder, "glue.js"), GLUE);
  execFileSync(process.execPath, [path.join(local, "bundle.mjs"), path.join(folder, "shim.mjs"), path.join(folder, "index.js")]);
  const config = parseConfig(JSON.stringify({ name: "t", host: "t", port: 0, script: folder, persist: path.join(folder, "persist"), migrations: "none" }));
  network = new Miniflare(miniflareOptions(config, () => {}));
  await network.ready;
});

after(async () => {
  await network?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function call(name) {
  const response = await network.dispatchFetch(`http://localhost/${name}`, {
    headers: { "x-request-id": "r1" },
    signal: AbortSignal.timeout(5000),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

function assertPanic({ status, body }) {
  assert.equal(status, 500);
  assert.equal(body.error.code, "PANIC");
  assert.equal(body.error.request, "r1");
}

test("a panic in the Worker or in an object is an immediate 500, and the next call works", async () => {
  assert.equal((await call("store")).body.kept, "yes");
  for (const name of ["panic-worker", "panic"]) {
    assertPanic(await call(name));
    const { status, body } = await call("again");
    assert.equal(status, 200);
    assert.equal(body.kept, "yes");
    assert.equal(body.calls, 1, "the object was built anew");
  }
});

test("every caller in flight hears of a panic", async () => {
  const waiting = [call("wait"), call("wait"), call("wait")];
  await call("ready");
  assertPanic(await call("panic"));
  for (const one of await Promise.all(waiting)) assertPanic(one);
  assert.equal((await call("again")).status, 200);
});

test("a panic in an alarm frees those who wait", async () => {
  assertPanic(await call("panic-alarm"));
  assert.equal((await call("again")).status, 200);
});

test("an error that is no panic is an INTERNAL error and leaves the instance alone", async () => {
  const before = (await call("again")).body.calls;
  const { status, body } = await call("throw");
  assert.equal(status, 500);
  assert.equal(body.error.code, "INTERNAL");
  assert.equal((await call("again")).body.calls, before + 2);
});

test("a batch of the queue that a panic met comes again", async () => {
  assert.equal((await call("send")).status, 200);
  const deadline = Date.now() + 20_000;
  let hints = 0;
  while (hints < 2 && Date.now() < deadline) {
    hints = (await call("again")).body.hints ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(hints, 2);
});
