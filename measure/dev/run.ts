// `npm run measure dev`: tools and helpers are saved a hundred times under load, in JavaScript on this Node, in TypeScript on those that
// run it by themselves. Ends with 1 if a call fails, a session or a stream ends.
import { nodeExactly } from '../../test/support/npm.ts'
import { claimsOf } from '../claims.ts'

const TYPESCRIPT_ON = [22, 24]

let failed = 0
let passed = 0
for (const major of [undefined, ...TYPESCRIPT_ON]) {
  const claims = await claimsOf('test/cli/dev.test.ts', { DEV_CHANGES: '100', ...(major !== undefined && { DEV_NODE: nodeExactly(major) }) })
  const on = major === undefined ? '' : `Node ${major}, tools in TypeScript: `
  for (const { claim, pass, figures } of claims) process.stdout.write(`${pass ? 'ok    ' : 'FAILED'} ${on}${claim}${figures.map(figure => `: ${figure}`).join('')}\n`)
  failed += claims.filter(({ pass }) => !pass).length
  passed += claims.filter(({ pass }) => pass).length
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
if (failed > 0) process.exitCode = 1
