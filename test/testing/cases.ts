/** What a test may rely on, under whatever runner: programs of node:test, vitest and tap run each of these. */
import assert from 'node:assert/strict'
import type * as authoring from '../../src/tools/index.ts'
import type * as testing from '../../src/testing/index.ts'

export type Api = Pick<typeof testing, 'testTools'> &
  Pick<typeof authoring, 'ask' | 'definePrompt' | 'defineResource' | 'defineTool' | 'elicit' | 'listRoots' | 'sample' | 'ToolError' | 'Type'>

export const REVISIONS = ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'] as const

/** @returns each case by its name */
export function cases (api: Api): Map<string, () => Promise<void>> {
  const all = new Map<string, () => Promise<void>>()
  for (const revision of REVISIONS) for (const [name, run] of casesOf(api, revision)) all.set(`${revision}: ${name}`, run)
  return all
}

function casesOf (api: Api, revision: string): Array<[string, () => Promise<void>]> {
  const { testTools } = api
  const { tools, seen } = definitions(api)
  const open = async (options: testing.TestOptions = {}) => await testTools(tools, { revision, ...options })
  const using = (options: testing.TestOptions, run: (client: testing.TestClient) => Promise<void>) => async () => {
    const client = await open(options)
    try {
      await run(client)
    } finally {
      await client.close()
    }
  }
  const code = (expected: number) => (error: { code?: number }) => error.code === expected
  return [
    ['lists what the caller may use', using({ permissions: ['get_*', 'prompt:*'] }, async client => {
      assert.deepEqual((await client.tools()).map(({ name }) => name), ['get_order'])
      assert.deepEqual((await client.prompts()).map(({ name }) => name), ['summarise'])
      assert.deepEqual(await client.templates(), [])
    })],
    ['calls a tool', using({}, async client => {
      const result = await client.call('get_order', { number: '7' })
      assert.deepEqual(result.structuredContent, { state: 'open' })
      assert.equal(result.text, '{"state":"open"}')
      assert.equal(result.isError, false)
    })],
    ['tells what the tool said on the way', using({}, async client => {
      const { text, progress, messages } = await client.call('slow_report')
      assert.equal(text, 'done')
      assert.deepEqual(progress, [{ progress: 1, total: 2, message: 'half' }, { progress: 2, total: 2 }])
      assert.deepEqual(messages.map(({ level, data }) => [level, data]), [['warning', 'disk nearly full']])
    })],
    ['answers what a tool asks', using({ answers: { sure: { yes: true }, 'elicitation/create': { yes: true } } }, async client => {
      const { text, questions } = await client.call('delete_order', { number: '7' })
      assert.equal(text, 'deleted 7, because of kept')
      assert.equal(questions.length, 1)
      assert.equal(questions[0]!.params.message, 'Delete 7?')
    })],
    ['declines', using({}, async client => {
      const { text } = await client.call('delete_order', { number: '7' }, { answers: () => ({ action: 'decline' }) })
      assert.equal(text, 'kept 7')
    })],
    ['says which answer is missing', using({}, async client => {
      await assert.rejects(client.call('delete_order', { number: '7' }), /Give testTools answers with .*"elicitation\/create"/)
      assert.equal((await client.call('get_order', { number: '7' })).isError, false, 'and goes on')
    })],
    ['answers for a model and for roots', using({ answers: ({ method }) => method === 'roots/list' ? { roots: [{ uri: 'file:///src' }] } : 'short' }, async client => {
      assert.equal((await client.call('asks_around')).text, 'short of file:///src')
    })],
    ['refuses wrong arguments, suspicious ones and what is not permitted', using({ permissions: ['*', '!slow_*'] }, async client => {
      const wrong = await client.call('get_order', { number: 'x' })
      assert.equal(wrong.isError, true)
      assert.match(wrong.text, /^Invalid arguments: number/)
      assert.match((await client.call('takes_text', { text: '../../etc/passwd' })).text, /path_traversal/)
      assert.match((await client.call('slow_report')).text, /Access denied/)
      await assert.rejects(client.call('no_such'), code(-32602))
    })],
    ['tells what the tool refuses, and why it broke', using({}, async client => {
      const refused = await client.call('get_order', { number: '404' })
      assert.deepEqual([refused.isError, refused.text], [true, 'There is no order 404'])
      const broken = await client.call('breaks')
      assert.deepEqual([broken.isError, broken.text], [true, 'Internal error'])
      const line = broken.log.find(({ msg }) => msg === 'tool failed') as { err: { message: string } }
      assert.equal(line.err.message, 'the disk is gone')
    })],
    ['cancels', using({}, async client => {
      const controller = new AbortController()
      const work = client.call('waits', {}, { signal: controller.signal })
      await seen.waiting()
      controller.abort(new Error('enough'))
      await assert.rejects(work, /enough/)
      await seen.cancelled()
      assert.equal((await client.call('get_order', { number: '7' })).isError, false, 'and goes on')
    })],
    ['reads, gets, completes', using({}, async client => {
      assert.equal((await client.read('orders://7')).text, 'order 7')
      assert.equal((await client.get('summarise', { number: '7' })).text, 'Summarise 7')
      assert.deepEqual(await client.complete({ prompt: 'summarise' }, { number: '1' }), ['10', '11'])
      assert.deepEqual(await client.complete({ resource: 'orders://{number}' }, { number: '2' }), ['20'])
      await assert.rejects(client.read('orders://7/8'), { code: -32602 })
      assert.ok(await client.request('ping').catch((error: { code: number }) => error.code === -32601))
    })],
    ['holds to limits', using({ settings: { rateLimitApiKey: 4 } }, async client => {
      const left = revision === REVISIONS[0] ? 4 : 2
      for (let i = 0; i < left; i++) assert.equal((await client.call('get_order', { number: '7' })).isError, false)
      await assert.rejects(client.call('get_order', { number: '7' }), (error: { data?: { reason?: string } }) => error.data?.reason === 'RATE_LIMITED')
    })]
  ]
}

