/**
 * Reads a request body as JSON.
 *
 * Invariant: at most `bodyBytesMax` are held, compressed or not, and the rest is read off, so the connection stays
 * usable after every refusal. Bytes that are no UTF-8 are refused, not replaced by U+FFFD as `express.json` does:
 * a replaced character would be stored as if the client had sent it.
 */

import express, { type Request, type Response } from 'express'
import { checkContentType, isRepeated } from './headers.ts'
import { refuse, type Checked } from './problems.ts'

export const bodyBytesMax = 64 * 1024

const encodings = ['identity', 'gzip', 'deflate', 'br']

const readRaw = express.raw({ limit: bodyBytesMax, type: () => true, inflate: true })

const tooLarge = () => refuse('body_too_large', `The body must have at most ${bodyBytesMax} bytes.`)

/** The parsed body, of any JSON type. Headers are checked before a byte is read. */
export async function readJson(request: Request, response: Response): Promise<Checked<unknown>> {
  for (const name of ['content-type', 'content-encoding']) {
    if (isRepeated(request.rawHeaders, name))
      return refuse('invalid_header', `The header ${name} must be sent once.`)
  }
  const contentType = checkContentType(request.headers['content-type'])
  if ('problem' in contentType) return contentType
  if (!encodings.includes((request.headers['content-encoding'] ?? 'identity').toLowerCase())) {
    return refuse('unsupported_encoding', `Content-Encoding must be one of ${encodings.join(', ')}.`)
  }
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge()
  const bytes = await readBytes(request, response)
  return 'problem' in bytes ? bytes : parseJson(bytes.value)
}

async function readBytes(request: Request, response: Response): Promise<Checked<Buffer>> {
  const error = await new Promise<unknown>((resolve) => {
    readRaw(request, response, resolve)
  })
  if (error) {
    const status = error instanceof Error && 'status' in error ? error.status : undefined
    if (status === 413) return tooLarge()
    return refuse('malformed_body', 'The body ends early or is not encoded as Content-Encoding says.')
  }
  const body: unknown = request.body
  return { value: Buffer.isBuffer(body) ? body : Buffer.alloc(0) }
}

/** Parses UTF-8 JSON. The parser's message is not passed on: it quotes the body. */
export function parseJson(bytes: Uint8Array): Checked<unknown> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refuse('malformed_body', 'The body is not valid UTF-8.')
  }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return refuse('invalid_json', text.trim() === '' ? 'The body is empty.' : 'The body is not valid JSON.')
  }
}
