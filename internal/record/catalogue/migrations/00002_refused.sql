-- +goose Up
-- What a steward refused is known again by its digest. NULL: refused on arrival, of which nothing is kept.
ALTER TABLE refusal ADD COLUMN digest BLOB;
CREATE INDEX refusal_of_content ON refusal (digest) WHERE digest IS NOT NULL;
