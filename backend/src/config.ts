/** The environment, validated once at start. Every setting has a documented default or stops the start by name. */

import { z } from 'zod'

const regionName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,19}$/, 'must be lower-case letters, digits and hyphens')
const brokers = z.string().regex(/^[^\s,;=]+:\d+(,[^\s,;=]+:\d+)*$/, 'must be host:port[,host:port]')
const positive = z.coerce.number().int().min(1)

const environmentSchema = z.object({
  /** The region that this process serves. */
  REGION: regionName,
  /** All regions, in a fixed order. */
  REGIONS: z
    .string()
    .default('us,eu')
    .transform((text) => text.split(',').map((name) => name.trim()))
    .pipe(z.array(regionName).min(1).max(16)),
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  /** The region's PostgreSQL; the role owns the database and has REPLICATION. */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  DATABASE_POOL_MAX: positive.max(500).default(16),
  /** The Kafka cluster that all regions share. */
  KAFKA_BROKERS: brokers,
  /** Clusters of single source regions, `us=host:port;eu=host:port`, where there is no shared one. */
  KAFKA_SOURCES: z
    .string()
    .default('')
    .transform((text) =>
      Object.fromEntries(
        text
          .split(';')
          .filter(Boolean)
          .map((entry) => entry.split('=', 2)),
      ),
    )
    .pipe(z.record(regionName, brokers)),
  KAFKA_TOPIC: z
    .string()
    .regex(/^[\w.-]{1,249}$/)
    .default('property-updates'),
  KAFKA_TOPIC_PARTITIONS: positive.max(1000).default(6),
  /** How long Kafka keeps events, ms: 7 days. A region that is away for longer has a gap. */
  KAFKA_TOPIC_RETENTION_MS: positive.default(604_800_000),
  KAFKA_REPLICATION_FACTOR: positive.max(10).default(1),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
})

export type Config = z.infer<typeof environmentSchema>

/** @throws {Error} that names every setting which is missing or wrong. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  // An empty variable, as compose files make them, means the default.
  const present = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const result = environmentSchema.safeParse(present)
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`invalid configuration:\n${problems.join('\n')}`)
  }
  if (!result.data.REGIONS.includes(result.data.REGION)) {
    throw new Error(`invalid configuration:\n  REGION: ${result.data.REGION} is not one of REGIONS`)
  }
  return result.data
}

/** The Kafka cluster that carries the events of a region. */
export function clusterOf(config: Config, region: string): string {
  return config.KAFKA_SOURCES[region] ?? config.KAFKA_BROKERS
}
