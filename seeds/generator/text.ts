/**
 * Titles and descriptions: sentences with slots, filled from the facts of one home. Slots are made so that grammar
 * holds for whatever fills them (no verb agrees with a feature that may be singular or plural).
 */

import { contemporaryFeatures, originalFeatures, outdoorFeatures, practicalExtras } from './features.ts'
import { squareFeet } from './home.ts'
import type { Home } from './home.ts'
import { chance, integerBetween, pick, shuffled } from './random.ts'
import type { Random } from './random.ts'

const numberWords = 'no one two three four five six seven eight nine ten eleven twelve'.split(' ')
const ordinalWords =
  'ground first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth'.split(' ')

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
const spelled = (count: number): string => numberWords[count] ?? String(count)
const withArticle = (text: string): string =>
  `${/^([aei]|o(?!ne)|8|11|18|é)/i.test(text) ? 'an' : 'a'} ${text}`
const withoutArticle = (text: string): string => text.replace(/^the /, '')
const sentence = (text: string): string => `${capitalised(text)}.`

const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`

const counted = (count: number, noun: string): string => `${spelled(count)} ${noun}${count === 1 ? '' : 's'}`

const bathroomsText = ({ bathrooms, region }: Home): readonly string[] => {
  const whole = Math.floor(bathrooms)
  if (whole === bathrooms) return [counted(whole, 'bathroom')]
  if (region === 'eu') return [counted(whole, 'bathroom'), 'a guest toilet']
  return [`${spelled(whole)} and a half bathrooms`]
}

const roomsText = (home: Home): string =>
  home.bedrooms === 0
    ? 'one main room, a kitchenette and a bathroom'
    : list([counted(home.bedrooms, 'bedroom'), ...bathroomsText(home)])

const areaText = (home: Home): string =>
  home.region === 'us'
    ? `${String(squareFeet(home)).replace(/(\d)(\d{3})$/, '$1,$2')} square feet`
    : `${home.squareMetres} m²`

const sizedName = ({ bedrooms, style }: Home): string =>
  bedrooms === 0 ? style.name : `${spelled(bedrooms)}-bedroom ${style.name}`

const addressText = ({ city, houseNumber, street }: Home): string =>
  capitalised(city.numberFirst ? `${houseNumber} ${street}` : `${street} ${houseNumber}`)

const floorText = ({ floor, region }: Home): string =>
  ordinalWords[region === 'us' ? Math.max(floor, 2) : floor] ?? `${floor}th`

const lights = [
  'light from two sides fills',
  'morning sun fills',
  'tall windows brighten',
  'the evening light is the best thing about',
  'a wide view opens from',
]

const approaches = [
  'set back a little from',
  'a few steps up from',
  'behind a low wall on',
  'on the quieter end of',
]

const flatOpenings = (random: Random, home: Home): readonly string[] => {
  const { built, neighbourhood, street, style } = home
  const floor = floorText(home)
  const area = areaText(home)
  return [
    `${withArticle(`${floor}-floor ${style.name}`)} of ${area} on ${street}, in a building from ${built}`,
    `this ${sizedName(home)} takes up ${area} on the ${floor} floor of ${withArticle(`${built} building`)} on ${street}`,
    `${pick(random, lights)} this ${floor}-floor ${style.name} on ${street}, which measures ${area}`,
    `on ${street} in ${neighbourhood.name}, this ${style.name} offers ${area} with ${roomsText(home)}`,
    `${roomsText(home)} on ${area}, on the ${floor} floor of a well-run building from ${built}`,
    `the ${built} building stands on a quiet stretch of ${street}; the ${style.name} has ${area}, with ${roomsText(home)}`,
    `${area}, ${roomsText(home)}, and hardly a wasted corner: ${withArticle(style.name)} on the ${floor} floor`,
  ]
}

const groundOpenings = (random: Random, home: Home): readonly string[] => {
  const { built, floor, neighbourhood, street, style } = home
  const area = areaText(home)
  const floors = floor === 1 ? 'all on one floor' : `over ${spelled(floor)} floors`
  return [
    `built in ${built}, this ${style.name} has ${roomsText(home)} on ${area} of living space`,
    `${withArticle(style.name)} from ${built} on ${street}, with ${roomsText(home)} ${floors}`,
    `${pick(random, approaches)} ${street}, this ${sizedName(home)} offers ${area}, ${floors}`,
    `this ${style.name} of ${area} in ${neighbourhood.name} has ${roomsText(home)}, ${floors}`,
    `${area} ${floors}: ${withArticle(sizedName(home))} that has stood on ${street} since ${built}`,
    `behind its ${built} front on ${street}, this ${style.name} has ${roomsText(home)}, ${area} in all`,
  ]
}

const interiors = (random: Random, home: Home, outdoor: string): readonly string[] => {
  const { built, condition, renovated } = home
  const [first = '', second = '', third = ''] = shuffled(random, originalFeatures(home))
  const fresh = shuffled(random, contemporaryFeatures(home)).filter(
    (item) => ![first, second, third].includes(item),
  )
  const [modern = '', another = ''] = fresh
  switch (condition) {
    case 'new':
      return [
        `completed in ${built}, it comes with ${list([modern, another, outdoor])}`,
        `the specification includes ${list([first, modern])}, and outside there is more to enjoy with ${outdoor}`,
        `everything is as new, with ${list([modern, another])} as well as ${outdoor}`,
      ]
    case 'renovated':
      return [
        `renovated in ${renovated}, it pairs ${first} with ${modern}, and has ${outdoor}`,
        `a careful renovation in ${renovated} brought ${list([modern, another])}, and kept ${first}`,
        `kitchen and bathroom were redone in ${renovated}; ${list([first, second])} were kept`,
        `it was rewired and replastered in ${renovated}, gaining ${modern} without losing ${first}`,
        `since the works of ${renovated} it has had ${list([modern, another])}, with ${outdoor} to round it off`,
      ]
    case 'kept':
      return [
        `it has ${list([first, second, outdoor])}`,
        `well looked after by its owners, it has kept ${list([first, second])}`,
        `among its pleasures are ${list([first, second, outdoor])}`,
        `buyers will find ${list([first, second])} here, along with ${outdoor}`,
        `there is plenty to like, from ${first} to ${third} and ${outdoor}`,
      ]
    case 'dated':
      return [
        `kitchen and bathroom are due for an update, but ${list([first, second])} are intact`,
        `priced for a buyer who wants to renovate, it still has ${list([first, second])}`,
        `it wants a full renovation, and rewards it with ${list([first, third, outdoor])}`,
      ]
  }
}

const surroundings = (random: Random, home: Home): readonly string[] => {
  const { city, neighbourhood, region } = home
  const minutes = (least: number, greatest: number): string =>
    spelled(integerBetween(random, least, greatest))
  const walk = (least: number, greatest: number): string =>
    withArticle(`${minutes(least, greatest)}-minute walk`)
  const centre = region === 'us' ? 'downtown' : 'the centre'
  return [
    `it is ${walk(3, 11)} to ${neighbourhood.landmark}`,
    `from the front door it is ${minutes(3, 9)} minutes on foot to the ${city.transit}`,
    `${neighbourhood.landmark} and the ${city.transit} are both within ${walk(6, 12)}`,
    `groceries, a pharmacy and ${neighbourhood.landmark} are all within ${walk(5, 12)}`,
    `peaceful at night, yet only ${minutes(4, 10)} minutes on foot from ${neighbourhood.landmark}`,
    `the nearest ${city.transit} is ${walk(2, 9)} away, and ${centre} is easily reached by bicycle`,
    `${pick(random, practicalExtras(home))}, and it is ${walk(4, 12)} to ${neighbourhood.landmark}`,
    pick(random, practicalExtras(home)),
  ]
}

/** One to three sentences: the home, what is inside, what is around. */
const describe = (random: Random, home: Home, outdoor: string): string => {
  const sentences = [
    pick(random, home.traits.isFlat ? flatOpenings(random, home) : groundOpenings(random, home)),
  ]
  if (chance(random, 0.93)) sentences.push(pick(random, interiors(random, home, outdoor)))
  if (chance(random, 0.8)) sentences.push(pick(random, surroundings(random, home)))
  return sentences.map(sentence).join(' ')
}

const praise: Readonly<Record<Home['condition'], readonly string[]>> = {
  new: ['light-filled', 'energy-efficient', 'turnkey', 'low-maintenance', 'elegant'],
  renovated: ['renovated', 'updated', 'refurbished', 'restored', 'beautifully finished', 'reimagined'],
  kept: ['bright', 'sunny', 'quiet', 'well-kept', 'airy', 'welcoming', 'comfortable', 'inviting'],
  dated: ['characterful', 'unspoiled', 'promising', 'unrenovated'],
}

/** A headline that names the home and its place. */
const entitle = (random: Random, home: Home, outdoor: string): string => {
  const { city, neighbourhood, street, style } = home
  const adjective = pick(random, praise[home.condition])
  const size = sizedName(home)
  return capitalised(
    pick(random, [
      `${adjective} ${size} in ${neighbourhood.name}, ${city.name}`,
      `${adjective} ${style.name} on ${street}, ${city.name}`,
      `${size} on ${street}, ${withoutArticle(neighbourhood.name)}, ${city.name}`,
      `${addressText(home)}: ${size} in ${neighbourhood.name}, ${city.name}`,
      `${style.name} with ${outdoor} near ${neighbourhood.landmark}, ${city.name}`,
      `${size} with ${outdoor}, ${withoutArticle(neighbourhood.name)}, ${city.name}`,
      `${adjective} ${style.name} near ${neighbourhood.landmark}, ${city.name}`,
    ]),
  )
}

/** Title and description of one home; what lies outside its windows is the same in both. */
export const writeListing = (random: Random, home: Home): { title: string; description: string } => {
  const outdoor = pick(random, outdoorFeatures(home))
  return { title: entitle(random, home, outdoor), description: describe(random, home, outdoor) }
}
