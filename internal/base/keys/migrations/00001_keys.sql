-- +goose Up
-- The format of the wrapped keys is in docs/formats/keys.md.
CREATE TABLE key_check (
	id BIGINT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
);
CREATE TABLE subject_key (
	id TEXT NOT NULL PRIMARY KEY,
	wrapped BLOB NOT NULL,
	created BIGINT NOT NULL
);
CREATE TABLE destroyed_key (
	id TEXT NOT NULL PRIMARY KEY,
	destroyed BIGINT NOT NULL
);
CREATE TABLE collection_key (
	id TEXT NOT NULL PRIMARY KEY,
	wrapped BLOB NOT NULL,
	created BIGINT NOT NULL
);

-- +goose Down
DROP TABLE collection_key;
DROP TABLE destroyed_key;
DROP TABLE subject_key;
DROP TABLE key_check;
