-- +goose Up
ALTER TABLE collection ADD COLUMN no_automatic_acceptance BIGINT NOT NULL DEFAULT 0;
-- +goose Down
ALTER TABLE collection DROP COLUMN no_automatic_acceptance;
