/** Everything that is measured, in one registry per process; names end in their unit. */

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics(region: string) {
  const registry = new Registry()
  registry.setDefaultLabels({ region })
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name, help, labelNames, registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name, help, labelNames, registers })
  return {
    registry,
    requests: counter('meridian_http_requests_total', 'Requests by route and outcome', [
      'method',
      'route',
      'status',
      'outcome',
    ]),
    requestSeconds: new Histogram({
      name: 'meridian_http_request_seconds',
      help: 'Time from request to answer',
      labelNames: ['method', 'route'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    writeBatchSize: new Histogram({
      name: 'meridian_write_batch_size',
      help: 'Writes that shared a statement and a flush',
      buckets: [1, 2, 4, 8, 16, 32],
      registers,
    }),
    lagSeconds: gauge(
      'meridian_replication_lag_seconds',
      'Lag behind a source region; absent while unknown',
      ['source'],
    ),
    relayActive: gauge('meridian_relay_active', '1 while this process holds the slot'),
    relayQueueBytes: gauge(
      'meridian_relay_queue_bytes',
      'Bytes read from the WAL that Kafka has not acknowledged',
    ),
    relayPublished: counter('meridian_relay_published_total', 'Events that Kafka has acknowledged'),
    relayConfirmedAgeSeconds: gauge(
      'meridian_relay_confirmed_lsn_age_seconds',
      'Time since the confirmed LSN last moved; absent where another backend relays',
    ),
    slotRetainedBytes: gauge(
      'meridian_slot_wal_retained_bytes',
      'WAL that the slot keeps from being removed',
    ),
    slotSafeBytes: gauge(
      'meridian_slot_wal_safe_bytes',
      'WAL that may still be written before the slot is lost',
    ),
    applierActive: gauge('meridian_applier_active', '1 while this process merges', ['cluster']),
    applied: counter('meridian_applied_total', 'Properties of a batch stored as they came'),
    merged: counter('meridian_merged_total', 'Properties of a batch joined with a concurrent state'),
    conflicts: counter('meridian_conflicts_total', 'Conflict records added or changed', ['kind']),
    duplicates: counter(
      'meridian_duplicates_total',
      'Properties of a batch unchanged, or stored with conflict records',
    ),
    quarantined: counter('meridian_quarantined_total', 'Records that could not be merged'),
    claimsPruned: counter('meridian_claims_pruned_total', 'Claims deleted after their retention'),
    serviceRestarts: counter('meridian_service_restarts_total', 'Services started again after a failure', [
      'service',
    ]),
    idleConnectionErrors: counter(
      'meridian_database_idle_connection_errors_total',
      'Idle connections that broke',
    ),
  }
}

/** Sets a gauge, or makes it absent while its value is not known: an alert must not take that for 0. */
export function setOrRemove(gauge: Gauge, value: number | undefined): void {
  if (value === undefined) gauge.remove()
  else gauge.set(value)
}
