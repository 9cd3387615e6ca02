/**
 * Makes the 1,000 properties that every region starts with. All regions must begin byte-identical, and a rebuilt
 * region must find the same rows years later: so the data is a committed file, and the file is a pure function of
 * the constants below (no clock, no system randomness, no dependency), which a test checks byte for byte.
 *
 *   node seeds/generate.ts           rewrites seeds/properties.json
 *   node seeds/generate.ts --check   exits with 1 if the committed file differs
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { drawHome } from './generator/home.ts'
import type { Region } from './generator/home.ts'
import { pickWeighted, seededRandom, shuffled } from './generator/random.ts'
import { writeListing } from './generator/text.ts'

export type SeedProperty = {
  readonly id: number
  readonly region_origin: Region
  readonly title: string
  readonly description: string
  readonly price: number
  readonly bedrooms: number
  readonly bathrooms: number
  readonly status: 'draft' | 'active' | 'pending' | 'sold' | 'withdrawn'
}

export const seedPropertyCount = 1_000
export const seedFile = new URL('properties.json', import.meta.url)

const seed = 2_057

const statuses = [
  ['active', 72],
  ['pending', 10],
  ['sold', 9],
  ['draft', 5],
  ['withdrawn', 4],
] as const

/** Half of the properties for each region, in random order; the first one is American, as the examples have it. */
const dealRegions = (): readonly Region[] => {
  const half = seedPropertyCount / 2
  const us = Array.from({ length: half - 1 }, (): Region => 'us')
  const eu = Array.from({ length: half }, (): Region => 'eu')
  return ['us', ...shuffled(seededRandom(seed), [...us, ...eu])]
}

/** All properties by ascending id. Nothing but this file and `generator/` decides what they are. */
export const generateProperties = (): readonly SeedProperty[] => {
  const random = seededRandom(seed + 1)
  const used = new Set<string>()
  return dealRegions().map((region, index) => {
    for (;;) {
      const home = drawHome(random, region)
      const { title, description } = writeListing(random, home)
      const status = pickWeighted(random, statuses)
      if (used.has(title) || used.has(description)) continue
      used.add(title).add(description)
      const { bathrooms, bedrooms, price } = home
      return { id: index + 1, region_origin: region, title, description, price, bedrooms, bathrooms, status }
    }
  })
}

/** The contents of the file: one JSON array, one property a line, members in a fixed order. */
export const seedFileText = (properties: readonly SeedProperty[]): string =>
  `[\n${properties.map((property) => JSON.stringify(property)).join(',\n')}\n]\n`

const main = (): void => {
  const text = seedFileText(generateProperties())
  if (!process.argv.includes('--check')) {
    writeFileSync(seedFile, text)
    return
  }
  if (readFileSync(seedFile, 'utf8') === text) return
  console.error('seeds/properties.json differs from the generator. Run: node seeds/generate.ts')
  process.exitCode = 1
}

if (import.meta.main) main()
