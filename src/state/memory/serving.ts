/**
 * How a command learns that the running server took its change. Each serving
 * process listens on a socket in the folder of its files and answers with what
 * it uses of each; a socket that nobody answers belongs to a process that ended.
 */
import { hash, randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { basename, join, resolve } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { readIfThere } from '../../files.ts'

/** What a process uses of a file: a digest of the text, or why it does not use what is there. */
export type InUse = { readonly digest: string } | { readonly problem: string }

/** A file that is held in memory. */
export interface HeldFile {
  readonly path: string
  /** Look at the file now, and say what is used of it. */
  look (): InUse
}

export interface TakenUp {
  /** The folder, in full: a command may have been run in another one than the server. */
  readonly place: string
  /** Serving processes that answered. */
  readonly serving: number
  /** One sentence for each file that one of them does not use as it is. */
  readonly refused: readonly string[]
}

const SOCKET = /^\.serving-\w+\.sock$/
/** Longer paths cannot be bound; such a process cannot be asked. Bytes, on the strictest system. */
const MAX_SOCKET_PATH = 100
const ANSWER_MS = 1000
const PATIENCE_MS = 5000
/** How often a folder that does not exist yet is looked for, ms: the first key makes it. */
const AGAIN_MS = 500

export function digestOf (text: string | undefined): string {
  return text === undefined ? 'none' : hash('sha256', text, 'hex')
}

/**
 * Answer commands until stopped. A folder that takes no socket leaves commands
 * without an answer, and nothing else.
 */
export function answerCommands (folder: string, files: readonly HeldFile[]): () => void {
  // At random: in containers that share the folder every process has the same number.
  const path = join(resolve(folder), `.serving-${randomBytes(6).toString('hex')}.sock`)
  if (process.platform === 'win32' || Buffer.byteLength(path) > MAX_SOCKET_PATH) return () => {}
  // What killed processes left behind goes.
  for (const other of socketsIn(folder)) ask(other).catch(() => {})
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.end(JSON.stringify(Object.fromEntries(files.map(file => [basename(file.path), file.look()]))))
  })
  let timer: NodeJS.Timeout | undefined
  const listen = () => { server.listen(path).unref() }
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'EACCES') timer = setTimeout(listen, AGAIN_MS).unref()
  })
  listen()
  return () => {
    clearTimeout(timer)
    server.close()
  }
}

/** Wait until every serving process of the folder uses these files as they are now. */
export async function takenUp (folder: string, paths: readonly string[]): Promise<TakenUp> {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    const answers = (await Promise.all(socketsIn(folder).map(ask))).filter(answer => answer !== 'gone')
    const refused = answers.flatMap(answer => answer === 'silent'
      ? [`A server that uses ${resolve(folder)} does not answer; whether it took the change is not known`]
      : paths.flatMap(path => {
        const used = answer[basename(path)]
        if (used === undefined || ('digest' in used && used.digest === digestOf(readIfThere(path)))) return []
        return [
          `${path} is written, but the running server does not use it${'problem' in used ? `: ${used.problem}` : ''}`
        ]
      }))
    if (refused.length === 0 || Date.now() > until) return { place: resolve(folder), serving: answers.length, refused }
    await sleep(100)
  }
}

function socketsIn (folder: string): string[] {
  try {
    return readdirSync(folder).filter(name => SOCKET.test(name)).map(name => join(resolve(folder), name))
  } catch {
    return []
  }
}

async function ask (path: string): Promise<Record<string, InUse> | 'gone' | 'silent'> {
  const socket = connect(path)
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')))
  try {
    return JSON.parse(await textOf(socket)) as Record<string, InUse>
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ECONNREFUSED' && code !== 'ENOENT') return 'silent'
    // Nobody listens any more: left behind by a process that was killed.
    rmSync(path, { force: true })
    return 'gone'
  }
}
