/**
 * How long the fault tests take: short in `npm test`, as long as wanted by the environment.
 *
 * DURATION_S: length of the load on both regions (10). OUTAGE_S: length of Kafka's outages (5); from 15 on Kafka is
 * frozen too, for longer than the relay waits for an acknowledgement. OVERLOAD_S: length of an overload (6).
 */

function secondsFrom(name: string, standard: number): number {
  const seconds = Number(process.env[name] ?? standard)
  if (!(seconds > 0)) throw new Error(`${name} must be a number of seconds`)
  return seconds
}

export const loadSeconds = secondsFrom('DURATION_S', 10)
export const outageSeconds = secondsFrom('OUTAGE_S', 5)
export const overloadSeconds = secondsFrom('OVERLOAD_S', 6)
