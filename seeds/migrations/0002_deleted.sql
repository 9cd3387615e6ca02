-- Up Migration

ALTER TABLE properties ADD COLUMN deleted boolean NOT NULL DEFAULT false;

-- What a region of this release has sent before this one had the column.
UPDATE properties
SET deleted = (extra->>'deleted')::boolean, extra = extra - 'deleted'
WHERE extra ? 'deleted';
