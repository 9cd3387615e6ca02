/**
 * The one place where the parts of a region server are constructed and wired.
 *
 * Life: the HTTP server listens at once and answers 503 `not_ready`; the database is prepared; then relay, applier
 * and housekeeping run under the supervisor until the process is told to stop.
 */

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { CoalescedReads } from './batching/coalesced-reads.ts'
import { clusterOf, type Config } from './config.ts'
import { conflictKinds } from './domain/conflict.ts'
import type { Incarnation, Prepared } from './domain/incarnation.ts'
import { lagReport, mergedEverywhereAt } from './domain/lag.ts'
import { createHttpApp } from './http/app.ts'
import type { Readiness } from './http/dependencies.ts'
import { startServer } from './http/server.ts'
import { UnavailableError } from './http/store.ts'
import { kafkaEventLog } from './kafka/event-log.ts'
import { openMergeSession } from './postgres/merge-session.ts'
import { createPool, createServicePool, openConnections } from './postgres/pool.ts'
import { prepareDatabase, verifyIncarnation } from './postgres/prepare-database.ts'
import { pruneBatchMax, pruneClaims } from './postgres/prune-claims.ts'
import { readSlotHealth } from './postgres/read-slot-health.ts'
import { readSources } from './postgres/read-sources.ts'
import { replicationSource } from './postgres/replication-source.ts'
import { answerMaxMs, createRegionStore, orUnavailable } from './region-store.ts'
import { Applier } from './replication/applier.ts'
import { applierBatchBounds } from './replication/batch-size.ts'
import type { EventLog, MergeSession } from './replication/ports.ts'
import { checkPublished } from './replication/find-restored.ts'
import { Relay } from './replication/relay.ts'
import { describeError } from './runtime/describe-error.ts'
import { createMetrics, setOrRemove } from './runtime/metrics.ts'
import { aborted, sleep, supervise, type Service } from './runtime/service.ts'

/** How often the database's identity and slot are looked at again, ms. */
const verifyIntervalMs = 5000
/** How long a start waits for Kafka to tell whether the database was put back to an earlier state, ms. */
const checkPublishedMaxMs = 3000
const pruneIntervalMs = 10_000
const seedsFolder = new URL('../../seeds/', import.meta.url)

export interface RunningApp {
  readonly port: number
  /** Finishes what is under way and stops; bounded. */
  stop(): Promise<void>
}

