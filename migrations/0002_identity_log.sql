-- Identity logs, one entry a line: ours, our agents', and those pinned of peers.

ALTER TABLE network_identity ADD COLUMN log TEXT NOT NULL DEFAULT '';

ALTER TABLE agents ADD COLUMN log TEXT NOT NULL DEFAULT '';
-- 1 while the agent's keys change: its card must be listed anew.
ALTER TABLE agents ADD COLUMN rotating INTEGER NOT NULL DEFAULT 0;

-- The number and hash of the last entry are the pin: a document whose log does not have that entry
-- freezes the link.
ALTER TABLE peers ADD COLUMN log TEXT NOT NULL DEFAULT '';
ALTER TABLE peers ADD COLUMN pin_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE peers ADD COLUMN pin_head TEXT NOT NULL DEFAULT '';
