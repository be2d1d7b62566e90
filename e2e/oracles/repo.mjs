// The reference implementation of atproto's repos judges ours.
//
//   node repo.mjs verify <folder>   expected.json, repo.car and proof-N.car, made by Rust
//   node repo.mjs make <folder>     order.json; writes repo.car, prints the root
//   node repo.mjs diff <folder>     wanted.json, base.car and repo.car, which has what came after base.car; prints the writes
//   node repo.mjs blocks <folder>   repo.car, which needs no root; prints the CIDs of its blocks, verified
//   node repo.mjs read <folder>     wanted.json (did, key), repo.car; prints what it says, verified
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Secp256k1Keypair } from "@atproto/crypto";
import * as repo from "@atproto/repo";

const [command, folder] = process.argv.slice(2);
const read = (name) => readFileSync(join(folder, name));

/** Root, signature, every leaf; then the tree that the reference makes of the same leaves. */
async function verifyTree({ did, key, root, leaves }) {
  const { creates } = await repo.verifyRepoCar(read("repo.car"), did, key);
  const { root: head, blocks } = await repo.readCarWithRoot(read("repo.car"));
  const commit = repo.cborToLex(blocks.get(head));
  assert.equal(await repo.verifyCommitSig(commit, key), true, "the signature");
  assert.equal(commit.version, 3);
  assert.equal(commit.did, did);
  assert.equal(commit.data.toString(), root, "the root");
  assert.equal(creates.length, leaves, "the number of leaves");
  let tree = await repo.MST.create(new repo.MemoryBlockstore());
  for (const { collection, rkey, cid } of creates) {
    tree = await tree.add(`${collection}/${rkey}`, cid);
  }
  assert.equal((await tree.getPointer()).toString(), root, "the root of the reference's own tree");
  const nodes = (await tree.getUnstoredBlocks()).blocks;
  for (const { cid, bytes } of nodes.entries()) {
    assert.deepEqual(Buffer.from(blocks.get(cid)), Buffer.from(bytes), "a node");
  }
  const records = new Set(creates.map(({ cid }) => cid.toString()));
  // Behind each sealed record stands what wraps its key, which the tree does not lead to.
  const typed = (type) => [...blocks.entries()].filter(({ bytes }) => repo.cborToLex(bytes).$type === type).length;
  const keys = typed("agent.memory.wrap");
  assert.equal(keys, typed("agent.memory.envelope"), "a key for each sealed record");
  assert.equal(blocks.size, nodes.size + records.size + keys + 1, "the blocks of the archive");
}

async function verifyProof({ did, key }, { path, cid }, number) {
  const [collection, rkey] = path.split("/");
  const proof = read(`proof-${number}.car`);
  const claims = await repo.verifyRecords(proof, did, key);
  const found = claims.filter((claim) => claim.collection === collection && claim.rkey === rkey);
  assert.equal(found.length, cid === null ? 0 : 1, `the proof of ${path}`);
  if (cid !== null) {
    const made = await repo.cidForRecord(found[0].record);
    assert.equal(made.toString(), cid, `the record at ${path}`);
  }
  const absent = [{ collection, rkey, cid: null }];
  const { verified } = await repo.verifyProofs(proof, absent, did, key);
  assert.equal(verified.length, cid === null ? 1 : 0, `the absence of ${path}`);
}

async function verify() {
  const expected = JSON.parse(read("expected.json"));
  await verifyTree(expected);
  for (const [number, proof] of expected.proofs.entries()) {
    await verifyProof(expected, proof, number);
  }
  console.log(`${expected.leaves} leaves and ${expected.proofs.length} proofs verified`);
}

async function readRepo() {
  const { did, key } = JSON.parse(read("wanted.json"));
  const { creates } = await repo.verifyRepoCar(read("repo.car"), did, key);
  const { root: head, blocks } = await repo.readCarWithRoot(read("repo.car"));
  const commit = repo.cborToLex(blocks.get(head));
  assert.equal(await repo.verifyCommitSig(commit, key), true, "the signature");
  await verifyTree({ did, key, root: commit.data.toString(), leaves: creates.length });
  const records = creates.map(({ collection, rkey, cid }) => ({
    path: `${collection}/${rkey}`,
    cid: cid.toString(),
    text: repo.cborToLex(blocks.get(cid)).text,
  }));
  console.log(JSON.stringify({ head: head.toString(), rev: commit.rev, records }));
}

/** Takes the archive of what came since up on an older one of the same repo. */
async function diff() {
  const { did, key } = JSON.parse(read("wanted.json"));
  const base = await repo.readCarWithRoot(read("base.car"));
  const before = await repo.Repo.load(new repo.MemoryBlockstore(base.blocks), base.root);
  const { writes, commit } = await repo.verifyDiffCar(before, read("repo.car"), did, key);
  const { blocks } = await repo.readCarWithRoot(read("repo.car"));
  const shown = writes.map(({ action, collection, rkey }) => ({ action, path: `${collection}/${rkey}` }));
  console.log(JSON.stringify({ head: commit.cid.toString(), rev: commit.rev, writes: shown, blocks: blocks.size }));
}

async function listBlocks() {
  const { roots, blocks } = await repo.readCar(read("repo.car"));
  const cids = [...blocks.entries()].map(({ cid }) => cid.toString());
  console.log(JSON.stringify({ roots: roots.length, cids }));
}

async function make() {
  const { did, seed, records } = JSON.parse(read("order.json"));
  const keypair = await Secp256k1Keypair.import(seed);
  const storage = new repo.MemoryBlockstore();
  const writes = Array.from({ length: records }, (_, number) => ({
    action: repo.WriteOpAction.Create,
    collection: "agent.memory.note",
    rkey: `key-${number}`,
    record: { $type: "agent.memory.note", text: `text ${number}`, number, flag: number % 2 === 0 },
  }));
  const made = await repo.Repo.create(storage, did, keypair, writes);
  const parts = [];
  for await (const part of repo.getFullRepo(storage, made.cid)) {
    parts.push(part);
  }
  writeFileSync(join(folder, "repo.car"), Buffer.concat(parts));
  console.log(made.commit.data.toString());
}

await { verify, make, read: readRepo, diff, blocks: listBlocks }[command]();
