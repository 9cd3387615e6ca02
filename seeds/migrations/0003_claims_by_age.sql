-- Up Migration

-- The oldest claims are at one end of it, however many there are. BRIN told pages apart only until vacuum gave freed ones to
-- new claims: from then on each search for old ones read the whole table.
DROP INDEX claims_claimed_at;
CREATE INDEX claims_claimed_at ON claims (claimed_at);
