/** Whatever an authenticator does, nobody is let in without an identity (CVE-2026-59822). */
import fc from '../support/fast-check.ts'
import t, { type Test } from 'tap'
import type { Authenticator } from '../../src/auth/authenticator.ts'
import { authenticationChain } from '../../src/auth/chain.ts'
import { customAuthenticator, loadCustomAuthenticator, type CustomAuthenticator } from '../../src/auth/custom.ts'
import type { Principal } from '../../src/core/principal.ts'
import { AppError } from '../../src/errors.ts'
import { openStore } from '../../src/state/open.ts'
import { loadConfig } from '../../src/settings/load.ts'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addKey, build, folder, modern, silent } from '../support/app.ts'

const rule = { limit: 1_000_000, windowMs: 60_000 }
const rules = { none: rule, api_key: rule, oauth2: rule, custom: rule }
const credential = { type: 'bearer', value: 'anything' } as const
let addresses = 0
const from = () => ({ address: `10.${addresses >> 16 & 255}.${addresses >> 8 & 255}.${addresses++ & 255}`, method: 'POST', url: 'http://localhost:3000/mcp' })

async function chain (t: Test, ...links: Authenticator[]) {
  const dir = folder(t)
  const store = await openStore(loadConfig({ API_KEYS_FILE: join(dir, 'api_keys.json'), TOOLS_DIR: join(dir, 'tools') }), silent)
  t.teardown(() => store.close())
  return authenticationChain({ authenticators: links, store, required: true, rules })
}

/** What comes of it: a principal's id, or the word of the refusal. */
async function outcome (asked: Promise<{ principal: Principal }>): Promise<string> {
  try {
    return (await asked).principal.id
  } catch (error) {
    return error instanceof AppError ? error.code : `not a refusal: ${String(error)}`
  }
}

t.test('anything that is thrown ends in a refusal, and no later link is asked', async t => {
  let asked = 0
  const later = customAuthenticator(() => { asked++; return { id: 'eve', permissions: ['*'] } })
  const thrown = [new Error('refused'), new TypeError(), 'text', undefined, null, 0, { status: 200 }, { principal: { id: 'eve' } }]
  for (const what of thrown) {
    for (const async of [true, false]) {
      const first: Authenticator = { type: 'custom', authenticate: async ? async () => { throw what } : () => { throw what }, recheck: async () => undefined }
      const said = await outcome((await chain(t, first, later))(credential, from()))
      t.ok(['STATE_UNAVAILABLE', 'INVALID_CREDENTIAL'].includes(said), `${String(what)}: ${said}`)
    }
  }
  t.equal(asked, 0)
})

t.test('what a custom authenticator returns is an identity in full, or a refusal', async t => {
  let returned: unknown
  const identify = await chain(t, customAuthenticator(() => returned as never))
  const identity = fc.oneof(
    { weight: 3, arbitrary: fc.anything({ withNullPrototype: true }) },
    fc.record({ id: fc.anything(), permissions: fc.anything() }, { requiredKeys: [] }),
    fc.record({ id: fc.constantFrom('', 'ada', 0, null), permissions: fc.array(fc.constantFrom('*', '!x', '', 'a b', 1)), role: fc.constant('operator') }, { requiredKeys: ['id'] })
  )
  await fc.assert(fc.asyncProperty(identity, async value => {
    returned = value
    const said = await outcome(identify(credential, from()))
    if (said.startsWith('custom:')) {
      const { id, permissions } = value as { id: unknown, permissions: unknown }
      return typeof id === 'string' && id !== '' && said === `custom:${id}` && Array.isArray(permissions) && permissions.every(one => typeof one === 'string' && one !== '')
    }
    return said === 'STATE_UNAVAILABLE' || (value === undefined && said === 'INVALID_CREDENTIAL')
  }), { numRuns: 2000 })
})

t.test('an expired or revoked identity of a custom authenticator is refused', async t => {
  const one: CustomAuthenticator = () => ({ id: 'ada', permissions: ['*'], expiresAt: 1 })
  t.equal(await outcome((await chain(t, customAuthenticator(one)))(credential, from())), 'INVALID_CREDENTIAL')
})

t.test('a module of the operator is a link like the others', async t => {
  const dir = folder(t)
  mkdirSync(join(dir, 'auth'))
  const module = (name: string, text: string) => { writeFileSync(join(dir, 'auth', name), text); return join(dir, 'auth', name) }
  const AUTHENTICATOR = module('ldap.mjs', `
    export default ({ type, value }) => {
      if (value === 'breaks') throw new Error('canary-5512')
      return value === 'opens' ? { id: 'ada', name: 'Ada', permissions: ['echo'] } : undefined
    }`)
  const { app, store } = await build(t, { env: { AUTHENTICATOR } })
  const list = async (key: string) => await modern(app, 'tools/list', {}, { key })
  t.strictSame((await list('opens')).json().result.tools.map(({ name }: { name: string }) => name), ['echo'])
  t.equal((await list('opens-not')).statusCode, 401)
  const broken = await list('breaks')
  t.equal(broken.statusCode, 503)
  t.notMatch(broken.body, 'canary')
  t.equal((await list((await addKey(store)).key)).statusCode, 200, 'keys go on')

  await t.rejects(loadCustomAuthenticator(join(dir, 'none.mjs')), /AUTHENTICATOR: cannot load .*none\.mjs/)
  await t.rejects(loadCustomAuthenticator(module('object.mjs', 'export default {}')), /must be a function/)
})
