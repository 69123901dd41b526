-- +goose Up
-- What is kept for stewards alone is counted apart.
ALTER TABLE study ADD COLUMN restricted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN restricted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deposit ADD COLUMN restricted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE intake ADD COLUMN restricted BIGINT NOT NULL DEFAULT 0;
CREATE INDEX instance_restricted ON instance (collection, id) WHERE state = 7;
