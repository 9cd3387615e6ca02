/** What `npm start` shows when everything runs: lines that do what they say when typed as they are. */
import { randomBytes } from 'node:crypto'

const requestTimeoutMs = 3_000

/** The text; reads the property's current version, so that the write in it is accepted. */
export async function whatToTry(url: string, regions: string[]): Promise<string> {
  const [here = 'us', there = here] = regions
  const version = await currentVersion(`${url}/${here}/properties/1`)
  const requestId = `try-${randomBytes(4).toString('hex')}`
  const body = `{"price": 1250000.50, "version": ${version}}`
  return `
Try, in another terminal:

  Read        curl -i ${url}/${here}/properties/1
  Write       curl -i -X PUT ${url}/${here}/properties/1 -H 'Content-Type: application/json' -H 'X-Request-ID: ${requestId}' -d '${body}'
              (once more: 422, it took effect once; with another X-Request-ID: 409, the version is stale)
  Read there  curl -i ${url}/${there}/properties/1
  Lag         curl ${url}/${there}/replication-lag
  Conflicts   curl ${url}/${there}/conflicts

  Lose a region, and read again (X-Failover: true)
              npm run local -- kill backend-${here}
              curl -i ${url}/${here}/properties/1
              npm run local -- start backend-${here}

  Act on a part: npm run local -- status | stop | start | kill | pause | resume | logs NAME   (help shows all)
  Ctrl-C stops everything and keeps the data.
`
}

async function currentVersion(url: string): Promise<number> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(requestTimeoutMs) })
    const property: unknown = await response.json()
    if (typeof property === 'object' && property !== null && 'version' in property)
      return Number(property.version)
  } catch {
    // The line is still a good example.
  }
  return 1
}
