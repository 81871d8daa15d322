// Builds images where no container engine runs and no image registry is in reach: Debian's buildah, and a
// stand-in for the base image made of a minimal Debian and the Node that the Dockerfile names. Root and apt
// are needed; nothing is left outside .cache.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fetchPackage, hasApt, onPath } from '../../test/support/debian.ts'

const WORK = resolve(import.meta.dirname, '../../.cache/image')
/** Debian's own Node would be years older than the one that the image ships. */
const NODE = '24.21.0'
const BASE = 'docker.io/library/node:24-slim'
const ADVICE = 'Building the image needs root on Debian or Ubuntu: buildah, debootstrap and util-linux are fetched there. Elsewhere: docker build .'

/**
 * @returns `{ base, buildah }`: the name under which the stand-in is known, and
 *   the way to run buildah, which returns what it prints
 * @throws {Error} with one line of advice
 */
export function imageBuilder () {
  if (process.platform !== 'linux' || process.getuid() !== 0 || !hasApt()) throw new Error(ADVICE)
  mkdirSync(WORK, { recursive: true })
  // Nothing is pulled, so nothing is there whose signature could be checked.
  const policy = join(WORK, 'policy.json')
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }))
  const [program, ...before] = buildahCommand()
  const global = ['--root', join(WORK, 'storage'), '--runroot', join(WORK, 'run'), '--storage-driver', 'vfs']
  const buildah = (command, ...args) => execFileSync(program, [
    ...before, ...global, command, ...(['build', 'from', 'commit'].includes(command) ? ['--signature-policy', policy] : []), ...args
  ], { env: { ...process.env, BUILDAH_ISOLATION: 'chroot' }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 }).trim()

  if (!known(buildah, BASE)) makeBase(buildah)
  return { base: BASE, node: NODE, buildah }
}

function known (buildah, image) {
  try {
    return buildah('inspect', '--type', 'image', '--format', '{{.FromImageID}}', image) !== ''
  } catch {
    return false
  }
}

/**
 * How to run buildah. It starts itself again with an empty environment, so the
 * libraries that were fetched with it are shown to the loader in its cache, in
 * a mount namespace where this machine's own stays as it is.
 */
function buildahCommand () {
  const direct = onPath('buildah')
  if (direct !== undefined) return [direct]
  const { root, env } = fetchPackage('buildah')
  const cache = join(WORK, 'ld.so.cache')
  execFileSync('/sbin/ldconfig', ['-C', cache, ...env.LD_LIBRARY_PATH.split(':')], { stdio: 'ignore' })
  return ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/ld.so.cache && exec "$@"', cache, join(root, 'usr/bin/buildah')]
}

function debootstrapCommand () {
  const direct = onPath('debootstrap')
  if (direct !== undefined) return { program: direct, env: process.env }
  const { root } = fetchPackage('debootstrap')
  return { program: join(root, 'usr/sbin/debootstrap'), env: { ...process.env, DEBOOTSTRAP_DIR: join(root, 'usr/share/debootstrap') } }
}

function makeBase (buildah) {
  const container = buildah('from', 'scratch')
  try {
    const root = buildah('mount', container)
    const { program, env } = debootstrapCommand()
    const { mirror, suite } = archive()
    execFileSync(program, ['--variant=minbase', suite, root, mirror], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    for (const path of ['var/cache/apt', 'var/lib/apt/lists']) rmSync(join(root, path), { recursive: true, force: true })
    addNode(root)
    buildah('config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', container)
    buildah('commit', '--quiet', container, BASE)
  } finally {
    buildah('rm', container)
  }
}

/** Where this machine's apt finds the release that it runs. */
function archive () {
  const suite = /^VERSION_CODENAME=(\S+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const lines = execFileSync('apt-get', ['indextargets', '--format', '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)'], { encoding: 'utf8' }).split('\n')
  const mirror = lines.map(line => line.split(' ')).find(([by, component, release]) => by === 'Packages' && component === 'main' && release === suite)?.[3]
  if (mirror === undefined) throw new Error(`apt knows no archive of ${suite}. ${ADVICE}`)
  return { mirror, suite }
}

/** Node, npm, and how this machine's npm reaches its registry: the network's matter, which the Dockerfile knows nothing of. */
function addNode (root) {
  const work = mkdtempSync(join(tmpdir(), 'stand-in-'))
  const npmCli = realpathSync(process.env.npm_execpath ?? onPath('npm'))
  const npm = (...args) => execFileSync(process.execPath, [npmCli, ...args], { cwd: work, encoding: 'utf8' }).trim()
  try {
    npm('pack', '--silent', `node-linux-${process.arch}@${NODE}`)
    execFileSync('tar', ['xzf', `node-linux-${process.arch}-${NODE}.tgz`, '--no-same-owner', 'package/bin/node'], { cwd: work })
    const local = join(root, 'usr/local')
    cpSync(join(work, 'package/bin/node'), join(local, 'bin/node'))
    cpSync(dirname(dirname(npmCli)), join(local, 'lib/node_modules/npm'), { recursive: true, dereference: true })
    symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'))

    const authorities = process.env.NODE_EXTRA_CA_CERTS ?? '/etc/ssl/certs/ca-certificates.crt'
    const lines = [`registry=${npm('config', 'get', 'registry')}`, 'update-notifier=false']
    if (existsSync(authorities)) {
      cpSync(authorities, join(root, 'etc/npm-authorities.pem'), { dereference: true })
      lines.push('cafile=/etc/npm-authorities.pem')
    }
    mkdirSync(join(local, 'etc'), { recursive: true })
    writeFileSync(join(local, 'etc/npmrc'), lines.join('\n') + '\n')
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
