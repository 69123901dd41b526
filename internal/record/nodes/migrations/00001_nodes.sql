-- +goose Up
-- The meaning of every table and column is written in docs/formats/nodes.md.
CREATE TABLE node (
	id TEXT NOT NULL PRIMARY KEY,
	place TEXT NOT NULL,
	seen BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE node_claim (
	work TEXT NOT NULL PRIMARY KEY,
	node TEXT NOT NULL,
	until BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE node_wanted (
	pack BLOB NOT NULL PRIMARY KEY,
	asked BIGINT NOT NULL
) WITHOUT ROWID;
-- +goose Down
DROP TABLE node_wanted;
DROP TABLE node_claim;
DROP TABLE node;
