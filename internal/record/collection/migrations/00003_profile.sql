-- +goose Up
ALTER TABLE collection ADD COLUMN profile_digest TEXT NOT NULL DEFAULT '';
CREATE TABLE collection_profile (
	collection TEXT NOT NULL,
	number BIGINT NOT NULL,
	profile TEXT NOT NULL,
	version TEXT NOT NULL,
	digest TEXT NOT NULL,
	file TEXT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (collection, number)
);
-- +goose Down
DROP TABLE collection_profile;
ALTER TABLE collection DROP COLUMN profile_digest;
