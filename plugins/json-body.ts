import type { IncomingMessage } from 'node:http'
import fp from 'fastify-plugin'
import { parseMessage } from '../src/core/json-message.ts'
import { repeated } from '../src/core/repeated.ts'
import { AppError } from '../src/errors.ts'

/** `application/json`, in UTF-8 if it says so, and nothing after. */
const JSON_TYPE = /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i

/** RFC 9112 §6.1: node unpacks no transfer coding but chunked, and keeps the first of several types in silence. */
function isPlainJson ({ headers, rawHeaders }: IncomingMessage): boolean {
  return JSON_TYPE.test(headers['content-type'] ?? '') && !repeated(rawHeaders, 'content-type') &&
    (headers['content-encoding'] ?? 'identity') === 'identity' &&
    (headers['transfer-encoding'] ?? 'chunked').toLowerCase() === 'chunked'
}

/**
 * Reads JSON bodies, and only those: one linear look over the text before it
 * is parsed refuses what parsers disagree about (doubled or wrongly-cased keys,
 * prototypes, batches) and what is made to exhaust one (depth, elements).
 */
export default fp(async function jsonBody (app) {
  app.removeAllContentTypeParsers()

  app.addContentTypeParser('application/json', { parseAs: 'string' }, function parse (request, body, done) {
    const text = body as string
    if (!isPlainJson(request.raw)) {
      return done(
        new AppError(
          'UNSUPPORTED_MEDIA_TYPE',
          'Send plain JSON: one Content-Type application/json in UTF-8, no Content-Encoding, chunked at most'
        )
      )
    }
    try {
      done(null, parseMessage(text, 'The body'))
    } catch (error) {
      done(error as Error)
    }
  })
}, { name: 'secure-mcp/json-body', fastify: '5.x', dependencies: ['secure-mcp/rate-limit'] })
