-- +goose Up
-- The meaning of every table and column is written in docs/formats/spool.md and docs/formats/link.md.
CREATE TABLE upload_link (
	id TEXT NOT NULL PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE,
	collection TEXT NOT NULL,
	maker TEXT NOT NULL,
	sealed BLOB NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	revoked BIGINT NOT NULL,
	quota_bytes BIGINT NOT NULL,
	quota_files BIGINT NOT NULL,
	used_bytes BIGINT NOT NULL,
	used_files BIGINT NOT NULL,
	used BIGINT NOT NULL,
	batches BIGINT NOT NULL,
	mail TEXT NOT NULL,
	mail_why TEXT NOT NULL,
	mailed BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX upload_link_collection ON upload_link (collection, created);

ALTER TABLE upload ADD COLUMN link TEXT NOT NULL DEFAULT '';
-- +goose Down
ALTER TABLE upload DROP COLUMN link;
DROP TABLE upload_link;
