-- +goose Up
CREATE TABLE collection (
	id TEXT NOT NULL PRIMARY KEY,
	title TEXT NOT NULL,
	profile TEXT NOT NULL,
	profile_version TEXT NOT NULL,
	ae_title TEXT UNIQUE,
	protocol TEXT NOT NULL,
	state BIGINT NOT NULL,
	attested_by TEXT NOT NULL,
	attested BIGINT NOT NULL,
	created BIGINT NOT NULL
);
-- +goose Down
DROP TABLE collection;
