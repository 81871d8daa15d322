// `npm run measure audit -- edits`: a thousand edits of ten kinds, and what finds them, as the tests have them.
import { claimsOf } from '../claims.ts'

const claims = await claimsOf('test/audit/verify.test.ts')
for (const { claim, pass } of claims) console.log(`${pass ? 'ok  ' : 'FAIL'} ${claim}`)
process.exit(claims.every(({ pass }) => pass) ? 0 : 1)
