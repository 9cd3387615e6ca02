/** Client options shared by everything that talks to Kafka; each is explicit where a default could lose data or hang. */
export const clientOptions = {
  /** Longest wait for one answer, ms. */
  timeout: 5000,
  requestTimeout: 10_000,
  connectTimeout: 2000,
  metadataMaxAge: 60_000,
  /** Topics are made by `ensureTopic` alone, with their retention. */
  autocreateTopics: false,
  retryDelay: 200,
} as const

/** Splits `host:port,host:port`. */
export const brokerList = (brokers: string): string[] => brokers.split(',').map((broker) => broker.trim())
