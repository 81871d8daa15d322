/** A child process with a group and an environment of its own, that leaves nobody behind when it is ended. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Reaper } from './reaper.ts'

export type ChildEnvironment = Readonly<Record<string, string | undefined>>

export interface ChildOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string | undefined
  /** The whole of what the child sees: see `childEnvironment`. */
  readonly env: ChildEnvironment
  /** Ends the group if this process is gone without having done so. */
  readonly reaper: Reaper
  /** Between closing its input and SIGTERM, and between SIGTERM and SIGKILL. */
  readonly endMs?: { readonly input: number, readonly term: number }
}

/** What every program needs to run and to reach the network. Nothing that belongs to this server. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TZ', 'NODE_EXTRA_CA_CERTS',
  'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy']

/**
 * The environment of a child.
 *
 * @param ambient the environment of this process, of which a few names are passed on
 * @param own what the entry in the file says; it wins
 */
export function childEnvironment (ambient: ChildEnvironment, own: ChildEnvironment): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of PASSED_ON) if (ambient[name] !== undefined) env[name] = ambient[name]
  for (const [name, value] of Object.entries(own)) if (value !== undefined) env[name] = value
  return env
}

/** Closing its input is how a client ends a server (MCP 2025-11-25, lifecycle); most end within 0.3 s. */
const END_MS = { input: 500, term: 1500 }
/** What a child wrote before it ended is read for this long; somebody whom it left behind may hold the pipe open. */
const LAST_WORDS_MS = 200
/** After SIGKILL only the kernel has work to do. */
const GONE_MS = 1000

export class Child {
  readonly process: ChildProcessWithoutNullStreams
  /** Resolves when it has ended, or could not be started, and what it wrote was read; goes on from "Upstream x". */
  readonly ended: Promise<string>
  readonly #reaper: Reaper
  readonly #endMs: { readonly input: number, readonly term: number }
  #leaderIsGone = false
  #ending: Promise<void> | undefined

  /** Starts it; whether that succeeded is told by `ended`. */
  constructor ({ command, args, cwd, env, reaper, endMs = END_MS }: ChildOptions) {
    this.#endMs = endMs
    this.#reaper = reaper
    // A group of its own, so that the end reaches whom it started, and Ctrl+C in our terminal does not.
    this.process = spawn(command, args, { detached: true, shell: false, cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
    const { pid, stdin, stdout, stderr } = this.process
    if (pid !== undefined) reaper.watch(pid)
    // A pipe that breaks is told by the end of the child.
    for (const pipe of [stdin, stdout, stderr]) pipe.on('error', () => {})
    this.ended = new Promise(resolve => {
      this.process.once('error', (error: NodeJS.ErrnoException) => {
        if (pid === undefined) resolve(startFault(error, command, cwd))
      })
      this.process.once('exit', (code, signal) => {
        this.#leaderIsGone = true
        const why = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
        lastWords(this.process).then(() => this.end()).then(() => resolve(why))
      })
    })
  }

  /** Whether it was started and is there. */
  get running (): boolean {
    return this.process.pid !== undefined && !this.#leaderIsGone
  }

  /** Close its input, ask it to end, then end it and everyone in its group. Nobody of them is left when it resolves. */
  end (): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end (): Promise<void> {
    const { pid, stdin } = this.process
    if (pid === undefined) return
    if (!this.#leaderIsGone) {
      stdin.end()
      await this.#leaderGone(this.#endMs.input)
    }
    if (!this.#leaderIsGone) {
      signalGroup(pid, 'SIGTERM')
      await this.#leaderGone(this.#endMs.term)
    }
    // After a tidy end, too: it may have left others behind.
    await killGroup(pid)
    this.#reaper.forget(pid)
    for (const pipe of [this.process.stdout, this.process.stderr, stdin]) pipe.destroy()
  }

  async #leaderGone (ms: number): Promise<void> {
    const patience = new AbortController()
    const gone = () => patience.abort()
    this.process.once('exit', gone)
    await sleep(ms, undefined, { signal: patience.signal }).catch(() => {})
    this.process.off('exit', gone)
  }
}

/** @returns false if nobody of the group is left */
function signalGroup (pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

async function killGroup (pid: number): Promise<void> {
  const end = performance.now() + GONE_MS
  // Whoever is ended stays in the group until its parent, or init, has looked.
  while (signalGroup(pid, 'SIGKILL') && performance.now() < end) await sleep(5)
}

async function lastWords ({ stdout, stderr }: ChildProcessWithoutNullStreams): Promise<void> {
  const patience = new AbortController()
  let open = 0
  for (const pipe of [stdout, stderr]) {
    if (pipe.closed) continue
    open++
    pipe.once('close', () => { if (--open === 0) patience.abort() })
  }
  if (open > 0) await sleep(LAST_WORDS_MS, undefined, { signal: patience.signal }).catch(() => {})
}

/** Node says ENOENT for a missing folder, too. */
function startFault ({ code }: NodeJS.ErrnoException, command: string, cwd: string | undefined): string {
  const isFolder = cwd === undefined || statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true
  if (!isFolder) return 'cannot be started: its cwd is no folder'
  if (code === 'ENOENT') return `cannot be started: no program "${command}" on its PATH`
  if (code === 'EACCES') return `cannot be started: "${command}" may not be executed`
  return `cannot be started (${code ?? 'unknown error'})`
}
