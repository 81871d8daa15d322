// `npm run measure image`: builds the Dockerfile over a stand-in base, judges what is in the image, starts it as a pod
// would — a number for a user, read-only root, no capabilities, settings from files, a Redis that knows it by
// k8s/components/redis/users.acl — and calls a tool. Ends with 1 if any claim is wrong. --arm64 builds
// and starts the image for that architecture, too; --record writes docs/measurements.md.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { judgeArm64 } from './arm64.ts'
import { openPod, privilegesOf, processOf } from './pod.mjs'
import { redisServer } from '../../test/support/redis.ts'
import { imageBuilder } from './stand-in.ts'

const PROJECT = resolve(import.meta.dirname, '../..')
const TAG = 'localhost/secure-mcp-server:check'
const rows = []

/** @param figure what was seen, for people */
function claim (text, held, figure = '') {
  rows.push([text, figure, held ? 'holds' : 'FAILS'])
  process.stdout.write(`${held ? 'ok    ' : 'FAILED'} ${text}${figure === '' ? '' : `: ${figure}`}\n`)
}

let pod
const work = mkdtempSync(join(tmpdir(), 'image-'))
try {
  const started = Date.now()
  const { bases, node, buildah } = imageBuilder()
  const prepared = Date.now()
  buildah('build', '--pull-never', '--network', 'host', ...bases, '--tag', TAG, PROJECT)
  const seconds = ms => `${(ms / 1000).toFixed(0)} s`
  claim('the Dockerfile builds, npm ci --omit=dev included', true, `${seconds(Date.now() - prepared)}, after ${seconds(prepared - started)} for the stand-in base (minimal Debian, Node ${node})`)

  const container = buildah('from', '--pull-never', TAG)
  try {
    const root = buildah('mount', container)
    const { config } = JSON.parse(buildah('inspect', '--type', 'image', TAG)).OCIv1
    judgeContent(root, config)
    pod = await openPod()
    await judgeRun({ root, config })
  } finally {
    pod?.close()
    buildah('rm', container)
  }
  if (process.argv.includes('--arm64')) {
    pod = await openPod()
    await judgeArm64({ buildah, project: PROJECT, pod, claim }).finally(() => pod.close())
  }
} catch (error) {
  claim('the check comes to its end', false, error.stderr || error.message)
} finally {
  rmSync(work, { recursive: true, force: true })
}
const failed = rows.filter(([, , verdict]) => verdict === 'FAILS').length
process.stdout.write(`${rows.length - failed} passed, ${failed} failed\n`)
if (failed > 0) process.exitCode = 1
if (process.argv.includes('--record')) record()

function judgeContent (root, config) {
  const { packages } = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8'))
  const ofDevelopment = Object.entries(packages).filter(([, { dev }]) => dev === true).map(([path]) => path)
  const app = join(root, 'app')
  const paths = everythingIn(app)
  const development = ofDevelopment.filter(path => existsSync(join(app, path)))
  const tools = ['npm', 'npx', 'yarn', 'corepack', 'cc', 'gcc', 'g++', 'make', 'python3', 'git', 'curl', 'wget']
    .filter(name => ['usr/local/bin', 'usr/bin', 'bin'].some(folder => existsSync(join(root, folder, name))))

  claim('the image runs as a number, 10001 or above', /^\d{5,}:\d{5,}$/.test(config.User) && Number(config.User.split(':')[0]) >= 10_001, config.User)
  claim('its command is Node itself, and SIGTERM ends it', config.Cmd[0] === 'node' && config.Entrypoint === undefined && config.StopSignal === 'SIGTERM', config.Cmd.join(' '))
  claim('it sets no NODE_ENV, and listens beyond loopback', config.Env.includes('HOST=0.0.0.0') && !config.Env.some(entry => entry.startsWith('NODE_ENV')))
  claim('no development dependency is in it', development.length === 0, development.join(', ') || `none of ${ofDevelopment.length}`)
  claim('no compiler, package manager, git or download program is in it', tools.length === 0, tools.join(', ') || 'none')
  claim('no test, source or history is in it', readdirSync(app).sort().join(' ') === 'LICENSE config dist node_modules package.json sbom.cdx.json' && !existsSync(join(app, 'dist/test')), readdirSync(app).sort().join(' '))
  const { bomFormat, components } = JSON.parse(readFileSync(join(app, 'sbom.cdx.json'), 'utf8'))
  const listed = new Set(components.map(({ group, name }) => group === undefined ? name : `${group}/${name}`))
  const unlisted = packagesIn(join(app, 'node_modules')).filter(name => !listed.has(name))
  claim('the list of what it is made of names every package that is in it', bomFormat === 'CycloneDX' && unlisted.length === 0, unlisted.join(' ') || `${components.length} components`)
  const writable = paths.filter(path => { const { uid, mode } = lstatSync(path); return uid !== 0 || ((mode & 0o022) !== 0 && (mode & 0o170000) !== 0o120000) })
  claim('everything but config/ belongs to root and nobody else may write it', writable.length === 1 && writable[0] === join(app, 'config'), writable.map(path => path.slice(root.length)).join(' '))
  claim('its size over the base', true, `${megabytes(app)} MB in ${paths.length} files (node_modules ${megabytes(join(app, 'node_modules'))} MB, dist ${megabytes(join(app, 'dist'))} MB); root in all ${megabytes(root)} MB`)
}

