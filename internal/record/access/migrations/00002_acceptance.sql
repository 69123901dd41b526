-- +goose Up
-- The meaning of every column is written in docs/formats/access.md.
CREATE TABLE access_acceptance (
	agreement BIGINT NOT NULL,
	account TEXT NOT NULL,
	accepted BIGINT NOT NULL,
	PRIMARY KEY (agreement, account)
);
-- +goose Down
DROP TABLE access_acceptance;
