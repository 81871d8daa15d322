// Children that misbehave, each by its first argument. They speak lines of JSON-RPC on stdin and stdout, as servers do.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const [, , kind, ...rest] = process.argv
const out = text => process.stdout.write(text)
const answer = (id, result) => out(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\n')

/** Answers each request with what `reply` makes of it; ends with its input, as servers do. */
function serve (reply) {
  createInterface({ input: process.stdin }).on('line', line => {
    const message = JSON.parse(line)
    if (message.id !== undefined) reply(message)
  }).on('close', () => process.exit(0))
}

const PROGRAMS = {
  echo: () => serve(({ id, params }) => answer(id, params)),
  env: () => serve(({ id }) => answer(id, { env: process.env, argv: process.argv, cwd: process.cwd() })),
  banner: () => {
    out('\n  Welcome to the server\r\n\n{"level":30,"msg":"started"}\n[1]\n{"jsonrpc":"2.0","id":\n{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":2,"result":{}}\n')
    serve(({ id, params }) => out(`\ufeff${JSON.stringify({ jsonrpc: '2.0', id, result: params })}\r\n`))
  },
  stderr: () => {
    const line = 'e'.repeat(997) + '\n'
    let left = 20_000
    const more = () => { while (left-- > 0) if (!process.stderr.write(line)) return process.stderr.once('drain', more) }
    more()
    serve(({ id, params }) => answer(id, params))
  },
  // `size` bytes of text, the id first or last; or without an end at all.
  large: () => serve(({ id, params }) => {
    const { size, idLast = false, endless = false } = params
    if (size === undefined) return answer(id, params)
    out(idLast ? '{"result":{"text":"' : `{"jsonrpc":"2.0","id":${id},"result":{"text":"`)
    for (let left = size; left > 0; left -= 65_536) out('x'.repeat(Math.min(65_536, left)))
    if (!endless) out(idLast ? `"},"jsonrpc":"2.0","id":${id}}\n` : '"}}\n')
  }),
  flood: () => {
    const line = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n'
    serve(({ id, params }) => { out(line.repeat(params.count)); answer(id, params) })
  },
  exit: () => serve(() => process.exit(3)),
  crash: () => { process.stderr.write('cannot find the database\n'); process.exit(1) },
  // Ignores the end of its input and SIGTERM, and has a child that does so, too.
  stubborn: () => {
    process.on('SIGTERM', () => {})
    if (rest[0] !== 'alone') {
      const grandchild = spawn(process.execPath, [process.argv[1], 'stubborn', 'alone'], { stdio: 'inherit' })
      out(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/pids', params: [process.pid, grandchild.pid] }) + '\n')
    }
    setInterval(() => {}, 1000)
  },
  // Ends in order, but leaves somebody behind who holds its pipes.
  leaver: () => {
    const grandchild = spawn(process.execPath, [process.argv[1], 'stubborn', 'alone'], { stdio: 'inherit' })
    serve(({ id }) => answer(id, { pids: [process.pid, grandchild.pid] }))
  },
  deaf: () => {
    process.stdin.pause()
    setInterval(() => {}, 1000)
  },
  mute: () => {
    process.stdout.end()
    setInterval(() => {}, 1000)
  }
}

PROGRAMS[kind]()