async function judgeRun (image) {
  const secrets = makeSecrets(image.config)
  const { program, env } = redisServer()
  symlinkSync(program, join(work, 'redis-server')) // Debian's binary decides by its name what it is
  pod.start([join(work, 'redis-server'), '--port', '6379', '--bind', '127.0.0.1', '--save', '', '--dir', work, '--aclfile', join(work, 'users.acl')], { env, stdio: 'ignore' })

  const settings = { REDIS_URL_FILE: '/run/secrets/REDIS_URL', STATE_SECRET_FILE: '/run/secrets/STATE_SECRET', PUBLIC_URL: 'http://localhost:3000' }
  const cli = (...args) => textOf(pod.container(image, { args: ['node', 'dist/src/cli/main.js', ...args], env: settings, secrets }))
  const server = pod.container(image, { env: settings, secrets })
  const log = collect(server)
  await pod.ready('http://127.0.0.1:3000/readyz').catch(error => { throw new Error(`${error.message}\n${log.text}`) })

  const seen = privilegesOf(processOf(server))
  claim('it runs without being root', seen.uids.every(uid => uid === 10_001), `uid ${seen.uids[0]}`)
  claim('it holds no capability, and can gain none', seen.capabilities === 0 && seen.noNewPrivileges)
  claim('its root is read-only', seen.rootReadOnly)
  claim('Node is process 1', seen.processNumber === 1)

  const { key } = JSON.parse((await cli('keys', 'create', 'ada', '--json')).out)
  const call = headers => pod.fetch('http://127.0.0.1:3000/mcp', {
    method: 'POST',
    headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hello_world', arguments: { name: 'Ada' } } })
  })
  const answered = await call({ authorization: `Bearer ${key}` })
  claim('it answers a call with a key from Redis', answered.status === 200 && answered.body.includes('Ada'), `${answered.status}`)
  const refused = await call({})
  claim('it refuses one without', refused.status === 401, `${refused.status}`)
  const wrote = await textOf(pod.container(image, { args: ['node', '-e', "require('node:fs').writeFileSync('/app/config/x', '')"] }))
  claim('nothing can be written to its root', wrote.code !== 0 && wrote.err.includes('EROFS'), 'EROFS')

  const before = Date.now()
  process.kill(processOf(server), 'SIGTERM')
  const code = await new Promise(resolve => server.once('exit', resolve))
  claim('SIGTERM ends it with 0', code === 0, `code ${code} after ${((Date.now() - before) / 1000).toFixed(1)} s`)
  claim('no secret is in its output', [key, readFileSync(join(secrets, 'STATE_SECRET'), 'utf8'), 'redis://'].every(text => !log.text.includes(text)))

  const alone = pod.container(image, { writable: 'app/config' })
  const said = collect(alone)
  await pod.ready('http://127.0.0.1:3000/readyz')
  claim('with config/ on a volume and no settings it starts alone and makes the first key', /mcpk_/.test(said.text))
  process.kill(processOf(alone), 'SIGTERM')
  await new Promise(resolve => alone.once('exit', resolve))
}

/** What a pod finds under /run/secrets: of root, readable for the group of the container. */
function makeSecrets (config) {
  const folder = join(work, 'secrets')
  const password = randomBytes(24).toString('base64url')
  mkdirSync(folder)
  for (const [name, value] of [['REDIS_URL', `redis://mcp:${password}@127.0.0.1:6379`], ['STATE_SECRET', randomBytes(32).toString('base64url')]]) {
    writeFileSync(join(folder, name), value)
    chownSync(join(folder, name), 0, Number(config.User.split(':')[1]))
    chmodSync(join(folder, name), 0o440)
  }
  const rules = readFileSync(join(PROJECT, 'k8s/components/redis/users.acl'), 'utf8')
  writeFileSync(join(work, 'users.acl'), rules.replace('<sha256>', createHash('sha256').update(password).digest('hex')))
  return folder
}

function collect (child) {
  const seen = { text: '' }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', part => { seen.text += part })
  return seen
}

async function textOf (child) {
  const result = { out: '', err: '' }
  child.stdout.on('data', part => { result.out += part })
  child.stderr.on('data', part => { result.err += part })
  const code = await new Promise(resolve => child.once('close', resolve))
  return { ...result, code }
}

function everythingIn (folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? [path, ...everythingIn(path)] : [path]
  })
}

/** Names of the packages in a node_modules, without those below them. */
function packagesIn (modules) {
  return readdirSync(modules).filter(name => !name.startsWith('.')).flatMap(name => name.startsWith('@') ? readdirSync(join(modules, name)).map(inner => `${name}/${inner}`) : [name])
}

function megabytes (path) {
  return Math.round(Number(execFileSync('du', ['-sb', path], { encoding: 'utf8' }).split('\t')[0]) / 1e6)
}

function record () {
  writeSection('delivery', [
    '## Delivery', '', `${circumstances('npm run measure image -- --record')}. The image is built with a stand-in base.`, '', markdownTable(['claim', 'seen', 'verdict'], rows)
  ].join('\n'))
}
