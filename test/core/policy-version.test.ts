import t from 'tap'
import { policyVersion } from '../../src/core/policy-version.ts'

const policy = { permissions: ['get_*', '!get_x'], expiresAt: 5 }

t.test('each part of a policy makes another version, and the same parts the same', async t => {
  const versions = [
    policyVersion(policy, 10),
    policyVersion({ ...policy, permissions: ['get_*'] }, 10),
    policyVersion({ ...policy, expiresAt: undefined }, 10),
    policyVersion(policy, 11),
    policyVersion({ ...policy, cidrs: ['10.0.0.0/8'] }, 10),
    policyVersion({ ...policy, cidrs: ['10.0.0.0/8', '192.168.0.0/16'] }, 10)
  ]
  t.equal(new Set(versions).size, versions.length)
  for (const version of versions) t.match(version, /^[0-9a-f]{8}$/)
  t.equal(policyVersion({ ...policy }, 10), versions[0])
})
