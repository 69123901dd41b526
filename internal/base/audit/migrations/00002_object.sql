-- +goose Up
-- What was done with an object is asked for beside it.
CREATE INDEX audit_of_object ON audit (object, seq);
-- +goose Down
DROP INDEX audit_of_object;
