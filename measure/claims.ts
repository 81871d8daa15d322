// What a file of tests claims, and what it measured on the way: `t.comment('figure: …')`.
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')
/** The longest that a file may take, seconds: some measure for minutes. */
const MOST_SECONDS = 1200

export interface Claim { claim: string, pass: boolean, figures: string[] }

/**
 * Run a file by the test command.
 *
 * @param env settings that make it do more than the usual
 * @returns each claim with whether it holds and the figures that it gave; a file that ends badly without saying so has one more that does not hold
 */
export async function claimsOf (file: string, env: Record<string, string> = {}): Promise<Claim[]> {
  const child = spawn(process.execPath, ['scripts/test.mjs', '--reporter=tap', '-t', String(MOST_SECONDS), file], {
    cwd: ROOT, env: { ...process.env, TEST_CASES: 'all', ...env }, stdio: ['ignore', 'pipe', 'inherit']
  })
  let text = ''
  child.stdout.on('data', (part: Buffer) => { text += part.toString() })
  const code = await new Promise(resolve => child.once('close', resolve))

  const claims: Claim[] = []
  let figures: string[] = []
  for (const line of text.split('\n')) {
    const figure = /^ *# figure: (.*)$/.exec(line)
    const claim = /^ {4}(not )?ok \d+ - (.*?)(?: # time=.*)?$/.exec(line)
    if (figure !== null) figures.push(figure[1]!)
    if (claim === null) continue
    claims.push({ claim: claim[2]!, pass: claim[1] === undefined, figures })
    figures = []
  }
  if (claims.length === 0 || (code !== 0 && claims.every(({ pass }) => pass))) claims.push({ claim: `${file} comes to its end`, pass: false, figures })
  return claims
}
