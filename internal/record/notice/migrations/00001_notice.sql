-- +goose Up
-- The meaning of every table and column is written in docs/formats/notice.md.
CREATE TABLE held_notice (
	account TEXT NOT NULL PRIMARY KEY,
	sealed BLOB NOT NULL,
	asked BIGINT NOT NULL,
	told BIGINT NOT NULL,
	held BIGINT NOT NULL,
	mail TEXT NOT NULL,
	mail_why TEXT NOT NULL,
	mailed BIGINT NOT NULL
) WITHOUT ROWID;
-- +goose Down
DROP TABLE held_notice;
