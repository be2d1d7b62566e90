-- What may cross to each peer, who wants to peer, and who is banned.

-- Patterns for collections as a JSON list; NULL is the level's own default.
ALTER TABLE peers ADD COLUMN allow_collections TEXT;
-- DIDs of networks whose events may pass through this peer, as a JSON list.
ALTER TABLE peers ADD COLUMN allow_networks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE peers ADD COLUMN allow_inbound INTEGER NOT NULL DEFAULT 1;
ALTER TABLE peers ADD COLUMN allow_outbound INTEGER NOT NULL DEFAULT 1;
-- The admin's approval of the peer's key, which the level verified asks for, as JSON.
ALTER TABLE peers ADD COLUMN approval TEXT;

-- Networks that dialled and wait for an admin: bounded, the oldest make room.
CREATE TABLE peer_requests (
  did TEXT PRIMARY KEY,
  host TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'rejected')),
  attempts INTEGER NOT NULL DEFAULT 1,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL
);

-- Networks that are refused whatever else is said about them, by DID or by host.
CREATE TABLE bans (
  subject TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- NULL is until an admin lifts it.
  expires_at INTEGER
);
