/**
 * What a home may have, by age, kind and region. Every feature reads well after "with", "has" or "keeps" and names
 * nothing that its kind of home cannot have: no garden on a sixth floor, no stucco in a house of 2019.
 */

import type { Home, Region } from './home.ts'

const periodOf = {
  us: [
    'hardwood floors',
    'tall sash windows',
    'original moldings',
    'built-in bookcases',
    'a working fireplace',
    'pocket doors',
    'picture rails',
    'leaded-glass windows',
    'a window seat',
    'the original doors and hardware',
  ],
  eu: [
    'herringbone parquet',
    'stucco ceilings',
    'tall casement windows',
    'cement-tile floors',
    'double doors between the rooms',
    'the original panelled doors',
    'a marble fireplace',
    'wide pine floorboards',
    'interior shutters',
    'restored brass fittings',
  ],
} as const

const industrialOf = {
  us: [
    'exposed brick',
    'fourteen-foot ceilings',
    'heavy timber beams',
    'steel-framed windows',
    'concrete floors',
  ],
  eu: [
    'bare brick walls',
    'ceilings of four metres',
    'cast-iron columns',
    'steel-framed windows',
    'a screed floor',
  ],
} as const

const adobeFeatures = [
  'viga ceilings',
  'a kiva fireplace',
  'brick floors',
  'thick plastered walls',
  'deep-set windows',
]

const midCenturyOf = {
  us: [
    'oak floors',
    'wide picture windows',
    'terrazzo in the entry',
    'cedar-lined closets',
    'a breakfast nook',
    'original wood paneling',
    'clerestory windows',
  ],
  eu: [
    'oak strip parquet',
    'wide windows on two sides',
    'terrazzo in the hall',
    'built-in wardrobes',
    'a separate kitchen with a serving hatch',
    'a generous entrance hall',
    'a walk-in larder',
  ],
} as const

const contemporaryOf = {
  us: [
    'wide-plank oak floors',
    'an open kitchen with an island',
    'in-unit laundry',
    'central air',
    'floor-to-ceiling windows',
    'a walk-in closet',
    'quartz counters',
    'a heat pump',
    'an induction range',
    'custom closets',
  ],
  eu: [
    'oak floorboards',
    'an open kitchen with an island',
    'underfloor heating',
    'triple glazing',
    'floor-to-ceiling windows',
    'a dressing room',
    'stone worktops',
    'a heat pump',
    'external blinds',
    'a utility room',
  ],
} as const

/** Features that came with the home when it was built. */
export const originalFeatures = (home: Home): readonly string[] => {
  if (home.style.kind === 'loft') return industrialOf[home.region]
  if (home.style.name === 'adobe house') return adobeFeatures
  if (home.built < 1945) return periodOf[home.region]
  return home.built < 1995 ? midCenturyOf[home.region] : contemporaryFeatures(home)
}

/** Features that a new building or a renovation brings. */
export const contemporaryFeatures = (home: Home): readonly string[] =>
  contemporaryOf[home.region].filter(
    (feature) =>
      (home.bedrooms > 0 || !/dressing|walk-in|utility|island/.test(feature)) &&
      (home.built >= 1945 || !feature.startsWith('floor-to-ceiling')),
  )

type Setting = 'penthouse' | 'oldFlat' | 'flat' | 'villa' | 'townhouse' | 'house'

const outdoorOf: Readonly<Record<Setting, Readonly<Record<Region, readonly string[]>>>> = {
  penthouse: {
    us: ['a wraparound terrace', 'a terrace on two sides', 'a private roof deck', 'a planted roof terrace'],
    eu: [
      'a wraparound terrace',
      'a terrace on two sides',
      'a private roof terrace',
      'a glazed winter garden',
    ],
  },
  oldFlat: {
    us: [
      'a shared roof deck',
      'a planted courtyard',
      'a small back porch',
      'treetop views',
      'a private deck',
    ],
    eu: [
      'a quiet inner courtyard',
      'a small balcony',
      'a shared garden',
      'views over the rooftops',
      'a sunroom',
    ],
  },
  flat: {
    us: ['a deep balcony', 'a city view', 'a south-facing balcony', 'open views', 'a shared roof terrace'],
    eu: ['a deep balcony', 'a loggia', 'a south-facing balcony', 'open views', 'a shared garden'],
  },
  villa: {
    us: ['a pool and a guest house', 'a walled garden', 'terraced gardens', 'a pool among old trees'],
    eu: ['a pool and a pergola', 'a mature walled garden', 'terraced gardens', 'a garden with old trees'],
  },
  townhouse: {
    us: ['a brick patio', 'a roof deck', 'a fenced backyard', 'a deep rear garden', 'a private parking pad'],
    eu: [
      'a walled garden',
      'a small patio garden',
      'a roof terrace',
      'a long, narrow garden',
      'a rear courtyard',
    ],
  },
  house: {
    us: ['a fenced backyard', 'a covered porch', 'a cedar deck', 'mature shade trees', 'a detached garage'],
    eu: [
      'a south-facing garden',
      'a sheltered terrace',
      'a garden with fruit trees',
      'a tiled patio',
      'a carport',
    ],
  },
}

/** Something outdoors, or a view, that is worth a mention. */
export const outdoorFeatures = ({ built, region, style, traits }: Home): readonly string[] => {
  if (style.kind === 'penthouse' || style.kind === 'villa' || style.kind === 'townhouse')
    return outdoorOf[style.kind][region]
  if (!traits.isFlat) return outdoorOf.house[region]
  return outdoorOf[built < 1945 ? 'oldFlat' : 'flat'][region]
}

const extrasOf: Readonly<Record<'flat' | 'house', Readonly<Record<Region, readonly string[]>>>> = {
  flat: {
    us: [
      'Deeded parking and a storage locker are included',
      'Bike storage and a laundry room are in the basement',
      'Pets are welcome, and a garage space can be rented',
    ],
    eu: [
      'A cellar room and a bicycle store are included',
      'A parking space in the basement can be bought as well',
      'The stairwell and the lift were renewed a few years ago',
    ],
  },
  house: {
    us: [
      'There is off-street parking for two cars',
      'The roof and the furnace were replaced within the last ten years',
      'A finished basement leaves room for a workshop or for guests',
    ],
    eu: [
      'There is a parking space in front of the house',
      'The roof was insulated and renewed within the last ten years',
      'The attic can be turned into another room',
    ],
  },
}

/** The practical things that come with the sale. */
export const practicalExtras = ({ region, traits }: Home): readonly string[] =>
  extrasOf[traits.isFlat ? 'flat' : 'house'][region]
