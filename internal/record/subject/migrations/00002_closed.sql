-- +goose Up
ALTER TABLE subject ADD COLUMN closed BIGINT NOT NULL DEFAULT 0;
-- +goose Down
ALTER TABLE subject DROP COLUMN closed;
