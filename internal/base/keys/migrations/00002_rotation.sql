-- +goose Up
CREATE TABLE root_key (
	generation BIGINT NOT NULL PRIMARY KEY,
	wrapped BLOB NOT NULL,
	created BIGINT NOT NULL
);
CREATE TABLE master_key (
	fingerprint TEXT NOT NULL PRIMARY KEY,
	since BIGINT NOT NULL,
	until BIGINT NOT NULL
);

-- +goose Down
DROP TABLE master_key;
DROP TABLE root_key;
