/** What arrives, and what comes back, through the proxies before the server. */
import { isLoopback } from '../../core/origin.ts'
import {
  bad, defineCheck, FORGED_ADDRESS, warn, well, type Diagnosis, type HealthCheck, type OutsideFacts, type SeenAnswer
} from '../check.ts'

const DAY_MS = 86_400_000
const CERTIFICATE_DAYS = 14
/** A stream says something at once; what is held back longer is buffered. ms. */
const FIRST_BYTES_MS = 3000

type AnsweredHttp = Exclude<SeenAnswer, { fault: string }>

type JudgeAnswer = (answer: AnsweredHttp, facts: OutsideFacts) => Diagnosis | undefined

/** A check of one answer; without one, and without TLS, another check says so. */
function ofAnswer (
  id: string, question: string, asks: string, judge: JudgeAnswer
): HealthCheck {
  return defineCheck({
    id,
    asks,
    needs: 'outside',
    run (facts) {
      const answer = facts.answers.get(question)
      return answer === undefined || 'fault' in answer ? undefined : judge(answer, facts)
    }
  })
}

/** The reason that this server names; undefined: somebody else answered. */
function reasonOf ({ body }: AnsweredHttp): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { data?: { reason?: string, requestId?: string } } | string }
    return typeof error === 'string'
      ? error
      : error?.data?.reason ?? (
        error?.data?.requestId === undefined ? undefined : 'JSON-RPC'
      )
  } catch {
    return undefined
  }
}

const somebodyElse = ({ status, headers, body }: AnsweredHttp) =>
  `Somebody before the server answered ${status} (${headers.server ?? 'no Server header'}` +
  `${/<html/i.test(body) ? ', HTML' : ''})`

