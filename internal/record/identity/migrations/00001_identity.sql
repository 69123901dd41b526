-- +goose Up
CREATE TABLE token (
	id TEXT NOT NULL PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	collection TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE TABLE ssh_key (
	id TEXT NOT NULL PRIMARY KEY,
	hash BLOB NOT NULL,
	algorithm TEXT NOT NULL,
	name TEXT NOT NULL,
	collection TEXT NOT NULL,
	created BIGINT NOT NULL,
	revoked BIGINT NOT NULL,
	UNIQUE (collection, hash)
);
CREATE TABLE peer (
	ae_title TEXT NOT NULL PRIMARY KEY,
	host TEXT NOT NULL,
	port BIGINT NOT NULL,
	may BIGINT NOT NULL,
	collection TEXT NOT NULL,
	certificate BLOB,
	created BIGINT NOT NULL
);
-- +goose Down
DROP TABLE peer;
DROP TABLE ssh_key;
DROP TABLE token;
