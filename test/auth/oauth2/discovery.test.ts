import t from 'tap'
import type { BoundedResponse } from '../../../src/auth/oauth2/bounded-fetch.ts'
import { Unreachable } from '../../../src/resilience/unreachable.ts'
import { discover, metadataUrls } from '../../../src/auth/oauth2/discovery.ts'

const ISSUER = 'https://as.example/realm'
const GOOD = { issuer: ISSUER, jwks_uri: 'https://as.example/jwks' }
const answer = (json: Record<string, unknown>, status = 200) => async (): Promise<BoundedResponse> => ({ status, json })
const fails = (message: string, final = false) => async (): Promise<BoundedResponse> => { throw new Unreachable(message, { final }) }

/** Search with what each place answers, in order. */
async function search (...places: Array<() => Promise<BoundedResponse>>) {
  const asked: string[] = []
  const ask = async (url: string) => {
    asked.push(url)
    return await places[asked.length - 1]!()
  }
  const found = await discover(ISSUER, ask).catch((error: Error) => error)
  return { asked, found }
}

t.test('whatever a place answers, the next is looked at', async t => {
  const odd: Record<string, () => Promise<BoundedResponse>> = {
    404: answer({ error: 'not_found' }, 404),
    '500 with JSON': answer({ error: 'server_error' }, 500),
    '503 with the metadata': answer(GOOD, 503),
    401: answer({}, 401),
    'a page': fails('GET https://as.example: the answer is not JSON'),
    'a redirect': fails('GET https://as.example: unexpected redirect'),
    'no answer in time': fails('GET https://as.example: no answer in time'),
    'a reset': fails('GET https://as.example: fetch failed (ECONNRESET)'),
    'no metadata': answer({ hello: 'world' }),
    'null for a name': answer({ ...GOOD, issuer: null }),
    'a list for a name': answer({ ...GOOD, issuer: [ISSUER] }),
    'another issuer': answer({ ...GOOD, issuer: 'https://as.example' }),
    'a slash more': answer({ ...GOOD, issuer: `${ISSUER}/` })
  }
  for (const [name, first] of Object.entries(odd)) {
    const { asked, found } = await search(first, first, answer(GOOD))
    t.strictSame(asked, metadataUrls(ISSUER), name)
    t.match(found, { place: metadataUrls(ISSUER)[2], metadata: { jwksUri: GOOD.jwks_uri } }, name)
  }
})

t.test('where nobody listens the search ends, and what all places said is told', async t => {
  const { asked, found } = await search(fails('refused', true))
  t.equal(asked.length, 1)
  t.match(found, { name: 'Unreachable', message: 'refused' })
  const none = await search(answer({}, 404), answer({ error: 'server_error', error_description: 'down' }, 500), answer({ ...GOOD, issuer: 'https://other.example' }))
  t.match(none.found, { message: /status 404.*status 500, "server_error", "down".*calls itself "https:\/\/other.example"; OAUTH2_AUTH_SERVER must name exactly that/ })
})

t.test('members that are null or of another form are absent', async t => {
  const { found } = await search(answer({
    ...GOOD,
    jwks_uri: null,
    introspection_endpoint: [],
    authorization_endpoint: 7,
    token_endpoint: {},
    scopes_supported: 'a b',
    introspection_endpoint_auth_methods_supported: null,
    token_endpoint_auth_methods_supported: 'client_secret_post',
    authorization_response_iss_parameter_supported: 'true'
  }))
  t.match(found, {
    metadata: {
      jwksUri: undefined,
      introspectionEndpoint: undefined,
      authorizationEndpoint: undefined,
      tokenEndpoint: undefined,
      scopesSupported: undefined,
      introspectionAuth: 'basic',
      tokenAuth: 'basic',
      namesIssuer: false
    }
  })
})
