import { get } from 'node:http'

const probeTimeoutMs = 1_000

/** Whether `url` answers 200. On a connection of its own: a kept one would outlive a killed server. */
export async function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: probeTimeoutMs }, (response) => {
      response.resume()
      response.once('error', () => resolve(false))
      response.once('end', () => resolve(response.statusCode === 200))
    })
    request.once('timeout', () => request.destroy(new Error('no answer in time')))
    request.once('error', () => resolve(false))
  })
}
