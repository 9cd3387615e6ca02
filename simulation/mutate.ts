/** Loaded before everything else (`node --import`): plants the bug that MUTANT names in the source text as it is read. */

import { registerHooks } from 'node:module'
import { mutants } from './mutants.ts'

const name = process.env['MUTANT']
const mutant = mutants.find((each) => each.name === name)
if (!mutant) throw new Error(`there is no mutant "${name}"`)
const { file, search, replace } = mutant
const url = new URL(`../backend/src/${file}`, import.meta.url).href

registerHooks({
  load(asked, context, nextLoad) {
    const loaded = nextLoad(asked, context)
    if (asked !== url) return loaded
    const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
    if (source.split(search).length !== 2) throw new Error(`"${name}" does not fit ${file} exactly once`)
    return { ...loaded, source: source.replace(search, () => replace) }
  },
})
