/** The tools that docs/moving.md counts answer as they did under the SDK; `npm run measure moved` compares those of fastmcp, too. */
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import t from 'tap'
import { comparable, comparableEntry, MOVED, PERSON_ANSWER } from '../measure/moved/cases.ts'
import { serverBefore } from '../measure/moved/sdk/server.ts'
import { testTools } from '../src/testing/index.ts'

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

t.test('tools of McpServer answer as before they were moved, in each revision', async t => {
  const [ours, theirs] = InMemoryTransport.createLinkedPair()
  await serverBefore().connect(theirs)
  const before = new Client({ name: 'test', version: '1.0.0' }, { capabilities: { elicitation: {} } })
  before.setRequestHandler(ElicitRequestSchema, () => PERSON_ANSWER)
  await before.connect(ours)
  t.teardown(() => before.close())
  const { tools: listed } = await before.listTools()

  for (const revision of ['2025-11-25', '2026-07-28']) {
    const after = await testTools(join(import.meta.dirname, '../measure/moved/tools'), {
      revision, answers: { person: PERSON_ANSWER, 'elicitation/create': PERSON_ANSWER }
    })
    t.teardown(() => after.close())
    const listedAfter = await after.tools()
    for (const moved of MOVED.filter(({ from }) => from === 'sdk')) {
      const [entry, entryAfter] = [listed, listedAfter].map(tools => tools.find(({ name }) => name === moved.tool))
      t.strictSame(plain(comparableEntry(entryAfter, moved)), plain(comparableEntry(entry, moved)), `${revision} ${moved.tool}: listed`)
      for (const [args, difference] of moved.calls) {
        const answer = comparable(await before.callTool({ name: moved.tool, arguments: args }), difference)
        t.strictSame(plain(comparable({ ...await after.call(moved.tool, args) }, difference)), plain(answer), `${revision} ${moved.tool} ${JSON.stringify(args)}`)
      }
    }
  }
})

t.test('tools of fastmcp are offered after they were moved', async t => {
  const after = await testTools(join(import.meta.dirname, '../measure/moved/tools'))
  t.teardown(() => after.close())
  for (const { tool, calls: [[args]] } of MOVED.filter(({ from }) => from === 'fastmcp') as Array<typeof MOVED[number] & { calls: [[Record<string, unknown>]] }>) {
    t.notOk((await after.call(tool, args)).isError, tool)
  }
})
