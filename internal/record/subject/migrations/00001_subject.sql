-- +goose Up
CREATE TABLE subject (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	link BLOB NOT NULL,
	pseudonym TEXT NOT NULL,
	key_id BLOB NOT NULL,
	lexicon BLOB,
	lexicon_version BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (collection, link),
	UNIQUE (collection, pseudonym)
);
-- +goose Down
DROP TABLE subject;
