// The image for arm64, built on whatever machine this is, and started under an emulator of that processor.
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { debianProgram } from '../../test/support/debian.ts'
import { arm64Bases, type Buildah } from './stand-in.ts'

const TAG = 'localhost/secure-mcp-server:arm64'
/** An emulator starts a Node in seconds, on a busy machine in a minute. */
const READY_WITHIN_MS = 300_000

/** A pod, as `pod.mjs` opens it. */
interface Pod {
  start (args: string[], options: SpawnOptions): ChildProcess
  ready (url: string, withinMs: number): Promise<unknown>
  fetch (url: string, request: RequestInit): Promise<{ status: number, body: string }>
}

export interface Arm64Stage {
  readonly buildah: Buildah
  readonly project: string
  readonly pod: Pod
  /** Takes what was looked at, whether it holds, and what was seen. */
  readonly claim: (text: string, held: boolean, figure?: string) => void
}

export async function judgeArm64 ({ buildah, project, pod, claim }: Arm64Stage): Promise<void> {
  const began = Date.now()
  buildah('build', '--pull-never', '--network', 'host', ...arm64Bases(buildah), '--tag', TAG, project)
  const arch = buildah('inspect', '--type', 'image', '--format', '{{.OCIv1.Architecture}}', TAG)
  claim('the Dockerfile builds for arm64 without running a program of it', arch === 'arm64', `${arch}, ${((Date.now() - began) / 1000).toFixed(0)} s`)

  const container = buildah('from', '--pull-never', TAG)
  try {
    const root = buildah('mount', container)
    const native = filesIn(join(root, 'app')).filter(isProgram)
    claim('nothing above Node is made for one processor', native.length === 0, native.join(' ') || 'no machine code below /app')

    claim('the list of what it is made of is in it', existsSync(join(root, 'app/sbom.cdx.json')))
    const { program } = debianProgram('qemu-user-static', 'usr/bin/qemu-aarch64-static')
    const server = pod.start([program, '-L', root, join(root, 'usr/local/bin/node'), 'dist/src/cli/main.js', 'serve'], { cwd: join(root, 'app'), env: { PATH: process.env.PATH } })
    let text = ''
    for (const stream of [server.stdout, server.stderr]) stream!.on('data', (part: Buffer) => { text += part.toString() })
    const started = Date.now()
    await pod.ready('http://127.0.0.1:3000/readyz', READY_WITHIN_MS).catch((error: Error) => { throw new Error(`${error.message}\n${text}`) })
    const readyAfter = Date.now() - started
    const { status, body } = await pod.fetch('http://127.0.0.1:3000/mcp', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${/mcpk_[\w-]+/.exec(text)?.[0]}` },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hello_world', arguments: { name: 'Ada' } } })
    })
    claim('it starts under qemu and answers a call', status === 200 && body.includes('Ada'), `${status}, ready after ${(readyAfter / 1000).toFixed(1)} s`)
  } finally {
    buildah('rm', container)
  }
}

function filesIn (folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

/** Whether a file holds machine code, by its first bytes. */
function isProgram (path: string): boolean {
  const bytes = Buffer.alloc(4)
  const file = openSync(path, 'r')
  readSync(file, bytes)
  closeSync(file)
  return bytes.equals(Buffer.from('\x7fELF', 'latin1'))
}
