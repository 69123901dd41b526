-- +goose Up
-- The meaning of every column is written in docs/formats/identity.md.
ALTER TABLE peer ADD COLUMN associations BIGINT NOT NULL DEFAULT 0;
ALTER TABLE peer ADD COLUMN transfers BIGINT NOT NULL DEFAULT 0;
ALTER TABLE peer ADD COLUMN queries BIGINT NOT NULL DEFAULT 0;
-- +goose Down
ALTER TABLE peer DROP COLUMN queries;
ALTER TABLE peer DROP COLUMN transfers;
ALTER TABLE peer DROP COLUMN associations;