/** Tools that do each thing once, and what was seen of them. */
function definitions ({ ask, definePrompt, defineResource, defineTool, elicit, listRoots, sample, ToolError, Type }: Api) {
  const waiting = resolvers()
  const cancelled = resolvers()
  const form = Type.Object({ yes: Type.Boolean() })
  const number = Type.String({ pattern: '^[0-9]{1,10}$' })
  const nothing = Type.Object({})
  const tools = [
    defineTool({
      name: 'get_order',
      description: 'Look up one order by its number.',
      input: Type.Object({ number }),
      output: Type.Object({ state: Type.String() }),
      run: ({ number }) => {
        if (number === '404') throw new ToolError('There is no order 404')
        return { state: 'open' }
      }
    }),
    defineTool({
      name: 'slow_report',
      description: 'Write a report.',
      input: nothing,
      run: async (_input, { progress, message }) => {
        progress(1, 2, 'half')
        message('warning', 'disk nearly full')
        await new Promise(resolve => setImmediate(resolve))
        progress(2, 2)
        return 'done'
      }
    }),
    defineTool({
      name: 'delete_order',
      description: 'Delete an order.',
      input: Type.Object({ number }),
      run: ({ number }, { answer, answers, state }) => {
        if (answers.sure === undefined) return ask({ sure: elicit(`Delete ${number}?`, form) }, 'kept')
        return answer('sure', form)?.yes === true ? `deleted ${number}, because of ${String(state)}` : `kept ${number}`
      }
    }),
    defineTool({
      name: 'asks_around',
      description: 'Asks a model and for roots.',
      input: nothing,
      run: (_input, { answers }) => {
        const { said, roots } = answers as { said?: { content: { text: string } }, roots?: { roots: Array<{ uri: string }> } }
        if (said === undefined || roots === undefined) {
          return ask({ said: sample({ messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 5 }), roots: listRoots() })
        }
        return `${said.content.text} of ${roots.roots[0]!.uri}`
      }
    }),
    defineTool({ name: 'takes_text', description: 'Takes any text.', input: Type.Object({ text: Type.String() }), run: ({ text }) => text }),
    defineTool({ name: 'breaks', description: 'Breaks.', input: nothing, run: () => { throw new Error('the disk is gone') } }),
    defineTool({
      name: 'waits',
      description: 'Waits until nobody waits for it.',
      input: nothing,
      run: async (_input, { signal }) => {
        waiting.resolve()
        await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
        cancelled.resolve()
        return 'late'
      }
    }),
    defineResource({
      uri: 'orders://{number}',
      name: 'Order',
      complete: { number: typed => ['10', '11', '20'].filter(number => number.startsWith(typed)) },
      read: ({ variables }) => `order ${variables.number}`
    }),
    [definePrompt({
      name: 'summarise',
      arguments: [{ name: 'number', required: true, complete: typed => ['10', '11', '20'].filter(number => number.startsWith(typed)) }],
      get: ({ number }) => `Summarise ${number}`
    })]
  ]
  return { tools, seen: { waiting: () => waiting.promise, cancelled: () => cancelled.promise } }
}

function resolvers () {
  let resolve = (): void => {}
  const promise = new Promise<void>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}
