-- +goose Up
-- The format of what is sealed is in docs/formats/reidentification.md.
CREATE TABLE reidentification (
	subject BIGINT NOT NULL PRIMARY KEY,
	sealed BLOB NOT NULL,
	version BIGINT NOT NULL
);
-- +goose Down
DROP TABLE reidentification;
