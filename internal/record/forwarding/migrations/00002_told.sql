-- +goose Up
-- The meaning of every column is written in docs/formats/forwarding.md.
ALTER TABLE copy_instance ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
CREATE INDEX copy_instance_of ON copy_instance (instance);
-- +goose Down
DROP INDEX copy_instance_of;
ALTER TABLE copy_instance DROP COLUMN told;
