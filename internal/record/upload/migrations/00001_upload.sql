-- +goose Up
-- The meaning of every table and column is written in docs/formats/spool.md.
CREATE TABLE upload_batch (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	actor TEXT NOT NULL,
	began BIGINT NOT NULL,
	touched BIGINT NOT NULL,
	ended BIGINT NOT NULL
);
CREATE INDEX upload_batch_running ON upload_batch (touched) WHERE ended = 0;

CREATE TABLE upload (
	id TEXT NOT NULL PRIMARY KEY,
	batch BIGINT NOT NULL,
	ordinal BIGINT NOT NULL,
	actor TEXT NOT NULL,
	size BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	fate TEXT NOT NULL,
	reasons TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	UNIQUE (batch, ordinal)
) WITHOUT ROWID;
CREATE INDEX upload_arriving ON upload (actor) WHERE fate = '';
CREATE INDEX upload_expiring ON upload (expires);
-- +goose Down
DROP TABLE upload;
DROP TABLE upload_batch;
