/** Asks the server as its clients do, through whatever stands before it, and brings what came back. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { FORGED_ADDRESS, type OutsideFacts, type SeenAnswer } from './check.ts'

/** Longest wait for one answer, ms. */
const ANSWER_MS = 20_000
/** Of a body, characters that are kept. */
const KEPT = 4096
/** What a client sends at most that must still arrive, bytes: of a body, and of one header. */
const LONG_BODY = 1_000_000
const LONG_HEADER = 8000

interface OutsideQuestion {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Ask by http where the URL is https. */
  readonly plain?: boolean
  /** End after the first bytes: the answer may never end. */
  readonly firstBytes?: boolean
}

const JSON_BODY = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const MODERN = '2026-07-28'

/** One request of the newest revision, with the headers that repeat what its body says. */
function message (method: string, params: object, name?: string): OutsideQuestion {
  const meta = { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} }
  return {
    method: 'POST',
    headers: {
      ...JSON_BODY,
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': name })
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } })
  }
}

const LIST = message('tools/list', {})

/** What is asked without a credential, by name. Paths are below the endpoint's origin; none: the endpoint. */
const QUESTIONS: Readonly<Record<string, OutsideQuestion>> = {
  'no-key': LIST,
  'unknown-key': { ...LIST, headers: { ...LIST.headers, authorization: 'Bearer doctor-asks-with-no-key' } },
  'other-origin': { ...LIST, headers: { ...LIST.headers, origin: 'https://doctor.invalid' } },
  preflight: {
    method: 'OPTIONS',
    headers: {
      origin: 'https://doctor.invalid',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization'
    }
  },
  metadata: { path: '/.well-known/oauth-protected-resource' },
  'metadata-of-endpoint': { path: '/.well-known/oauth-protected-resource/mcp' },
  'absent-path': { method: 'POST', path: '/mcp/nothing-here', headers: JSON_BODY, body: '{}' },
  metrics: { path: '/metrics' },
  'management-api': { path: '/api/status' },
  'long-body': { ...LIST, body: JSON.stringify({ filler: 'x'.repeat(LONG_BODY) }) },
  'long-header': { ...LIST, headers: { ...LIST.headers, authorization: `Bearer ${'x'.repeat(LONG_HEADER)}` } },
  'like-an-attack': message(
    'tools/call', { name: 'doctor', arguments: { text: "' or 1=1 -- ../../etc/passwd" } }, 'doctor'
  ),
  forged: { ...LIST, headers: { ...LIST.headers, 'x-forwarded-for': FORGED_ADDRESS } },
  http: { plain: true }
}

const STREAM = message('subscriptions/listen', { notifications: { toolsListChanged: true } })

/** What is asked with a key as well. */
const WITH_KEY: Readonly<Record<string, OutsideQuestion>> = {
  list: LIST,
  'other-header': { ...LIST, headers: { ...LIST.headers, 'mcp-method': 'tools/call' } },
  'x-api-key': LIST,
  stream: { ...STREAM, firstBytes: true }
}

interface LookOptions { readonly idleMs?: number, readonly streamMs?: number }

/**
 * @param key of a caller; undefined: what needs one is not asked
 * @param idleMs how long a stream is held without an event; 0: none is
 * @param streamMs longest wait for the first event of a stream; for tests
 */
export async function lookFromOutside (
  url: string, key: string | undefined, now: number, { idleMs = 0, streamMs = ANSWER_MS }: LookOptions = {}
): Promise<OutsideFacts> {
  const answers = new Map<string, SeenAnswer>()
  let certificateEnds: number | undefined
  let tlsFault: string | undefined
  const seen = (ends: number | undefined, fault: string | undefined) => {
    certificateEnds ??= ends
    tlsFault ??= fault
  }
  for (const [name, asked] of Object.entries(QUESTIONS)) {
    if (name === 'http' && !url.startsWith('https:')) continue
    answers.set(name, await ask(url, asked, seen))
  }
  for (const [name, asked] of Object.entries(key === undefined ? {} : WITH_KEY)) {
    const credential: Record<string, string> = name === 'x-api-key'
      ? {
          'x-api-key': key!
        }
      : { authorization: `Bearer ${key}` }
    answers.set(name, await ask(url, { ...asked, headers: { ...asked.headers, ...credential } }, seen, streamMs))
  }
  const idle = key === undefined || idleMs === 0
    ? undefined
    : { wantedMs: idleMs, livedMs: await hold(url, key, idleMs) }
  return { url, now, certificateEnds, tlsFault, answers, idle }
}

/** @returns how long a stream lived, ms, at most as long as was asked */
function hold (url: string, key: string, mostMs: number): Promise<number> {
  const since = performance.now()
  const open = url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise(resolve => {
    const ended = () => {
      clearTimeout(timer)
      request.destroy()
      resolve(Math.min(performance.now() - since, mostMs))
    }
    const { headers, body } = STREAM
    const request = open(
      url, { method: 'POST', headers: { ...headers, authorization: `Bearer ${key}` }, agent: false },
      answer => answer.on('close', ended).on('error', ended).resume()
    )
    const timer = setTimeout(ended, mostMs)
    request.on('error', ended)
    request.end(body)
  })
}

type OnTls = (ends: number | undefined, fault: string | undefined) => void

function ask (url: string, asked: OutsideQuestion, onTls: OnTls, streamMs = ANSWER_MS): Promise<SeenAnswer> {
  const withinMs = asked.firstBytes === true ? streamMs : ANSWER_MS
  const target = new URL(url)
  if (asked.path !== undefined) target.pathname = asked.path
  if (asked.plain === true) target.protocol = 'http:'
  const since = performance.now()
  const ask = target.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise(resolve => {
    const { method = 'GET', headers = {}, body } = asked
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const request = ask(target, { method, headers: { ...headers, ...length }, agent: false }, answer => {
      onTls(endOf(answer.socket as TLSSocket), undefined)
      take(answer, asked.firstBytes === true).then(text => {
        resolve({ status: answer.statusCode!, headers: flat(answer), body: text, ms: performance.now() - since })
        request.destroy()
      }, error => resolve({ fault: (error as Error).message }))
    })
    request.setTimeout(withinMs, () => request.destroy(new Error(`no answer within ${withinMs / 1000} s`)))
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (/CERT|SSL|TLS|ALTNAME|SELF_SIGNED/.test(error.code ?? '')) onTls(undefined, error.message)
      resolve({ fault: error.message })
    })
    request.end(body)
  })
}

async function take (answer: IncomingMessage, firstBytes: boolean): Promise<string> {
  let text = ''
  for await (const part of answer.setEncoding('utf8')) {
    text = (text + String(part)).slice(0, KEPT)
    if (firstBytes) break
  }
  return text
}

function flat ({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}

function endOf (socket: TLSSocket): number | undefined {
  const until = typeof socket.getPeerCertificate === 'function' ? socket.getPeerCertificate().valid_to : undefined
  return until === undefined ? undefined : Date.parse(until)
}
