/**
 * Lag arithmetic: how far a region is behind a source, in the source's own time.
 *
 * Invariant: a reported lag of 0 means that everything the source acknowledged up to half a second ago is merged
 * here. The clock offset between two regions is only ever corrected by what has been proven: a heartbeat arrives
 * after it was sent (a lower bound of the source's offset) and an echo of our own mark was sent after we sent it (an
 * upper bound). The offset used is the value nearest to 0 within these bounds, so a backlog is never mistaken for a
 * slow clock, as it would be by taking the smallest delay that was seen.
 */

/** Bounds of (source clock − our clock), in µs. null = not known yet. */
export interface OffsetBounds {
  readonly lower: number | null
  readonly upper: number | null
}

/** A heartbeat that is younger than this is fresh: twice the interval at which they are sent. */
export const heartbeatFreshUs = 500_000

/**
 * Narrows the bounds by a heartbeat sent at `sentAt` (source clock) that arrived at `arrivedAt` (our clock) and that
 * echoes our own mark sent at `echoedAt` (our clock). Contradicting bounds mean that a clock was set: begin anew.
 */
export function narrowOffset(
  known: OffsetBounds,
  heartbeat: { sentAt: number; arrivedAt: number; echoedAt: number | undefined },
): OffsetBounds {
  const lowerNow = heartbeat.sentAt - heartbeat.arrivedAt
  const upperNow = heartbeat.echoedAt === undefined ? null : heartbeat.sentAt - heartbeat.echoedAt
  const lower = known.lower === null ? lowerNow : Math.max(known.lower, lowerNow)
  const upper =
    known.upper === null || upperNow === null ? (upperNow ?? known.upper) : Math.min(known.upper, upperNow)
  return upper !== null && lower > upper ? { lower: lowerNow, upper: upperNow } : { lower, upper }
}

/** The offset nearest to 0 that the bounds allow, in µs. */
export function clockOffset({ lower, upper }: OffsetBounds): number {
  return Math.min(Math.max(0, lower ?? 0), upper ?? Number.POSITIVE_INFINITY)
}

/** Lag in seconds of a watermark sent at `watermarkAt` (source clock), seen at `now` (our clock); both µs. */
export function lagSeconds(watermarkAt: number, now: number, bounds: OffsetBounds): number {
  const age = now - (watermarkAt - clockOffset(bounds))
  return age <= heartbeatFreshUs ? 0 : age / 1e6
}
