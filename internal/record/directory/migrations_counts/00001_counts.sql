-- +goose Up
-- The meaning of every table and column is written in docs/formats/counts.md.
CREATE TABLE directory_snapshot (
	taken BIGINT NOT NULL PRIMARY KEY,
	day TEXT NOT NULL,
	actor TEXT NOT NULL,
	collections BIGINT NOT NULL,
	renewed BIGINT NOT NULL
);
CREATE INDEX directory_snapshot_day ON directory_snapshot (day);
CREATE TABLE directory_published (
	collection TEXT NOT NULL,
	taken BIGINT NOT NULL,
	latest BIGINT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (collection, taken)
) WITHOUT ROWID;
CREATE INDEX directory_published_latest ON directory_published (collection) WHERE latest = 1;
CREATE TABLE directory_counted (
	collection TEXT NOT NULL,
	subject BIGINT NOT NULL,
	digest BIGINT NOT NULL,
	PRIMARY KEY (collection, subject)
) WITHOUT ROWID;
-- +goose Down
DROP TABLE directory_counted;
DROP TABLE directory_published;
DROP TABLE directory_snapshot;
