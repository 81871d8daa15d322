import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { folder } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'

function tools (t: Test): string {
  const dir = folder(t)
  writeFileSync(join(dir, 'orders.mjs'), `
    import { ask, defineTool, elicit, ToolError, Type } from '${join(import.meta.dirname, '../../src/tools/index.ts')}'
    const number = Type.String({ pattern: '^[0-9]+$' })
    const form = Type.Object({ sure: Type.Boolean() })
    export default [
      defineTool({ name: 'get_order', description: 'Look up one order.', input: Type.Object({ number, limit: Type.Optional(Type.Integer()) }), run: ({ number }, { progress, message }) => {
        if (number === '404') throw new ToolError('There is no order 404')
        if (number === '500') throw new Error('the disk is gone')
        progress(1, 2, 'half')
        message('warning', 'nearly full')
        return { number, state: 'open' }
      } }),
      defineTool({ name: 'delete_order', description: 'Delete one order.', input: Type.Object({ number }), run: ({ number }, { answers, answer }) => {
        if (answers.sure === undefined) return ask({ sure: elicit('Delete ' + number + '?', form) })
        return answer('sure', form)?.sure ? 'deleted' : 'kept'
      } })
    ]`)
  return dir
}

t.test('call', async t => {
  const dir = tools(t)
  const call = (args: string[], input?: string) => secureMcp(['call', ...args], { cwd: dir, env: { TOOLS_DIR: dir, BUILT_IN_TOOLS: 'false' }, ...(input === undefined ? {} : { input }) })

  const listed = await call([])
  t.strictSame([listed.code, listed.err], [0, ''])
  t.match(listed.out, /^tool +arguments +what it does\ndelete_order +number +Delete one order\.\nget_order +number \[limit\] +Look up one order\.\n/)
  t.strictSame((JSON.parse((await call(['--json', '--as', 'get_*'])).out) as Array<{ name: string }>).map(({ name }) => name), ['get_order'], 'as this caller sees them')

  const done = await call(['get_order', '{"number": "7"}'])
  t.match(done, { code: 0, out: '{"number":"7","state":"open"}\n', err: '1 of 2: half\nwarning: nearly full\n' })
  t.match(JSON.parse((await call(['get_order', '{"number": "7"}', '--json'])).out), { structuredContent: { state: 'open' }, isError: false })

  t.match(await call(['get_order', '{"number": "404"}']), { code: 1, out: 'There is no order 404\n' })
  t.match(await call(['get_order', '{"number": "500"}']), { code: 1, out: 'Internal error\n', err: /tool failed: Error: the disk is gone\n +at .*orders\.mjs/ })
  t.match(await call(['get_order', '{}']), { code: 1, out: /^Invalid arguments: / })
  t.match(await call(['get_order', '{"number": "../../etc/passwd"}']), { code: 1, out: /Invalid arguments/ })

  writeFileSync(join(dir, 'order.json'), '{"number": "8"}')
  t.match(await call(['get_order', `@${join(dir, 'order.json')}`]), { code: 0, out: /"8"/ })
  t.match(await call(['get_order', '-'], '{"number": "9"}'), { code: 0, out: /"9"/ })

  t.match(await call(['delete_order', '{"number": "7"}'], 'yes\n'), { code: 0, out: 'deleted\n', err: /Delete 7\? \(an empty line declines\)\nsure \(boolean\):/ })
  for (const input of ['\n', '', 'no\n']) t.match(await call(['delete_order', '{"number": "7"}'], input), { code: 0, out: 'kept\n' })

  for (const [args, err] of [
    [['get_ordre'], /no tool "get_ordre"\. Is get_order meant\?/], [['delete_order', '--as', 'get_*'], /This caller has no tool "delete_order"/],
    [['get_order', '7'], /must be a JSON object/], [['get_order', '[1]'], /must be a JSON object/], [['get_order', '@none.json'], /none\.json cannot be read/],
    [['get_order', '{}', 'more'], /Unexpected argument "more"/]
  ] as Array<[string[], RegExp]>) t.match(await call(args), { code: 2, err }, args.join(' '))
})
