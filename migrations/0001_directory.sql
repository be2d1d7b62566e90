-- The network's directory: who it is, who lives here, whom it peers with, what admins did.
-- Instants are milliseconds since the Unix epoch.

-- One row once POST /admin/init has run. The keys are in the Relay object, sealed.
CREATE TABLE network_identity (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  did TEXT NOT NULL,
  host TEXT NOT NULL,
  name TEXT NOT NULL,
  -- Which ENCRYPTION_MASTER_KEY sealed the keys: its public key id, not the key.
  master_key_id TEXT NOT NULL,
  -- The exact bytes served at /.well-known/agent-network.json, and what they were built for.
  document TEXT NOT NULL,
  document_hash TEXT NOT NULL,
  did_document TEXT NOT NULL,
  built_for TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
);

CREATE TABLE agents (
  object_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  did TEXT UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('creating', 'active', 'deleting', 'deleted')),
  model TEXT,
  config TEXT NOT NULL DEFAULT '{}',
  admin_read INTEGER NOT NULL DEFAULT 0,
  -- Base32 of the SHA-256 of the bearer token.
  token_hash TEXT UNIQUE,
  public_keys TEXT,
  -- The card in the key directory, signed by the agent and countersigned by the network.
  card TEXT,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX agents_live_name ON agents (name) WHERE status <> 'deleted';
CREATE INDEX agents_unsettled ON agents (changed_at) WHERE status IN ('creating', 'deleting');

CREATE TABLE peers (
  did TEXT PRIMARY KEY,
  host TEXT NOT NULL UNIQUE,
  level TEXT NOT NULL CHECK (level IN ('open', 'allowlist', 'verified', 'private')),
  allow_agents TEXT NOT NULL DEFAULT '[]',
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closing')),
  document TEXT NOT NULL,
  document_hash TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  fetched_at INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  -- The link has been told of the policy up to synced_version.
  policy_version INTEGER NOT NULL DEFAULT 1,
  synced_version INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  request TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
