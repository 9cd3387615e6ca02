/**
 * One home as plain facts: where it stands, what it is, what it costs. Every fact that the text may mention is drawn
 * here once, so that title, description and the fields of the row cannot contradict each other.
 */

import { easternUsCities } from './cities-us-east.ts'
import { westernUsCities } from './cities-us-west.ts'
import { northernEuCities } from './cities-eu-north.ts'
import { southernEuCities } from './cities-eu-south.ts'
import { kinds, styles } from './homes.ts'
import type { KindTraits, Style } from './homes.ts'
import type { City, Neighbourhood } from './places.ts'
import { chance, integerBetween, pick, pickWeighted } from './random.ts'
import type { Random } from './random.ts'

export type Region = 'us' | 'eu'
export type Condition = 'new' | 'renovated' | 'kept' | 'dated'

export type Home = {
  readonly region: Region
  readonly city: City
  readonly neighbourhood: Neighbourhood
  readonly street: string
  readonly houseNumber: number
  readonly style: Style
  readonly traits: KindTraits
  readonly bedrooms: number
  readonly bathrooms: number
  readonly squareMetres: number
  readonly built: number
  readonly condition: Condition
  readonly renovated: number
  /** Flats: the floor, counted as the region counts floors. Others: the number of floors. */
  readonly floor: number
  readonly price: number
}

const squareFeetPerSquareMetre = 10.764
const lastYear = 2024

const cities: Readonly<Record<Region, readonly City[]>> = {
  us: [...westernUsCities, ...easternUsCities],
  eu: [...southernEuCities, ...northernEuCities],
}

type Weighted = readonly (readonly [value: number, weight: number])[]

/** Bathrooms by number of bedrooms; half a bathroom is a room with a toilet alone. */
const bathroomsByBedrooms: Readonly<Record<Region, readonly Weighted[]>> = {
  us: [
    [[1, 1]],
    [
      [1, 85],
      [1.5, 15],
    ],
    [
      [1, 36],
      [1.5, 16],
      [2, 38],
      [2.5, 10],
    ],
    [
      [1.5, 12],
      [2, 40],
      [2.5, 31],
      [3, 17],
    ],
    [
      [2, 15],
      [2.5, 36],
      [3, 29],
      [3.5, 20],
    ],
    [
      [3, 30],
      [3.5, 31],
      [4, 24],
      [4.5, 15],
    ],
    [
      [4, 35],
      [4.5, 35],
      [5.5, 30],
    ],
  ],
  eu: [
    [[1, 1]],
    [
      [1, 96],
      [1.5, 4],
    ],
    [
      [1, 72],
      [1.5, 13],
      [2, 15],
    ],
    [
      [1, 33],
      [1.5, 24],
      [2, 43],
    ],
    [
      [2, 52],
      [2.5, 29],
      [3, 19],
    ],
    [
      [2.5, 30],
      [3, 42],
      [3.5, 28],
    ],
    [
      [3, 30],
      [3.5, 30],
      [4, 40],
    ],
  ],
}

const conditionPriceFactor: Readonly<Record<Condition, number>> = {
  new: 1.13,
  renovated: 1.06,
  kept: 0.99,
  dated: 0.84,
}

const drawCondition = (random: Random, built: number): Condition => {
  if (built >= 2015) return 'new'
  if (built >= 1995) return 'kept'
  if (built >= 1985)
    return pickWeighted(random, [
      ['renovated', 40],
      ['kept', 60],
    ] as const)
  return pickWeighted(random, [
    ['renovated', 47],
    ['kept', 38],
    ['dated', 15],
  ] as const)
}

/** An asking price as sellers put it: round, or just below a round figure. */
const askingPrice = (random: Random, value: number): number => {
  const step = value < 400_000 ? 5_000 : value < 2_000_000 ? 10_000 : 50_000
  const round = Math.max(step, Math.round(value / step) * step)
  return (
    round -
    pickWeighted(random, [
      [0, 48],
      [1_000, 36],
      [100, 8],
      [500, 8],
    ] as const)
  )
}

const drawStyle = (random: Random, city: City): Style => {
  const candidates = city.styles.map((name): Style => styles[name])
  const ofKind = (kind: Style['kind']): number => candidates.filter((style) => style.kind === kind).length
  return pickWeighted(
    random,
    candidates.map((style) => [style, kinds[style.kind].weight / ofKind(style.kind)] as const),
  )
}

const oneFloorHouses: ReadonlySet<string> = new Set([
  'ranch house',
  'bungalow',
  'adobe house',
  'mid-century house',
  'shotgun house',
  'stone échoppe',
])

const drawFloor = (random: Random, { kind, name }: Style, built: number): number => {
  if (kind === 'penthouse') return integerBetween(random, 6, 12)
  if (!kinds[kind].isFlat)
    return kind === 'house' ? (oneFloorHouses.has(name) ? 1 : 2) : integerBetween(random, 2, 3)
  return integerBetween(random, 1, built < 1945 ? 5 : 8)
}

/** A home in the region; everything about it follows from the random sequence. */
export const drawHome = (random: Random, region: Region): Home => {
  const city = pickWeighted(
    random,
    cities[region].map((candidate) => [candidate, candidate.weight] as const),
  )
  const neighbourhood = pick(random, city.neighbourhoods)
  const style = drawStyle(random, city)
  const traits = kinds[style.kind]
  const bedrooms = pickWeighted(random, traits.bedrooms)
  const built = integerBetween(random, style.builtFrom, style.builtTo)
  const condition = drawCondition(random, built)
  const spread = 0.84 + 0.18 * (random() + random())
  const squareMetres = Math.round(
    (traits.baseSquareMetres + traits.squareMetresPerBedroom * bedrooms) * spread,
  )
  const area = region === 'us' ? squareMetres * squareFeetPerSquareMetre : squareMetres
  const pricePerArea = city.pricePerArea * neighbourhood.priceFactor * traits.priceFactor
  const haggle = 0.9 + 0.1 * (random() + random())
  const bathrooms = bathroomsByBedrooms[region][bedrooms]
  if (bathrooms === undefined) throw new RangeError(`no bathrooms for ${bedrooms} bedrooms`)
  return {
    region,
    city,
    neighbourhood,
    street: pick(random, neighbourhood.streets),
    houseNumber: integerBetween(random, 2, region === 'us' && chance(random, 0.8) ? 890 : 140),
    style,
    traits,
    bedrooms,
    bathrooms: pickWeighted(random, bathrooms),
    squareMetres,
    built,
    condition,
    renovated: integerBetween(random, Math.max(2011, built + 15), lastYear),
    floor: drawFloor(random, style, built),
    price: askingPrice(random, area * pricePerArea * conditionPriceFactor[condition] * haggle),
  }
}

/** The living area in square feet, to the nearest ten. */
export const squareFeet = (home: Home): number =>
  Math.round((home.squareMetres * squareFeetPerSquareMetre) / 10) * 10
