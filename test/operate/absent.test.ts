import t from 'tap'
import { whyAbsent } from '../../src/operate/absent.ts'

const jira = { name: 'jira', state: 'ready', trouble: undefined, leftOut: [{ what: 'tool "search"', why: 'it is not approved' }] } as const
const mail = { name: 'mail', state: 'failing', trouble: 'connect ECONNREFUSED', leftOut: [] } as const

t.test('a tool that is left out, one of an upstream that is away, and one that nobody has', async t => {
  const ask = (name: string) => whyAbsent([jira, mail], { kind: 'tool', name })
  t.match(ask('jira_search'), 'Upstream "jira" lists it, but it is left out: it is not approved')
  t.match(ask('mail_send'), /"mail" is failing \(connect ECONNREFUSED\)/)
  t.equal(ask('jira_other'), undefined)
  t.equal(ask('echo'), undefined)
  t.equal(whyAbsent([jira], { kind: 'prompt', name: 'jira_search' }), undefined)
})