export async function startApp(config: Config, log: Logger): Promise<RunningApp> {
  const { REGION: region, REGIONS: regions, DATABASE_URL: databaseUrl } = config
  const now = (): number => Date.now()
  const metrics = createMetrics(region)
  // An alert on an increase sees the first one only if there was a 0 before.
  for (const kind of conflictKinds) metrics.conflicts.inc({ kind }, 0)
  const pool = createPool(databaseUrl, {
    max: config.DATABASE_POOL_MAX,
    onError: () => metrics.idleConnectionErrors.inc(),
  })
  const heartbeats = createServicePool(databaseUrl, 'meridian-heartbeat')
  const stop = new AbortController()
  let readiness: Readiness = { ready: false, code: 'not_ready', detail: 'The database is being prepared.' }
  let incarnation: Incarnation | undefined
  let relay: Relay | undefined

  const eventLogOn = (brokers: string): EventLog =>
    kafkaEventLog({
      brokers,
      topic: config.KAFKA_TOPIC,
      partitions: config.KAFKA_TOPIC_PARTITIONS,
      replicationFactor: config.KAFKA_REPLICATION_FACTOR,
      retentionMs: config.KAFKA_TOPIC_RETENTION_MS,
    })

  const actorOfWrites = (): string => {
    if (readiness.ready && incarnation) return incarnation.actor
    throw new UnavailableError('not_ready', 'This region does not accept writes yet.')
  }

  const sources = new CoalescedReads<'all', Awaited<ReturnType<typeof readSources>>>({
    query: async () => new Map([['all', await readSources(pool)]]),
    keysPerQueryMax: 1,
    defer: setImmediate,
    waitMaxMs: answerMaxMs,
    now: () => performance.now(),
  })
  const readLag = async () => {
    const known = await sources.read('all')
    if (!known) throw new Error('unreachable')
    return lagReport(region, regions, known.sources, known.now)
  }
  const lag = () => orUnavailable(readLag())

  const http = createHttpApp({
    region,
    regions,
    store: createRegionStore({
      pool,
      actor: actorOfWrites,
      now: () => performance.now(),
      observeBatch: (writes) => metrics.writeBatchSize.observe(writes),
    }),
    readiness: () => readiness,
    probe: async () => {
      await pool.query('SELECT 1')
    },
    lag,
    metrics: {
      contentType: metrics.registry.contentType,
      text: async () => {
        await refreshGauges()
        return metrics.registry.metrics()
      },
      observeRequest: (route, method, status, outcome, seconds) => {
        metrics.requests.inc({ method, route, status, outcome })
        metrics.requestSeconds.observe({ method, route }, seconds)
      },
    },
    log,
    now: () => performance.now(),
  })

  /** Gauges that are read from the database are read when they are asked for; absent if it does not answer. */
  async function refreshGauges(): Promise<void> {
    metrics.relayQueueBytes.set(relay?.queuedBytes ?? 0)
    setOrRemove(metrics.relayConfirmedAgeSeconds, relay?.confirmedAgeSeconds)
    metrics.lagSeconds.reset()
    setOrRemove(metrics.slotRetainedBytes, undefined)
    setOrRemove(metrics.slotSafeBytes, undefined)
    try {
      for (const [source, { lag_seconds }] of Object.entries((await lag()).sources)) {
        if (lag_seconds !== null) metrics.lagSeconds.set({ source }, lag_seconds)
      }
      const slot = incarnation && (await readSlotHealth(pool, incarnation.slot))
      setOrRemove(metrics.slotRetainedBytes, slot?.retained_bytes)
      setOrRemove(metrics.slotSafeBytes, slot?.safe_bytes ?? undefined)
    } catch (error) {
      log.debug({ err: error }, 'gauges of the database are missing')
    }
  }

  /** Prepares the database, then runs what needs it until the process stops or the incarnation no longer holds. */
  const replication: Service = {
    id: 'replication',
    async run(signal) {
      const prepared = await prepareDatabase({
        databaseUrl,
        region,
        migrationsFolder: fileURLToPath(new URL('migrations', seedsFolder)),
        readSeeds: () => readFile(new URL('properties.json', seedsFolder), 'utf8'),
        newUnique: () =>
          BigInt(`0x${randomBytes(5).toString('hex')}`)
            .toString(36)
            .padStart(8, '0'),
      })
      const verified = prepared.kind === 'ready' ? await verifyPublished(prepared.incarnation) : prepared
      setReadiness(verified)
      if (verified.kind !== 'ready') return sleep(verifyIntervalMs, signal)
      incarnation = verified.incarnation
      log.info({ actor: incarnation.actor, since: incarnation.since }, 'ready')
      return supervise(servicesOf(incarnation), signal, supervisorOptions)
    },
  }

  /**
   * Whether the database knows what its actor has published. Kafka does not keep a region from starting: what cannot be
   * read in time, the applier reads.
   */
  async function verifyPublished({ actor }: Incarnation): Promise<Prepared> {
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(checkPublishedMaxMs)])
    const [session] = await Promise.all([openMergeSession(databaseUrl), openConnections(pool)])
    const checked = checkPublished(session, eventLogOn(clusterOf(config, region)), actor, signal)
    const outcome = checked.catch((error: unknown) => {
      log.warn({ reason: describeError(error) }, 'what was published could not be read yet')
    })
    await Promise.race([outcome, aborted(signal)])
    session.close()
    return verifyIncarnation(pool, region)
  }

  /** A database that was restored under a running server stays refused until the server starts anew. */
  function setReadiness(prepared: Prepared): void {
    if (!readiness.ready && readiness.code === 'incarnation_mismatch') return
    if (prepared.kind === 'ready') {
      readiness = { ready: true }
      return
    }
    const { kind: code, detail } = prepared
    if (readiness.ready || readiness.code !== code)
      log.fatal({ code, detail }, 'this region must not accept writes')
    readiness = { ready: false, code, detail }
  }

  function servicesOf(own: Incarnation): Service[] {
    const { actor, slot } = own
    const common = { metrics, logger: log, now, sleep }
    const clusters = new Set(regions.map((source) => clusterOf(config, source)))
    relay = new Relay({
      ...common,
      source: replicationSource({ databaseUrl, pool: heartbeats, slot }, now),
      log: eventLogOn(clusterOf(config, region)),
      incarnation: own,
    })
    const openSession = (): Promise<MergeSession> => openMergeSession(databaseUrl)
    const onRestored = (detail: string): void => setReadiness({ kind: 'incarnation_mismatch', detail })
    return [
      relay,
      ...[...clusters].map(
        (brokers) =>
          new Applier({
            ...common,
            openSession,
            log: eventLogOn(brokers),
            actor,
            batchBounds: applierBatchBounds,
            onRestored,
          }),
      ),
      verification,
      housekeeping(actor),
    ]
  }

  /** Looks whether the database is still the one that this server began with. */
  const verification: Service = {
    id: 'verification',
    async run(signal) {
      while (!signal.aborted) {
        setReadiness(await verifyIncarnation(pool, region))
        await sleep(verifyIntervalMs, signal)
      }
    },
  }

  const housekeeping = (actor: string): Service => ({
    id: 'housekeeping',
    async run(signal) {
      while (!signal.aborted) {
        const horizon = mergedEverywhereAt(actor, regions, (await readSources(pool)).sources)
        const pruned = horizon === undefined ? 0 : await pruneClaims(pool, horizon)
        metrics.claimsPruned.inc(pruned)
        if (pruned < pruneBatchMax) await sleep(pruneIntervalMs, signal)
      }
    },
  })

  const supervisorOptions = {
    log,
    now,
    sleep,
    onRestart: (service: string) => metrics.serviceRestarts.inc({ service }),
  }

  const server = await startServer(http, { host: config.HOST, port: config.PORT, region, log })
  log.info({ port: server.port }, 'listening')
  const running = supervise([replication], stop.signal, supervisorOptions)
  return {
    port: server.port,
    async stop() {
      await server.drain()
      stop.abort()
      await Promise.race([running, sleep(2000)])
      await Promise.race([Promise.all([pool.end(), heartbeats.end()]), sleep(500)])
    },
  }
}
