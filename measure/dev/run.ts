// `npm run measure dev`: tools and helpers are saved a hundred times under load. Ends with 1 if a call fails, a session or a stream ends.
import { claimsOf } from '../claims.ts'

const claims = await claimsOf('test/cli/dev.test.ts', { DEV_CHANGES: '100' })
for (const { claim, pass, figures } of claims) process.stdout.write(`${pass ? 'ok    ' : 'FAILED'} ${claim}${figures.map(figure => `: ${figure}`).join('')}\n`)
const failed = claims.filter(({ pass }) => !pass).length
process.stdout.write(`${claims.length - failed} passed, ${failed} failed\n`)
if (failed > 0) process.exitCode = 1
