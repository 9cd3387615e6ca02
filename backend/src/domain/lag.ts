/**
 * Lag arithmetic: how far a region is behind a source, in the source's own time.
 *
 * Invariant: a reported lag of 0 means that everything the source acknowledged up to half a second ago is merged
 * here. The clock offset between two regions is only ever corrected by what has been proven: a heartbeat arrives
 * after it was sent (a lower bound of the source's offset) and an echo of our own mark was sent after we sent it (an
 * upper bound). The offset used is the value nearest to 0 within these bounds, so a backlog is never mistaken for a
 * slow clock, as it would be by taking the smallest delay that was seen.
 */

import type { Mark } from './event.ts'
import { formatTime } from './property.ts'
import { regionOf } from './stamp.ts'

/** Another region's actor, as its heartbeats describe it. */
export interface Source {
  readonly actor: string
  readonly region: string
  readonly since: string
  /** Time of the newest heartbeat from any partition, µs, source clock. */
  readonly heartbeat_at: number
  readonly offset_lower: number | null
  readonly offset_upper: number | null
  readonly applied: Readonly<Record<string, Mark>>
  readonly watermark: Mark | null
  /** Why the watermark is frozen, if it is. */
  readonly gap: string | null
}

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

export interface SourceLag {
  /** null until the first heartbeat has come through every partition. */
  readonly lag_seconds: number | null
  readonly actor: string | null
  /** Everything that the source acknowledged before this time, on its own clock, is merged here. */
  readonly watermark_at: string | null
  /** Correction for the source's clock that the lag contains. */
  readonly clock_offset_seconds: number | null
  /** Why events may be missing and the watermark is frozen; null if none are. */
  readonly gap: string | null
}

const unknownSource: SourceLag = {
  lag_seconds: null,
  actor: null,
  watermark_at: null,
  clock_offset_seconds: null,
  gap: null,
}

/** The newest actor of each region: a rebuilt region's old actor has nothing more to say. */
export function newestSources(sources: readonly Source[]): ReadonlyMap<string, Source> {
  const newest = new Map<string, Source>()
  for (const source of sources) {
    const known = newest.get(source.region)
    if (!known || source.heartbeat_at > known.heartbeat_at) newest.set(source.region, source)
  }
  return newest
}

function sourceLag(source: Source, now: number): SourceLag {
  const bounds = { lower: source.offset_lower, upper: source.offset_upper }
  const { watermark, actor, gap } = source
  return {
    lag_seconds: watermark && lagSeconds(watermark.t, now, bounds),
    actor,
    watermark_at: watermark && formatTime(watermark.t),
    clock_offset_seconds: clockOffset(bounds) / 1e6,
    gap,
  }
}

/** How far `region` is behind each other region, and behind the furthest; null if one of them is unknown. */
export function lagReport(
  region: string,
  regions: readonly string[],
  sources: readonly Source[],
  now: number,
): { region: string; lag_seconds: number | null; sources: Record<string, SourceLag> } {
  const newest = newestSources(sources)
  const lags = regions
    .filter((other) => other !== region)
    .map((other): [string, SourceLag] => {
      const source = newest.get(other)
      return [other, source ? sourceLag(source, now) : unknownSource]
    })
  const seconds = lags.map(([, lag]) => lag.lag_seconds)
  return {
    region,
    lag_seconds: seconds.includes(null) ? null : Math.max(0, ...seconds.map(Number)),
    sources: Object.fromEntries(lags),
  }
}

/**
 * The time (µs, our clock) before which every region has merged every other region's writes, as far as is known here;
 * undefined while a region has not reported on all others, or while the bounds of a clock are unknown. Times of other
 * clocks are taken for as early as the bounds allow.
 */
export function mergedEverywhereAt(
  ownActor: string,
  regions: readonly string[],
  sources: readonly Source[],
): number | undefined {
  // An earlier actor of this region, once it has got a new name, is a source too, and so is a region that was given up.
  const own = regionOf(ownActor)
  const others = sources.filter(({ region }) => region !== own && regions.includes(region))
  const newest = [...newestSources(others).values()]
  if (newest.length + 1 < regions.length) return undefined
  const aheadAtMost = new Map<string, number | null>([
    [ownActor, 0],
    ...newest.map(({ actor, offset_upper }) => [actor, offset_upper] as const),
  ])
  const times = newest.flatMap((observer) =>
    [...aheadAtMost].map(([actor, ahead]) => {
      const mark = actor === observer.actor ? observer.watermark : observer.applied[actor]
      return mark && ahead !== null ? mark.t - ahead : undefined
    }),
  )
  return times.includes(undefined) ? undefined : Math.min(Number.MAX_SAFE_INTEGER, ...times.map(Number))
}
