// A minimal Debian in a folder, for what must not depend on this machine: the base of the image, the bare machine of a
// newcomer. Root and apt are needed; nothing is left outside .cache.
import { execFileSync } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CACHE, fetchPackage, hasApt, onPath, type Program } from '../test/support/debian.ts'
import { npm, npmCli } from '../test/support/npm.ts'

const ADVICE = 'A minimal Debian can be made by root on Debian or Ubuntu alone: debootstrap and util-linux are fetched there.'
const AUTHORITIES = '/etc/network-authorities.pem'

/** Whether this machine can make one. */
export function canMakeRoot (): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && hasApt()
}

/**
 * Debian's minimal set (debootstrap's `minbase`), of the release that this machine runs, made once.
 *
 * @returns its folder in .cache; copy it (`copyTo`) before changing anything
 * @throws {Error} with one line of advice
 */
export function minimalDebian (): string {
  if (!canMakeRoot()) throw new Error(ADVICE)
  const { mirror, suite } = archive()
  // Ubuntu keeps most of what Debian has in main apart.
  const components = isUbuntu() ? 'main,universe' : 'main'
  const root = join(CACHE, `debian-${suite}`)
  if (existsSync(root)) return root
  const work = `${root}.${process.pid}`
  try {
    mkdirSync(work, { recursive: true })
    const { program, env } = debootstrap()
    execFileSync(program, ['--variant=minbase', `--components=${components}`, suite, work, mirror], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    for (const path of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(join(work, path), { recursive: true, force: true })
    renameSync(work, root)
    return root
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * The same for another architecture: unpacked, and not configured, which would need its processor. Enough to run a program in.
 *
 * @param arch as Debian names it
 * @throws {Error} with one line of advice
 */
export function foreignDebian (arch: string): string {
  if (!canMakeRoot()) throw new Error(ADVICE)
  const { mirror, suite } = archive()
  // Ubuntu's mirrors have the processors of PCs alone.
  const from = isUbuntu() ? 'http://ports.ubuntu.com/ubuntu-ports' : mirror
  const root = join(CACHE, `debian-${suite}-${arch}`)
  if (existsSync(root)) return root
  const work = `${root}.${process.pid}`
  try {
    mkdirSync(work, { recursive: true })
    const { program, env } = debootstrap()
    execFileSync(program, ['--foreign', `--arch=${arch}`, '--variant=minbase', suite, work, from], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    const packages = join(work, 'var/cache/apt/archives')
    for (const name of readdirSync(packages).filter(name => name.endsWith('.deb'))) execFileSync('dpkg', ['-x', join(packages, name), work])
    for (const path of ['debootstrap', 'var/cache/apt/archives']) rmSync(join(work, path), { recursive: true, force: true })
    renameSync(work, root)
    return root
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The minimal Debian again, to be changed. */
export function copyTo (folder: string): void {
  execFileSync('cp', ['--archive', '--reflink=auto', `${minimalDebian()}/.`, folder])
}

/**
 * Node and npm, and how this machine reaches npm's registry and Debian's mirrors: the network's matter, which the
 * project knows nothing of.
 *
 * @param node the program
 */
export function addNode (root: string, node: string): void {
  const cli = npmCli()
  if (cli === undefined) throw new Error('npm cannot be found')
  const local = join(root, 'usr/local')
  cpSync(node, join(local, 'bin/node'), { dereference: true })
  cpSync(dirname(dirname(cli)), join(local, 'lib/node_modules/npm'), { recursive: true, dereference: true })
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name))

  const setting = (name: string) => npm(['config', 'get', name], root).trim()
  const authorities = [process.env.NODE_EXTRA_CA_CERTS, setting('cafile'), '/etc/ssl/certs/ca-certificates.crt'].find(path => path !== undefined && existsSync(path))
  if (authorities !== undefined) cpSync(authorities, join(root, AUTHORITIES), { dereference: true })
  const given = ['registry', 'proxy', 'https-proxy', 'noproxy'].map(name => [name, setting(name)]).filter(([, value]) => !['', 'null', 'undefined'].includes(value!))
  mkdirSync(join(local, 'etc'), { recursive: true })
  writeFileSync(join(local, 'etc/npmrc'), [
    ...given.map(([name, value]) => `${name}=${value}`), 'update-notifier=false', ...(authorities === undefined ? [] : [`cafile=${AUTHORITIES}`]), ''
  ].join('\n'))
  const proxies = execFileSync('apt-config', ['dump'], { encoding: 'utf8' }).split('\n').filter(line => /^Acquire::https?::Proxy\b/.test(line))
  if (authorities !== undefined) proxies.push(`Acquire::https::CaInfo "${AUTHORITIES}";`)
  appendFileSync(join(root, 'etc/apt/apt.conf.d/90network'), proxies.join('\n') + '\n')
  for (const name of ['resolv.conf', 'hosts']) cpSync(join('/etc', name), join(root, 'etc', name), { dereference: true })
}

function debootstrap (): Program {
  const direct = onPath('debootstrap')
  if (direct !== undefined) return { program: direct, env: process.env }
  const { root } = fetchPackage('debootstrap')
  return { program: join(root, 'usr/sbin/debootstrap'), env: { ...process.env, DEBOOTSTRAP_DIR: join(root, 'usr/share/debootstrap') } }
}

function isUbuntu (): boolean {
  return /^ID=ubuntu$/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/** Where this machine's apt finds the release that it runs. */
function archive (): { mirror: string, suite: string } {
  const suite = /^VERSION_CODENAME=(\S+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const lines = execFileSync('apt-get', ['indextargets', '--format', '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)'], { encoding: 'utf8' }).split('\n')
  const mirror = lines.map(line => line.split(' ')).find(([by, component, release]) => by === 'Packages' && component === 'main' && release === suite)?.[3]
  if (suite === undefined || mirror === undefined) throw new Error(`apt knows no archive of ${suite}. ${ADVICE}`)
  return { mirror, suite }
}
