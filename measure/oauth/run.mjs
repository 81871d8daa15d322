// `npm run measure oauth`: what tests of OAuth2 measured, claim by claim: forged tokens, an authorization server in trouble, whole flows. --record writes it into docs/measurements.md.
import { claimsOf } from '../claims.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const FILES = ['flows', 'tokens', 'trouble', 'pace'].map(name => `test/auth/oauth2/${name}.test.ts`)

const rows = []
for (const file of FILES) {
  for (const { claim, pass, figures } of await claimsOf(file)) {
    rows.push([claim, figures.join('; '), pass ? 'met' : '**missed**'])
    process.stdout.write(`${pass ? 'met   ' : 'MISSED'} ${claim}${figures.length > 0 ? `: ${figures.join('; ')}` : ''}\n`)
  }
}
if (process.argv.includes('--record')) {
  writeSection('oauth', [
    '## OAuth2', '', circumstances('npm run measure oauth -- --record'), '',
    'The authorization servers are `oidc-provider` for the flows and one that a test bends for the rest, on loopback. The cost of a token is in the table of the request path.', '',
    markdownTable(['claim', 'measured', ''], rows)
  ].join('\n'))
}
process.exitCode = rows.every(row => row[2] === 'met') ? 0 : 1
