-- +goose Up
CREATE TABLE reidentification_request (
	id BIGINT NOT NULL PRIMARY KEY,
	collection TEXT NOT NULL,
	subject BIGINT NOT NULL,
	asker TEXT NOT NULL,
	reason BLOB NOT NULL,
	asked BIGINT NOT NULL,
	state BIGINT NOT NULL,
	decider TEXT NOT NULL,
	decided BIGINT NOT NULL,
	seen BIGINT NOT NULL
);
CREATE INDEX reidentification_request_in ON reidentification_request (collection, asked);
-- +goose Down
DROP TABLE reidentification_request;
