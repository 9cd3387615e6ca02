/**
 * Prints what the system says about every seeded property, once both regions say the same, so that two moments can be
 * compared byte by byte: node .ci/snapshot.ts > before
 */

import { waitUntil } from '../local/wait.ts'

const seededProperties = 1_000
const convergenceMs = 20_000
const baseUrl = process.env['BASE_URL'] ?? 'http://localhost:8080'

for (let id = 1; id <= seededProperties; id++) {
  let said: string[] = []
  const agree = async () => {
    said = await Promise.all(['us', 'eu'].map((region) => read(region, id)))
    return said[0] === said[1]
  }
  await waitUntil(agree, {
    timeoutMs: convergenceMs,
    what: () => `regions that agree: ${said.join(' and ')}`,
  })
  console.log(said[0])
}

async function read(region: string, id: number): Promise<string> {
  const answer = await fetch(`${baseUrl}/${region}/properties/${id}`)
  if (answer.headers.get('x-served-by') !== region) throw new Error(`region ${region} does not answer itself`)
  return `${answer.status} ${await answer.text()}`
}
