-- Up Migration

-- Fill factor: an update leaves room for the next version of the row in its page, so that updates stay heap-only
-- (HOT, chapter 73.7); no changing column is indexed. No multi-column CHECK and no secondary UNIQUE: a merge must
-- never fail on a combination that two regions made together.
CREATE TABLE properties (
  id bigint PRIMARY KEY,
  region_origin text NOT NULL,
  price numeric(14,2) NOT NULL,
  bedrooms integer NOT NULL,
  bathrooms numeric(5,1) NOT NULL,
  title text NOT NULL,
  description text NOT NULL,
  status text NOT NULL,
  -- 1 + the sum of the vector's counters.
  version bigint NOT NULL DEFAULT 1,
  vector jsonb NOT NULL DEFAULT '{}',
  stamps jsonb NOT NULL DEFAULT '{}',
  -- Members of newer releases.
  extra jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Every accepted X-Request-ID with its acceptances.
CREATE TABLE claims (
  request_id text PRIMARY KEY,
  acceptances jsonb NOT NULL,
  -- Local arrival, µs since the epoch.
  claimed_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
);
-- The oldest are at one end of it, however many there are. BRIN tells pages apart only until vacuum gives freed ones to new
-- claims: from then on each search for old ones reads the whole table.
CREATE INDEX claims_claimed_at ON claims (claimed_at);

-- Replicated conflict records; the columns beside the record are derived from it.
CREATE TABLE conflicts (
  id text PRIMARY KEY,
  property_id bigint NOT NULL,
  written_at bigint NOT NULL,
  open boolean NOT NULL,
  record jsonb NOT NULL
);
CREATE INDEX conflicts_property ON conflicts (property_id);
CREATE INDEX conflicts_open ON conflicts (written_at DESC, id DESC) WHERE open;

-- Who this database is: one row, made at the first start. `since` is the start of the slot's lineage, null until the
-- slot exists; no write is accepted before. `run` names the newest relay's run and where the WAL ended when it
-- began (`id@LSN`): all heartbeats of earlier runs lie before it. `refused` says why no write may be accepted any more, once that is known.
CREATE TABLE incarnation (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  actor text NOT NULL,
  region text NOT NULL,
  slot text NOT NULL,
  system_identifier text NOT NULL,
  timeline text NOT NULL,
  since text,
  run text,
  refused text
);

-- Next offset to merge; advanced in the transaction that merges, compared before.
CREATE TABLE kafka_offsets (
  cluster_id text NOT NULL,
  topic_id text NOT NULL,
  partition integer NOT NULL,
  topic text NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (cluster_id, topic_id, partition)
);

-- Places where events may be missing: for one actor, or for all of a cluster (actor ''). A gap freezes watermarks.
CREATE TABLE replication_gaps (
  cluster_id text NOT NULL,
  actor text NOT NULL DEFAULT '',
  reason text NOT NULL,
  detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (cluster_id, actor)
);

-- Other actors as their newest heartbeat describes them.
CREATE TABLE sources (
  actor text PRIMARY KEY,
  region text NOT NULL,
  cluster_id text NOT NULL,
  partitions integer NOT NULL,
  since text NOT NULL,
  heartbeat_at bigint NOT NULL,
  offset_lower bigint,
  offset_upper bigint,
  -- What that actor has merged of others: {actor: {lsn, xmin, t}}.
  applied jsonb NOT NULL
);

-- The newest heartbeat of an actor that each partition has delivered; a watermark is the least of them.
CREATE TABLE marks (
  actor text NOT NULL,
  partition integer NOT NULL,
  lsn pg_lsn NOT NULL,
  snapshot_xmin xid8 NOT NULL,
  t bigint NOT NULL,
  PRIMARY KEY (actor, partition)
) WITH (fillfactor = 50);

-- Records that could not be merged, kept for a person to look at.
CREATE TABLE quarantine (
  cluster_id text NOT NULL,
  topic_id text NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  reason text NOT NULL,
  payload bytea NOT NULL,
  quarantined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (cluster_id, topic_id, partition, kafka_offset)
);
