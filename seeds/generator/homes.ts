/**
 * Kinds of home, which fix size, price level and what the text may say, and the local styles that belong to a kind.
 * A style has a name as a buyer would know it and the years in which such homes were built, so that no listing
 * speaks of a Victorian house of 1985 or of a studio with three bedrooms.
 */

export type Kind = 'studio' | 'apartment' | 'loft' | 'penthouse' | 'townhouse' | 'house' | 'villa'

export type KindTraits = {
  /** Numbers of bedrooms with their weights. */
  readonly bedrooms: readonly (readonly [count: number, weight: number])[]
  readonly baseSquareMetres: number
  readonly squareMetresPerBedroom: number
  /** Price per area compared with an ordinary apartment in the same street. */
  readonly priceFactor: number
  /** How often a city's listings are of this kind, if the city has it. */
  readonly weight: number
  readonly isFlat: boolean
}

const flat = { isFlat: true } as const
const ground = { isFlat: false } as const

export const kinds: Readonly<Record<Kind, KindTraits>> = {
  studio: {
    ...flat,
    bedrooms: [[0, 1]],
    baseSquareMetres: 34,
    squareMetresPerBedroom: 0,
    priceFactor: 1.1,
    weight: 7,
  },
  apartment: {
    ...flat,
    bedrooms: [
      [1, 26],
      [2, 41],
      [3, 26],
      [4, 7],
    ],
    baseSquareMetres: 29,
    squareMetresPerBedroom: 25,
    priceFactor: 1,
    weight: 40,
  },
  loft: {
    ...flat,
    bedrooms: [
      [1, 55],
      [2, 36],
      [3, 9],
    ],
    baseSquareMetres: 52,
    squareMetresPerBedroom: 33,
    priceFactor: 1.03,
    weight: 8,
  },
  penthouse: {
    ...flat,
    bedrooms: [
      [2, 42],
      [3, 45],
      [4, 13],
    ],
    baseSquareMetres: 48,
    squareMetresPerBedroom: 36,
    priceFactor: 1.38,
    weight: 4,
  },
  townhouse: {
    ...ground,
    bedrooms: [
      [2, 16],
      [3, 45],
      [4, 29],
      [5, 10],
    ],
    baseSquareMetres: 42,
    squareMetresPerBedroom: 33,
    priceFactor: 0.97,
    weight: 20,
  },
  house: {
    ...ground,
    bedrooms: [
      [2, 17],
      [3, 42],
      [4, 31],
      [5, 10],
    ],
    baseSquareMetres: 46,
    squareMetresPerBedroom: 36,
    priceFactor: 0.94,
    weight: 22,
  },
  villa: {
    ...ground,
    bedrooms: [
      [4, 42],
      [5, 40],
      [6, 18],
    ],
    baseSquareMetres: 118,
    squareMetresPerBedroom: 44,
    priceFactor: 1.26,
    weight: 4,
  },
}

export type Style = {
  readonly name: string
  readonly kind: Kind
  readonly builtFrom: number
  readonly builtTo: number
}

const style = (kind: Kind, name: string, builtFrom: number, builtTo: number): Style => ({
  kind,
  name,
  builtFrom,
  builtTo,
})

export const styles = {
  studio: style('studio', 'studio', 1925, 2019),
  loft: style('loft', 'warehouse loft', 1890, 1929),
  factoryLoft: style('loft', 'converted factory loft', 1888, 1935),
  penthouse: style('penthouse', 'penthouse', 1986, 2022),
  villa: style('villa', 'villa', 1908, 2016),

  condo: style('apartment', 'condo', 1968, 2021),
  prewarApartment: style('apartment', 'prewar apartment', 1908, 1939),
  coop: style('apartment', 'co-op apartment', 1924, 1964),
  edwardianFlat: style('apartment', 'Edwardian flat', 1904, 1919),
  artDecoApartment: style('apartment', 'Art Deco apartment', 1930, 1941),
  tripleDecker: style('apartment', 'triple-decker flat', 1898, 1926),
  brownstone: style('townhouse', 'brownstone', 1878, 1909),
  greystone: style('townhouse', 'greystone', 1889, 1914),
  rowHouse: style('townhouse', 'brick row house', 1885, 1931),
  modernTownhouse: style('townhouse', 'townhouse', 1996, 2022),
  bungalow: style('house', 'bungalow', 1914, 1941),
  craftsman: style('house', 'Craftsman house', 1907, 1931),
  victorian: style('house', 'Victorian house', 1881, 1905),
  colonial: style('house', 'Colonial Revival house', 1922, 1964),
  ranch: style('house', 'ranch house', 1951, 1976),
  midCentury: style('house', 'mid-century house', 1949, 1969),
  spanishRevival: style('house', 'Spanish Revival house', 1923, 1938),
  tudor: style('house', 'Tudor Revival house', 1924, 1938),
  contemporary: style('house', 'contemporary house', 2004, 2022),
  shotgun: style('house', 'shotgun house', 1888, 1926),
  creoleCottage: style('house', 'Creole cottage', 1842, 1885),
  singleHouse: style('house', 'Charleston single house', 1820, 1895),
  adobe: style('house', 'adobe house', 1932, 1994),
  estate: style('villa', 'gated estate', 1924, 2014),

  apartment: style('apartment', 'apartment', 1958, 2016),
  newApartment: style('apartment', 'new-build apartment', 2017, 2023),
  altbau: style('apartment', 'Altbau apartment', 1884, 1914),
  haussmann: style('apartment', 'Haussmann apartment', 1856, 1898),
  modernista: style('apartment', 'modernista apartment', 1894, 1926),
  pombaline: style('apartment', 'Pombaline apartment', 1768, 1848),
  tiledApartment: style('apartment', 'tiled-front apartment', 1862, 1925),
  artNouveau: style('apartment', 'Art Nouveau apartment', 1897, 1913),
  palazzo: style('apartment', 'palazzo apartment', 1670, 1860),
  liberty: style('apartment', 'Liberty-style apartment', 1902, 1926),
  functionalist: style('apartment', 'functionalist apartment', 1932, 1962),
  canalHouse: style('townhouse', 'canal house', 1662, 1784),
  dutchTownhouse: style('townhouse', 'townhouse', 1898, 1936),
  georgian: style('townhouse', 'Georgian townhouse', 1788, 1832),
  victorianTerrace: style('townhouse', 'Victorian terraced house', 1862, 1901),
  terracedHouse: style('townhouse', 'terraced house', 1922, 1978),
  masterHouse: style('townhouse', 'maison de maître', 1879, 1912),
  echoppe: style('house', 'stone échoppe', 1878, 1932),
  courtyardHouse: style('house', 'courtyard house', 1872, 1936),
  woodenHouse: style('house', 'wooden house', 1898, 1936),
  semiDetached: style('house', 'semi-detached house', 1931, 1986),
  detached: style('house', 'detached house', 1954, 2015),
} as const satisfies Record<string, Style>

export type StyleName = keyof typeof styles