export const OUTSIDE_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'reachable',
    asks: 'the server answers at this URL',
    needs: 'outside',
    run ({ answers, tlsFault }) {
      const first = answers.get('no-key')
      if (first === undefined || !('fault' in first)) return well('it answers')
      return bad(
        tlsFault ?? first.fault,
        tlsFault === undefined
          ? 'Check DNS (A and AAAA), firewall, port, and the route of the proxy to /mcp'
          : 'Install a certificate for this name, with its whole chain'
      )
    }
  }),
  defineCheck({
    id: 'certificate',
    asks: 'the certificate is good for two weeks more',
    needs: 'outside',
    run ({ certificateEnds, now }) {
      if (certificateEnds === undefined) return undefined
      const days = Math.floor((certificateEnds - now) / DAY_MS)
      return days >= CERTIFICATE_DAYS
        ? well(`${days} days left`)
        : warn(`The certificate ends in ${days} days`, 'Renew it; look why it was not renewed by itself')
    }
  }),
  ofAnswer('https', 'no-key', 'clients come by TLS', (
    _answer, { url }
  ) => url.startsWith('https:') || isLoopback(new URL(url).hostname)
    ? well(new URL(url).protocol)
    : bad('Keys and tokens cross the network in clear text', 'Put TLS before the server')),
  ofAnswer('redirect', 'http', 'http leads to https without losing the body', (
    { status }
  ) => status === 308 || status === 307
    ? well(`http answers ${status}`)
    : status === 301 || status === 302 || status === 303
      ? warn(`http is redirected with ${status}: clients then send GET in place of POST`, 'Answer 308')
      : status < 400
        ? bad(
        `http is served (${status}): keys cross the network in clear text`, 'Redirect with 308, or close port 80'
        )
        : well(`http answers ${status}`)),
  ofAnswer('challenge', 'no-key', 'a request without a key gets our 401', answer => {
    if (answer.status !== 401) {
      return bad(
        somebodyElse(answer), 'Let the proxy pass /mcp on without a login of its own, and statuses as they are'
      )
    }
    return answer.headers['www-authenticate'] === undefined
      ? bad(
        'WWW-Authenticate does not arrive: clients cannot find the login',
        'Let the proxy pass WWW-Authenticate on (gateways may rename it to x-amzn-remapped-www-authenticate)'
      )
      : well('401 with WWW-Authenticate')
  }),
  ofAnswer('host', 'no-key', 'the Host arrives as clients type it', answer => reasonOf(answer) === 'ORIGIN_REFUSED'
    ? bad(
      '403 ORIGIN_REFUSED: another Host arrives than PUBLIC_URL names',
      'proxy_set_header Host $host; or set PUBLIC_URL or ALLOWED_HOSTS to what clients type'
    )
    : well('it is one that is served')),
  ofAnswer('unknown-key', 'unknown-key', 'Authorization arrives', answer =>
    reasonOf(answer) === 'AUTHENTICATION_REQUIRED'
      ? bad(
        'The Authorization header does not arrive',
        'Let the proxy pass Authorization on (in Apache CGIPassAuth, in nginx no proxy_set_header Authorization "")'
      )
      : answer.status === 401 || answer.status === 429
        ? well('an unknown key is refused')
        : bad(somebodyElse(answer), 'Let /mcp through without a login before it')),
  ofAnswer('other-origin', 'other-origin', 'a page of another origin is refused by us', answer =>
    reasonOf(answer) === 'ORIGIN_REFUSED'
      ? well('403 ORIGIN_REFUSED')
      : bad(
      `An unknown Origin got ${answer.status}: does the proxy remove or replace Origin?`, 'Pass Origin on as it is'
      )),
  ofAnswer('cors', 'preflight', 'preflights are ours to answer', (
    { headers }
  ) => headers['access-control-allow-origin'] === undefined
    ? well('no origin is allowed but those of ALLOWED_ORIGINS')
    : bad(
      `A preflight of an unknown origin is allowed (${headers['access-control-allow-origin']})`,
      'Take the CORS settings out of the proxy: the server answers by ALLOWED_ORIGINS'
    )),
  ofAnswer(
    'metadata',
    'metadata',
    'the resource metadata is found without a key',
    metadata('/.well-known/oauth-protected-resource')
  ),
  ofAnswer(
    'metadata-of-endpoint',
    'metadata-of-endpoint',
    'and at the path that clients derive from /mcp',
    metadata('/.well-known/oauth-protected-resource/mcp')
  ),
  ofAnswer('own-errors', 'absent-path', 'our own answers arrive, whatever their status', answer =>
    reasonOf(answer) === undefined
      ? warn(somebodyElse(answer), 'Let the proxy pass 404 and 5xx on as they are (proxy_intercept_errors off)')
      : well('JSON arrives as JSON')),
  ofAnswer('metrics-hidden', 'metrics', 'metrics are not public', answer => answer.status === 200
    ? bad(
      '/metrics is reachable through this URL',
      'Route nothing but the public port; keep MANAGEMENT_HOST on loopback or in the cluster'
    )
    : well(`${answer.status}`)),
  ofAnswer('management-hidden', 'management-api', 'the management API is not public', answer =>
    answer.status === 404 || reasonOf(answer) === 'NOT_FOUND'
      ? well('404')
      : answer.headers['content-type']?.includes('problem+json') === true
        ? bad('The management API is reachable through this URL', 'Route nothing but the public port')
        : well(`${answer.status}`)),
  ofAnswer('long-body', 'long-body', 'a body of 1 MB arrives', answer => answer.status === 413 && reasonOf(
    answer
  ) === undefined
    ? bad(`${somebodyElse(answer)}: bodies over its limit`, 'client_max_body_size 2m, or what your proxy calls it')
    : well('it is answered by the server')),
  ofAnswer('long-header', 'long-header', 'a token of 8 kB arrives', answer => [
    400, 413, 414, 431, 494
  ].includes(answer.status) && reasonOf(answer) === undefined
    ? bad(
      `${somebodyElse(answer)}: a header over its limit`,
      'large_client_header_buffers 4 32k, or what your proxy calls it'
    )
    : well('it is answered by the server')),
  ofAnswer('firewall', 'like-an-attack', 'one of two inspects, and it is this server', answer =>
    reasonOf(answer) === undefined
      ? warn(
      `${somebodyElse(answer)}: a firewall refuses arguments that look like an attack`,
      'Leave inspection to one of the two: exempt /mcp there, or set INSPECTION=off here'
      )
      : well('the server judges it')),
  ofAnswer('key', 'list', 'the key works', answer => answer.status === 200
    ? well('tools/list is answered')
    : bad(
      `tools/list with the key got ${answer.status} ${reasonOf(answer) ?? somebodyElse(answer)}`,
      'why --token <file> says what refuses it'
    )),
  ofAnswer('protocol-headers', 'other-header', 'Mcp-* headers arrive as they were sent', answer => answer.status === 400
    ? well('a header that contradicts the body is refused')
    : bad('Mcp-Method does not arrive as it was sent', 'Pass on all headers that begin with Mcp-')),
  ofAnswer('api-key-header', 'x-api-key', 'X-API-Key arrives', answer => answer.status === 401
    ? warn('X-API-Key does not arrive', 'Pass it on, or let clients send Authorization: Bearer')
    : well('it works like Authorization')),
  ofAnswer('buffering', 'stream', 'events pass on at once', ({ status, ms, headers }) => status !== 200
    ? undefined
    : ms > FIRST_BYTES_MS
      ? bad(
        `The first bytes of a stream took ${(ms / 1000).toFixed(1)} s: the proxy holds them back`,
        'proxy_buffering off; no compression of text/event-stream'
      )
      : headers['content-encoding'] === undefined
        ? well(`first bytes after ${Math.round(ms)} ms`)
        : bad(`Streams are compressed (${headers['content-encoding']})`, 'No compression of text/event-stream')),
  defineCheck({
    id: 'client-address',
    asks: 'the address that counts is the caller\'s',
    needs: 'outside',
    run ({ arrivedFrom }) {
      if (arrivedFrom === undefined || arrivedFrom.length === 0) return undefined
      return arrivedFrom.includes(FORGED_ADDRESS)
        ? bad(
          'A forged X-Forwarded-For is believed: anybody can take any address, and escape limits and blocks',
          'Set TRUST_PROXY to the ranges of your proxies, and let the first of them replace X-Forwarded-For'
        )
        : well(`${[...new Set(arrivedFrom)].join(', ')} arrived`)
    }
  }),
  defineCheck({
    id: 'idle-streams',
    asks: 'a quiet stream is left alone',
    needs: 'outside',
    run ({ idle }) {
      if (idle === undefined) return undefined
      const [lived, wanted] = [Math.round(idle.livedMs / 1000), Math.round(idle.wantedMs / 1000)]
      return idle.livedMs >= idle.wantedMs
        ? well(`it lived ${wanted} s`)
        : bad(
        `A stream was cut after ${lived} s`,
        'Raise the time-out for answers in what stands before the server (proxy_read_timeout, idle timeout) to an hour'
        )
    }
  }),
  defineCheck({
    id: 'stream-held',
    asks: 'a stream begins at all',
    needs: 'outside',
    run ({ answers }) {
      const answer = answers.get('stream')
      return answer === undefined || !('fault' in answer)
        ? undefined
        : bad(`A stream gave nothing: ${answer.fault}`, 'proxy_buffering off; proxy_read_timeout of an hour')
    }
  })
]

function metadata (path: string) {
  return ({ status, body }: AnsweredHttp, { url, answers }: OutsideFacts): Diagnosis | undefined => {
    const both = [
      'metadata', 'metadata-of-endpoint'
    ].map(name => answers.get(name)).map(answer => answer === undefined || 'fault' in answer ? 0 : answer.status)
    // OAuth2 may be off: then neither is there.
    if (both.every(status => status === 404)) return well('OAuth2 is off, or neither path is routed')
    if (status !== 200) {
      return bad(
        `${path} answers ${status}`, 'Route both paths to the server, at the root of the host, without a login'
      )
    }
    const resource = resourceIn(body)
    const typed = url.replace(/\/$/, '')
    return resource === typed
      ? well(resource)
      : bad(
      `resource is ${resource ?? 'missing'}, clients type ${typed}: they refuse the login`,
      'Set PUBLIC_URL to the URL that clients type, without /mcp'
      )
  }
}

function resourceIn (body: string): string | undefined {
  try {
    return (JSON.parse(body) as { resource?: string }).resource
  } catch {
    return undefined
  }
}
