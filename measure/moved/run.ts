// `npm run measure moved`: tools in the shapes of public repositories, before and after they were moved here: both compile, both answer
// the same calls, and how many lines changed. Ends with 1 where an answer differs that should not.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { testTools, type TestClient } from '../../src/testing/index.ts'
import { fetched } from '../../test/support/npm.ts'
import { markdownTable } from '../report.ts'
import { comparable, comparableEntry, MOVED, PERSON_ANSWER, type Moved } from './cases.ts'

const PROJECT = resolve(import.meta.dirname, '../..')
const OLDER = '2025-11-25'

let failed = 0

const work = compiled()
const after = await testTools(join(import.meta.dirname, 'tools'), {
  revision: OLDER, answers: { 'elicitation/create': PERSON_ANSWER }, settings: { builtInTools: false }
})
for (const from of ['fastmcp', 'sdk'] as const) {
  const before = await clientOf(from)
  const { tools: listedBefore } = await before.listTools()
  const listedAfter = await after.tools()
  for (const moved of MOVED.filter(moved => moved.from === from)) {
    const entries = [listedBefore, listedAfter].map(tools => tools.find(({ name }) => name === moved.tool))
    judge(`${moved.tool}: the list says the same`, entries.map(entry => comparableEntry(entry, moved)), moved.listed)
    for (const [args, difference] of moved.calls) {
      const answers = [await answerOf(before, moved.tool, args), await answerOf(after, moved.tool, args)]
      judge(`${moved.tool}: ${JSON.stringify(args)}`, answers.map(answer => comparable(answer, difference)), difference && `${difference} differ`, answers)
    }
  }
  await before.close()
}
await after.close()

process.stdout.write(`\n${markdownTable(['tool', 'from', 'in the shape of', 'lines', 'taken out', 'put in'], MOVED.map(row))}\n`)
if (failed > 0) process.exitCode = 1

/** The files of both, compiled as their authors would compile them: against the packages, with strict types. */
function compiled (): string {
  const folder = fetched('moved', ['fastmcp@4.20.16', 'zod@4.6.7', '@modelcontextprotocol/sdk@1.32.2'])
  const work = join(folder, 'work')
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work)
  cpSync(import.meta.dirname, work, { recursive: true, filter: path => !/(run|cases)\.ts$/.test(path) })
  const link = join(folder, 'node_modules/secure-mcp-server')
  if (!existsSync(link)) {
    rmSync(link, { force: true })
    symlinkSync(PROJECT, link)
  }
  writeFileSync(join(work, 'package.json'), '{"type":"module"}')
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      strict: true,
      target: 'ES2023',
      module: 'NodeNext',
      rewriteRelativeImportExtensions: true,
      outDir: 'js',
      rootDir: '.',
      skipLibCheck: true,
      typeRoots: [join(PROJECT, 'node_modules/@types')],
      types: ['node']
    }
  }))
  const { status, stdout } = spawnSync(process.execPath, [join(PROJECT, 'node_modules/typescript/bin/tsc')], { cwd: work, encoding: 'utf8' })
  judge('the tools compile before and after', [status, 0])
  process.stdout.write(stdout)
  return work
}

/** A client of the server before, over stdio. */
async function clientOf (from: Moved['from']): Promise<Client> {
  const client = new Client({ name: 'measure', version: '1.0.0' }, { capabilities: { elicitation: {} } })
  client.setRequestHandler(ElicitRequestSchema, () => PERSON_ANSWER)
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [join(work, 'js', from, 'serve.js')], stderr: 'ignore' }))
  return client
}

/** A refusal by an error of the protocol is one, too: fastmcp refuses arguments so. */
async function answerOf (client: Client | TestClient, name: string, args: Record<string, unknown>): Promise<Record<string, unknown>> {
  try {
    const { content, structuredContent, isError } = client instanceof Client ? await client.callTool({ name, arguments: args }) : await client.call(name, args)
    return { content, structuredContent, isError }
  } catch (error) {
    const { code, message } = error as Error & { code: number }
    return { isError: true, code, message }
  }
}

function judge (claim: string, [before, after]: readonly unknown[], difference?: string, answers: readonly unknown[] = []): void {
  const held = isDeepStrictEqual(plain(before), plain(after))
  if (!held) failed++
  process.stdout.write(`${held ? 'ok    ' : 'FAILED'} ${claim}${difference === undefined ? '' : ` (${difference})`}\n`)
  const shown = held ? (difference === undefined ? [] : answers) : [before, after]
  for (const [i, answer] of shown.entries()) process.stdout.write(`         ${['before', 'after'][i]}: ${JSON.stringify(answer)}\n`)
}

function plain (value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

/** Lines as git counts them, white space apart. */
function row ({ file, from, shape, tool }: Moved): unknown[] {
  const [before, after] = [join(import.meta.dirname, from, `${file}.ts`), join(import.meta.dirname, 'tools', `${file}.ts`)]
  const { stdout } = spawnSync('git', ['diff', '--no-index', '--ignore-all-space', '--numstat', before, after], { encoding: 'utf8' })
  const [added, removed] = stdout.split('\t')
  return [tool, from, shape, readFileSync(before, 'utf8').trim().split('\n').length, removed, added]
}
