/**
 * What the generator knows of a city. A street belongs to a neighbourhood and a landmark lies near it, so that a
 * listing never puts a street on the wrong side of the town.
 */

import type { StyleName } from './homes.ts'

export type Neighbourhood = {
  readonly name: string
  /** Price per area compared with the city as a whole. */
  readonly priceFactor: number
  readonly landmark: string
  readonly streets: readonly string[]
}

export type City = {
  readonly name: string
  /** US: dollars per square foot. Europe: euros per square metre. */
  readonly pricePerArea: number
  readonly weight: number
  readonly transit: string
  /** Whether the house number stands before the street, as in `14 rue Oberkampf`. */
  readonly numberFirst: boolean
  readonly styles: readonly StyleName[]
  readonly neighbourhoods: readonly Neighbourhood[]
}

/** A neighbourhood in one line: name, price factor, a landmark nearby, streets. */
export const around = (
  name: string,
  priceFactor: number,
  landmark: string,
  ...streets: readonly string[]
): Neighbourhood => ({ name, priceFactor, landmark, streets })
