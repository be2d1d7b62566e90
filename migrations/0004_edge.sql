-- Peers that are put aside for a while: written rarely, by their links; read by the Worker before it
-- wakes a link.
CREATE TABLE penalties (
  did TEXT PRIMARY KEY,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  strikes INTEGER NOT NULL
);
