-- +goose Up
-- docs/formats/keys.md.
CREATE TABLE suspended_key (
	id TEXT NOT NULL PRIMARY KEY,
	suspended BIGINT NOT NULL
);

-- +goose Down
DROP TABLE suspended_key;
