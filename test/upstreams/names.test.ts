import fc from '../support/fast-check.ts'
import t from 'tap'
import { namer, publicName, trespass } from '../../src/upstreams/names.ts'

const anyName = fc.string({ unit: 'binary', minLength: 1, maxLength: 120 })
const prefix = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,23}$/)

t.test('a name that clients take goes on as it is, behind its server', async t => {
  t.equal(publicName({ name: 'jira', prefix: 'jira' }, 'search_issues'), 'jira_search_issues')
  t.equal(publicName({ name: 'jira', prefix: '' }, 'search'), 'search')
})

t.test('every name becomes one that clients take, and two never become one', async t => {
  fc.assert(fc.property(prefix, anyName, anyName, (server, a, b) => {
    const one = { name: server, prefix: server }
    const given = publicName(one, a)
    return /^[A-Za-z0-9_-]{1,64}$/.test(given) && given.startsWith(`${server}_`) && given === publicName(one, a) &&
      (a === b) === (given === publicName(one, b))
  }), { numRuns: 2000 })
  for (const name of ['a/b', 'a.b', 'a b', 'x'.repeat(90), '__proto__', 'naïve']) t.match(publicName({ name: 's', prefix: 's' }, name), /^s_[\w-]{1,62}$/)
  t.not(publicName({ name: 's', prefix: 's' }, 'a/b'), publicName({ name: 's', prefix: 's' }, 'a.b'))
})

t.test('the first _ ends the server, so no name falls under the permissions of another', async t => {
  fc.assert(fc.property(prefix, prefix, anyName, (a, b, name) => {
    const all = [{ name: a, prefix: a }, { name: b, prefix: b }]
    return a === b || trespass(all[0]!, publicName(all[0]!, name), all) === undefined
  }))
  const all = [{ name: 'open', prefix: '' }, { name: 'jira', prefix: 'jira' }]
  t.match(namer(all[0]!, all)('jira_search'), { why: /begins like those of jira/ })
  t.equal(namer(all[0]!, all)('search'), 'search')
  t.equal(namer(all[1]!, all)('search'), 'jira_search')
})
