/**
 * The prefix of WAL messages that the relay publishes; others in the same WAL are not ours.
 *
 * A property's event is routed by what follows it, `property-updates/us.k3x9q2a1/7`: the relay need not parse the event,
 * and the region it comes from need not read it back. A heartbeat has the bare prefix.
 */
export const messagePrefix = 'property-updates'

/** Whose event it is, and of which property. */
export interface Route {
  readonly actor: string
  readonly key: string
}

/** The prefix of a property's event, in SQL, from SQL. */
export const eventPrefixSql = (actor: string, id: string): string =>
  `'${messagePrefix}/' || ${actor} || '/' || ${id}`

export const eventPrefix = ({ actor, key }: Route): string => `${messagePrefix}/${actor}/${key}`

/** undefined if the prefix is bare or not ours. */
export function routeOf(prefix: string): Route | undefined {
  const [, actor, key] = /^property-updates\/([^/]+)\/([^/]+)$/.exec(prefix) ?? []
  return actor !== undefined && key !== undefined ? { actor, key } : undefined
}
