// Starts programs as a pod's container runtime would, without one: own network, process and mount namespaces,
// a read-only root, no privileges, no capabilities, a number for a user. Linux and root only.
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

/** Mounts what a container has, makes the root read-only, gives up everything, and becomes the program. */
const ENTER = `
  root=$1 work=$2 user=$3 secrets=$4 writable=$5; shift 5
  mount --bind "$root" "$root"
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  mount -t tmpfs -o nosuid,nodev,noexec,size=16m,mode=1777 tmpfs "$root/tmp"
  [ -z "$secrets" ] || { mount -t tmpfs -o size=1m,mode=755 tmpfs "$root/run"; mkdir "$root/run/secrets"; mount --bind "$secrets" "$root/run/secrets"; mount -o remount,bind,ro "$root/run/secrets"; }
  [ -z "$writable" ] || mount -t tmpfs -o nosuid,nodev,noexec,size=16m,mode=700,uid=$user,gid=$user tmpfs "$root/$writable"
  mount -o remount,bind,ro "$root"
  exec setpriv --no-new-privs --clear-groups env -i "$@"
`

/**
 * A pod: a network of its own, with loopback alone.
 *
 * @returns the ways to run in it, and to end all of it
 */
export async function openPod () {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep 600'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve, reject) => {
    holder.stdout.once('data', resolve)
    holder.once('exit', code => reject(new Error(`a network namespace cannot be made here (${code}); util-linux and iproute2 are needed`)))
  })
  const within = ['--net', '--target', String(holder.pid)]
  const children = new Set([holder])
  const start = (args, options) => {
    const child = spawn('nsenter', [...within, ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }

  return {
    /** Any program of this machine, beside the container. */
    start,

    /**
     * The image's own command, or another one in its place.
     *
     * @param image `{ root, config }`: its files, and its configuration as OCI has it
     * @param options.secrets a folder shown at /run/secrets, read-only
     * @param options.writable a folder of the root that may be written, empty
     */
    container ({ root, config }, { args = config.Cmd, env = {}, secrets = '', writable = '' } = {}) {
      const [user, group = user] = config.User.split(':')
      const variables = [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
      return start([
        'unshare', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', 'sh', '-ec', ENTER, 'sh', root, config.WorkingDir, user, secrets, writable,
        ...variables, '/usr/bin/unshare', '--root', root, '--wd', config.WorkingDir, '--setgid', group, '--setuid', user, ...args
      ])
    },

    /** A request from inside the pod, as its neighbours would send it. */
    async fetch (url, { method = 'GET', headers = {}, body } = {}) {
      const program = `
        const { url, ...rest } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
        fetch(url, rest).then(async answer => console.log(JSON.stringify({ status: answer.status, body: await answer.text() })))
          .catch(error => console.log(JSON.stringify({ status: 0, body: String(error.cause ?? error) })))`
      const running = promisify(execFile)('nsenter', [...within, process.execPath, '-e', program])
      running.child.stdin.end(JSON.stringify({ url, method, headers, body }))
      return JSON.parse((await running).stdout)
    },

    /** Ask until the answer is 200. */
    async ready (url, withinMs = 20_000) {
      const until = Date.now() + withinMs
      for (;;) {
        const answer = await this.fetch(url)
        if (answer.status === 200) return answer
        if (Date.now() > until) throw new Error(`${url} was not ready within ${withinMs} ms: ${answer.status} ${answer.body}`)
        await sleep(100)
      }
    },

    close () {
      for (const child of children) {
        child.kill('SIGKILL')
        // An output that nobody read to its end would keep this process waiting.
        child.stdout?.destroy()
        child.stderr?.destroy()
      }
    }
  }
}

/** The process that a container runs, by its number on this machine: nsenter becomes unshare, whose child it is. */
export function processOf (container) {
  const child = readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, 'utf8').trim().split(' ')[0]
  if (!child) throw new Error('the container has ended')
  return Number(child)
}

/** What a process may do, as the kernel sees it. */
export function privilegesOf (pid) {
  const field = name => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1].split(/\s+/) ?? []
  const root = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n').map(line => line.split(' ')).find(fields => fields[4] === '/')
  return {
    uids: field('Uid').map(Number),
    groups: field('Groups').filter(group => group !== '').map(Number),
    capabilities: Number(`0x${field('CapEff')[0]}`),
    noNewPrivileges: field('NoNewPrivs')[0] === '1',
    processNumber: Number(field('NSpid').at(-1)),
    rootReadOnly: root?.[5].split(',').includes('ro') === true
  }
}
