/** The region that a path names in front: `/us/properties/1` is `/properties/1`, asked of `us`. */

export interface RegionPath {
  /** Undefined without the prefix of a known region. */
  readonly region: string | undefined
  /** What follows the prefix, with its query; the whole target without one. */
  readonly path: string
}

/** @param target a request's target in origin form (RFC 9112, 3.2.1). */
export function splitRegion(target: string, regions: readonly string[]): RegionPath {
  for (const region of regions) {
    if (!target.startsWith(region, 1)) continue
    const rest = target.slice(region.length + 1)
    if (rest.startsWith('/')) return { region, path: rest }
    if (rest === '' || rest.startsWith('?')) return { region, path: `/${rest}` }
  }
  return { region: undefined, path: target }
}
