/**
 * Reads a request body as JSON.
 *
 * Invariant: at most `bodyBytesMax` are held, compressed or not, and the rest is read off, so the connection stays
 * usable after every refusal. They are held as one block: `express.raw` keeps the chunks as they come, and a client that
 * sends chunks of one byte costs it 400 times what it has sent (2.4 GB for 100 bodies that never end, measured).
 * Bytes that are no UTF-8 are refused, not replaced by U+FFFD as `express.json` does: a replaced character would be
 * stored as if the client had sent it.
 */

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { checkContentType, isRepeated } from './headers.ts'
import { refuse, type Checked } from './problems.ts'

export const bodyBytesMax = 64 * 1024
/** Room for the usual body; the block doubles when it is full. */
const blockBytesMin = 1024

const utf8 = new TextDecoder('utf-8', { fatal: true })

type Decode = (bytes: Buffer) => Promise<Buffer>

const bounded = { maxOutputLength: bodyBytesMax }
const decoders: ReadonlyMap<string, Decode> = new Map([
  ['identity', (bytes) => Promise.resolve(bytes)],
  ['gzip', (bytes) => promisify(gunzip)(bytes, bounded)],
  ['deflate', (bytes) => promisify(inflate)(bytes, bounded)],
  ['br', (bytes) => promisify(brotliDecompress)(bytes, bounded)],
])

const tooLarge = () => refuse('body_too_large', `The body must have at most ${bodyBytesMax} bytes.`)
const malformed = () =>
  refuse('malformed_body', 'The body ends early or is not encoded as Content-Encoding says.')

/** The parsed body, of any JSON type. Headers are checked before a byte is read. */
export async function readJson(request: IncomingMessage): Promise<Checked<unknown>> {
  for (const name of ['content-type', 'content-encoding']) {
    if (isRepeated(request.rawHeaders, name))
      return refuse('invalid_header', `The header ${name} must be sent once.`)
  }
  const contentType = checkContentType(request.headers['content-type'])
  if ('problem' in contentType) return contentType
  const decode = decoders.get((request.headers['content-encoding'] ?? 'identity').toLowerCase())
  if (!decode) {
    const known = [...decoders.keys()].join(', ')
    return refuse('unsupported_encoding', `Content-Encoding must be one of ${known}.`)
  }
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge()
  const sent = await readBytes(request)
  if ('problem' in sent) return sent
  const decoded = await decode(sent.value).catch((error: NodeJS.ErrnoException) => error)
  if (Buffer.isBuffer(decoded)) return parseJson(decoded)
  return decoded.code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge() : malformed()
}

/** The bytes as they were sent. */
function readBytes(request: IncomingMessage): Promise<Checked<Buffer>> {
  return new Promise((resolve) => {
    if (request.closed) return resolve(malformed())
    let block = Buffer.allocUnsafe(blockBytesMin)
    let length = 0
    const append = (chunk: Buffer): void => {
      const needed = length + chunk.length
      if (needed > bodyBytesMax) {
        request.off('data', append).resume()
        resolve(tooLarge())
        return
      }
      if (needed > block.length) block = grown(block, length, needed)
      chunk.copy(block, length)
      length = needed
    }
    request.on('data', append)
    request.once('end', () => resolve({ value: block.subarray(0, length) }))
    request.once('error', () => resolve(malformed()))
    request.once('close', () => resolve(malformed()))
  })
}

function grown(block: Buffer, length: number, needed: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafe(Math.max(needed, 2 * block.length))
  block.copy(larger, 0, 0, length)
  return larger
}

/** Parses UTF-8 JSON. The parser's message is not passed on: it quotes the body. */
export function parseJson(bytes: Uint8Array): Checked<unknown> {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return refuse('malformed_body', 'The body is not valid UTF-8.')
  }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return refuse('invalid_json', text.trim() === '' ? 'The body is empty.' : 'The body is not valid JSON.')
  }
}
