/** Over its failures an address may only use what nobody can guess, or what it did not guess just now. */
import t from 'tap'
import { addKey, build, modern } from '../support/app.ts'
import { startIssuer } from './oauth2/issuer.ts'

const PLAIN = 'tiger-4821-of-the-old-system'
const reasonOf = (answer: { json: () => { error?: { data?: { reason?: string } } } }) => answer.json().error?.data?.reason

t.test('a plain key that was never used is refused without a look-up, a made key and one that was used are served', async t => {
  const { app, store } = await build(t, { env: { MCP_API_KEY: PLAIN } })
  const { key } = await addKey(store)
  const ask = async (credential: string, address: string) => await modern(app, 'tools/list', {}, { key: credential, address })
  for (let i = 0; i < 20; i++) t.equal((await ask(`guess-number-${i}-of-many-more`, '192.0.2.1')).statusCode, 401)
  const guessed = await ask(PLAIN, '192.0.2.1')
  t.equal(guessed.statusCode, 429, 'a guess that is right is not told from one that is wrong')
  t.equal(reasonOf(guessed), 'TOO_MANY_FAILURES')
  t.equal((await modern(app, 'tools/list', {}, { address: '192.0.2.1', headers: { 'x-api-key': PLAIN } })).statusCode, 429, 'nor in the other header')
  t.equal((await ask(key, '192.0.2.1')).statusCode, 200, 'a made key cannot be guessed')
  t.equal((await ask(PLAIN, '192.0.2.2')).statusCode, 200, 'another address')
  t.equal((await ask(PLAIN, '192.0.2.1')).statusCode, 200, 'it was used before, so whoever shows it has not guessed it')
  t.equal((await ask('guess-number-21-of-many-more', '192.0.2.1')).statusCode, 429)
})

t.test('what is refused over the failures reaches no store', async t => {
  const { app, store } = await build(t)
  let lookups = 0
  const { admit } = store
  store.admit = async (...args) => { lookups++; return await admit.apply(store, args) }
  for (let i = 0; i < 20; i++) await modern(app, 'tools/list', {}, { key: `guess-number-${i}-of-many-more`, address: '192.0.2.1' })
  t.equal(lookups, 20)
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => modern(app, 'tools/list', {}, { key: `more-guesses-${i}-of-many`, address: '192.0.2.1' })))
  t.ok(answers.every(({ statusCode }) => statusCode === 429))
  t.equal(lookups, 20)
})

t.test('a token of a good signature is read whatever others behind its address did, and one that expired is told so', async t => {
  const issuer = await startIssuer(t)
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url } })
  const ask = async (credential: string) => await modern(app, 'tools/list', {}, { key: credential, address: '192.0.2.1' })
  for (let i = 0; i < 30; i++) t.equal((await ask(issuer.mint({ iat: -7200 - i, exp: -3600 }))).statusCode, 401, 'an expired token counts for nothing')
  for (let i = 0; i < 20; i++) await ask(`${issuer.mint().split('.').slice(0, 2).join('.')}.bm90IGEgc2lnbmF0dXJl`)
  t.equal((await ask(`${issuer.mint().split('.').slice(0, 2).join('.')}.bm90IGEgc2lnbmF0dXJl`)).statusCode, 429)
  t.equal((await ask(issuer.mint())).statusCode, 200)
  t.equal((await ask(issuer.mint({ iat: -7200, exp: -3600 }))).statusCode, 401)
})

t.test('made-up tokens from one address leave places to ask about those of others, and after its failures none is asked about', async t => {
  const issuer = await startIssuer(t)
  let asked = 0
  issuer.bend.set('/introspect', (request, response) => {
    asked++
    const active = (request as { body?: string }).body?.includes('token=good') === true
    setTimeout(() => issuer.json(active
      ? { active, iss: issuer.url, sub: 'ada', client_id: 'c', aud: 'http://localhost:3000/mcp', scope: 'mcp:server:access mcp:tool:*', exp: Math.floor(Date.now() / 1000) + 600 }
      : { active })(request, response), 100)
  })
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_VALIDATION: 'introspection', OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' } })
  const ask = async (credential: string, address: string) => (await modern(app, 'tools/list', {}, { key: credential, address })).statusCode
  t.equal(await ask('made-up-0', '192.0.2.1'), 401)
  const attack = Promise.all(Array.from({ length: 55 }, (_, i) => ask(`made-up-${i + 1}`, '192.0.2.1')))
  const honest = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(`good-${i}`, `198.51.100.${i}`)))
  t.same(honest.filter(status => status !== 200), [])
  await attack
  for (let i = 0; await ask(`made-up-again-${i}`, '192.0.2.1') !== 429 && i < 100; i++);
  const before = asked
  const refused = await Promise.all(Array.from({ length: 55 }, (_, i) => ask(`made-up-later-${i}`, '192.0.2.1')))
  t.ok(refused.every(status => status === 429))
  t.equal(asked, before, 'nothing more is asked for that address')
  const after = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(`good-later-${i}`, '198.51.100.200')))
  t.same(after.filter(status => status !== 200), [], '40 new tokens of one address')
  t.equal(await ask('good-0', '192.0.2.1'), 200, 'a token that was good before')
})
